//! The windows, steps and faults of runs on a scripted clock.

use std::collections::BTreeSet;
use std::iter::repeat_with;

use runlog_core::Error;
use runlog_core::autolog::Tier;

use super::*;
use crate::probe::Opened;
use crate::registry::{Key, Kind};
use crate::testing::{Kept, START_MS, Scene, ScriptedPace, probe, warnings};

const ON_TIME: Duration = Duration::ZERO;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn on_time(count: usize) -> Vec<Scene> {
    repeat_with(|| Scene::Due(ON_TIME)).take(count).collect()
}

fn plan(interval_ms: u64, samples: u32, first_step: i64) -> Plan {
    Plan { interval: ms(interval_ms), samples, first_step }
}

/// What a run of `script` logs with the probes that `open` makes.
fn run(
    plan: Plan,
    script: impl IntoIterator<Item = Scene>,
    open: impl FnOnce(&mut Registry) -> Vec<Box<dyn Probe>>,
) -> Kept {
    let mut registry = Registry::new(Tier::Compat);
    let arm = |probe| Armed { name: "probe".to_owned(), probe, health: Health::Well };
    let probes = open(&mut registry).into_iter().map(arm).collect();
    run_armed(plan, script, probes, &registry)
}

fn run_armed(
    plan: Plan,
    script: impl IntoIterator<Item = Scene>,
    probes: Vec<Armed>,
    registry: &Registry,
) -> Kept {
    let kept = Kept::default();
    let window = Window::new(registry, "system/", |_| None);
    Sampler::new(plan, probes, Readings::new(registry), window, Box::new(kept.clone()))
        .run(&mut ScriptedPace::new(script));
    kept
}

/// A gauge whose n-th reading is n, from 0.
fn counting(key: Key) -> Box<dyn Probe> {
    let mut reading = 0.0;
    probe(move |sink| {
        sink.put(key, reading);
        reading += 1.0;
        Ok(())
    })
}

/// A rate: nothing at first or after a gap, then the seconds since the last sample.
fn rate(key: Key) -> Box<dyn Probe> {
    let mut begun = false;
    probe(move |sink| {
        if let Some(since_last) = sink.since_last().filter(|_| begun) {
            sink.put(key, since_last.as_secs_f64());
        }
        begun = true;
        Ok(())
    })
}

fn gauge_and_rate(registry: &mut Registry) -> Vec<Box<dyn Probe>> {
    vec![
        counting(registry.key("gauge", Kind::Gauge).unwrap()),
        rate(registry.key("rate", Kind::Gauge).unwrap()),
    ]
}

#[test]
fn each_key_opens_at_the_first_step_and_then_has_one_point_a_window() {
    let kept = run(plan(1000, 3, 0), on_time(6), gauge_and_rate);
    assert_eq!(kept.of("gauge"), [(0, 0.0), (1, 2.0), (2, 5.0)]);
    assert_eq!(kept.of("rate"), [(0, 1.0), (1, 1.0), (2, 1.0)]);
    let times: Vec<_> = kept.points().iter().map(|point| point.timestamp - START_MS).collect();
    assert_eq!(times, [0, 1000, 3000, 3000, 6000, 6000], "the time of logging");
}

#[test]
fn windows_of_one_sample_do_not_log_their_rate_twice() {
    let kept = run(plan(10_000, 1, 0), on_time(3), gauge_and_rate);
    assert_eq!(kept.of("gauge"), [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]);
    assert_eq!(kept.of("rate"), [(1, 10.0), (2, 10.0), (3, 10.0)]);
}

#[test]
fn a_resumed_run_goes_on_where_its_steps_ended() {
    let kept = run(plan(1000, 2, 8), on_time(4), gauge_and_rate);
    assert_eq!(kept.of("gauge"), [(8, 0.0), (9, 1.5), (10, 3.5)]);
    assert_eq!(kept.of("rate"), [(8, 1.0), (9, 1.0), (10, 1.0)]);
    let kept = run(plan(1000, 1, i64::MAX), on_time(2), gauge_and_rate);
    assert_eq!(kept.of("gauge")[0].0, i64::MAX, "no step overflows");
}

#[test]
fn the_last_window_is_logged_however_few_samples_it_has() {
    let mut script = on_time(4);
    script.push(Scene::Stop(ms(500)));
    let kept = run(plan(1000, 3, 0), script, gauge_and_rate);
    // Readings 4 and 5 of the gauge, for 1 s and for half a second.
    let gauge = kept.of("gauge");
    assert_eq!(gauge.len(), 3);
    assert_eq!(gauge[2].0, 2);
    assert!((gauge[2].1 - (4.0 + 1.0 / 3.0)).abs() < 1e-12, "a mean over time: {}", gauge[2].1);
}

