// Digits with burn, as its guide writes it: the same text stands over burn and over the package in its place.

use std::sync::Arc;

use burn::data::dataloader::batcher::Batcher;
use burn::data::dataloader::DataLoaderBuilder;
use burn::data::dataset::InMemDataset;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig, Relu};
use burn::optim::AdamConfig;
use burn::prelude::*;
use burn::train::metric::store::{Aggregate, Direction, Split};
use burn::train::metric::{AccuracyMetric, LossMetric};
use burn::train::{ClassificationOutput, InferenceStep, Learner, SupervisedTraining, TrainOutput, TrainStep};
use burn::train::{EvaluatorBuilder, MetricEarlyStoppingStrategy, StoppingCondition};

const FOLDER: &str = "digits";

#[derive(Clone, Debug)]
pub struct Digit {
    pixels: [f32; 64],
    label: i64,
}

fn digits() -> Vec<Digit> {
    let lines = include_str!("../../../examples/data/digits.csv").lines();
    let digit = |line: &str| {
        let numbers: Vec<u8> = line.split(',').map(|n| n.parse().unwrap()).collect();
        Digit { pixels: std::array::from_fn(|i| numbers[i] as f32 / 16.), label: numbers[64] as i64 }
    };
    lines.take(400).map(digit).collect()
}

#[derive(Clone, Default)]
pub struct DigitBatcher {}

#[derive(Clone, Debug)]
pub struct DigitBatch {
    pub images: Tensor<3>,
    pub targets: Tensor<1, Int>,
}

impl Batcher<Digit, DigitBatch> for DigitBatcher {
    fn batch(&self, items: Vec<Digit>, device: &Device) -> DigitBatch {
        let images = items
            .iter()
            .map(|item| Tensor::<1>::from_data(item.pixels, device).reshape([1, 8, 8]))
            .collect();
        let targets = items.iter().map(|item| Tensor::<1, Int>::from_data([item.label], device)).collect();
        DigitBatch { images: Tensor::cat(images, 0), targets: Tensor::cat(targets, 0) }
    }
}

#[derive(Module, Debug)]
pub struct Model {
    conv: Conv2d,
    pool: AdaptiveAvgPool2d,
    dropout: Dropout,
    linear1: Linear,
    linear2: Linear,
    activation: Relu,
}

#[derive(Config, Debug)]
pub struct ModelConfig {
    num_classes: usize,
    hidden_size: usize,
    #[config(default = "0.2")]
    dropout: f64,
}

impl ModelConfig {
    pub fn init(&self, device: &Device) -> Model {
        Model {
            conv: Conv2dConfig::new([1, 8], [3, 3]).init(device),
            pool: AdaptiveAvgPool2dConfig::new([3, 3]).init(),
            activation: Relu::new(),
            linear1: LinearConfig::new(8 * 3 * 3, self.hidden_size).init(device),
            linear2: LinearConfig::new(self.hidden_size, self.num_classes).init(device),
            dropout: DropoutConfig::new(self.dropout).init(),
        }
    }
}

impl Model {
    pub fn forward(&self, images: Tensor<3>) -> Tensor<2> {
        let [batch_size, height, width] = images.dims();
        let x = self.conv.forward(images.reshape([batch_size, 1, height, width]));
        let x = self.pool.forward(self.activation.forward(x));
        let x = self.linear1.forward(x.reshape([batch_size, 8 * 3 * 3]));
        self.linear2.forward(self.activation.forward(self.dropout.forward(x)))
    }

    pub fn forward_classification(
        &self,
        images: Tensor<3>,
        targets: Tensor<1, Int>,
    ) -> ClassificationOutput {
        let output = self.forward(images);
        let loss = CrossEntropyLossConfig::new()
            .init(&output.device())
            .forward(output.clone(), targets.clone());
        ClassificationOutput::new(loss, output, targets)
    }
}

impl TrainStep for Model {
    type Input = DigitBatch;
    type Output = ClassificationOutput;

    fn step(&self, batch: DigitBatch) -> TrainOutput<ClassificationOutput> {
        let item = self.forward_classification(batch.images, batch.targets);
        TrainOutput::new(self, item.loss.backward(), item)
    }
}

impl InferenceStep for Model {
    type Input = DigitBatch;
    type Output = ClassificationOutput;

    fn step(&self, batch: DigitBatch) -> ClassificationOutput {
        self.forward_classification(batch.images, batch.targets)
    }
}

#[derive(Config, Debug)]
pub struct TrainingConfig {
    pub model: ModelConfig,
    pub optimizer: AdamConfig,
    #[config(default = 3)]
    pub num_epochs: usize,
    #[config(default = 32)]
    pub batch_size: usize,
    #[config(default = 0)]
    pub num_workers: usize,
    #[config(default = 42)]
    pub seed: u64,
    #[config(default = 1.0e-2)]
    pub learning_rate: f64,
}

fn main() {
    let config = TrainingConfig::new(ModelConfig::new(10, 32), AdamConfig::new());
    std::fs::create_dir_all(FOLDER).unwrap();
    config.save(format!("{FOLDER}/config.json")).unwrap();

    let device = Device::flex();
    device.seed(config.seed);
    let loader = |digits: &[Digit]| {
        DataLoaderBuilder::new(DigitBatcher::default())
            .batch_size(config.batch_size)
            .shuffle(config.seed)
            .num_workers(config.num_workers)
            .build(InMemDataset::new(digits.to_vec()))
    };
    let digits = digits();
    let (train, valid, test) = (loader(&digits[..240]), loader(&digits[240..320]), loader(&digits[320..]));

    let training = SupervisedTraining::new(FOLDER, train, Arc::clone(&valid))
        .metrics((AccuracyMetric::new(), LossMetric::new()))
        .with_default_checkpointers()
        .num_epochs(config.num_epochs)
        .summary()
        .early_stopping(MetricEarlyStoppingStrategy::new(
            &LossMetric::new(),
            Aggregate::Mean,
            Direction::Lowest,
            Split::Valid,
            StoppingCondition::NoImprovementSince { n_epochs: 1 },
        ));

    let model = config.model.init(&device.clone().autodiff());
    let result = training.launch(Learner::new(model, config.optimizer.init(), config.learning_rate));

    EvaluatorBuilder::new(FOLDER)
        .renderer(result.renderer)
        .metrics((AccuracyMetric::new(), LossMetric::new()))
        .summary()
        .build(result.model.clone())
        .eval_all([("valid", valid), ("test", test)]);

    // The last digits that the trained model sees, as scores.
    let batch = DigitBatcher::default().batch(digits[390..].to_vec(), &device);
    println!("{:?}", result.model.forward(batch.images).into_data().to_vec::<f32>().unwrap());
    result.model.into_record().save(format!("{FOLDER}/model")).unwrap();
}
