//! Autologging that is off, or told to leave things out. Options are the process's, so each case is a process.

use std::process::Command;

use candle_core::{DType, Device};
use candle_nn::{Init, Optimizer, VarBuilder};
use runlog_candle::{AdamW, CandleOptions, Checkpoints, VarMap, load_model, loss};
use runlog_core::fluent::{self, start_run, with_tracker};
use runlog_core::{Run, RunQuery, Tracker};

use crate::{bits, data, files, model, params, tracker_at, train};

const CASE: &str = "RUNLOG_CANDLE_CASE";

/// Runs the case in a process of its own and returns what it said.
pub(crate) fn said_by(case: &str) -> String {
    output_of(case, "said: ")
}

/// The bits of the weights that the case trained.
pub(crate) fn weights_in_a_child(case: &str) -> String {
    output_of(case, "weights: ")
}

fn output_of(case: &str, start: &str) -> String {
    let (said, _) = outputs_of(case);
    said.lines().find_map(|line| line.split_once(start)).unwrap().1.to_owned()
}

/// What the case printed, and what it warned of.
fn outputs_of(case: &str) -> (String, String) {
    let mut test = Command::new(std::env::current_exe().unwrap());
    let output = test.args(["off::in_a_child", "--exact", "--nocapture"]).env(CASE, case).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}\n{warned}");
    (said, warned)
}

/// Does nothing unless it is a child.
#[test]
fn in_a_child() {
    #[expect(clippy::disallowed_methods, reason = "tells a child from its parent")]
    let Some(case) = std::env::var_os(CASE) else { return };
    let case = case.to_str().unwrap();
    let options = CandleOptions::new();
    match case {
        "never on" => {}
        "disabled" => runlog_candle::autolog_with(options.disable(true)),
        "exclusive" => runlog_candle::autolog_with(options.exclusive(true)),
        "bare" => runlog_candle::autolog_with(options.log_models(false).log_datasets(false)),
        "thinned" => runlog_candle::autolog_with(options.every_n_steps(2)),
        "example" => runlog_candle::autolog_with(options.log_input_examples(true)),
        "faults" => runlog_candle::autolog_with(
            options.silent(true).log_input_examples(true).checkpoints(Checkpoints::every_steps(2)),
        ),
        "newest" => runlog_candle::autolog_with(options.checkpoints(Checkpoints::every_epochs(1))),
        "all" => runlog_candle::autolog_with(options.checkpoints(Checkpoints::every_steps(2).keep_all())),
        "best" => runlog_candle::autolog_with(
            options.checkpoints(Checkpoints::every_epochs(1).highest("val_accuracy")),
        ),
        "by the loss" => runlog_candle::autolog_with(
            options.log_models(false).checkpoints(Checkpoints::every_steps(1).lowest("train_loss")),
        ),
        "global call later" => {
            runlog_candle::autolog_with(options.log_models(false));
            runlog_core::autolog::autolog();
        }
        "globally" | "unseen" => runlog_core::autolog::autolog(),
        other => panic!("no such case: {other}"),
    }
    let tracker = tracker_at("memory:");
    let shown = match case {
        "newest" | "all" | "best" => with_tracker(&tracker, || checkpointed(&tracker)),
        "faults" => crate::faults::under_each(),
        "by the loss" => with_tracker(&tracker, || large(&tracker)),
        "unseen" => with_tracker(&tracker, || unseen(&tracker)),
        "example" => with_tracker(&tracker, || with_example(&tracker)),
        _ => {
            let trained = with_tracker(&tracker, || {
                let _users = (case == "exclusive").then(|| start_run("users").unwrap());
                train().unwrap()
            });
            println!("weights: {:?}", bits(&trained));
            runs(&tracker).iter().map(counts).collect::<Vec<_>>().join("; ")
        }
    };
    println!("said: {shown}");
}

fn runs(tracker: &Tracker) -> Vec<Run> {
    tracker.search_runs(RunQuery::new().all_experiments()).unwrap()
}

/// Params, metrics and models.
fn counts(run: &Run) -> String {
    format!("{} {} {}", run.data.params.len(), run.data.metrics.len(), run.outputs.len())
}