#[test]
fn a_stop_right_after_a_window_adds_no_sliver_but_half_a_second_is_a_window() {
    for (after, points) in [(0, 2), (99, 2), (100, 3), (500, 3)] {
        let mut script = on_time(3);
        script.push(Scene::Stop(ms(after)));
        assert_eq!(run(plan(1000, 3, 0), script, gauge_and_rate).of("gauge").len(), points, "{after} ms");
    }
}

#[test]
fn a_run_of_an_instant_has_a_point_of_every_key() {
    for after in [1, 20, 200, 999] {
        let kept = run(plan(1000, 10, 0), [Scene::Stop(ms(after))], gauge_and_rate);
        assert_eq!(kept.of("gauge"), [(0, 0.0), (1, 1.0)]);
        assert_eq!(kept.of("rate").len(), 1, "{after} ms");
    }
}

#[test]
fn a_gap_costs_the_rate_and_is_not_caught_up_with() {
    // The sample at 3 s comes an hour late; those at 1 s and 2 s are late by less than three intervals.
    let late = |late: u64| Scene::Due(ms(late));
    let script = [late(900), late(400), late(3_600_000), late(0), late(0)];
    let kept = run(plan(1000, 1, 0), script, gauge_and_rate);
    assert_eq!(kept.of("rate"), [(1, 1.9), (2, 0.5), (4, 1.0), (5, 1.0)]);
    let times: Vec<_> = kept.points().iter().map(|point| point.timestamp - START_MS).collect();
    assert_eq!(times[times.len() - 3..], [3_603_000 + 1000, 3_603_000 + 2000, 3_603_000 + 2000]);
}

#[test]
fn a_stop_after_a_gap_does_not_average_over_it() {
    let script = on_time(3).into_iter().chain([Scene::Stop(ms(3_600_000))]);
    let kept = run(plan(1000, 2, 0), script, gauge_and_rate);
    assert_eq!(kept.of("rate"), [(0, 1.0), (1, 1.0), (2, 1.0)]);
    assert_eq!(kept.of("gauge")[2], (2, 3.5), "the hole weighs no more than an interval");
}

#[test]
fn timestamps_never_fall_when_the_clock_is_set_back() {
    let script = [Scene::Due(ON_TIME), Scene::SetClock(-5000), Scene::Due(ON_TIME), Scene::SetClock(9000)];
    let kept = run(plan(1000, 1, 0), script.into_iter().chain(on_time(1)), gauge_and_rate);
    let times: Vec<_> = kept.points().iter().map(|point| point.timestamp - START_MS).collect();
    assert_eq!(times, [0, 1000, 1000, 1000, 1000, 9000, 9000]);
}

#[test]
fn a_probe_that_panics_ends_alone_with_one_warning() {
    let mut kept = Kept::default();
    let heard = warnings(|| {
        kept = run(plan(1000, 1, 0), on_time(4), |registry| {
            let (broken, key) = (registry.key("broken", Kind::Gauge).unwrap(), Kind::Gauge);
            let mut readings = 0;
            let panics = probe(move |sink| {
                readings += 1;
                assert!(readings < 3, "a probe's own fault");
                sink.put(broken, 1.0);
                Ok(())
            });
            vec![panics, counting(registry.key("gauge", key).unwrap())]
        });
    });
    assert_eq!(heard, 1);
    assert_eq!(kept.of("broken"), [(0, 1.0), (1, 1.0)]);
    assert_eq!(kept.of("gauge").len(), 5, "the others go on");
}

#[test]
fn a_probe_that_fails_is_asked_again_and_warned_of_once() {
    let mut kept = Kept::default();
    let heard = warnings(|| {
        kept = run(plan(1000, 1, 0), on_time(6), |registry| {
            let key = registry.key("k", Kind::Gauge).unwrap();
            let mut reading = 0.0;
            vec![probe(move |sink| {
                reading += 1.0;
                if reading % 2.0 == 0.0 {
                    return Err(ProbeError::Failed(Error::invalid("not now")));
                }
                sink.put(key, reading);
                Ok(())
            })]
        });
    });
    assert_eq!(heard, 1);
    assert_eq!(kept.of("k"), [(0, 1.0), (2, 3.0), (4, 5.0), (6, 7.0)], "a hole, and no 0");
}

