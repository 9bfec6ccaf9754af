//! The programs run, and leave what they say that they leave.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../support/mod.rs"]
mod support;

use support::runs_of;

#[test]
fn every_fit_is_a_run_and_a_search_has_a_child_for_each_candidate() {
    let runs = runs_of(env!("CARGO_BIN_EXE_runlog-example-linfa"));
    let parent = runs.iter().find(|run| run.info.run_name == "depth of a tree").unwrap();
    let children = runs.iter().filter(|run| run.tag("mlflow.parentRunId") == Some(&parent.info.run_id));
    let scores: Vec<_> = children.map(|run| run.metric("valid_mcc").unwrap()).collect();
    assert_eq!((runs.len(), scores.len()), (11, 5));
    assert_eq!(parent.metric("best_valid_mcc"), scores.into_iter().reduce(f64::max));
}

#[test]
fn a_call_records_what_the_import_does() {
    let runs = runs_of(env!("CARGO_BIN_EXE_call"));
    assert_eq!((runs.len(), runs[0].tag("estimator_name")), (1, Some("LinearRegression")));
}
