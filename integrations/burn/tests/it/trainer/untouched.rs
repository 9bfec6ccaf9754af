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
    said
}

/// What the training itself printed.
fn training(case: &str) -> String {
    child(case).split_once("begin\n").unwrap().1.split_once("\nend").unwrap().0.to_owned()
}

/// What was recorded of it.
fn record(case: &str) -> Vec<String> {
    child(case).lines().filter_map(|line| line.strip_prefix("recorded: ")).map(str::to_owned).collect()
}

/// Does nothing unless it is a child.
#[test]
fn in_a_child() {
    #[expect(clippy::disallowed_methods, reason = "tells a child from its parent")]
    let Some(case) = std::env::var_os(CASE) else { return };
    let case = case.to_str().unwrap();
    match case {
        "absent" | "off" | "call off" => {}
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
        "call" | "call off" => configured!(burn::train::SupervisedTraining::new(dir.path(), train, valid))
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
        println!("recorded: {}", [vec!["files".to_owned()], files(tracker, &run)].concat().join(" "));
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
    let absent = training("absent");
    assert!(absent.contains("Learner Summary"), "{absent}");
    for case in ["off", "call off", "disabled", "on", "call", "thinned", "exclusive"] {
        assert_eq!(training(case), absent, "{case}");
    }
}

#[test]
fn off_records_nothing() {
    for case in ["absent", "off", "call off", "disabled"] {
        assert_eq!(record(case), [""; 0], "{case}");
    }
    let beside = record("exclusive");
    assert_eq!(beside, ["files", "train_loss_step []", "train_loss []", "learning_rate []", "0 models"]);
}

#[test]
fn options_leave_out_what_they_say() {
    let whole = record("on");
    assert!(whole[0].contains("checkpoints/epoch_4/model.bpk"), "{whole:?}");
    assert_eq!(whole[1], "train_loss_step [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]");
    assert_eq!(whole[2], "train_loss [1, 2, 3, 4]");
    assert_eq!(whole[4], "1 models");
    let thinned = record("thinned");
    assert_eq!(thinned[1], "train_loss_step [4, 8, 12]");
    assert_eq!(thinned[2], "train_loss [2, 4]");
    assert_eq!(thinned[3], "learning_rate [4, 8, 12]");
    let bare = record("bare");
    assert_eq!(bare[0], "files experiment.log metric_definitions.json model_summary.txt summary.txt");
    assert_eq!((bare[1].as_str(), bare[4].as_str()), (whole[1].as_str(), "0 models"));
}

#[test]
fn burns_log_and_summary_are_stored() {
    let whole = record("on");
    let log = whole.iter().find(|line| line.starts_with("experiment.log")).unwrap();
    assert!(log.contains("Executing training step for epoch 1"), "{log}");
    let summary = whole.iter().find(|line| line.starts_with("summary.txt")).unwrap();
    assert!(summary.contains("Learner Summary"), "{summary}");
}
