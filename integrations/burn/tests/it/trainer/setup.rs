//! A small network, its data, and a tracker for each test. Weights and data are made by a formula, so that tests in
//! parallel do not share a generator.

#![expect(clippy::cast_precision_loss, reason = "the numbers are below 100")]

use std::path::Path;
use std::sync::Arc;

use burn::data::dataloader::batcher::Batcher;
use burn::data::dataloader::{DataLoader, DataLoaderBuilder};
use burn::data::dataset::InMemDataset;
use burn::module::{Module, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::SgdConfig;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn::train::{ClassificationOutput, InferenceStep, Learner, TrainOutput, TrainStep};
use runlog_core::fluent::with_tracker;
use runlog_core::{Config, Run, RunQuery, Tracker};

pub(crate) const FEATURES: usize = 4;
pub(crate) const CLASSES: usize = 3;
pub(crate) const TRAIN_ITEMS: usize = 20;
pub(crate) const VALID_ITEMS: usize = 10;
pub(crate) const BATCH: usize = 8;

#[derive(Module, Debug)]
pub(crate) struct Net {
    pub(crate) weight: Param<Tensor<2>>,
}

impl Net {
    pub(crate) fn new(device: &Device) -> Self {
        let values: Vec<f32> = (0..FEATURES * CLASSES).map(|i| ((i * 7 % 11) as f32 - 5.0) / 10.0).collect();
        Self {
            weight: Param::from_tensor(Tensor::from_data(
                TensorData::new(values, [FEATURES, CLASSES]),
                device,
            )),
        }
    }

    pub(crate) fn forward(&self, items: Tensor<2>) -> Tensor<2> {
        items.matmul(self.weight.val())
    }

    fn classify(&self, batch: Batch) -> ClassificationOutput {
        let output = self.forward(batch.items);
        let loss = CrossEntropyLossConfig::new()
            .init(&output.device())
            .forward(output.clone(), batch.targets.clone());
        ClassificationOutput::new(loss, output, batch.targets)
    }

    pub(crate) fn bits(&self) -> Vec<u32> {
        let data = self.weight.val().into_data();
        data.try_to_vec_as::<f32>().unwrap().iter().map(|value| value.to_bits()).collect()
    }
}

impl TrainStep for Net {
    type Input = Batch;
    type Output = ClassificationOutput;

    fn step(&self, batch: Batch) -> TrainOutput<ClassificationOutput> {
        let item = self.classify(batch);
        TrainOutput::new(self, item.loss.backward(), item)
    }
}

impl InferenceStep for Net {
    type Input = Batch;
    type Output = ClassificationOutput;

    fn step(&self, batch: Batch) -> ClassificationOutput {
        self.classify(batch)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) items: Tensor<2>,
    pub(crate) targets: Tensor<1, Int>,
}

struct Batches;

impl Batcher<usize, Batch> for Batches {
    fn batch(&self, items: Vec<usize>, device: &Device) -> Batch {
        let feature = |item: usize, at: usize| ((item * (at + 3)) % 13) as f32 / 13.0;
        let values: Vec<f32> =
            items.iter().flat_map(|item| (0..FEATURES).map(move |at| feature(*item, at))).collect();
        let targets: Vec<i64> =
            items.iter().map(|item| i64::try_from(item * 5 % 13 % CLASSES).unwrap()).collect();
        let rows = items.len();
        Batch {
            items: Tensor::from_data(TensorData::new(values, [rows, FEATURES]), device),
            targets: Tensor::from_data(TensorData::new(targets, [rows]), device),
        }
    }
}

pub(crate) type Loader = Arc<dyn DataLoader<Batch>>;

pub(crate) fn loader(items: usize) -> Loader {
    DataLoaderBuilder::new(Batches).batch_size(BATCH).build(InMemDataset::new((0..items).collect()))
}

/// Train and valid: three iterations and two an epoch.
pub(crate) fn loaders() -> (Loader, Loader) {
    (loader(TRAIN_ITEMS), loader(VALID_ITEMS))
}

pub(crate) fn learner(rate: f64) -> Learner<Net> {
    learner_on(&Device::flex().autodiff(), rate)
}

pub(crate) fn learner_on(device: &Device, rate: f64) -> Learner<Net> {
    Learner::new(Net::new(device), SgdConfig::new().init(), rate)
}

/// burn's own trainer, with what tests of one process can share: no global logger.
pub(crate) fn plain(directory: &Path) -> burn::train::SupervisedTraining<Net> {
    let (train, valid) = loaders();
    burn::train::SupervisedTraining::new(directory, train, valid).with_application_logger(None)
}

/// Trains inside `body` with autologging on, and returns what it returned and the runs that it left, oldest first.
pub(crate) fn recorded<T>(body: impl FnOnce() -> T) -> (T, Vec<Run>, Tracker) {
    runlog_burn::autolog();
    let tracker = tracker();
    let value = with_tracker(&tracker, body);
    let runs = runs(&tracker);
    (value, runs, tracker)
}

pub(crate) fn tracker() -> Tracker {
    let mut config = Config::from_map(&[].into()).unwrap();
    config.quiet = true;
    Tracker::with_config(Some("memory:"), config).unwrap()
}

pub(crate) fn runs(tracker: &Tracker) -> Vec<Run> {
    let mut runs = tracker.search_runs(RunQuery::new().all_experiments()).unwrap();
    runs.reverse();
    runs
}

/// The only run that `body` left.
pub(crate) fn one_run<T>(body: impl FnOnce() -> T) -> (T, Run, Tracker) {
    let (value, mut runs, tracker) = recorded(body);
    assert_eq!(runs.len(), 1, "one training is one run: {runs:#?}");
    (value, runs.remove(0), tracker)
}

/// The steps and values of a metric, in order.
pub(crate) fn history(tracker: &Tracker, run: &Run, key: &str) -> Vec<(i64, f64)> {
    let points = tracker.metric_history(&run.info.run_id, key).unwrap();
    let mut points: Vec<(i64, f64)> = points.iter().map(|point| (point.step, point.value)).collect();
    points.sort_by_key(|(step, _)| *step);
    points
}

pub(crate) fn steps(tracker: &Tracker, run: &Run, key: &str) -> Vec<i64> {
    history(tracker, run, key).into_iter().map(|(step, _)| step).collect()
}

/// The text of a file of the run.
pub(crate) fn text(tracker: &Tracker, run: &Run, file: &str) -> String {
    let handle = tracker.run_handle(&run.info.run_id).unwrap();
    std::fs::read_to_string(handle.download_artifacts(file, None).unwrap()).unwrap()
}

/// The paths of the run's files.
pub(crate) fn files(tracker: &Tracker, run: &Run) -> Vec<String> {
    let handle = tracker.run_handle(&run.info.run_id).unwrap();
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for file in handle.list_artifacts(&folder).unwrap() {
            if file.is_dir { folders.push(file.path) } else { files.push(file.path) }
        }
    }
    files.sort();
    files
}
