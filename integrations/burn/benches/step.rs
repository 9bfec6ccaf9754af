//! What recording costs the thread that trains, per step: a hand-written loop and burn's trainer, interleaved with the
//! same trainings as burn runs them.
//!
//! ```sh
//! cargo bench -p runlog-burn
//! ```
//!
//! With autologging off the difference is too small for a clock. `count <what> <n>` makes `n` calls for callgrind, where
//! `<what>` is `step`, `off-step`, `loss` or `off-loss`: the difference of two counts is what our call adds.

#![expect(clippy::print_stdout, reason = "a bench reports")]
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::hint::black_box;
use std::path::Path;

use burn::data::dataloader::DataLoaderBuilder;
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::InMemDataset;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, SgdConfig};
use burn::tensor::{Device, Tensor};
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::{LossMetric, MetricDefinition};
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};
use burn::train::{InferenceStep, Learner, RegressionOutput, SupervisedTraining, TrainOutput, TrainStep};
use runlog_burn::{Autolog, LogAs};
use runlog_core::Tracker;
use runlog_core::fluent::with_tracker;
use rustix::time::{ClockId, clock_gettime};

const STEPS: usize = 2_000;
const PAIRS: usize = 15;
const FEATURES: usize = 16;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [count, what, n] = args.as_slice()
        && count == "count"
    {
        calls(what, n.parse().unwrap());
        return;
    }
    runlog_burn::autolog();
    let dir = tempfile::tempdir().unwrap();
    let tracker = Tracker::open(format!("sqlite:///{}", dir.path().join("mlflow.db").display())).unwrap();
    let folder = dir.path().join("burn");
    with_tracker(&tracker, || {
        report("hand-written loop", || hand_written(false), || hand_written(true));
        report("burn's trainer", || trainer(&folder, false), || trainer(&folder, true));
    });
}

/// Prints the medians, in microseconds of this thread's processor time a step.
fn report(what: &str, mut plain: impl FnMut(), mut recorded: impl FnMut()) {
    plain();
    recorded();
    let (mut without, mut with, mut differences) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        without.push(thread_micros(&mut plain));
        with.push(thread_micros(&mut recorded));
        differences.push(with.last().unwrap() - without.last().unwrap());
    }
    let [without, with, more] = [without, with, differences].map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2] / f64::from(u32::try_from(STEPS).unwrap())
    });
    println!(
        "{what:<18} {without:>7.2} us a step, {with:>7.2} us recorded: {more:>5.2} us more (medians of {PAIRS} pairs)"
    );
}

fn thread_micros(run: &mut impl FnMut()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        #[expect(clippy::cast_precision_loss, reason = "no bench runs for 2^53 microseconds")]
        let micros = time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3;
        micros
    };
    let start = now();
    run();
    now() - start
}

/// A loop whose step is short, so that what is added shows.
fn hand_written(record: bool) {
    let device = Device::flex().autodiff();
    let mut model = LinearConfig::new(FEATURES, 1).init(&device);
    let items = Tensor::<2>::ones([8, FEATURES], &device);
    let config = AdamConfig::new();
    if record {
        let mut optim = config.init().autolog().config(&config);
        let epoch = optim.epoch();
        for _ in 0..STEPS {
            epoch.samples(8);
            let loss = model.forward(items.clone()).mean().log_as("train_loss");
            let grads = GradientsParams::from_grads(loss.backward(), &model);
            model = optim.step(1e-3, model, grads);
        }
    } else {
        let mut optim = config.init();
        for _ in 0..STEPS {
            let loss = model.forward(items.clone()).mean();
            let grads = GradientsParams::from_grads(loss.backward(), &model);
            model = optim.step(1e-3, model, grads);
        }
    }
    black_box(model);
}

