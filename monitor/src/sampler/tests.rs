//! The windows, steps and faults of runs on a scripted clock.

use std::collections::BTreeSet;
use std::iter::repeat_with;

use runlog_core::autolog::{SystemMetrics, Tier, Watch};
use runlog_core::config::Config;
use runlog_core::{Error, Metric};

use super::*;
use crate::ending::{Ending, Fate};
use crate::probe::{Driver, Machine, Opened, Probe, ProbeError};
use crate::registry::{Key, Kind, Registry};
use crate::testing::{Kept, START_MS, Scene, ScriptedPace, probe, warnings};

mod sharing;
mod slow;

const ON_TIME: Duration = Duration::ZERO;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn on_time(count: usize) -> Vec<Scene> {
    repeat_with(|| Scene::Due(ON_TIME)).take(count).collect()
}

fn every(interval_ms: u64, samples: u32) -> SystemMetrics {
    SystemMetrics::new().interval(ms(interval_ms)).samples_before_logging(samples).tier(Tier::Compat)
}

fn watch(settings: SystemMetrics) -> Watch {
    Watch::new("", settings, Config::default())
}

fn from_step(first_step: i64, settings: SystemMetrics) -> Watch {
    let mut watch = watch(settings);
    let last = Metric::new("system/x", 0.0, 0, first_step - 1);
    watch.earlier.extend((first_step > 0).then_some(last));
    watch
}

/// A run to be watched, what it logs, and how it ends.
fn session(id: u64, watch: &Watch) -> (Box<Session>, Kept, Arc<Fate>) {
    let (kept, ending) = (Kept::default(), Ending::default());
    let fate = Arc::clone(ending.fate());
    (Box::new(Session::new(id, watch, Box::new(kept.clone()), ending).unwrap()), kept, fate)
}

fn fast(open: impl Fn(&mut Registry) -> Opened + Send + Sync + 'static) -> Driver {
    let mut driver = Driver::new("fast", open);
    driver.may_block = false;
    driver
}

/// What a run of `script` logs with the probes of `drivers`.
fn run(watch: &Watch, script: impl IntoIterator<Item = Scene>, drivers: &[Driver]) -> Kept {
    let inbox = Arc::new(Inbox::default());
    let host = Group::open(drivers, &Machine::default(), watch.settings.tier.unwrap_or_default());
    let (session, kept, _) = session(0, watch);
    inbox.join(session).unwrap();
    Sampler::new(host, Vec::new(), Arc::clone(&inbox), Patience::DEFAULT)
        .run(&mut ScriptedPace::new(script, inbox));
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

fn gauge_and_rate() -> Vec<Driver> {
    vec![
        fast(|registry| Ok(counting(registry.key("gauge", Kind::Gauge)?))),
        fast(|registry| Ok(rate(registry.key("rate", Kind::Rate)?))),
    ]
}

#[test]
fn each_key_opens_at_the_first_step_and_then_has_one_point_a_window() {
    let kept = run(&watch(every(1000, 3)), on_time(6), &gauge_and_rate());
    assert_eq!(kept.of("gauge"), [(0, 0.0), (1, 2.0), (2, 5.0)]);
    assert_eq!(kept.of("rate"), [(0, 1.0), (1, 1.0), (2, 1.0)]);
    let times: Vec<_> = kept.points().iter().map(|point| point.timestamp - START_MS).collect();
    assert_eq!(times, [0, 1000, 3000, 3000, 6000, 6000], "the time of logging");
}

#[test]
fn windows_of_one_sample_do_not_log_their_rate_twice() {
    let kept = run(&watch(every(10_000, 1)), on_time(3), &gauge_and_rate());
    assert_eq!(kept.of("gauge"), [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]);
    assert_eq!(kept.of("rate"), [(1, 10.0), (2, 10.0), (3, 10.0)]);
}

#[test]
fn a_resumed_run_goes_on_where_its_steps_ended() {
    let kept = run(&from_step(8, every(1000, 2)), on_time(4), &gauge_and_rate());
    assert_eq!(kept.of("gauge"), [(8, 0.0), (9, 1.5), (10, 3.5)]);
    assert_eq!(kept.of("rate"), [(8, 1.0), (9, 1.0), (10, 1.0)]);
    let kept = run(&from_step(i64::MAX, every(1000, 1)), on_time(2), &gauge_and_rate());
    assert_eq!(kept.of("gauge")[0].0, i64::MAX, "no step overflows");
}

#[test]
fn the_last_window_is_logged_however_few_samples_it_has() {
    let mut script = on_time(4);
    script.push(Scene::Stop(ms(500)));
    let kept = run(&watch(every(1000, 3)), script, &gauge_and_rate());
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
        assert_eq!(
            run(&watch(every(1000, 3)), script, &gauge_and_rate()).of("gauge").len(),
            points,
            "{after} ms"
        );
    }
}

