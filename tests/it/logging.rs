//! Log calls keep what they were given: times, numbers that are no numbers, and texts as Python writes them.

use std::collections::BTreeMap;

use runlog::{ErrorKind, Metric, Tracker};
use serde_json::json;

use crate::bad_input::check;
use crate::support::Place;

#[test]
fn a_point_keeps_the_time_it_was_given_and_a_negative_one_is_refused_at_once() {
    let place = Place::new();
    let tracker = place.tracker();
    let run = tracker.start_run("times").unwrap();
    run.log_metric_at("loss", 0.5, 3, 1_700_000_000_000).wait().unwrap();
    run.log_metrics_at([("loss", 0.25), ("zero", 1.0)], 4, 0).wait().unwrap();
    for logged in [
        run.log_metric_at("loss", 0.5, 5, -1),
        run.log_metrics_at([("loss", 0.5)], 5, i64::MIN),
        run.metric("loss").log_at(0.5, 5, -1),
    ] {
        assert!(logged.is_refused());
        check(logged.wait(), ErrorKind::InvalidInput, &["negative", "timestamp: -", "key: loss"]);
    }
    assert_eq!(
        tracker.metric_history(run.run_id(), "loss").unwrap(),
        [Metric::new("loss", 0.25, 0, 4), Metric::new("loss", 0.5, 1_700_000_000_000, 3)]
    );
    let lost = run.finish().unwrap_err();
    assert_eq!(lost.losses().total(), 3, "{lost}");
}

#[test]
fn a_tag_is_written_as_the_same_param_is() {
    let place = Place::new();
    let tracker = place.tracker();
    runlog::with_tracker(&tracker, || {
        let run = runlog::start_run("tags").unwrap();
        runlog::set_tag("flag", true);
        runlog::set_tag("rate", 1e-5);
        runlog::set_tag("float32", 0.1_f32);
        runlog::set_tag("nothing", None::<&str>);
        runlog::set_tag("text", "it's");
        runlog::set_tag("texts", ["a", "it's"]);
        runlog::set_tag("deep", BTreeMap::from([("key", 1)]));
        runlog::set_tags([("first", false), ("gone", true)]);
        runlog::delete_tag("gone");
        run.log_param("flag", true);
        run.log_param("float32", 0.1_f32);
        run.finish().unwrap();
    });
    let run = place.run();
    for (key, text) in [
        ("flag", "True"),
        ("rate", "1e-05"),
        ("float32", "0.1"),
        ("nothing", "None"),
        ("text", "it's"),
        ("texts", "['a', \"it's\"]"),
        ("deep.key", "1"),
        ("first", "False"),
    ] {
        assert_eq!(run.tag(key), Some(text), "{key}");
    }
    assert_eq!((run.param("flag"), run.param("float32"), run.tag("gone")), (Some("True"), Some("0.1"), None));
}

#[test]
fn one_wrong_param_among_many_is_told_and_the_others_are_kept() {
    let place = Place::new();
    let run = place.tracker().start_run("params").unwrap();
    let logged = run.log_params(&json!({"lr": 0.1, "by_name": {"bad*": 2, "good": 1}, "epochs": 3}));
    assert!(logged.is_refused());
    check(logged.wait(), ErrorKind::InvalidInput, &["'*'", "by_name.bad*"]);
    check(run.finish(), ErrorKind::Lost, &["1 record(s)"]);
    let run = place.run();
    assert_eq!(
        (run.param("lr"), run.param("by_name.good"), run.param("epochs")),
        (Some("0.1"), Some("1"), Some("3"))
    );
}

#[test]
fn synchronous_logging_returns_when_the_record_is_stored() {
    let place = Place::new();
    let config = place.config(&[("MLFLOW_ENABLE_ASYNC_LOGGING", "false")]);
    let tracker = Tracker::with_config(Some("sqlite:///mlflow.db"), config).unwrap();
    let run = tracker.start_run("synchronous").unwrap();
    run.log_metric_at("loss", 0.5, 1, 5);
    run.log_params(&BTreeMap::from([("a", 1), ("b", 2)]));
    run.set_tag("k", "v");
    let stored = place.run();
    assert_eq!(
        (stored.metric("loss"), stored.param("b"), stored.tag("k")),
        (Some(0.5), Some("2"), Some("v"))
    );
    run.finish().unwrap();
}
