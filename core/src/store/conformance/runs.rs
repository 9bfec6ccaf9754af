//! Checks of runs, params and tags.

use super::{Check, new_experiment, new_run, of_metrics, of_params, of_tags, ok, refused, run_in};
use crate::entity::{LifecycleStage, Metric, NewRun, Param, RunChange, RunStatus, Tag};
use crate::error::ErrorKind;
use crate::store::{Batch, Store};

/// Every check of this file.
pub const CHECKS: &[Check] = &[
    a_new_run_is_running_and_has_what_it_was_given,
    a_run_needs_an_experiment,
    a_change_keeps_what_it_does_not_name,
    a_name_and_its_tag_are_one,
    a_finished_run_can_still_be_logged_to,
    nothing_can_be_done_with_an_absent_run,
    params_are_write_once,
    tags_are_replaced_and_deleted,
    lists_are_sorted_by_key,
    a_refused_batch_stores_nothing,
    an_empty_batch_changes_nothing,
    texts_come_back_as_they_went,
];

/// What `create_run` returns is what `get_run` finds.
pub fn a_new_run_is_running_and_has_what_it_was_given(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let run = run_in(store, &experiment_id, 1_700_000_000_123);
    assert_eq!(run.info.status, RunStatus::Running);
    assert_eq!(run.info.lifecycle_stage, LifecycleStage::Active);
    assert_eq!(run.info.experiment_id, experiment_id);
    assert_eq!(run.info.start_time, 1_700_000_000_123, "times come from the caller");
    assert_eq!(run.info.end_time, None);
    assert_eq!(run.info.run_name, "brave-otter-317");
    assert_eq!(run.info.user_id, "someone");
    assert_eq!(run.tag("mlflow.runName"), Some("brave-otter-317"));
    assert_eq!(run.tag("a"), Some("first"));
    let id = &run.info.run_id;
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let place = ok(store.get_experiment(&experiment_id)).artifact_location;
    assert_eq!(run.info.artifact_uri, format!("{place}/{id}/artifacts"));
    assert_eq!(ok(store.get_run(id)), run);
    assert_ne!(run_in(store, &experiment_id, 1).info.run_id, *id);
}

/// Nothing is created without one.
pub fn a_run_needs_an_experiment(store: &dyn Store) {
    let new = NewRun { experiment_id: "987654321".to_owned(), run_name: "n".to_owned(), ..NewRun::default() };
    refused(store.create_run(&new), ErrorKind::NotFound);
}

/// `None` means: as it is.
pub fn a_change_keeps_what_it_does_not_name(store: &dyn Store) {
    let id = new_run(store);
    let ended = RunChange { status: Some(RunStatus::Failed), end_time: Some(99), ..RunChange::default() };
    ok(store.update_run(&id, &ended));
    let run = ok(store.get_run(&id));
    assert_eq!((run.info.status, run.info.end_time), (RunStatus::Failed, Some(99)));
    assert_eq!(run.info.run_name, "brave-otter-317");
    ok(store.update_run(&id, &RunChange { status: Some(RunStatus::Running), ..RunChange::default() }));
    ok(store.update_run(&id, &RunChange::default()));
    let run = ok(store.get_run(&id));
    assert_eq!((run.info.status, run.info.end_time), (RunStatus::Running, Some(99)));
}

/// Whichever is written, the other follows.
pub fn a_name_and_its_tag_are_one(store: &dyn Store) {
    let id = new_run(store);
    ok(store.update_run(&id, &RunChange { run_name: Some("calm-fox-1".to_owned()), ..RunChange::default() }));
    let run = ok(store.get_run(&id));
    assert_eq!((run.info.run_name.as_str(), run.tag("mlflow.runName")), ("calm-fox-1", Some("calm-fox-1")));
    ok(store.log_batch(&id, &of_tags(vec![Tag::new("mlflow.runName", "wise-bee-2")])));
    let run = ok(store.get_run(&id));
    assert_eq!((run.info.run_name.as_str(), run.tag("mlflow.runName")), ("wise-bee-2", Some("wise-bee-2")));
}

/// Evaluation comes after training.
pub fn a_finished_run_can_still_be_logged_to(store: &dyn Store) {
    let id = new_run(store);
    let ended = RunChange { status: Some(RunStatus::Finished), end_time: Some(99), ..RunChange::default() };
    ok(store.update_run(&id, &ended));
    ok(store.log_batch(&id, &of_metrics(vec![Metric::new("test/loss", 0.5, 100, 0)])));
    assert_eq!(ok(store.get_run(&id)).metric("test/loss"), Some(0.5));
}

/// Every method says so.
pub fn nothing_can_be_done_with_an_absent_run(store: &dyn Store) {
    let id = "0123456789abcdef0123456789abcdef";
    refused(store.get_run(id), ErrorKind::NotFound);
    refused(store.update_run(id, &RunChange::default()), ErrorKind::NotFound);
    refused(store.metric_history(id, "loss"), ErrorKind::NotFound);
    refused(store.log_batch(id, &of_params(vec![Param::new("a", "1")])), ErrorKind::NotFound);
    refused(store.delete_tag(id, "a"), ErrorKind::NotFound);
    refused(store.log_inputs(id, &[], &[]), ErrorKind::NotFound);
    refused(store.log_outputs(id, &[]), ErrorKind::NotFound);
}

