//! Checks of orders and pages.

use super::{Check, fresh, new_experiment, of_metrics, of_params, of_tags, ok, refused, run_in};
use crate::entity::{Dataset, DatasetInput, Metric, ModelOutput, NewExperiment, NewLoggedModel, Param, Tag};
use crate::error::ErrorKind;
use crate::store::{ExperimentQuery, ModelQuery, PageRequest, RunQuery, Store};

/// Every check of this file.
pub const CHECKS: &[Check] = &[
    what_is_missing_comes_last_both_ways_and_nan_before_it,
    params_and_tags_are_sorted_as_text,
    what_an_order_leaves_equal_comes_newest_first,
    attributes_are_sorted_by,
    a_wrong_order_is_refused,
    experiments_are_sorted,
    models_are_sorted,
    pages_go_on_where_the_last_one_ended,
    a_strange_token_is_refused,
    a_page_of_many_is_as_whole_as_one,
];

/// The numbers of the runs `ids` in the order of `orders`.
#[track_caller]
fn sorted(store: &dyn Store, experiment_id: &str, ids: &[String], orders: &[&str]) -> Vec<usize> {
    let mut query = RunQuery::new().experiment_id(experiment_id);
    query.order_by = orders.iter().map(|order| (*order).to_owned()).collect();
    let found = ok(store.search_runs(&query, &PageRequest::first(100))).items;
    found.iter().map(|run| ids.iter().position(|id| *id == run.info.run_id).unwrap_or(usize::MAX)).collect()
}

/// Runs that start one after the other.
fn some_runs(store: &dyn Store, count: i64) -> (String, Vec<String>) {
    let experiment_id = new_experiment(store);
    let ids = (0..count).map(|time| run_in(store, &experiment_id, time).info.run_id).collect();
    (experiment_id, ids)
}

/// For metrics; infinity is a number.
pub fn what_is_missing_comes_last_both_ways_and_nan_before_it(store: &dyn Store) {
    let (experiment_id, ids) = some_runs(store, 5);
    for (id, value) in ids.iter().zip([0.5, f64::NAN, -1.0, f64::INFINITY]) {
        ok(store.log_batch(id, &of_metrics(vec![Metric::new("a b", value, 1, 1)])));
    }
    let by = |order: &str| sorted(store, &experiment_id, &ids, &[order]);
    assert_eq!(by("metrics.`a b`"), [2, 0, 3, 1, 4]);
    assert_eq!(by("metrics.`a b` DESC"), [3, 0, 2, 1, 4]);
    assert_eq!(by("metric.\"a b\" asc"), [2, 0, 3, 1, 4]);
    assert_eq!(by("metrics.none DESC"), [4, 3, 2, 1, 0]);
}

/// `10` comes before `9`.
pub fn params_and_tags_are_sorted_as_text(store: &dyn Store) {
    let (experiment_id, ids) = some_runs(store, 4);
    for (id, value) in ids.iter().zip(["9", "10", "B"]) {
        ok(store.log_batch(id, &of_params(vec![Param::new("k", value)])));
        ok(store.log_batch(id, &of_tags(vec![Tag::new("k", value)])));
    }
    for name in ["params.k", "tags.k"] {
        assert_eq!(sorted(store, &experiment_id, &ids, &[name]), [1, 0, 2, 3]);
        assert_eq!(sorted(store, &experiment_id, &ids, &[&format!("{name} DESC")]), [2, 0, 1, 3]);
    }
}

/// And then by id, whatever the direction.
pub fn what_an_order_leaves_equal_comes_newest_first(store: &dyn Store) {
    let (experiment_id, ids) = some_runs(store, 3);
    for (id, value) in ids.iter().zip(["x", "y", "x"]) {
        ok(store.log_batch(id, &of_params(vec![Param::new("k", value)])));
    }
    assert_eq!(sorted(store, &experiment_id, &ids, &["params.k"]), [2, 0, 1]);
    assert_eq!(sorted(store, &experiment_id, &ids, &["params.k DESC"]), [1, 2, 0]);
    assert_eq!(sorted(store, &experiment_id, &ids, &["params.k", "start_time"]), [0, 2, 1]);

    let same = new_experiment(store);
    let mut ids = [7, 7, 7].map(|time| run_in(store, &same, time).info.run_id);
    ids.sort_unstable();
    for order in ["start_time", "start_time DESC", "metrics.none DESC", "run_id"] {
        assert_eq!(sorted(store, &same, &ids, &[order]), [0, 1, 2], "{order}");
    }
    assert_eq!(sorted(store, &same, &ids, &["run_id DESC"]), [2, 1, 0]);
}

