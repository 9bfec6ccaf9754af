//! Checks of what becomes of experiments and runs after they were created: names, tags, deletion, restoration.

use super::{Check, fresh, new_experiment, new_model, new_run, of_metrics, of_tags, ok, refused, run_in};
use crate::entity::{
    Experiment, LifecycleStage, Metric, ModelOutput, ModelStatus, NewExperiment, NewRun, RunChange, Tag,
    ViewType,
};
use crate::error::ErrorKind;
use crate::store::{ExperimentQuery, PageRequest, RunQuery, Store};

/// Every check of this file.
pub const CHECKS: &[Check] = &[
    a_renamed_experiment_is_the_same_otherwise,
    an_experiment_may_keep_its_name,
    a_new_name_must_be_free,
    an_experiments_tags_are_replaced_and_deleted,
    an_experiment_is_deleted_and_restored_with_every_run_in_it,
    deleting_what_is_deleted_and_restoring_what_is_active_is_not_found,
    nothing_is_written_to_a_deleted_experiment,
    models_outlive_their_experiment,
    nothing_can_be_done_with_an_absent_experiment,
    a_run_is_deleted_and_restored,
    nothing_is_written_to_a_deleted_run,
    what_is_deleted_is_found_only_on_request,
];

fn stage_of(store: &dyn Store, run_id: &str) -> LifecycleStage {
    ok(store.get_run(run_id)).info.lifecycle_stage
}

/// Only the name and the update time change.
pub fn a_renamed_experiment_is_the_same_otherwise(store: &dyn Store) {
    let old = NewExperiment {
        name: fresh("old"),
        creation_time: 10,
        tags: vec![Tag::new("a", "1")],
        ..NewExperiment::default()
    };
    let id = ok(store.create_experiment(&old));
    let run_id = run_in(store, &id, 1).info.run_id;
    let before = ok(store.get_experiment(&id));
    let name = fresh("Größe 'y'");
    ok(store.rename_experiment(&id, &name, 20));
    let expect = Experiment { name: name.clone(), last_update_time: 20, ..before };
    assert_eq!(ok(store.get_experiment(&id)), expect);
    assert_eq!(ok(store.get_experiment_by_name(&name)), Some(expect));
    assert_eq!(ok(store.get_experiment_by_name(&old.name)), None);
    assert_eq!(ok(store.get_run(&run_id)).info.experiment_id, id);
    ok(store.create_experiment(&old));
}

/// Its own name is not taken.
pub fn an_experiment_may_keep_its_name(store: &dyn Store) {
    let id = new_experiment(store);
    let before = ok(store.get_experiment(&id));
    for _ in 0..2 {
        ok(store.rename_experiment(&id, &before.name, 20));
    }
    assert_eq!(ok(store.get_experiment(&id)), Experiment { last_update_time: 20, ..before });
}

/// Even one that a deleted experiment has is taken.
pub fn a_new_name_must_be_free(store: &dyn Store) {
    let [id, holder] = [(); 2].map(|()| new_experiment(store));
    let before = ok(store.get_experiment(&id));
    let taken = ok(store.get_experiment(&holder)).name;
    refused(store.rename_experiment(&id, &taken, 20), ErrorKind::AlreadyExists);
    ok(store.delete_experiment(&holder, 30));
    let message = refused(store.rename_experiment(&id, &taken, 40), ErrorKind::AlreadyExists);
    assert!(message.contains(&taken) && message.contains("deleted"), "{message}");
    assert_eq!(ok(store.get_experiment(&id)), before);
}

/// And the update time stays.
pub fn an_experiments_tags_are_replaced_and_deleted(store: &dyn Store) {
    let id = new_experiment(store);
    let before = ok(store.get_experiment(&id));
    let long = "é".repeat(crate::validate::EXPERIMENT_TAG_CHARS_MAX);
    for (key, value) in [("stage", "one"), ("stage", "two"), ("stage", "two"), ("é 🦀", ""), ("a", &long)]
    {
        ok(store.set_experiment_tag(&id, &Tag::new(key, value)));
    }
    let expect = [Tag::new("a", &long), Tag::new("stage", "two"), Tag::new("é 🦀", "")];
    assert_eq!(ok(store.get_experiment(&id)), Experiment { tags: expect.to_vec(), ..before.clone() });
    for tag in &expect {
        ok(store.delete_experiment_tag(&id, &tag.key));
    }
    assert_eq!(ok(store.get_experiment(&id)), before);
    refused(store.delete_experiment_tag(&id, "stage"), ErrorKind::NotFound);
}