#[test]
fn a_metric_that_never_has_a_reading_brings_no_sliver() {
    let mut drivers = gauge_and_rate();
    drivers.push(fast(|registry| {
        registry.key("lost", Kind::Peak)?;
        Ok(probe(|_| Ok(())))
    }));
    let script = on_time(3).into_iter().chain([Scene::Stop(ms(50))]);
    assert_eq!(run(&watch(every(1000, 3)), script, &drivers).of("gauge").len(), 2);
}

#[test]
fn a_run_of_an_instant_has_a_point_of_every_key() {
    for after in [1, 20, 200, 999] {
        let kept = run(&watch(every(1000, 10)), [Scene::Stop(ms(after))], &gauge_and_rate());
        assert_eq!(kept.of("gauge"), [(0, 0.0), (1, 1.0)]);
        assert_eq!(kept.of("rate").len(), 1, "{after} ms");
    }
}

#[test]
fn a_gap_costs_the_rate_and_is_not_caught_up_with() {
    // The sample at 3 s comes an hour late; those at 1 s and 2 s are late by less than three intervals.
    let late = |late: u64| Scene::Due(ms(late));
    let script = [late(900), late(400), late(3_600_000), late(0), late(0)];
    let kept = run(&watch(every(1000, 1)), script, &gauge_and_rate());
    assert_eq!(kept.of("rate"), [(1, 1.9), (2, 0.5), (4, 1.0), (5, 1.0)]);
    let times: Vec<_> = kept.points().iter().map(|point| point.timestamp - START_MS).collect();
    assert_eq!(times[times.len() - 3..], [3_603_000 + 1000, 3_603_000 + 2000, 3_603_000 + 2000]);
}

#[test]
fn a_gap_in_the_middle_of_a_sample_costs_its_rates() {
    let inbox = Arc::new(Inbox::default());
    let mut pace = ScriptedPace::new(on_time(3), Arc::clone(&inbox));
    let time = pace.time();
    let stops = fast(move |_| {
        let (time, mut readings) = (Arc::clone(&time), 0);
        Ok(probe(move |_| {
            readings += 1;
            if readings == 3 {
                *time.lock().unwrap() += ms(3_600_000);
            }
            Ok(())
        }))
    });
    let mut drivers = gauge_and_rate();
    drivers.push(stops);
    let (session, kept, _) = session(0, &watch(every(1000, 1)));
    inbox.join(session).unwrap();
    let host = Group::open(&drivers, &Machine::default(), Tier::Compat);
    Sampler::new(host, Vec::new(), inbox, Patience::DEFAULT).run(&mut pace);
    assert_eq!(kept.of("gauge").len(), 4);
    assert_eq!(kept.of("rate"), [(1, 1.0)], "that of the sample and that over the hole are left out");
}

#[test]
fn adaptive_windows_close_every_second_for_half_a_minute_and_then_every_ten() {
    let settings = SystemMetrics::new().adaptive(true).tier(Tier::Compat);
    let kept = run(&watch(settings), on_time(55), &gauge_and_rate());
    let (steps, ends): (Vec<_>, Vec<_>) = kept
        .points()
        .into_iter()
        .filter(|point| point.key == "system/gauge")
        .map(|point| (point.step, (point.timestamp - START_MS) / 1000))
        .unzip();
    assert!(ends.iter().copied().eq((0..=30).chain([40, 50, 55])), "{ends:?}");
    assert!(steps.iter().copied().eq(0..34), "{steps:?}");
}

#[test]
fn a_stop_after_a_gap_does_not_average_over_it() {
    let script = on_time(3).into_iter().chain([Scene::Stop(ms(3_600_000))]);
    let kept = run(&watch(every(1000, 2)), script, &gauge_and_rate());
    assert_eq!(kept.of("rate"), [(0, 1.0), (1, 1.0), (2, 1.0)]);
    assert_eq!(kept.of("gauge")[2], (2, 3.5), "the hole weighs no more than an interval");
}

