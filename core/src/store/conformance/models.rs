//! Checks of logged models.

use super::{Check, new_experiment, new_model, of_metrics, ok, refused, run_in};
use crate::entity::{LoggedModel, Metric, ModelStatus, Param, Tag};
use crate::error::ErrorKind;
use crate::store::Store;

/// Every check of this file.
pub const CHECKS: &[Check] = &[
    a_model_goes_from_pending_to_ready,
    a_model_needs_an_experiment,
    an_absent_model_is_not_found,
    a_models_metric_is_the_runs_too,
    a_models_metric_says_its_run_and_its_dataset,
    of_a_models_points_at_one_place_the_first_stays,
    a_models_params_are_write_once,
    a_models_tags_are_replaced_and_deleted,
    a_deleted_model_is_not_found,
    a_run_keeps_its_points_of_a_deleted_model,
];

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

/// Every method says so.
pub fn an_absent_model_is_not_found(store: &dyn Store) {
    let id = "m-0123456789abcdef0123456789abcdef";
    nothing_can_be_done_with(store, id);
    refused(store.delete_logged_model(id, 1), ErrorKind::NotFound);
}

fn nothing_can_be_done_with(store: &dyn Store, model_id: &str) {
    refused(store.get_logged_model(model_id), ErrorKind::NotFound);
    refused(store.finalize_logged_model(model_id, ModelStatus::Ready, 1), ErrorKind::NotFound);
    refused(store.log_logged_model_params(model_id, &[Param::new("a", "1")]), ErrorKind::NotFound);
    refused(store.log_logged_model_params(model_id, &[]), ErrorKind::NotFound);
    refused(store.set_logged_model_tags(model_id, &[Tag::new("a", "1")]), ErrorKind::NotFound);
    refused(store.delete_logged_model_tag(model_id, "a"), ErrorKind::NotFound);
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
    let [second, first, other] = points.map(|point| logged_by(point, &run_id));
    assert_eq!(ok(store.get_logged_model(&model_id)).metrics, [other, first, second]);
}

/// The point as a model has it.
fn logged_by(mut point: Metric, run_id: &str) -> Metric {
    point.run_id = Some(run_id.to_owned());
    point
}

/// Of each point; the run's own metrics say nothing of either.
pub fn a_models_metric_says_its_run_and_its_dataset(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let [first, second] = [1, 2].map(|time| run_in(store, &experiment_id, time).info.run_id);
    let model_id = ok(store.create_logged_model(&new_model(&experiment_id, Some(&first)))).model_id;
    let on_test = Metric::new("acc", 0.5, 10, 1).for_model(&model_id).on_dataset("iris", "0a1b2c3d");
    let on_none = Metric::new("acc", 0.75, 20, 2).for_model(&model_id);
    let batch = of_metrics(vec![on_none.clone(), on_test.clone()]);
    for run_id in [&first, &second, &first] {
        ok(store.log_batch(run_id, &batch));
    }
    let mut runs = [&first, &second];
    runs.sort_unstable();
    let expect: Vec<Metric> = [&on_test, &on_none]
        .into_iter()
        .flat_map(|point| runs.map(|run_id| logged_by(point.clone(), run_id)))
        .collect();
    assert_eq!(ok(store.get_logged_model(&model_id)).metrics, expect);
    let of_the_run = [Metric::new("acc", 0.5, 10, 1), Metric::new("acc", 0.75, 20, 2)];
    assert_eq!(ok(store.metric_history(&first, "acc")), of_the_run);
    assert_eq!(ok(store.get_run(&first)).data.metrics, of_the_run[1..]);
}

/// The run has both.
pub fn of_a_models_points_at_one_place_the_first_stays(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let run_id = run_in(store, &experiment_id, 1).info.run_id;
    let model_id = ok(store.create_logged_model(&new_model(&experiment_id, None))).model_id;
    let first = Metric::new("acc", 0.5, 10, 1).for_model(&model_id);
    ok(store.log_batch(&run_id, &of_metrics(vec![first.clone()])));
    let second = Metric::new("acc", 0.75, 10, 1).for_model(&model_id).on_dataset("iris", "1");
    ok(store.log_batch(&run_id, &of_metrics(vec![second])));
    assert_eq!(ok(store.get_logged_model(&model_id)).metrics, [logged_by(first, &run_id)]);
    assert_eq!(ok(store.metric_history(&run_id, "acc")).len(), 2);
}

/// The same value again is no error; another one is a conflict that names both, and stores nothing of its call.
pub fn a_models_params_are_write_once(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let before = ok(store.create_logged_model(&new_model(&experiment_id, None)));
    let id = &before.model_id;
    for _ in 0..2 {
        ok(store.log_logged_model_params(id, &[Param::new("lr", "0.1"), Param::new("depth", "3")]));
    }
    ok(store.log_logged_model_params(id, &[]));
    let conflicting = [Param::new("aaa", "new"), Param::new("lr", "0.2"), Param::new("zzz", "new")];
    let message = refused(store.log_logged_model_params(id, &conflicting), ErrorKind::Conflict);
    for part in ["lr", "0.1", "0.2", id] {
        assert!(message.contains(part), "the message names {part}: {message}");
    }
    let expect = [Param::new("depth", "3"), Param::new("lr", "0.1"), Param::new("trees", "100")];
    assert_eq!(ok(store.get_logged_model(id)), LoggedModel { params: expect.to_vec(), ..before });
}

/// And the update time stays.
pub fn a_models_tags_are_replaced_and_deleted(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let before = ok(store.create_logged_model(&new_model(&experiment_id, None)));
    let id = &before.model_id;
    for _ in 0..2 {
        ok(store.set_logged_model_tags(id, &[Tag::new("z", "é 🦀"), Tag::new("m", "")]));
    }
    ok(store.set_logged_model_tags(id, &[]));
    ok(store.delete_logged_model_tag(id, "a"));
    refused(store.delete_logged_model_tag(id, "a"), ErrorKind::NotFound);
    let expect = vec![Tag::new("m", ""), Tag::new("z", "é 🦀")];
    assert_eq!(ok(store.get_logged_model(id)), LoggedModel { tags: expect, ..before });
}

/// Deleting it again is no error, and nothing else finds it.
pub fn a_deleted_model_is_not_found(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let [gone, other] = [(); 2].map(|()| ok(store.create_logged_model(&new_model(&experiment_id, None))));
    ok(store.delete_logged_model(&gone.model_id, 50));
    ok(store.delete_logged_model(&gone.model_id, 60));
    nothing_can_be_done_with(store, &gone.model_id);
    assert_eq!(ok(store.get_logged_model(&other.model_id)), other);
}

/// A training goes on though somebody deleted its model.
pub fn a_run_keeps_its_points_of_a_deleted_model(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let run_id = run_in(store, &experiment_id, 1).info.run_id;
    let model_id = ok(store.create_logged_model(&new_model(&experiment_id, Some(&run_id)))).model_id;
    ok(store.delete_logged_model(&model_id, 50));
    let point = Metric::new("acc", 0.5, 10, 1);
    ok(store.log_batch(&run_id, &of_metrics(vec![point.clone().for_model(&model_id)])));
    assert_eq!(ok(store.metric_history(&run_id, "acc")), [point]);
}
