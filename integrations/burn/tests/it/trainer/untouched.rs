//! What a program sees of its training is the same with autologging on, off and absent, bit for bit. A generator is
//! shared by a whole process, so each case is a process.

use std::process::Command;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::AdamConfig;
use burn::tensor::{Device, Distribution, Tensor};
use burn::train::metric::{AccuracyMetric, LossMetric};
use burn::train::{ClassificationOutput, InferenceStep, Learner, TrainOutput, TrainStep};
use runlog_burn::{Autolog, BurnOptions, SupervisedTraining};
use runlog_core::Tracker;
use runlog_core::fluent::{start_run, with_tracker};

use super::recorded::patience;
use super::setup::*;

const CASE: &str = "RUNLOG_BURN_CASE";

/// Layers whose weights are drawn when they are first looked at, in an order that must not change.
#[derive(Module, Debug)]
struct Drawn {
    first: Linear,
    second: Linear,
}

impl Drawn {
    fn classify(&self, batch: Batch) -> ClassificationOutput {
        let output = self.second.forward(self.first.forward(batch.items));
        let loss = burn::nn::loss::CrossEntropyLossConfig::new()
            .init(&output.device())
            .forward(output.clone(), batch.targets.clone());
        ClassificationOutput::new(loss, output, batch.targets)
    }
}

impl TrainStep for Drawn {
    type Input = Batch;
    type Output = ClassificationOutput;

    fn step(&self, batch: Batch) -> TrainOutput<ClassificationOutput> {
        let item = self.classify(batch);
        TrainOutput::new(self, item.loss.backward(), item)
    }
}

impl InferenceStep for Drawn {
    type Input = Batch;
    type Output = ClassificationOutput;

    fn step(&self, batch: Batch) -> ClassificationOutput {
        self.classify(batch)
    }
}

/// Runs the case in a process of its own and returns what it printed.
fn child(case: &str) -> String {
    let mut test = Command::new(std::env::current_exe().unwrap());
    let test = test.args(["trainer::untouched::in_a_child", "--exact", "--nocapture"]).env(CASE, case);
    let output = test.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let body = said.split_once("begin\n").unwrap().1.split_once("\nend").unwrap().0;
    body.to_owned()
}

/// Does nothing unless it is a child.
#[test]
fn in_a_child() {
    #[expect(clippy::disallowed_methods, reason = "tells a child from its parent")]
    let Some(case) = std::env::var_os(CASE) else { return };
    let case = case.to_str().unwrap();
    match case {
        "absent" | "off" => {}
        "disabled" => runlog_burn::autolog_with(BurnOptions::new().disable(true)),
        "exclusive" => runlog_burn::autolog_with(BurnOptions::new().exclusive(true)),
        "bare" => runlog_burn::autolog_with(BurnOptions::new().log_models(false).log_checkpoints(false)),
        "thinned" => runlog_burn::autolog_with(BurnOptions::new().every_n_steps(4).every_n_epochs(2)),
        _ => runlog_burn::autolog(),
    }
    let tracker = tracker();
    let users = (case == "exclusive").then(|| with_tracker(&tracker, || start_run("users").unwrap()));
    with_tracker(&tracker, || {
        println!("begin");
        train(case);
        println!("\nend");
    });
    drop(users);
    report(&tracker);
}

fn train(case: &str) {
    let dir = tempfile::tempdir().unwrap();
    let device = Device::flex();
    device.seed(7);
    let model = Drawn {
        first: LinearConfig::new(FEATURES, 8).init(&device.clone().autodiff()),
        second: LinearConfig::new(8, CLASSES).init(&device.clone().autodiff()),
    };
    let learner = Learner::new(model, AdamConfig::new().init(), 0.05);
    let (train, valid) = loaders();
    macro_rules! configured {
        ($builder:expr) => {
            $builder
                .metrics((AccuracyMetric::new(), LossMetric::new()))
                .early_stopping(patience(1))
                .with_default_checkpointers()
                .num_epochs(4)
                .summary()
        };
    }
    let result = match case {
        "absent" => {
            configured!(burn::train::SupervisedTraining::new(dir.path(), train, valid)).launch(learner)
        }
        "call" => configured!(burn::train::SupervisedTraining::new(dir.path(), train, valid))
            .autolog()
            .launch(learner),
        _ => configured!(SupervisedTraining::new(dir.path(), train, valid)).launch(learner),
    };
    for layer in [&result.model.first, &result.model.second] {
        println!(
            "{:?}",
            layer
                .weight
                .val()
                .into_data()
                .try_to_vec_as::<f32>()
                .unwrap()
                .iter()
                .map(|v| v.to_bits())
                .collect::<Vec<_>>()
        );
    }
    // The generator is where it would be, too.
    let next = Tensor::<1>::random([4], Distribution::Default, &device).into_data();
    println!("{:?}", next.try_to_vec_as::<f32>().unwrap());
}

/// What was recorded, for the tests that look at it.
fn report(tracker: &Tracker) {
    for run in runs(tracker) {
        println!("recorded: {}", files(tracker, &run).join(" "));
        for key in ["train_loss_step", "train_loss", "learning_rate"] {
            println!("recorded: {key} {:?}", steps(tracker, &run, key));
        }
        println!("recorded: {} models", run.outputs.len());
        for file in ["experiment.log", "summary.txt"] {
            if files(tracker, &run).iter().any(|stored| stored == file) {
                println!("recorded: {file} {:?}", text(tracker, &run, file).lines().next().unwrap());
            }
        }
    }
}

#[test]
fn results_and_prints_are_the_same_bit_for_bit() {
    let absent = child("absent");
    assert!(absent.contains("Learner Summary"), "{absent}");
    for case in ["off", "disabled", "on", "call", "thinned", "exclusive"] {
        assert_eq!(child(case), absent, "{case}");
    }
}