fn calls(what: &str, n: usize) {
    let device = Device::flex();
    let loss = Tensor::<1>::ones([1], &device);
    // Without parameters there is nothing to step but the call itself.
    let nothing: Vec<Linear> = Vec::new();
    match what {
        "step" => {
            let mut optim = SgdConfig::new().init();
            (0..n).for_each(|_| drop(black_box(optim.step(0.1, nothing.clone(), GradientsParams::new()))));
        }
        "off-step" => {
            let mut optim = SgdConfig::new().init().autolog();
            (0..n).for_each(|_| drop(black_box(optim.step(0.1, nothing.clone(), GradientsParams::new()))));
        }
        "loss" => (0..n).for_each(|_| drop(black_box(loss.clone()))),
        "off-loss" => (0..n).for_each(|_| drop(black_box(loss.clone().log_as("train_loss")))),
        other => unreachable!("{other}"),
    }
}

#[derive(Module, Debug)]
struct Net {
    layer: Linear,
}

impl Net {
    fn predict(&self, items: Tensor<2>) -> RegressionOutput {
        let output = self.layer.forward(items);
        RegressionOutput::new(output.clone().mean(), output.clone(), output)
    }
}

impl TrainStep for Net {
    type Input = Tensor<2>;
    type Output = RegressionOutput;

    fn step(&self, items: Tensor<2>) -> TrainOutput<RegressionOutput> {
        let item = self.predict(items);
        TrainOutput::new(self, item.loss.backward(), item)
    }
}

impl InferenceStep for Net {
    type Input = Tensor<2>;
    type Output = RegressionOutput;

    fn step(&self, items: Tensor<2>) -> RegressionOutput {
        self.predict(items)
    }
}

#[derive(Clone)]
struct Items;

impl Batcher<u8, Tensor<2>> for Items {
    fn batch(&self, items: Vec<u8>, device: &Device) -> Tensor<2> {
        Tensor::ones([items.len(), FEATURES], device)
    }
}

fn trainer(folder: &Path, record: bool) {
    let items =
        |n: usize| DataLoaderBuilder::new(Items).batch_size(8).build(InMemDataset::new(vec![0_u8; 8 * n]));
    let training = SupervisedTraining::new(folder, items(STEPS), items(1))
        .metric_train_numeric(LossMetric::new())
        .with_application_logger(None)
        .num_epochs(1);
    let model = Net { layer: LinearConfig::new(FEATURES, 1).init(&Device::flex().autodiff()) };
    let learner = Learner::new(model, AdamConfig::new().init(), 1e-3);
    let silent = Box::new(Silent);
    let result = if record {
        training.autolog().renderer(silent).launch(learner)
    } else {
        training.renderer(silent).launch(learner)
    };
    assert!(result.error.is_none());
}

/// Shows nothing: what burn prints would be most of the time.
struct Silent;

impl MetricsRendererTraining for Silent {
    fn update_train(&mut self, _: MetricState) {}

    fn update_valid(&mut self, _: MetricState) {}
}

impl MetricsRendererEvaluation for Silent {
    fn update_test(&mut self, _: EvaluationName, _: MetricState) {}
}

impl MetricsRenderer for Silent {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, _: MetricDefinition) {}
}

impl TrainingProgressLogger for Silent {
    fn start(&mut self, _: usize, _: usize, _: Option<usize>, _: Option<&str>) {}

    fn update_epoch(&mut self, _: usize) {}

    fn start_split(&mut self, _: &str, _: usize) {}

    fn update_split(&mut self, _: usize) {}

    fn end_split(&mut self) {}

    fn end(&mut self) {}

    fn log_event_training(&mut self, _: String) {}
}

impl EvaluationProgressLogger for Silent {
    fn start_global_progress(&mut self, _: usize) {}

    fn start_test(&mut self, _: &str, _: usize) {}

    fn update_test_progress(&mut self, _: usize) {}

    fn end_test(&mut self) {}

    fn end_global_progress(&mut self) {}

    fn log_event_evaluation(&mut self, _: String) {}
}
