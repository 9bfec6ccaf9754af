//! Checks of what runs are linked to: datasets they read and models they made.

use super::{Check, new_experiment, new_run, of_metrics, ok, refused, run_in};
use crate::entity::{Dataset, DatasetInput, Metric, ModelOutput, ModelStatus, NewLoggedModel, Param, Tag};
use crate::error::ErrorKind;
use crate::store::Store;

/// Every check of this file.
pub const CHECKS: &[Check] = &[
    a_dataset_comes_back_with_its_role,
    the_same_input_again_changes_nothing,
    runs_of_one_experiment_share_a_dataset,
    outputs_are_linked_once,
    a_model_goes_from_pending_to_ready,
    a_model_needs_an_experiment,
    an_absent_model_is_not_found,
    a_models_metric_is_the_runs_too,
];

fn dataset(name: &str) -> Dataset {
    let mut dataset = Dataset::new(name, "0a1b2c3d");
    dataset.source_type = String::from("local");
    dataset.source = String::from(r#"{"uri":"/data/iris.csv"}"#);
    dataset.schema = Some(r#"{"mlflow_colspec":[]}"#.to_owned());
    dataset.profile = Some(r#"{"num_rows":150}"#.to_owned());
    dataset
}

fn new_model(experiment_id: &str, run_id: Option<&str>) -> NewLoggedModel {
    NewLoggedModel {
        experiment_id: experiment_id.to_owned(),
        name: "forest".to_owned(),
        model_type: Some("RandomForest".to_owned()),
        source_run_id: run_id.map(str::to_owned),
        creation_timestamp: 10,
        params: vec![Param::new("trees", "100"), Param::new("depth", "3")],
        tags: vec![Tag::new("z", "1"), Tag::new("a", "2")],
    }
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

/// And keeps what it was created with.
pub fn a_model_goes_from_pending_to_ready(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let run_id = run_in(store, &experiment_id, 1).info.run_id;
    let model = ok(store.create_logged_model(&new_model(&experiment_id, Some(&run_id))));
    let id = &model.model_id;
    assert!(id.strip_prefix("m-").is_some_and(|hex| hex.len() == 32), "{id}");
    assert_eq!(model.status, ModelStatus::Pending);
    assert_eq!((model.name.as_str(), model.model_type.as_deref()), ("forest", Some("RandomForest")));
    assert_eq!((&model.experiment_id, model.source_run_id.as_ref()), (&experiment_id, Some(&run_id)));
    assert_eq!(
        (model.creation_timestamp, model.last_updated_timestamp),
        (10, 10),
        "times come from the caller"
    );
    let place = ok(store.get_experiment(&experiment_id)).artifact_location;
    assert_eq!(model.artifact_location, format!("{place}/models/{id}/artifacts"));
    assert_eq!(model.params, [Param::new("depth", "3"), Param::new("trees", "100")]);
    assert_eq!((model.tags[0].key.as_str(), model.tags[1].key.as_str()), ("a", "z"));
    assert_eq!(ok(store.get_logged_model(id)), model);

    let ready = ok(store.finalize_logged_model(id, ModelStatus::Ready, 20));
    assert_eq!(
        (ready.status, ready.last_updated_timestamp, ready.creation_timestamp),
        (ModelStatus::Ready, 20, 10)
    );
    assert_eq!(ok(store.get_logged_model(id)), ready);
    assert_eq!(ok(store.finalize_logged_model(id, ModelStatus::Failed, 30)).status, ModelStatus::Failed);
}

/// Nothing is created without one.
pub fn a_model_needs_an_experiment(store: &dyn Store) {
    refused(store.create_logged_model(&new_model("987654321", None)), ErrorKind::NotFound);
}

/// Neither to read nor to finalize.
pub fn an_absent_model_is_not_found(store: &dyn Store) {
    let id = "m-0123456789abcdef0123456789abcdef";
    refused(store.get_logged_model(id), ErrorKind::NotFound);
    refused(store.finalize_logged_model(id, ModelStatus::Ready, 1), ErrorKind::NotFound);
}

/// It is stored in both places, and a replay adds to neither.
pub fn a_models_metric_is_the_runs_too(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let run_id = run_in(store, &experiment_id, 1).info.run_id;
    let model_id = ok(store.create_logged_model(&new_model(&experiment_id, Some(&run_id)))).model_id;
    let points = [
        Metric::new("f1", 0.75, 20, 2).for_model(&model_id),
        Metric::new("f1", 0.5, 10, 1).for_model(&model_id),
        Metric::new("acc", 0.25, 10, 1).for_model(&model_id),
    ];
    let mut batch = points.to_vec();
    batch.push(Metric::new("f1", 1.0, 30, 3));
    ok(store.log_batch(&run_id, &of_metrics(batch.clone())));
    ok(store.log_batch(&run_id, &of_metrics(batch)));
    assert_eq!(ok(store.metric_history(&run_id, "f1")).len(), 3);
    assert_eq!(ok(store.get_run(&run_id)).metric("f1"), Some(1.0));
    let [second, first, other] = points;
    assert_eq!(ok(store.get_logged_model(&model_id)).metrics, [other, first, second]);
}
