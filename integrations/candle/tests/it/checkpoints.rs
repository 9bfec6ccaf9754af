//! Checkpoints, under MLflow's names. Options are the process's, so each case is a process.

use crate::off::said_by;

#[test]
fn the_newest_replaces_the_one_before_and_the_tag_names_it() {
    assert_eq!(
        said_by("newest"),
        "checkpoints/latest_checkpoint.weights.safetensors checkpoints/latest_checkpoint_metrics.json \
         model_summary.txt; latest: checkpoints/latest_checkpoint.weights.safetensors; epoch 3, step 3; weights of step 3"
    );
}

#[test]
fn all_are_kept_in_folders_when_asked() {
    assert_eq!(
        said_by("all"),
        "checkpoints/global_step_2/checkpoint.weights.safetensors \
         checkpoints/global_step_2/checkpoint_metrics.json model_summary.txt; latest: \
         checkpoints/global_step_2/checkpoint.weights.safetensors; epoch 1, step 2; weights of step 2"
    );
}

/// By a metric of the user's own, which is best at the second of three epochs.
#[test]
fn the_best_stays() {
    assert_eq!(
        said_by("best"),
        "checkpoints/latest_checkpoint.weights.safetensors checkpoints/latest_checkpoint_metrics.json \
         model_summary.txt; latest: checkpoints/latest_checkpoint.weights.safetensors; epoch 2, step 2; weights of step 2"
    );
}

/// The loss that judges is read by another thread, and the files are written by a third one: both are waited for.
#[test]
fn a_checkpoint_of_the_last_step_knows_its_loss_and_is_there_when_the_training_ends() {
    assert_eq!(
        said_by("by the loss"),
        "checkpoints/latest_checkpoint.weights.safetensors checkpoints/latest_checkpoint_metrics.json \
         model_summary.txt"
    );
}