/// Those that are not there yet come last.
pub fn attributes_are_sorted_by(store: &dyn Store) {
    let (experiment_id, ids) = some_runs(store, 3);
    for (id, name) in ids.iter().zip(["b", "a", "c"]) {
        ok(store.log_batch(id, &of_tags(vec![Tag::new("mlflow.runName", name)])));
    }
    let by = |order: &str| sorted(store, &experiment_id, &ids, &[order]);
    assert_eq!(by("run_name"), [1, 0, 2]);
    assert_eq!(by("attributes.start_time ASC"), [0, 1, 2]);
    assert_eq!(by("Created DESC"), [2, 1, 0]);
    assert_eq!(by("end_time DESC"), [2, 1, 0]);
    assert_eq!(by("status"), [2, 1, 0]);
}

/// A field that is named twice as well.
pub fn a_wrong_order_is_refused(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let one = PageRequest::first(1);
    for orders in [
        &["loss"][..],
        &["start_time DOWN"],
        &["metrics.a/b"],
        &["dataset.name"],
        &[""],
        &["status", "status"],
    ] {
        let mut query = RunQuery::new().experiment_id(&experiment_id);
        query.order_by = orders.iter().map(|order| (*order).to_owned()).collect();
        refused(store.search_runs(&query, &one), ErrorKind::InvalidInput);
    }
    refused(
        store.search_experiments(&ExperimentQuery::new().order_by("tags.a"), &one),
        ErrorKind::InvalidInput,
    );
    let query = ModelQuery::new().experiment_id(experiment_id).order_by("params.a");
    refused(store.search_logged_models(&query, &one), ErrorKind::InvalidInput);
}

/// Newest first without an order, then the smallest id; with one, ties go to the greatest id.
pub fn experiments_are_sorted(store: &dyn Store) {
    let mark = fresh("mark");
    let ids = [("b", 10), ("a", 20), ("c", 20)].map(|(name, creation_time)| {
        let new = NewExperiment { name: format!("{mark} {name}"), creation_time, ..NewExperiment::default() };
        ok(store.create_experiment(&new))
    });
    let by = |order: Option<&str>| {
        let mut query = ExperimentQuery::new().filter(format!("name LIKE '{mark}%'"));
        query.order_by.extend(order.map(str::to_owned));
        let found = ok(store.search_experiments(&query, &PageRequest::first(10))).items;
        let place = |id: &String| ids.iter().position(|known| known == id).unwrap_or(usize::MAX);
        found.iter().map(|experiment| place(&experiment.experiment_id)).collect::<Vec<_>>()
    };
    // Ids are numbers, which not every store counts up.
    let number = |place: usize| ids[place].parse::<i64>().unwrap_or_default();
    let (small, great) = if number(1) < number(2) { (1, 2) } else { (2, 1) };
    assert_eq!(by(None), [small, great, 0]);
    assert_eq!(by(Some("name")), [1, 0, 2]);
    assert_eq!(by(Some("name DESC")), [2, 0, 1]);
    assert_eq!(by(Some("creation_time ASC")), [0, great, small]);
    let mut by_id = [0, 1, 2];
    by_id.sort_by_key(|place| std::cmp::Reverse(number(*place)));
    assert_eq!(by(Some("experiment_id DESC")), by_id);
}

