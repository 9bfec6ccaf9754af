//! A small network, its data, and a tracker for each test. Weights and data are made by a formula, so that tests in
//! parallel do not share a generator.

use std::path::Path;

use burn::config::Config as BurnConfig;
use burn::module::{Module, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use runlog_burn::{Autolog, AutologOptimizer, LogAs};
use runlog_core::fluent::with_tracker;
use runlog_core::{Config, Run, RunQuery, Tracker};

const FEATURES: usize = 6;
const HIDDEN: usize = 5;
const CLASSES: usize = 3;
pub(crate) const BATCH: usize = 4;
pub(crate) const BATCHES: usize = 3;
pub(crate) const RATE: f64 = 0.05;

#[derive(Module, Debug)]
pub(crate) struct Net {
    pub(crate) hidden: Param<Tensor<2>>,
    pub(crate) bias: Param<Tensor<1>>,
    pub(crate) output: Param<Tensor<2>>,
}

#[derive(BurnConfig, Debug)]
pub(crate) struct TrainingConfig {
    pub(crate) optimizer: AdamConfig,
    #[config(default = 2)]
    pub(crate) num_epochs: usize,
}

pub(crate) fn config() -> TrainingConfig {
    TrainingConfig::new(AdamConfig::new())
}

fn numbers<const D: usize>(seed: usize, shape: [usize; D]) -> TensorData {
    let length: usize = shape.iter().product();
    #[expect(clippy::cast_precision_loss, reason = "below 100")]
    let values: Vec<f32> = (0..length).map(|i| ((i * 37 + seed * 11) % 97) as f32 / 97.0 - 0.5).collect();
    TensorData::new(values, shape)
}

impl Net {
    pub(crate) fn new(device: &Device) -> Self {
        Self::with_hidden(device, HIDDEN)
    }

    pub(crate) fn with_hidden(device: &Device, hidden: usize) -> Self {
        Self {
            hidden: Param::from_tensor(Tensor::from_data(numbers(1, [FEATURES, hidden]), device)),
            bias: Param::from_tensor(Tensor::from_data(numbers(2, [hidden]), device)),
            output: Param::from_tensor(Tensor::from_data(numbers(3, [hidden, CLASSES]), device)),
        }
    }

    pub(crate) fn forward(&self, items: Tensor<2>) -> Tensor<2> {
        let hidden = items.matmul(self.hidden.val()) + self.bias.val().unsqueeze();
        relu(hidden).matmul(self.output.val())
    }

    pub(crate) fn loss(&self, batch: usize) -> Tensor<1> {
        let device = self.bias.device();
        let classes: Vec<i64> = (0..BATCH).map(|i| i64::try_from((i + batch) % CLASSES).unwrap()).collect();
        let targets = Tensor::<1, Int>::from_data(TensorData::new(classes, [BATCH]), &device);
        CrossEntropyLossConfig::new().init(&device).forward(self.forward(items(batch, &device)), targets)
    }

    pub(crate) fn gradients(&self, loss: &Tensor<1>) -> GradientsParams {
        GradientsParams::from_grads(loss.backward(), self)
    }

    /// Every weight, bit by bit.
    pub(crate) fn bits(&self) -> Vec<u32> {
        let data = |values: TensorData| values.iter::<f32>().map(f32::to_bits).collect::<Vec<_>>();
        [self.hidden.val().into_data(), self.bias.val().into_data(), self.output.val().into_data()]
            .into_iter()
            .flat_map(data)
            .collect()
    }
}

pub(crate) fn items(batch: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(numbers(10 + batch, [BATCH, FEATURES]), device)
}

pub(crate) fn device() -> Device {
    Device::flex().autodiff()
}

/// The loop as it is without any of ours: the model, and each loss as it was.
pub(crate) fn plain() -> (Net, Vec<f32>) {
    let config = config();
    let (mut model, mut losses) = (Net::new(&device()), Vec::new());
    let mut optim = config.optimizer.init();
    for _epoch in 0..config.num_epochs {
        for batch in 0..BATCHES {
            let loss = model.loss(batch);
            losses.push(loss.clone().into_scalar::<f32>());
            let grads = model.gradients(&loss);
            model = optim.step(RATE, model, grads);
        }
    }
    (model, losses)
}

/// The plain loop, with the lines that are added; `validate` runs at the end of each epoch.
#[track_caller]
pub(crate) fn recorded_loop(validate: impl Fn(&Net)) -> (Net, AutologOptimizer) {
    let config = config();
    let mut model = Net::new(&device());
    let mut optim = config.optimizer.init().autolog().config(&config);
    for _epoch in 0..config.num_epochs {
        let epoch = optim.epoch();
        for batch in 0..BATCHES {
            epoch.samples(BATCH);
            let loss = model.loss(batch).log_as("train_loss");
            let grads = model.gradients(&loss);
            model = optim.step(RATE, model, grads);
        }
        validate(&model);
    }
    (model, optim)
}

/// Trains inside `body` with autologging on; what it returned, the runs that it left (oldest first) and where they are.
pub(crate) fn recorded_in<T>(uri: &str, body: impl FnOnce() -> T) -> (T, Vec<Run>, Tracker) {
    runlog_burn::autolog();
    let tracker = tracker(uri);
    let value = with_tracker(&tracker, body);
    let mut runs = tracker.search_runs(RunQuery::new().all_experiments()).unwrap();
    runs.reverse();
    (value, runs, tracker)
}

/// Quiet, and with its files beside the database.
pub(crate) fn tracker(uri: &str) -> Tracker {
    let mut config = Config::from_map(&[].into()).unwrap();
    config.quiet = true;
    if let Some(database) = uri.strip_prefix("sqlite:///") {
        config.working_dir = Path::new(database).parent().unwrap().into();
        config.journal_dir = Some(config.working_dir.join("journal"));
    }
    Tracker::with_config(Some(uri), config).unwrap()
}

pub(crate) fn uri(dir: &Path) -> String {
    format!("sqlite:///{}", dir.join("mlflow.db").display())
}

/// The only run that `body` left.
pub(crate) fn one_run<T>(body: impl FnOnce() -> T) -> (T, Run, Tracker) {
    let (value, mut runs, tracker) = recorded_in("memory:", body);
    assert_eq!(runs.len(), 1, "one loop is one run: {runs:#?}");
    (value, runs.remove(0), tracker)
}

/// The steps and values of a metric.
pub(crate) fn history(tracker: &Tracker, run: &Run, key: &str) -> Vec<(i64, f64)> {
    let points = tracker.metric_history(&run.info.run_id, key).unwrap();
    points.into_iter().map(|point| (point.step, point.value)).collect()
}
