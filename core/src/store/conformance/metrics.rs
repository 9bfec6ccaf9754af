//! Checks of metrics: which points are kept, and which one is the latest.

use std::thread;

use super::{Check, new_run, of_metrics, ok};
use crate::entity::{Metric, Param, Tag};
use crate::store::{Batch, Store};

/// Every check of this file.
pub const CHECKS: &[Check] = &[
    the_latest_point_is_the_greatest_in_whatever_order_points_arrive,
    the_history_has_every_point_sorted,
    a_point_is_stored_once,
    another_value_at_the_same_step_is_another_point,
    nan_and_infinities_are_kept,
    extreme_numbers_are_kept,
    a_metric_that_was_never_logged_has_no_points,
    as_much_as_the_limits_say_fits_in_one_batch,
    threads_may_write_at_once,
];

fn points(of: &[(f64, i64, i64)]) -> Vec<Metric> {
    of.iter().map(|(value, timestamp, step)| Metric::new("loss", *value, *timestamp, *step)).collect()
}

/// By step, then time, then value; within one batch and from batch to batch.
pub fn the_latest_point_is_the_greatest_in_whatever_order_points_arrive(store: &dyn Store) {
    let id = new_run(store);
    // Each batch, and what is the latest after it, as (value, timestamp, step).
    for (batch, latest) in [
        (points(&[(3.0, 30, 3), (9.0, 90, 1), (2.0, 20, 2)]), (3.0, 30, 3)),
        (points(&[(8.0, 80, 2)]), (3.0, 30, 3)),
        (points(&[(4.0, 31, 3)]), (4.0, 31, 3)),
        (points(&[(7.0, 30, 3)]), (4.0, 31, 3)),
        (points(&[(4.5, 31, 3), (4.25, 31, 3)]), (4.5, 31, 3)),
        (points(&[(1.0, 1, 4)]), (1.0, 1, 4)),
        (points(&[(5.0, 99, -1)]), (1.0, 1, 4)),
    ] {
        ok(store.log_batch(&id, &of_metrics(batch)));
        assert_eq!(ok(store.get_run(&id)).data.metrics, points(&[latest]));
    }
}

/// By time, then step, then value.
pub fn the_history_has_every_point_sorted(store: &dyn Store) {
    let id = new_run(store);
    let mut batch = points(&[(1.0, 20, 2), (2.0, 10, 3), (5.0, 20, 1), (4.0, 20, 1)]);
    batch.push(Metric::new("other", 7.0, 15, 1));
    ok(store.log_batch(&id, &of_metrics(batch)));
    ok(store.log_batch(&id, &of_metrics(points(&[(6.0, 5, 9)]))));
    let expect = points(&[(6.0, 5, 9), (2.0, 10, 3), (4.0, 20, 1), (5.0, 20, 1), (1.0, 20, 2)]);
    assert_eq!(ok(store.metric_history(&id, "loss")), expect);
    assert_eq!(ok(store.metric_history(&id, "other")), [Metric::new("other", 7.0, 15, 1)]);
}

/// A batch that is sent again, whole or in part, changes nothing.
pub fn a_point_is_stored_once(store: &dyn Store) {
    let id = new_run(store);
    let batch = points(&[(1.0, 10, 1), (2.0, 20, 2), (f64::NAN, 30, 3), (1.0, 10, 1)]);
    ok(store.log_batch(&id, &of_metrics(batch.clone())));
    let run = ok(store.get_run(&id));
    ok(store.log_batch(&id, &of_metrics(batch.clone())));
    ok(store.log_batch(&id, &of_metrics(batch[1..].to_vec())));
    assert_eq!(ok(store.metric_history(&id, "loss")).len(), 3);
    // By text, since NaN is not equal to itself.
    assert_eq!(format!("{:?}", ok(store.get_run(&id))), format!("{run:?}"));
}

