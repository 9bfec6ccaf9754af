//! Checks of searching runs.

use super::{Check, new_experiment, new_run, of_metrics, ok, run_in};
use crate::entity::{Metric, Run, ViewType};
use crate::store::{PageRequest, RunQuery, Store};

/// Every check of this file.
pub const CHECKS: &[Check] = &[
    the_newest_run_is_first,
    only_the_named_experiments_are_searched,
    no_experiment_has_no_runs,
    a_limit_keeps_the_first,
    deleted_runs_are_shown_only_on_request,
    a_found_run_is_whole,
];

fn first(store: &dyn Store, query: &RunQuery, count: usize) -> Vec<Run> {
    ok(store.search_runs(query, &PageRequest::first(count))).items
}

fn ids(store: &dyn Store, query: &RunQuery) -> Vec<String> {
    first(store, query, 1000).into_iter().map(|run| run.info.run_id).collect()
}

/// Runs that started in the same millisecond are in the order of their ids.
pub fn the_newest_run_is_first(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let [old, new, middle] = [10, 30, 20].map(|time| run_in(store, &experiment_id, time).info.run_id);
    let mut same = [5, 5, 5].map(|time| run_in(store, &experiment_id, time).info.run_id);
    same.sort_unstable();
    let [a, b, c] = same;
    assert_eq!(ids(store, &RunQuery::new().experiment_id(experiment_id)), [new, middle, old, a, b, c]);
}

/// An experiment that does not exist has no runs.
pub fn only_the_named_experiments_are_searched(store: &dyn Store) {
    let [first, second, third] = [(); 3].map(|()| new_experiment(store));
    let [a, b, _] = [&first, &second, &third].map(|id| run_in(store, id, 1).info.run_id);
    let query = RunQuery::new().experiment_id(&first).experiment_id(&second).experiment_id(&first);
    let mut both = [a, b];
    both.sort_unstable();
    assert_eq!(ids(store, &query), both);
    assert_eq!(ids(store, &RunQuery::new().experiment_id("987654321")), [""; 0]);
    assert_eq!(ids(store, &RunQuery::new().experiment_id("no number")), [""; 0]);
}

/// A query that names none is not one for all.
pub fn no_experiment_has_no_runs(store: &dyn Store) {
    new_run(store);
    assert_eq!(ids(store, &RunQuery::new()), [""; 0]);
}

/// Zero is a limit too.
pub fn a_limit_keeps_the_first(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let [_, new] = [10, 30].map(|time| run_in(store, &experiment_id, time).info.run_id);
    let query = RunQuery::new().experiment_id(experiment_id);
    let counts = [0, 1, 2].map(|count| first(store, &query, count).len());
    assert_eq!(counts, [0, 1, 2]);
    assert_eq!(first(store, &query, 1)[0].info.run_id, new);
}

/// No run here is deleted.
pub fn deleted_runs_are_shown_only_on_request(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    run_in(store, &experiment_id, 1);
    for (view, count) in [(ViewType::ActiveOnly, 1), (ViewType::DeletedOnly, 0), (ViewType::All, 1)] {
        let query = RunQuery::new().experiment_id(&experiment_id).run_view_type(view);
        assert_eq!(ids(store, &query).len(), count, "{view:?}");
    }
}

/// It is what `get_run` gives.
pub fn a_found_run_is_whole(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let run_id = run_in(store, &experiment_id, 1).info.run_id;
    ok(store.log_batch(&run_id, &of_metrics(vec![Metric::new("loss", 0.5, 1, 1)])));
    let found = first(store, &RunQuery::new().experiment_id(experiment_id), 10);
    assert_eq!(found, [ok(store.get_run(&run_id))]);
}