/// Newest first without an order; by the newest value of a metric, and what has none last.
pub fn models_are_sorted(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let run_id = run_in(store, &experiment_id, 1).info.run_id;
    let ids: Vec<String> = [("b", 10), ("a", 20), ("c", 30)]
        .map(|(name, creation_timestamp)| {
            let new = NewLoggedModel {
                experiment_id: experiment_id.clone(),
                name: name.to_owned(),
                creation_timestamp,
                ..NewLoggedModel::default()
            };
            ok(store.create_logged_model(&new)).model_id
        })
        .into();
    let point = |model: usize, value, at| Metric::new("acc", value, at, at).for_model(&ids[model]);
    ok(store.log_batch(&run_id, &of_metrics(vec![point(0, 0.1, 1), point(0, 0.8, 2), point(1, 0.5, 1)])));
    let by = |orders: &[&str]| {
        let mut query = ModelQuery::new().experiment_id(&experiment_id);
        query.order_by = orders.iter().map(|order| (*order).to_owned()).collect();
        let found = ok(store.search_logged_models(&query, &PageRequest::first(10))).items;
        let place = |id: &String| ids.iter().position(|known| known == id).unwrap_or(usize::MAX);
        found.iter().map(|model| place(&model.model_id)).collect::<Vec<_>>()
    };
    assert_eq!(by(&[]), [2, 1, 0]);
    assert_eq!(by(&["name"]), [1, 0, 2]);
    assert_eq!(by(&["metrics.acc"]), [1, 0, 2]);
    assert_eq!(by(&["metrics.acc DESC"]), [0, 1, 2]);
    assert_eq!(by(&["status", "creation_time ASC"]), [0, 1, 2]);
}

/// None is missing, none is there twice, and the last page says that it is the last.
pub fn pages_go_on_where_the_last_one_ended(store: &dyn Store) {
    let (experiment_id, ids) = some_runs(store, 7);
    let query = RunQuery::new().experiment_id(&experiment_id).filter("start_time > 0").order_by("start_time");
    for size in [1, 2, 3, 5, 6, 7] {
        let mut request = PageRequest::first(size);
        let mut found = Vec::new();
        loop {
            let page = ok(store.search_runs(&query, &request));
            assert!(page.items.len() <= size && !page.items.is_empty());
            found.extend(page.items.into_iter().map(|run| run.info.run_id));
            request.token = page.next;
            if request.token.is_none() {
                break;
            }
        }
        assert_eq!(found, ids[1..], "pages of {size}");
    }
    let nothing = ok(store.search_runs(&query, &PageRequest::first(0)));
    assert!(nothing.items.is_empty() && nothing.next.is_none());
}

/// It is not taken for the first page.
pub fn a_strange_token_is_refused(store: &dyn Store) {
    let experiment_id = new_experiment(store);
    let request = PageRequest { max_results: 1, token: Some("somewhere".to_owned()) };
    let query = RunQuery::new().experiment_id(&experiment_id);
    refused(store.search_runs(&query, &request), ErrorKind::InvalidInput);
    refused(store.search_experiments(&ExperimentQuery::new(), &request), ErrorKind::InvalidInput);
    let query = ModelQuery::new().experiment_id(experiment_id);
    refused(store.search_logged_models(&query, &request), ErrorKind::InvalidInput);
}

/// Each is what `get_run` gives, whether the page has a few of the runs there are or most of them.
pub fn a_page_of_many_is_as_whole_as_one(store: &dyn Store) {
    let (experiment_id, ids) = some_runs(store, 9);
    for (id, value) in ids.iter().zip(["a", "b", "c", "d", "e", "f", "g", "h", "i"]) {
        ok(store.log_batch(id, &of_params(vec![Param::new("z", value), Param::new("a", value)])));
        ok(store
            .log_batch(id, &of_metrics(vec![Metric::new("n", f64::MAX, 1, 1), Metric::new("m", 2.0, 1, 1)])));
        let inputs = [("wine", "2"), ("iris", "1")]
            .map(|(name, digest)| DatasetInput::new(Dataset::new(name, digest), value));
        ok(store.log_inputs(id, &inputs, &["m-2".to_owned(), "m-1".to_owned()]));
        ok(store.log_outputs(id, &[ModelOutput::new("m-4", 1), ModelOutput::new("m-3", 1)]));
    }
    let expected: Vec<_> = ids.iter().map(|id| ok(store.get_run(id))).collect();
    let query = RunQuery::new().experiment_id(&experiment_id).order_by("start_time");
    for size in [2, 9] {
        assert_eq!(ok(store.search_runs(&query, &PageRequest::first(size))).items, expected[..size]);
    }
}
