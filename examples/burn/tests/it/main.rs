//! The programs run, and leave what they say that they leave.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../support/mod.rs"]
mod support;

use support::runs_of;

#[test]
fn burns_trainer_and_its_evaluation_leave_one_run() {
    let runs = runs_of(env!("CARGO_BIN_EXE_supervised"));
    assert_eq!((runs.len(), runs[0].tag("mlflow.autologging")), (1, Some("burn")));
    assert!(runs[0].metric("test_accuracy").unwrap() > 80.0 && runs[0].outputs.len() == 1);
    assert!(runs[0].metric("valid_loss").unwrap() < 1.0 && runs[0].metric("learning_rate").is_some());
}

#[test]
fn a_hand_written_loop_leaves_its_losses_and_its_weights() {
    let runs = runs_of(env!("CARGO_BIN_EXE_custom_loop"));
    assert_eq!((runs.len(), runs[0].tag("mlflow.autologging")), (1, Some("burn")));
    assert!(runs[0].metric("train_loss").unwrap() < 1.0 && runs[0].outputs.len() == 1);
}
