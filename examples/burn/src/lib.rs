//! What both programs train: the UCI digits, and a small convolutional network. Plain burn, nothing of runlog.

use std::sync::Arc;

use burn::data::dataloader::batcher::Batcher;
use burn::data::dataloader::{DataLoader, DataLoaderBuilder};
use burn::data::dataset::InMemDataset;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::AdamConfig;
use burn::prelude::*;
use burn::tensor::activation::relu;
use burn::train::{ClassificationOutput, InferenceStep, TrainOutput, TrainStep};

/// 1797 lines: 64 pixels from 0 to 16, then the digit. Where it is from: `examples/data/README.md`.
const DIGITS: &str = include_str!("../../data/digits.csv");

/// One image of 8x8 pixels.
#[derive(Clone, Debug)]
pub struct Digit {
    pixels: Vec<f32>,
    label: i64,
}

/// 1297 digits to train with, 250 to validate and 250 to test.
///
/// # Errors
/// The file is not what it should be.
pub fn digits() -> Result<[InMemDataset<Digit>; 3], std::num::ParseIntError> {
    let mut digits = Vec::new();
    for line in DIGITS.lines() {
        let numbers = line.split(',').map(str::parse::<u8>).collect::<Result<Vec<_>, _>>()?;
        let (label, pixels) = numbers.split_last().unwrap_or((&0, &[]));
        let pixels = pixels.iter().map(|pixel| f32::from(*pixel) / 16.0).collect();
        digits.push(Digit { pixels, label: i64::from(*label) });
    }
    let test = digits.split_off(1547);
    let valid = digits.split_off(1297);
    Ok([digits, valid, test].map(InMemDataset::new))
}

/// A batch of images and the digits that they show.
#[derive(Clone, Debug)]
pub struct DigitBatch {
    /// `[batch, 8, 8]`, from 0 to 1.
    pub images: Tensor<3>,
    /// `[batch]`, from 0 to 9.
    pub targets: Tensor<1, Int>,
}

/// Makes tensors of digits.
#[derive(Clone, Debug)]
pub struct DigitBatcher;

impl Batcher<Digit, DigitBatch> for DigitBatcher {
    fn batch(&self, items: Vec<Digit>, device: &Device) -> DigitBatch {
        let n = items.len();
        let labels: Vec<i64> = items.iter().map(|item| item.label).collect();
        let pixels: Vec<f32> = items.into_iter().flat_map(|item| item.pixels).collect();
        DigitBatch {
            images: Tensor::from_data(TensorData::new(pixels, [n, 8, 8]), device),
            targets: Tensor::from_data(TensorData::new(labels, [n]), device),
        }
    }
}

/// Digits in batches, shuffled by a seed or as they are.
pub fn loader(
    digits: InMemDataset<Digit>,
    batch_size: usize,
    seed: Option<u64>,
) -> Arc<dyn DataLoader<DigitBatch>> {
    let builder = DataLoaderBuilder::new(DigitBatcher).batch_size(batch_size);
    let builder = if let Some(seed) = seed { builder.shuffle(seed) } else { builder };
    builder.build(digits)
}

/// The size of the network.
#[derive(Config, Debug)]
pub struct CnnConfig {
    /// Channels of the first convolution; the second one has twice as many.
    #[config(default = 16)]
    pub channels: usize,
    /// Which part of the features is left out while training.
    #[config(default = 0.25)]
    pub dropout: f64,
}

/// Everything that a training is made from.
#[derive(Config, Debug)]
pub struct TrainingConfig {
    /// The network.
    pub model: CnnConfig,
    /// The optimizer.
    pub optimizer: AdamConfig,
    /// Passes over the data.
    #[config(default = 6)]
    pub num_epochs: usize,
    /// Images in a batch.
    #[config(default = 32)]
    pub batch_size: usize,
    /// What all random numbers come from.
    #[config(default = 42)]
    pub seed: u64,
    /// How far a step goes.
    #[config(default = 2e-3)]
    pub learning_rate: f64,
}

/// Two convolutions and a linear layer.
#[derive(Module, Debug)]
pub struct Cnn {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    dropout: Dropout,
    output: Linear,
}

impl CnnConfig {
    /// A network on `device` that knows nothing.
    pub fn init(&self, device: &Device) -> Cnn {
        let conv =
            |from, to| Conv2dConfig::new([from, to], [3, 3]).with_padding(PaddingConfig2d::Same).init(device);
        Cnn {
            conv1: conv(1, self.channels),
            conv2: conv(self.channels, 2 * self.channels),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            dropout: DropoutConfig::new(self.dropout).init(),
            output: LinearConfig::new(2 * self.channels * 2 * 2, 10).init(device),
        }
    }
}

impl Cnn {
    /// A score for each digit: `[batch, 8, 8]` to `[batch, 10]`.
    pub fn forward(&self, images: Tensor<3>) -> Tensor<2> {
        let features = self.pool.forward(relu(self.conv1.forward(images.unsqueeze_dim(1))));
        let features = self.pool.forward(relu(self.conv2.forward(features)));
        self.output.forward(self.dropout.forward(features.flatten(1, 3)))
    }

    fn classify(&self, batch: DigitBatch) -> ClassificationOutput {
        let output = self.forward(batch.images);
        let loss = CrossEntropyLossConfig::new().init(&output.device());
        let loss = loss.forward(output.clone(), batch.targets.clone());
        ClassificationOutput::new(loss, output, batch.targets)
    }
}

impl TrainStep for Cnn {
    type Input = DigitBatch;
    type Output = ClassificationOutput;

    fn step(&self, batch: DigitBatch) -> TrainOutput<ClassificationOutput> {
        let item = self.classify(batch);
        TrainOutput::new(self, item.loss.backward(), item)
    }
}

impl InferenceStep for Cnn {
    type Input = DigitBatch;
    type Output = ClassificationOutput;

    fn step(&self, batch: DigitBatch) -> ClassificationOutput {
        self.classify(batch)
    }
}
