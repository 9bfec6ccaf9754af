//! Autologging that is off or thinned, and values of other threads. Options and the list of optimizers are the process's,
//! so each case is a process.

use std::process::Command;

use burn::optim::{AdamConfig, GradientsAccumulator};
use runlog_burn::{Autolog, BurnOptions, LogAs};
use runlog_core::fluent::{self, with_tracker};
use runlog_core::{RunQuery, Tracker};

use super::setup::*;

const CASE: &str = "RUNLOG_BURN_LOOP_CASE";

/// Runs the case in a process of its own and returns what it said on each of its streams.
fn child(case: &str) -> (String, String) {
    let mut test = Command::new(std::env::current_exe().unwrap());
    let output =
        test.args(["loops::off::in_a_child", "--exact", "--nocapture"]).env(CASE, case).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{out}\n{err}");
    (out.lines().find_map(|line| line.split_once("said: ")).unwrap().1.to_owned(), err)
}

/// Does nothing unless it is a child.
#[test]
fn in_a_child() {
    #[expect(clippy::disallowed_methods, reason = "tells a child from its parent")]
    let Some(case) = std::env::var_os(CASE) else { return };
    let case = case.to_str().unwrap();
    match case {
        "never on" => {}
        "disabled" => runlog_burn::autolog_with(BurnOptions::new().disable(true)),
        "exclusive" => runlog_burn::autolog_with(BurnOptions::new().exclusive(true)),
        "thinned" => {
            runlog_burn::autolog_with(
                BurnOptions::new().every_n_steps(4).every_n_epochs(2).log_models(false),
            );
        }
        "silent" => runlog_burn::autolog_with(BurnOptions::new().silent(true)),
        "no optimizer" | "threads" => runlog_burn::autolog(),
        other => panic!("no such case: {other}"),
    }
    let tracker = Tracker::open("memory:").unwrap();
    let model = with_tracker(&tracker, || {
        let _users = (case == "exclusive").then(|| fluent::start_run("users").unwrap());
        match case {
            "no optimizer" | "silent" => unrecorded(),
            "threads" => from_two_threads(),
            _ => train(),
        }
    });
    if case != "threads" {
        assert_eq!(model.bits(), plain().0.bits());
    }
    let runs = tracker.search_runs(RunQuery::new().all_experiments()).unwrap();
    let shown: Vec<String> = runs
        .iter()
        .map(|run| {
            let steps =
                |key| history(&tracker, run, key).into_iter().map(|(step, _)| step).collect::<Vec<_>>();
            let keys = ["train_loss", "learning_rate", "train_loss_epoch", "epoch_seconds"];
            format!("{:?} {} {}", keys.map(steps), run.data.params.len(), run.outputs.len())
        })
        .collect();
    println!("said: {}", shown.join("; "));
}

fn train() -> Net {
    let (model, mut optim) = recorded_loop(|_| ());
    optim.log_model(&model);
    model
}

/// `log_as`, and no `.autolog()`.
fn unrecorded() -> Net {
    let config = config();
    let mut model = Net::new(&device());
    let mut optim = config.optimizer.init();
    for _epoch in 0..config.num_epochs {
        for batch in 0..BATCHES {
            let loss = model.loss(batch).log_as("train_loss");
            let grads = model.gradients(&loss);
            model = optim.step(RATE, model, grads);
        }
    }
    model
}

/// One step from the gradients of two threads, as of two devices; each had an optimizer of its own before.
fn from_two_threads() -> Net {
    let model = Net::new(&device());
    let mut optim = AdamConfig::new().init().autolog();
    let gradients: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|batch| {
                let model = model.clone();
                scope.spawn(move || {
                    drop(AdamConfig::new().init().autolog());
                    model.gradients(&model.loss(batch).log_as("train_loss"))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut accumulator = GradientsAccumulator::new();
    for gradients in gradients {
        accumulator.accumulate(&model, gradients);
    }
    optim.step(RATE, model, accumulator.grads())
}

#[test]
fn off_records_nothing() {
    assert_eq!(child("never on").0, "");
    assert_eq!(child("disabled").0, "");
    assert_eq!(child("exclusive").0, "[[], [], [], []] 0 0", "the user's run");
}

#[test]
fn thinning_leaves_out_steps_and_epochs_but_no_loss_of_a_mean() {
    let (_, losses) = plain();
    assert_eq!(losses.len(), 6);
    assert_eq!(child("thinned").0, "[[4], [4], [2], [2]] 8 0");
}

#[test]
fn a_loop_without_a_recorded_optimizer_is_told_what_is_missing_unless_it_is_to_be_silent() {
    for (case, warnings) in [("no optimizer", 1), ("silent", 0)] {
        let (said, err) = child(case);
        assert_eq!(said, "");
        assert_eq!(err.matches("`.autolog()`").count(), warnings, "{err}");
    }
}

#[test]
fn values_of_threads_without_an_optimizer_go_with_the_next_step() {
    assert_eq!(child("threads").0, "[[1], [1], [], []] 0 0");
}
