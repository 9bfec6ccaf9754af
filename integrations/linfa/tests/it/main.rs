//! Autologging of linfa, trained for real: what each kind of estimator leaves behind, and that nothing else changes.
//!
//! Autologging is on for the whole process; each test has a tracker of its own. What is about autologging being off
//! runs in a process of its own.

#![expect(clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a child process answers its parent")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod algorithms;
mod drop_in;
mod evaluated;
mod faults;
mod loaded;
mod names;
mod observed;
mod off;
mod scikit_learn;
mod searched;
mod settings;
mod steps;
mod table;

use std::path::Path;

use runlog_core::fluent::with_tracker;
use runlog_core::{Config, Run, RunQuery, Tracker};

/// Trains inside `body` with autologging on, and returns what it returned and the runs that it left, oldest first.
fn recorded<T>(body: impl FnOnce() -> T) -> (T, Vec<Run>) {
    let (value, runs, _) = recorded_in("memory:", body);
    (value, runs)
}

fn recorded_in<T>(uri: &str, body: impl FnOnce() -> T) -> (T, Vec<Run>, Tracker) {
    runlog_linfa::autolog();
    let mut config = Config::from_map(&[].into()).unwrap();
    config.quiet = true;
    // Files go below the working directory, wherever the database is: to the database's place, then.
    if let Some(database) = uri.strip_prefix("sqlite:///") {
        config.working_dir = Path::new(database).parent().unwrap().into();
        config.journal_dir = Some(config.working_dir.join("journal"));
    }
    let tracker = Tracker::with_config(Some(uri), config).unwrap();
    let value = with_tracker(&tracker, body);
    let mut runs = tracker.search_runs(RunQuery::new().all_experiments()).unwrap();
    runs.reverse();
    (value, runs, tracker)
}

/// The only run that `body` left.
fn one_run<T>(body: impl FnOnce() -> T) -> (T, Run) {
    let (value, mut runs) = recorded(body);
    assert_eq!(runs.len(), 1, "one fit is one run: {runs:#?}");
    (value, runs.remove(0))
}

fn metric_keys(run: &Run) -> Vec<&str> {
    let mut keys: Vec<&str> = run.data.metrics.iter().map(|metric| metric.key.as_str()).collect();
    keys.dedup();
    keys
}