/// Three epochs of a step; what is left of their checkpoints.
fn checkpointed(tracker: &Tracker) -> String {
    let (inputs, labels) = data();
    let varmap = VarMap::new();
    let model = model(&varmap);
    let mut optimizer = AdamW::new(varmap.all_vars(), params()).unwrap();
    let mut after = Vec::new();
    for accuracy in [0.5, 0.75, 0.25] {
        let epoch = optimizer.epoch();
        let loss = loss::nll(&model.log_probabilities(&inputs).unwrap(), &labels).unwrap();
        optimizer.backward_step(&loss).unwrap();
        fluent::log_metric("val_accuracy", accuracy, i64::try_from(epoch.number()).unwrap());
        after.push(bits(&varmap));
        drop(epoch);
    }
    drop(optimizer);
    let run = runs(tracker).remove(0);
    let stored = files(&|dir| tracker.list_artifacts(&run.info.run_id, dir).unwrap());
    let latest = run.tag("mlflow.latest_checkpoint_artifact").unwrap();
    let local = tempfile::tempdir().unwrap();
    let path =
        tracker.download_artifacts(&format!("runs:/{}/{latest}", run.info.run_id), local.path()).unwrap();
    let weights = bits(&load_model(path, &Device::Cpu).unwrap().var_map().unwrap());
    let step = after.iter().position(|bits| *bits == weights).unwrap() + 1;
    let metrics = latest.replace(".weights.safetensors", "_metrics.json");
    let metrics: serde_json::Value =
        tracker.load_dict(&format!("runs:/{}/{metrics}", run.info.run_id)).unwrap();
    let (epoch, global_step) = (&metrics["epoch"], &metrics["global_step"]);
    format!(
        "{}; latest: {latest}; epoch {epoch}, step {global_step}; weights of step {step}",
        stored.join(" ")
    )
}

/// One step with a loss that is read by another thread, and with weights that take their time to be stored.
fn large(tracker: &Tracker) -> String {
    let varmap = VarMap::new();
    let vb = VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu);
    let weights = vb.get_with_hints(1 << 22, "weights", Init::Const(1.0)).unwrap();
    let mut optimizer = AdamW::new(varmap.all_vars(), params()).unwrap();
    optimizer.backward_step(&weights.affine(1.0, 1.0).unwrap()).unwrap();
    drop(optimizer);
    files(&|dir| tracker.list_artifacts(&runs(tracker)[0].info.run_id, dir).unwrap()).join(" ")
}

/// Steps whose losses nobody tells of.
fn unseen(tracker: &Tracker) -> String {
    let var = candle_core::Var::new(1.0_f32, &Device::Cpu).unwrap();
    let mut optimizer = AdamW::new(vec![var.clone()], params()).unwrap();
    optimizer.epoch_length(10);
    for _ in 0..3 {
        optimizer.step(&var.sqr().unwrap().backward().unwrap()).unwrap();
    }
    drop(optimizer);
    counts(&runs(tracker)[0])
}

fn with_example(tracker: &Tracker) -> String {
    let (inputs, labels) = data();
    let varmap = VarMap::new();
    let model = model(&varmap);
    let mut optimizer = AdamW::new(varmap.all_vars(), params()).unwrap();
    optimizer.model_input(&inputs.narrow(0, 0, 1).unwrap());
    let loss = loss::nll(&model.log_probabilities(&inputs).unwrap(), &labels).unwrap();
    optimizer.backward_step(&loss).unwrap();
    drop(optimizer);
    let logged = tracker.load_model(&format!("models:/{}", runs(tracker)[0].outputs[0].model_id)).unwrap();
    logged.input_example().unwrap().unwrap().to_string()
}

#[test]
fn off_records_nothing() {
    assert_eq!(said_by("never on"), "");
    assert_eq!(said_by("disabled"), "");
}

/// Params, metrics and models of each run.
#[test]
fn options_leave_out_what_they_say() {
    assert_eq!(said_by("exclusive"), "0 0 0");
    assert_eq!(said_by("bare"), "10 4 0");
    assert_eq!(said_by("thinned"), "10 4 1");
    let first_row = "[[0.0,0.3663366436958313,0.7326732873916626,0.09900990128517151]]";
    assert_eq!(said_by("example"), first_row);
}

#[test]
fn the_own_call_wins_over_a_later_global_one() {
    assert_eq!(said_by("global call later"), "10 4 0");
    assert_eq!(said_by("globally"), "10 4 1");
}

#[test]
fn what_is_not_seen_is_said_once() {
    let (said, warned) = outputs_of("unseen");
    assert!(said.contains("said: 6 2 0"), "{said}");
    for warning in [
        "the loss of 3 of 3 steps was not seen",
        "no epoch was seen",
        "the model that this AdamW trains will not be saved",
    ] {
        assert_eq!(warned.matches(warning).count(), 1, "{warned}");
    }
    let (_, quiet) = outputs_of("never on");
    assert!(!quiet.contains("warning"), "{quiet}");
}