/// Those too that were deleted by themselves; runs elsewhere stay as they are.
pub fn an_experiment_is_deleted_and_restored_with_every_run_in_it(store: &dyn Store) {
    let id = new_experiment(store);
    let before = ok(store.get_experiment(&id));
    let [first, second] = [1, 2].map(|time| run_in(store, &id, time).info.run_id);
    let other = new_run(store);
    ok(store.log_batch(&first, &of_metrics(vec![Metric::new("loss", 0.5, 1, 1)])));
    let whole = ok(store.get_run(&first));
    ok(store.delete_run(&second, 10));

    ok(store.delete_experiment(&id, 20));
    let deleted = LifecycleStage::Deleted;
    let expect = Experiment { lifecycle_stage: deleted, last_update_time: 20, ..before.clone() };
    assert_eq!(ok(store.get_experiment(&id)), expect);
    assert_eq!(ok(store.get_experiment_by_name(&before.name)), Some(expect));
    let stages = [&first, &second, &other].map(|run_id| stage_of(store, run_id));
    assert_eq!(stages, [deleted, deleted, LifecycleStage::Active]);

    ok(store.restore_experiment(&id, 30));
    assert_eq!(ok(store.get_experiment(&id)), Experiment { last_update_time: 30, ..before });
    let stages = [&first, &second, &other].map(|run_id| stage_of(store, run_id));
    assert_eq!(stages, [LifecycleStage::Active; 3]);
    assert_eq!(ok(store.get_run(&first)), whole);
    ok(store.log_batch(&second, &of_metrics(vec![Metric::new("loss", 0.5, 1, 1)])));
}

/// The error says that there is nothing to do.
pub fn deleting_what_is_deleted_and_restoring_what_is_active_is_not_found(store: &dyn Store) {
    let id = new_experiment(store);
    let message = refused(store.restore_experiment(&id, 10), ErrorKind::NotFound);
    assert!(message.contains("not deleted"), "{message}");
    ok(store.delete_experiment(&id, 20));
    let before = ok(store.get_experiment(&id));
    let message = refused(store.delete_experiment(&id, 30), ErrorKind::NotFound);
    assert!(message.contains("deleted already"), "{message}");
    assert_eq!(ok(store.get_experiment(&id)), before);
}

/// Neither runs and models nor a name and tags.
pub fn nothing_is_written_to_a_deleted_experiment(store: &dyn Store) {
    let id = new_experiment(store);
    ok(store.set_experiment_tag(&id, &Tag::new("a", "1")));
    ok(store.delete_experiment(&id, 20));
    let before = ok(store.get_experiment(&id));
    let invalid = ErrorKind::InvalidInput;
    let run = NewRun { experiment_id: id.clone(), run_name: "r".to_owned(), ..NewRun::default() };
    refused(store.create_run(&run), invalid);
    refused(store.create_logged_model(&new_model(&id, None)), invalid);
    refused(store.rename_experiment(&id, &fresh("new"), 30), invalid);
    refused(store.set_experiment_tag(&id, &Tag::new("a", "2")), invalid);
    refused(store.delete_experiment_tag(&id, "a"), invalid);
    assert_eq!(ok(store.get_experiment(&id)), before);
}

/// They can be read and written, as in MLflow.
pub fn models_outlive_their_experiment(store: &dyn Store) {
    let id = new_experiment(store);
    let model = ok(store.create_logged_model(&new_model(&id, None)));
    ok(store.delete_experiment(&id, 20));
    assert_eq!(ok(store.get_logged_model(&model.model_id)), model);
    ok(store.finalize_logged_model(&model.model_id, ModelStatus::Ready, 30));
}

