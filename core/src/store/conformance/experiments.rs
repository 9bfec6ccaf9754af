//! Checks of experiments.

use super::{Check, fresh, new_experiment, ok, refused};
use crate::entity::{LifecycleStage, NewExperiment, Tag};
use crate::error::ErrorKind;
use crate::store::Store;

/// Every check of this file.
pub const CHECKS: &[Check] = &[
    an_experiment_is_found_by_id_and_by_name,
    an_artifact_location_is_kept_or_made_below_the_root,
    what_does_not_exist_is_not_found,
    a_name_is_taken_once,
];

/// Both ways give the same, with everything it was created with.
pub fn an_experiment_is_found_by_id_and_by_name(store: &dyn Store) {
    let new = NewExperiment {
        name: fresh("Größe 'x'"),
        creation_time: 1_700_000_000_123,
        tags: vec![Tag::new("b", "2"), Tag::new("a", "1")],
        artifact_location: None,
    };
    let id = ok(store.create_experiment(&new));
    let experiment = ok(store.get_experiment(&id));
    assert_eq!(experiment.experiment_id, id);
    assert_eq!(experiment.name, new.name);
    assert_eq!(experiment.lifecycle_stage, LifecycleStage::Active);
    assert_eq!(experiment.creation_time, new.creation_time, "times come from the caller");
    assert_eq!(experiment.last_update_time, new.creation_time);
    assert_eq!(experiment.tags, [Tag::new("a", "1"), Tag::new("b", "2")], "sorted by key");
    assert_eq!(ok(store.get_experiment_by_name(&new.name)), Some(experiment));
}

/// Experiments without a location of their own do not share one.
pub fn an_artifact_location_is_kept_or_made_below_the_root(store: &dyn Store) {
    let own = NewExperiment {
        name: fresh("own"),
        artifact_location: Some("s3://bucket/place".to_owned()),
        ..NewExperiment::default()
    };
    let own = ok(store.create_experiment(&own));
    assert_eq!(ok(store.get_experiment(&own)).artifact_location, "s3://bucket/place");
    let (first, second) = (new_experiment(store), new_experiment(store));
    for id in [first, second] {
        let location = ok(store.get_experiment(&id)).artifact_location;
        assert!(location.ends_with(&format!("/{id}")), "{location}");
    }
}

/// By id it is an error, by name an answer.
pub fn what_does_not_exist_is_not_found(store: &dyn Store) {
    for id in ["987654321", "no number", ""] {
        refused(store.get_experiment(id), ErrorKind::NotFound);
    }
    assert_eq!(ok(store.get_experiment_by_name(&fresh("absent"))), None);
}

/// Creating it again is refused and changes nothing.
pub fn a_name_is_taken_once(store: &dyn Store) {
    let mut new = NewExperiment { name: fresh("taken"), creation_time: 1, ..NewExperiment::default() };
    let id = ok(store.create_experiment(&new));
    let before = ok(store.get_experiment(&id));
    new.creation_time = 2;
    new.tags = vec![Tag::new("k", "v")];
    let message = refused(store.create_experiment(&new), ErrorKind::AlreadyExists);
    assert!(message.contains(&new.name), "the message names it: {message}");
    assert_eq!(ok(store.get_experiment(&id)), before);
}
