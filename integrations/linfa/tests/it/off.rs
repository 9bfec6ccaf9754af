//! Autologging that is off, or told to leave things out. Options are the process's, so each case is a process.

use std::process::Command;

use linfa_trees::DecisionTree;
use runlog_core::fluent::{start_run, with_tracker};
use runlog_core::{RunQuery, Tracker};
use runlog_linfa::{Fit, LinfaOptions, Predict, ToConfusionMatrix};

const CASE: &str = "RUNLOG_LINFA_CASE";

/// Runs the case in a process of its own and returns what it said.
fn child(case: &str) -> String {
    let mut test = Command::new(std::env::current_exe().unwrap());
    let output = test.args(["off::in_a_child", "--exact", "--nocapture"]).env(CASE, case).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said.lines().find_map(|line| line.split_once("said: ")).unwrap().1.to_owned()
}

/// Does nothing unless it is a child.
#[test]
fn in_a_child() {
    #[expect(clippy::disallowed_methods, reason = "tells a child from its parent")]
    let Some(case) = std::env::var_os(CASE) else { return };
    match case.to_str().unwrap() {
        "never on" => {}
        "disabled" => runlog_linfa::autolog_with(LinfaOptions::new().disable(true)),
        "exclusive" => runlog_linfa::autolog_with(LinfaOptions::new().exclusive(true)),
        "bare" => runlog_linfa::autolog_with(
            LinfaOptions::new().log_models(false).log_datasets(false).training_metrics(false),
        ),
        "not evaluated" => runlog_linfa::autolog_with(LinfaOptions::new().log_post_training_metrics(false)),
        "undescribed" => {
            runlog_linfa::autolog_with(LinfaOptions::new().log_model_signatures(false).pictures(false));
        }
        "no steps" => runlog_linfa::autolog_with(LinfaOptions::new().every_n_steps(0)),
        "sampled" => runlog_linfa::autolog_with(LinfaOptions::new().max_rows_for_metrics(40)),
        "global call later" => {
            runlog_linfa::autolog_with(LinfaOptions::new().log_models(false));
            runlog_core::autolog::autolog();
        }
        "described" => runlog_linfa::autolog_with(LinfaOptions::new().log_input_examples(true)),
        "evaluated" => runlog_linfa::autolog(),
        "globally" => runlog_core::autolog::autolog(),
        other => panic!("no such case: {other}"),
    }
    let dir = tempfile::tempdir().unwrap();
    let mut config = runlog_core::Config::from_map(&[].into()).unwrap();
    config.working_dir = dir.path().into();
    config.journal_dir = Some(dir.path().join("journal"));
    let uri = format!("sqlite:///{}", dir.path().join("mlflow.db").display());
    let tracker = Tracker::with_config(Some(&uri), config).unwrap();
    with_tracker(&tracker, || {
        let _users = (case == "exclusive").then(|| start_run("users").unwrap());
        let data = linfa_datasets::iris();
        let model = DecisionTree::params().fit(&data).unwrap();
        if case.to_string_lossy().contains("evaluated") {
            model.predict(&data).confusion_matrix(&data).unwrap();
        }
    });
    let runs = tracker.search_runs(RunQuery::new().all_experiments()).unwrap();
    let shown: Vec<String> = runs
        .iter()
        .map(|run| {
            let (params, metrics) = (run.data.params.len(), run.data.metrics.len());
            format!("{params} {metrics} {} {}", run.inputs.datasets.len(), run.outputs.len())
        })
        .collect();
    if case == "described" || case == "undescribed" {
        let files = tracker.list_artifacts(&runs[0].info.run_id, "").unwrap();
        let pictures = files.iter().filter(|file| file.path.contains(".png")).count();
        let folder = tracker.get_logged_model(&runs[0].outputs[0].model_id).unwrap().artifact_location;
        let described = std::fs::read_to_string(format!("{folder}/MLmodel")).unwrap();
        let (signature, example) =
            (described.contains("signature:"), described.contains("saved_input_example_info:"));
        return println!("said: {pictures} {signature} {example}");
    }
    println!("said: {}", shown.join("; "));
}

#[test]
fn off_records_nothing() {
    assert_eq!(child("never on"), "");
    assert_eq!(child("disabled"), "");
}

/// Params, metrics, datasets and models of each run.
#[test]
fn options_leave_out_what_they_say() {
    assert_eq!(child("exclusive"), "0 0 0 0");
    assert_eq!(child("bare"), "5 0 0 0");
    assert_eq!(child("sampled"), "5 7 1 1");
    assert_eq!(child("evaluated"), "5 11 1 1");
    assert_eq!(child("not evaluated"), "5 7 1 1");
    // One fit is no step of anything.
    assert_eq!(child("no steps"), "5 7 1 1");
}

/// The pictures, and whether the model has a signature and an example.
#[test]
fn options_say_how_a_model_is_described() {
    assert_eq!(child("described"), "1 true true");
    assert_eq!(child("undescribed"), "0 false false");
}

#[test]
fn the_own_call_wins_over_a_later_global_one() {
    assert_eq!(child("global call later"), "5 7 1 0");
    assert_eq!(child("globally"), "5 7 1 1");
}