/// The same value again is no error; another one is a conflict that names both.
pub fn params_are_write_once(store: &dyn Store) {
    let id = new_run(store);
    let batch = of_params(vec![Param::new("lr", "0.1")]);
    ok(store.log_batch(&id, &batch));
    ok(store.log_batch(&id, &batch));
    let message =
        refused(store.log_batch(&id, &of_params(vec![Param::new("lr", "0.2")])), ErrorKind::Conflict);
    for part in ["lr", "0.1", "0.2"] {
        assert!(message.contains(part), "the message names {part}: {message}");
    }
    assert_eq!(ok(store.get_run(&id)).data.params, [Param::new("lr", "0.1")]);
}

/// A tag keeps its last value until it is deleted.
pub fn tags_are_replaced_and_deleted(store: &dyn Store) {
    let id = new_run(store);
    for value in ["one", "two", "two"] {
        ok(store.log_batch(&id, &of_tags(vec![Tag::new("stage", value)])));
    }
    assert_eq!(ok(store.get_run(&id)).tag("stage"), Some("two"));
    ok(store.delete_tag(&id, "stage"));
    assert_eq!(ok(store.get_run(&id)).tag("stage"), None);
    refused(store.delete_tag(&id, "stage"), ErrorKind::NotFound);
}

/// However they were logged.
pub fn lists_are_sorted_by_key(store: &dyn Store) {
    let id = new_run(store);
    let keys = ["b", "x/y", "B", "a", "é"];
    let batch = Batch {
        metrics: keys.iter().map(|key| Metric::new(*key, 1.0, 1, 1)).collect(),
        params: keys.iter().map(|key| Param::new(*key, "1")).collect(),
        tags: keys.iter().map(|key| Tag::new(*key, "1")).collect(),
    };
    ok(store.log_batch(&id, &batch));
    let data = ok(store.get_run(&id)).data;
    assert!(data.metrics.is_sorted_by(|left, right| left.key < right.key), "{:?}", data.metrics);
    assert!(data.params.is_sorted_by(|left, right| left.key < right.key), "{:?}", data.params);
    assert!(data.tags.is_sorted_by(|left, right| left.key < right.key), "{:?}", data.tags);
    assert_eq!((data.metrics.len(), data.params.len()), (keys.len(), keys.len()));
}

/// Neither what came before the refused record nor what came after it.
pub fn a_refused_batch_stores_nothing(store: &dyn Store) {
    let id = new_run(store);
    ok(store.log_batch(&id, &of_params(vec![Param::new("lr", "0.1")])));
    let before = ok(store.get_run(&id));
    let conflicting = Batch {
        metrics: vec![Metric::new("loss", 1.0, 1, 1)],
        params: vec![Param::new("aaa", "new"), Param::new("lr", "0.2"), Param::new("zzz", "new")],
        tags: vec![Tag::new("note", "new")],
    };
    refused(store.log_batch(&id, &conflicting), ErrorKind::Conflict);
    let of_no_model = Batch {
        metrics: vec![
            Metric::new("loss", 1.0, 1, 1),
            Metric::new("loss", 1.0, 1, 2).for_model("m-0123456789abcdef0123456789abcdef"),
        ],
        params: vec![Param::new("aaa", "new")],
        tags: vec![Tag::new("note", "new")],
    };
    refused(store.log_batch(&id, &of_no_model), ErrorKind::NotFound);
    assert_eq!(ok(store.get_run(&id)), before);
    assert_eq!(ok(store.metric_history(&id, "loss")), []);
}

/// It is no error either.
pub fn an_empty_batch_changes_nothing(store: &dyn Store) {
    let id = new_run(store);
    let before = ok(store.get_run(&id));
    ok(store.log_batch(&id, &Batch::default()));
    assert_eq!(ok(store.get_run(&id)), before);
}

/// Line breaks, quotes, emoji, nothing at all, and the longest that is allowed.
pub fn texts_come_back_as_they_went(store: &dyn Store) {
    let id = new_run(store);
    let long = "é".repeat(crate::validate::PARAM_CHARS_MAX);
    let texts = ["", " ", "a\nb\t", "it's \"quoted\"", "日本 🦀", "\\n", "null", "1e-05", long.as_str()];
    for (number, text) in texts.iter().enumerate() {
        let key = format!("text {number}");
        ok(store.log_batch(
            &id,
            &Batch {
                params: vec![Param::new(&key, *text)],
                tags: vec![Tag::new(&key, *text)],
                ..Batch::default()
            },
        ));
        let run = ok(store.get_run(&id));
        assert_eq!((run.param(&key), run.tag(&key)), (Some(*text), Some(*text)));
    }
}
