//! Checks of what runs are linked to: datasets they read, models they used and made.

use super::{Check, new_experiment, new_model, new_run, ok, run_in};
use crate::entity::{Dataset, DatasetInput, ModelOutput};
use crate::store::Store;

/// Every check of this file.
pub const CHECKS: &[Check] = &[
    a_dataset_comes_back_with_its_role,
    the_same_input_again_changes_nothing,
    runs_of_one_experiment_share_a_dataset,
    outputs_are_linked_once,
    models_that_a_run_uses_are_linked_once,
];

fn dataset(name: &str) -> Dataset {
    let mut dataset = Dataset::new(name, "0a1b2c3d");
    dataset.source_type = String::from("local");
    dataset.source = String::from(r#"{"uri":"/data/iris.csv"}"#);
    dataset.schema = Some(r#"{"mlflow_colspec":[]}"#.to_owned());
    dataset.profile = Some(r#"{"num_rows":150}"#.to_owned());
    dataset
}

/// Sorted by name, with every part of it.
pub fn a_dataset_comes_back_with_its_role(store: &dyn Store) {
    let id = new_run(store);
    let mut train = DatasetInput::new(dataset("b"), "train");
    train.tags.push(("split".to_owned(), "0".to_owned()));
    let bare = DatasetInput::new(Dataset::new("a", "1"), "eval");
    ok(store.log_inputs(&id, &[train.clone(), bare.clone()], &[]));
    assert_eq!(ok(store.get_run(&id)).inputs.datasets, [bare, train]);
}

/// Whether it comes in the same call, or with another role, which the first keeps.
pub fn the_same_input_again_changes_nothing(store: &dyn Store) {
    let id = new_run(store);
    let train = DatasetInput::new(dataset("iris"), "train");
    let eval = DatasetInput::new(dataset("iris"), "eval");
    ok(store.log_inputs(&id, &[train.clone(), train.clone()], &[]));
    ok(store.log_inputs(&id, &[eval], &[]));
    assert_eq!(ok(store.get_run(&id)).inputs.datasets, [train]);
}

/// The first description of it stays.
pub fn runs_of_one_experiment_share_a_dataset(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let (first, second) = (run_in(store, &experiment_id, 1), run_in(store, &experiment_id, 2));
    ok(store.log_inputs(&first.info.run_id, &[DatasetInput::new(dataset("iris"), "train")], &[]));
    let mut again = DatasetInput::new(dataset("iris"), "eval");
    again.dataset.source = String::from("{}");
    ok(store.log_inputs(&second.info.run_id, &[again], &[]));
    let found = ok(store.get_run(&second.info.run_id)).inputs.datasets;
    assert_eq!(found, [DatasetInput::new(dataset("iris"), "eval")]);
}

/// Sorted by step; the same link again is no error.
pub fn outputs_are_linked_once(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let run_id = run_in(store, &experiment_id, 1).info.run_id;
    let [late, early] = [7, 2].map(|step| {
        (ok(store.create_logged_model(&new_model(&experiment_id, Some(&run_id)))).model_id, step)
    });
    let outputs = [&late, &early].map(|(model_id, step)| ModelOutput::new(model_id, *step));
    ok(store.log_outputs(&run_id, &outputs));
    ok(store.log_outputs(&run_id, &outputs));
    let [late, early] = outputs;
    assert_eq!(ok(store.get_run(&run_id)).outputs, [early, late]);
}

/// Sorted, beside datasets in the same call, and whether they exist or not.
pub fn models_that_a_run_uses_are_linked_once(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let run_id = run_in(store, &experiment_id, 1).info.run_id;
    let known = ok(store.create_logged_model(&new_model(&experiment_id, None))).model_id;
    let absent = "m-zzz".to_owned();
    let train = DatasetInput::new(dataset("iris"), "train");
    ok(store.log_inputs(&run_id, std::slice::from_ref(&train), &[absent.clone(), known.clone()]));
    ok(store.log_inputs(&run_id, &[], &[known.clone(), known.clone()]));
    let run = ok(store.get_run(&run_id));
    assert_eq!((run.inputs.datasets, run.inputs.models), (vec![train], vec![known, absent]));
    assert_eq!(run.outputs, [], "used is not made");
}