/// Every method says so.
pub fn nothing_can_be_done_with_an_absent_experiment(store: &dyn Store) {
    for id in ["987654321", "no number", ""] {
        refused(store.rename_experiment(id, &fresh("new"), 1), ErrorKind::NotFound);
        refused(store.delete_experiment(id, 1), ErrorKind::NotFound);
        refused(store.restore_experiment(id, 1), ErrorKind::NotFound);
        refused(store.set_experiment_tag(id, &Tag::new("a", "1")), ErrorKind::NotFound);
        refused(store.delete_experiment_tag(id, "a"), ErrorKind::NotFound);
    }
}

/// Doing either again changes nothing, and a restored run has what it had.
pub fn a_run_is_deleted_and_restored(store: &dyn Store) {
    let id = new_run(store);
    ok(store.log_batch(&id, &of_metrics(vec![Metric::new("loss", 0.5, 1, 1)])));
    let before = ok(store.get_run(&id));
    ok(store.restore_run(&id));
    assert_eq!(ok(store.get_run(&id)), before, "it was active");
    for now in [10, 20] {
        ok(store.delete_run(&id, now));
        let mut expect = before.clone();
        expect.info.lifecycle_stage = LifecycleStage::Deleted;
        assert_eq!(ok(store.get_run(&id)), expect);
    }
    assert_eq!(ok(store.metric_history(&id, "loss")).len(), 1, "it can still be read");
    for _ in 0..2 {
        ok(store.restore_run(&id));
        assert_eq!(ok(store.get_run(&id)), before);
    }
    for absent in ["0123456789abcdef0123456789abcdef", ""] {
        refused(store.delete_run(absent, 1), ErrorKind::NotFound);
        refused(store.restore_run(absent), ErrorKind::NotFound);
    }
}

/// Whatever it is.
pub fn nothing_is_written_to_a_deleted_run(store: &dyn Store) {
    let id = new_run(store);
    ok(store.delete_run(&id, 10));
    let before = ok(store.get_run(&id));
    let invalid = ErrorKind::InvalidInput;
    refused(store.log_batch(&id, &of_metrics(vec![Metric::new("loss", 0.5, 1, 1)])), invalid);
    refused(store.log_batch(&id, &of_tags(vec![Tag::new("a", "2")])), invalid);
    refused(store.update_run(&id, &RunChange { end_time: Some(9), ..RunChange::default() }), invalid);
    refused(store.delete_tag(&id, "a"), invalid);
    refused(store.log_inputs(&id, &[], &["m-1".to_owned()]), invalid);
    refused(store.log_outputs(&id, &[ModelOutput::new("m-1", 1)]), invalid);
    assert_eq!(ok(store.get_run(&id)), before);
}

/// Experiments as well as runs; a run that is deleted leaves its experiment as it was.
pub fn what_is_deleted_is_found_only_on_request(store: &dyn Store) {
    let id = new_experiment(store);
    let [kept, gone] = [1, 2].map(|time| run_in(store, &id, time).info.run_id);
    ok(store.delete_run(&gone, 10));
    let runs = |view| {
        let query = RunQuery::new().experiment_id(&id).run_view_type(view);
        let found = ok(store.search_runs(&query, &PageRequest::first(10))).items;
        found.into_iter().map(|run| run.info.run_id).collect::<Vec<_>>()
    };
    assert_eq!(runs(ViewType::ActiveOnly), [kept.as_str()]);
    assert_eq!(runs(ViewType::DeletedOnly), [gone.as_str()]);
    assert_eq!(runs(ViewType::All), [gone.as_str(), kept.as_str()]);

    let is_found = |view| {
        let query = ExperimentQuery::new().view_type(view);
        let found = ok(store.search_experiments(&query, &PageRequest::first(1000))).items;
        found.iter().any(|experiment| experiment.experiment_id == id)
    };
    let views = [ViewType::ActiveOnly, ViewType::DeletedOnly, ViewType::All];
    assert_eq!(views.map(is_found), [true, false, true]);
    ok(store.delete_experiment(&id, 20));
    assert_eq!(views.map(is_found), [false, true, true]);
    assert_eq!(runs(ViewType::ActiveOnly), [""; 0]);
    assert_eq!(runs(ViewType::DeletedOnly), [gone.as_str(), kept.as_str()]);
}