#[test]
fn timestamps_never_fall_when_the_clock_is_set_back() {
    let script = [Scene::Due(ON_TIME), Scene::SetClock(-5000), Scene::Due(ON_TIME), Scene::SetClock(9000)];
    let kept = run(&watch(every(1000, 1)), script.into_iter().chain(on_time(1)), &gauge_and_rate());
    let times: Vec<_> = kept.points().iter().map(|point| point.timestamp - START_MS).collect();
    assert_eq!(times, [0, 1000, 1000, 1000, 1000, 9000, 9000]);
}

#[test]
fn a_probe_that_panics_ends_alone_with_one_warning() {
    let panics = |registry: &mut Registry| -> Opened {
        let key = registry.key("broken", Kind::Gauge)?;
        let mut readings = 0;
        Ok(probe(move |sink| {
            readings += 1;
            assert!(readings < 3, "a probe's own fault");
            sink.put(key, 1.0);
            Ok(())
        }))
    };
    let mut drivers = gauge_and_rate();
    drivers.insert(0, fast(panics));
    let mut kept = Kept::default();
    let heard = warnings(|| kept = run(&watch(every(1000, 1)), on_time(4), &drivers));
    assert_eq!(heard, 1);
    assert_eq!(kept.of("broken"), [(0, 1.0), (1, 1.0)]);
    assert_eq!(kept.of("gauge").len(), 5, "the others go on");
}

#[test]
fn a_probe_that_fails_is_asked_again_and_warned_of_once() {
    let every_other = |registry: &mut Registry| -> Opened {
        let key = registry.key("k", Kind::Gauge)?;
        let mut reading = 0.0;
        Ok(probe(move |sink| {
            reading += 1.0;
            if reading % 2.0 == 0.0 {
                return Err(ProbeError::Failed(Error::invalid("not now")));
            }
            sink.put(key, reading);
            Ok(())
        }))
    };
    let mut kept = Kept::default();
    let heard = warnings(|| kept = run(&watch(every(1000, 1)), on_time(6), &[fast(every_other)]));
    assert_eq!(heard, 1);
    assert_eq!(kept.of("k"), [(0, 1.0), (2, 3.0), (4, 5.0), (6, 7.0)], "a hole, and no 0");
}

#[test]
fn what_is_absent_is_silent_what_cannot_be_opened_is_told_and_the_tag_says_why() {
    type Open = fn(&mut Registry) -> Opened;
    let faulty: [(Open, u64, &str); 3] = [
        (|_| Err(ProbeError::Absent("no such hardware".into())), 0, "no such hardware"),
        (|_| Err(ProbeError::Failed(Error::invalid("no"))), 1, "no"),
        (|_| panic!("a driver's own fault"), 1, "it panicked while opening"),
    ];
    for (open, expected, reason) in faulty {
        let mut drivers = vec![fast(open)];
        drivers.extend(gauge_and_rate());
        let mut kept = Kept::default();
        let settings = every(1000, 1).tier(Tier::Standard);
        let heard = warnings(|| kept = run(&watch(settings), on_time(1), &drivers));
        assert_eq!((heard, kept.of("gauge").len()), (expected, 2));
        assert_eq!(kept.tags()["runlog.monitor"], format!("fast, fast; without fast ({reason})"));
    }
}

#[test]
fn steps_rise_by_one_and_no_key_has_two_points_at_one() {
    for (samples, ticks, stop_ms) in [(1, 7, 300), (3, 7, 300), (10, 25, 0), (4, 0, 30), (2, 1, 0)] {
        let script = on_time(ticks).into_iter().chain([Scene::Stop(ms(stop_ms))]);
        let points = run(&from_step(5, every(1000, samples)), script, &gauge_and_rate()).points();
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
    let work = Scene::After(
        ms(100),
        Box::new(move |_| {
            fs::write(proc.join("stat"), "cpu 115 0 0 105\n").unwrap();
            let dev = "h\n|\n lo: 3000000 0 0 0 0 0 0 0 1500000 0 0 0 0 0 0 0\n";
            fs::write(proc.join("self/net/dev"), dev).unwrap();
        }),
    );
    let inbox = Arc::new(Inbox::default());
    let (session, kept, _) = session(0, &watch(every(1000, 10)));
    inbox.join(session).unwrap();
    let host = Group::open(PROBES, &machine, Tier::Compat);
    Sampler::new(host, Vec::new(), Arc::clone(&inbox), Patience::DEFAULT)
        .run(&mut ScriptedPace::new([work, Scene::Stop(ms(100))], inbox));
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