#[test]
fn what_is_absent_is_silent_and_what_cannot_be_opened_is_told() {
    fn absent(_: &Machine, _: &mut Registry) -> Opened {
        Err(ProbeError::Absent("no such hardware".into()))
    }
    fn fails(_: &Machine, _: &mut Registry) -> Opened {
        Err(ProbeError::Failed(Error::invalid("no")))
    }
    fn panics(_: &Machine, _: &mut Registry) -> Opened {
        panic!("a driver's own fault")
    }
    #[expect(clippy::unnecessary_wraps, reason = "the signature of every driver")]
    fn works(_: &Machine, registry: &mut Registry) -> Opened {
        Ok(counting(registry.key("gauge", Kind::Gauge).unwrap()))
    }
    let faulty: [(fn(&Machine, &mut Registry) -> Opened, u64); 3] = [(absent, 0), (fails, 1), (panics, 1)];
    for (open, expected) in faulty {
        let drivers = [Driver::built_in("faulty", open), Driver::built_in("works", works)];
        let mut probes = Vec::new();
        let mut registry = Registry::new(Tier::Compat);
        let heard = warnings(|| probes = open_probes(&drivers, &Machine::default(), &mut registry));
        assert_eq!((heard, probes.len()), (expected, 1));
    }
}

#[test]
fn steps_rise_by_one_and_no_key_has_two_points_at_one() {
    for (samples, ticks, stop_ms) in [(1, 7, 300), (3, 7, 300), (10, 25, 0), (4, 0, 30), (2, 1, 0)] {
        let script = on_time(ticks).into_iter().chain([Scene::Stop(ms(stop_ms))]);
        let points = run(plan(1000, samples, 5), script, gauge_and_rate).points();
        let distinct: BTreeSet<_> = points.iter().map(|point| (&point.key, point.step)).collect();
        assert_eq!(distinct.len(), points.len(), "{samples} samples");
        let steps: BTreeSet<_> = points.iter().map(|point| point.step).collect();
        assert!(steps.iter().copied().eq(5..5 + i64::try_from(steps.len()).unwrap()), "{steps:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_fifth_of_a_second_on_a_fixture_tree_has_all_eight_keys() {
    use std::fs;

    use crate::probe::PROBES;

    let dir = tempfile::tempdir().unwrap();
    let proc = dir.path().join("proc");
    fs::create_dir_all(proc.join("self/net")).unwrap();
    let write = |file: &str, text: &str| fs::write(proc.join(file), text).unwrap();
    write("stat", "cpu 100 0 0 100\n");
    write("meminfo", "MemTotal: 4000 kB\nMemFree: 1 kB\nMemAvailable: 1000 kB\n");
    write("self/net/dev", "h\n|\n lo: 1000000 0 0 0 0 0 0 0 1000000 0 0 0 0 0 0 0\n");
    let machine = Machine { proc: proc.clone(), disk: dir.path().to_owned(), ..Machine::default() };
    let work = Scene::Do(Box::new(move || {
        fs::write(proc.join("stat"), "cpu 115 0 0 105\n").unwrap();
        let dev = "h\n|\n lo: 3000000 0 0 0 0 0 0 0 1500000 0 0 0 0 0 0 0\n";
        fs::write(proc.join("self/net/dev"), dev).unwrap();
    }));
    let mut registry = Registry::new(Tier::Compat);
    let probes = open_probes(PROBES, &machine, &mut registry);
    let kept = run_armed(plan(1000, 10, 0), [work, Scene::Stop(ms(200))], probes, &registry);
    let keys: BTreeSet<_> = kept.points().into_iter().map(|point| point.key).collect();
    let expected = [
        "system/cpu_utilization_percentage",
        "system/disk_available_megabytes",
        "system/disk_usage_megabytes",
        "system/disk_usage_percentage",
        "system/network_receive_megabytes",
        "system/network_transmit_megabytes",
        "system/system_memory_usage_megabytes",
        "system/system_memory_usage_percentage",
    ];
    assert!(keys.iter().map(String::as_str).eq(expected), "{keys:?}");
    assert_eq!(kept.of("cpu_utilization_percentage"), [(1, 75.0)]);
    assert_eq!(kept.of("network_receive_megabytes"), [(0, 0.0), (1, 2.0)]);
    assert_eq!(kept.of("system_memory_usage_percentage"), [(0, 75.0), (1, 75.0)]);
}
