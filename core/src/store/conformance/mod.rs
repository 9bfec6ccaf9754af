//! What every [`Store`] must do, as checks that any implementation can run on itself.
//!
//! Each sentence of the contract has a check of its own name. They make their own experiments under random names, so a
//! store that holds something already, such as a server's, can be checked too.
//!
//! ```
//! use runlog_core::store::{MemoryStore, conformance};
//! use std::sync::Arc;
//!
//! conformance::check(&|| Arc::new(MemoryStore::new()));
//! ```

#![expect(
    clippy::missing_panics_doc,
    reason = "every check panics where the store is wrong; that is what it is for"
)]

pub mod experiments;
pub mod filters;
pub mod lifecycle;
pub mod links;
pub mod metrics;
pub mod models;
pub mod orders;
pub mod runs;
pub mod search;

use std::fmt::Debug;
use std::sync::Arc;

use super::faulty::Faulty;
use super::{Batch, Store};
use crate::entity::{Metric, NewExperiment, NewLoggedModel, NewRun, Param, Run, Tag};
use crate::error::{ErrorKind, Result};
use crate::id;

/// Runs every check, each on a store from `open`, and once more through a [`Faulty`] that changes nothing, so that tests
/// of faults stand on the same contract.
///
/// # Panics
/// At the first check that fails, in the function that is named after what does not hold.
pub fn check(open: &dyn Fn() -> Arc<dyn Store>) {
    let checks = [
        experiments::CHECKS,
        lifecycle::CHECKS,
        runs::CHECKS,
        metrics::CHECKS,
        links::CHECKS,
        models::CHECKS,
        search::CHECKS,
        filters::CHECKS,
        orders::CHECKS,
    ];
    for check in checks.concat() {
        check(&*open());
        check(&Faulty::inert(open()));
    }
}

/// One check.
pub type Check = fn(&dyn Store);

#[track_caller]
#[expect(clippy::panic, reason = "a check fails by panicking, as tests do")]
fn ok<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error:#}"),
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "a check fails by panicking, as tests do")]
fn refused<T: Debug>(result: Result<T>, kind: ErrorKind) -> String {
    match result {
        Ok(value) => panic!("accepted, though it is {kind}: {value:?}"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{error:#}");
            assert!(!error.is_temporary(), "it will never work, but is said to be temporary: {error}");
            error.to_string()
        }
    }
}

/// A name that nothing has yet.
fn fresh(what: &str) -> String {
    format!("{what} {}", id::hex32())
}

#[track_caller]
fn new_experiment(store: &dyn Store) -> String {
    ok(store.create_experiment(&NewExperiment { name: fresh("checked"), ..NewExperiment::default() }))
}

#[track_caller]
fn new_run(store: &dyn Store) -> String {
    let experiment_id = new_experiment(store);
    run_in(store, &experiment_id, 1).info.run_id
}

#[track_caller]
fn run_in(store: &dyn Store, experiment_id: &str, start_time: i64) -> Run {
    ok(store.create_run(&NewRun {
        experiment_id: experiment_id.to_owned(),
        run_name: "brave-otter-317".to_owned(),
        user_id: "someone".to_owned(),
        start_time,
        tags: vec![Tag::new("z", "last"), Tag::new("a", "first")],
    }))
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

fn of_metrics(metrics: Vec<Metric>) -> Batch {
    Batch { metrics, ..Batch::default() }
}

fn of_params(params: Vec<Param>) -> Batch {
    Batch { params, ..Batch::default() }
}

fn of_tags(tags: Vec<Tag>) -> Batch {
    Batch { tags, ..Batch::default() }
}
