//! System metrics through the whole program: runs that are resumed, nested, and wrongly asked for.

use runlog::{RunOptions, SystemMetrics, Tier, Tracker};

use crate::support::Place;

const RECEIVED: &str = "system/network_receive_megabytes";
const SPACE: &str = "system/disk_usage_percentage";

fn sampled(tier: Tier) -> RunOptions {
    RunOptions::new().log_system_metrics(SystemMetrics::new().tier(tier))
}

/// The steps and values of a metric.
fn points(tracker: &Tracker, run_id: &str, key: &str) -> Vec<(i64, f64)> {
    let history = tracker.metric_history(run_id, key).unwrap();
    history.into_iter().map(|metric| (metric.step, metric.value)).collect()
}

#[test]
fn a_resumed_run_goes_on_with_its_steps_and_totals() {
    let place = Place::new();
    let tracker = place.tracker();
    let run = tracker.start_run(sampled(Tier::Compat)).unwrap();
    let run_id = run.run_id().to_owned();
    // As if another monitor had been here: the total goes on from its latest value, the steps from the last of all.
    run.log_metric(RECEIVED, 5000.0, 7);
    run.log_metric("system/node_3/other", 1.0, 11);
    run.finish().unwrap();

    tracker.start_run(sampled(Tier::Compat).run_id(&run_id)).unwrap().finish().unwrap();
    let resumed: Vec<_> =
        points(&tracker, &run_id, RECEIVED).into_iter().filter(|(step, _)| *step > 11).collect();
    assert_eq!(resumed[0].0, 12);
    assert!(resumed.iter().all(|(_, total)| (5000.0 - 1e-6..6000.0).contains(total)), "{resumed:?}");
    let space: Vec<_> = points(&tracker, &run_id, SPACE).into_iter().map(|(step, _)| step).collect();
    assert!(space[0] == 0 && space.contains(&12), "{space:?}");
}

#[test]
fn nested_runs_have_points_of_their_own() {
    let place = Place::new();
    let tracker = place.tracker();
    let outer = tracker.start_run(sampled(Tier::Compat)).unwrap();
    let inner = tracker.start_run(sampled(Tier::Compat).nested(true)).unwrap();
    let silent = tracker.start_run(RunOptions::new().nested(true)).unwrap();
    let ids = [&outer, &inner, &silent].map(|run| run.run_id().to_owned());
    for run in [silent, inner, outer] {
        run.finish().unwrap();
    }
    let first = |id: &String| points(&tracker, id, SPACE).first().map(|(step, _)| *step);
    assert_eq!(ids.each_ref().map(first), [Some(0), Some(0), None], "a run that did not ask has none");
}

#[test]
fn what_is_there_to_read_is_a_tag_but_not_in_the_tier_of_mlflows() {
    for (tier, told) in [(Tier::Compat, false), (Tier::Standard, true)] {
        let place = Place::new();
        let tracker = place.tracker();
        let run = tracker.start_run(sampled(tier)).unwrap();
        let run_id = run.run_id().to_owned();
        run.finish().unwrap();
        let run = tracker.get_run(&run_id).unwrap();
        let ours: Vec<_> = run.data.tags.iter().filter(|tag| tag.key.starts_with("runlog.monitor")).collect();
        assert_eq!(ours.len(), usize::from(told), "{ours:?}");
        assert!(ours.iter().all(|tag| tag.value.contains("memory")), "{ours:?}");
    }
}

#[test]
fn settings_that_mean_nothing_cost_the_system_metrics_and_not_the_run() {
    let place = Place::new();
    let tracker = place.tracker();
    for wrong in [
        SystemMetrics::new().node_id("node*1"),
        SystemMetrics::new().samples_before_logging(0),
        SystemMetrics::new().interval(std::time::Duration::ZERO),
    ] {
        let run = tracker.start_run(RunOptions::new().log_system_metrics(wrong)).unwrap();
        let run_id = run.run_id().to_owned();
        run.log_metric("loss", 0.5, 1);
        run.finish().unwrap();
        let run = tracker.get_run(&run_id).unwrap();
        let keys: Vec<_> = run.data.metrics.iter().map(|metric| metric.key.as_str()).collect();
        assert_eq!(keys, ["loss"]);
    }
}
