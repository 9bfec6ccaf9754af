//! The programs run, and leave what they say that they leave.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../support/mod.rs"]
mod support;

use support::runs_of;

#[test]
fn a_loop_with_a_changed_import_leaves_its_losses_and_its_weights() {
    let runs = runs_of(env!("CARGO_BIN_EXE_mlp"));
    assert_eq!((runs.len(), runs[0].tag("mlflow.autologging")), (1, Some("candle")));
    assert_eq!(runs[0].metric("steps"), Some(300.0));
    assert!(runs[0].metric("train_loss").unwrap() < 0.5 && runs[0].outputs.len() == 1);
}

#[test]
fn a_loop_in_a_run_of_its_own_leaves_its_epochs_and_its_own_metrics() {
    let runs = runs_of(env!("CARGO_BIN_EXE_cnn"));
    assert_eq!((runs.len(), runs[0].info.run_name.as_str()), (1, "digits-cnn"));
    assert_eq!((runs[0].metric("epochs"), runs[0].inputs.datasets.len()), (Some(5.0), 1));
    assert!(runs[0].metric("val_accuracy").unwrap() > 0.8);
}