/// Two ranks may log the same step.
pub fn another_value_at_the_same_step_is_another_point(store: &dyn Store) {
    let id = new_run(store);
    ok(store.log_batch(&id, &of_metrics(points(&[(1.0, 10, 1)]))));
    ok(store.log_batch(&id, &of_metrics(points(&[(2.0, 10, 1), (1.0, 11, 1)]))));
    assert_eq!(ok(store.metric_history(&id, "loss")), points(&[(1.0, 10, 1), (2.0, 10, 1), (1.0, 11, 1)]));
}

/// SQL stores have no infinity; the largest number stands for it.
pub fn nan_and_infinities_are_kept(store: &dyn Store) {
    let id = new_run(store);
    let batch = [("nan", f64::NAN), ("up", f64::INFINITY), ("down", f64::NEG_INFINITY)]
        .map(|(key, value)| Metric::new(key, value, 1, 1));
    ok(store.log_batch(&id, &of_metrics(batch.to_vec())));
    let run = ok(store.get_run(&id));
    for (key, is_kept) in [
        ("nan", f64::is_nan as fn(f64) -> bool),
        ("up", |value| value >= f64::MAX),
        ("down", |value| value <= f64::MIN),
    ] {
        let history = ok(store.metric_history(&id, key));
        assert_eq!(history.len(), 1, "{key}");
        assert!(run.metric(key).is_some_and(is_kept) && is_kept(history[0].value), "{key}: {run:?}");
    }
}

/// Values to the last bit, and steps of any size and sign.
pub fn extreme_numbers_are_kept(store: &dyn Store) {
    let id = new_run(store);
    let values = [0.1 + 0.2, 1e-308, 5e-324, -1.5e300, f64::MAX, 1.0 / 3.0, 9_007_199_254_740_993.0];
    let steps = [0, -1, i64::from(i32::MAX) + 1, i64::from(i32::MIN) - 1, 1, 2, 3];
    for (value, step) in values.into_iter().zip(steps) {
        let point = Metric::new(format!("step {step}"), value, 4_102_444_800_000, step);
        ok(store.log_batch(&id, &of_metrics(vec![point.clone()])));
        assert_eq!(ok(store.metric_history(&id, &point.key)), [point]);
    }
}

/// That is no error.
pub fn a_metric_that_was_never_logged_has_no_points(store: &dyn Store) {
    let id = new_run(store);
    assert_eq!(ok(store.metric_history(&id, "never")), []);
}

/// Full in all three at once.
pub fn as_much_as_the_limits_say_fits_in_one_batch(store: &dyn Store) {
    let id = new_run(store);
    let limits = store.limits();
    let batch = Batch {
        metrics: (0_i64..).map(|step| Metric::new("loss", 0.5, step, step)).take(limits.metrics).collect(),
        params: (0..limits.params).map(|n| Param::new(format!("param {n}"), "1")).collect(),
        tags: (0..limits.tags).map(|n| Tag::new(format!("tag {n}"), "1")).collect(),
    };
    ok(store.log_batch(&id, &batch));
    assert_eq!(ok(store.metric_history(&id, "loss")).len(), limits.metrics);
    let run = ok(store.get_run(&id));
    assert_eq!(run.data.params.len(), limits.params);
    assert!(run.data.tags.len() >= limits.tags);
}

/// Nothing is lost, and the latest point is right whoever was last.
pub fn threads_may_write_at_once(store: &dyn Store) {
    const THREADS: i64 = 4;
    const BATCHES: i64 = 20;
    let id = new_run(store);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let id = &id;
            scope.spawn(move || {
                for batch in 0..BATCHES {
                    let step = batch * THREADS + thread;
                    ok(store.log_batch(id, &of_metrics(points(&[(0.5, step, step)]))));
                    ok(store.get_run(id));
                }
            });
        }
    });
    let history = ok(store.metric_history(&id, "loss"));
    assert!(history.iter().map(|point| point.step).eq(0..THREADS * BATCHES), "{history:?}");
    assert_eq!(ok(store.get_run(&id)).data.metrics[0].step, THREADS * BATCHES - 1);
}
