//! Drivers that find something, nothing, trouble, or no end.

use std::sync::{Arc, Mutex};

use runlog_core::autolog::SystemMetrics;
use runlog_core::{Config, Error};

use super::*;
use crate::probe::Sink;
use crate::testing::probe;

fn watch() -> Watch {
    Watch::new("", SystemMetrics::new(), Config::default())
}

fn surveyed(drivers: &[Driver], patience: Duration) -> Vec<Surveyed> {
    survey_of(drivers, &Machine::default(), &watch(), patience).unwrap().probes
}

/// A driver with a gauge, which is 1 and then 2, and a rate.
fn works(name: &'static str) -> Driver {
    Driver::new(name, |registry| {
        registry.fact("queue.name", "q");
        let (length, rate) = (
            registry.key("queue_megabytes", Kind::Gauge)?,
            registry.key("queue_megabytes_per_second", Kind::Rate)?,
        );
        let mut reads = 0.0;
        Ok(probe(move |sink: &mut Sink<'_>| {
            reads += 1.0;
            sink.put(length, reads);
            sink.put_rate(rate, sink.since_last().map(|time| time.as_secs_f64() * 7.0));
            Ok(())
        }))
    })
}

#[test]
fn a_probe_is_read_twice_so_that_rates_have_a_value() {
    let [surveyed] = &surveyed(&[works("queue")], PATIENCE)[..] else { panic!() };
    assert_eq!((&*surveyed.name, &surveyed.state), ("queue", &ProbeState::Works));
    let [length, rate] = &surveyed.metrics[..] else { panic!("{surveyed:?}") };
    assert_eq!((length.value, length.unit, length.kind), (Some(2.0), Some("MB"), Kind::Gauge));
    assert!(rate.value.is_some_and(|value| (value - 7.0).abs() < 1e-9), "{rate:?}");
    assert_eq!((rate.unit, rate.what), (Some("MB/s"), None));
    assert_eq!(surveyed.facts, [("queue.name".to_owned(), "q".to_owned())]);
}

#[test]
fn a_probe_that_has_nothing_says_why() {
    let absent = Driver::new("absent", |_| Err(ProbeError::Absent("no such card".into())));
    let broken = Driver::new("broken", |_| Err(Error::invalid("no permission").into()));
    let fails = Driver::new("fails", |registry| {
        registry.key("k", Kind::Gauge)?;
        Ok(probe(|_| Err(Error::invalid("it is garbage").into())))
    });
    let panics = Driver::new("panics", |_| panic!("while it opens"));
    let surveyed = surveyed(&[absent, broken, fails, panics, works("works")], PATIENCE);
    let states: Vec<_> = surveyed.iter().map(|surveyed| surveyed.state.clone()).collect();
    let failed = |why: &str| ProbeState::Failed(why.to_owned());
    let expected = [
        ProbeState::Absent("no such card".to_owned()),
        failed("no permission"),
        failed("it is garbage"),
        failed("it panicked"),
        ProbeState::Works,
    ];
    assert_eq!(states, expected);
    assert!(surveyed[2].metrics[0].value.is_none(), "what it registered is told without a value");
}

#[test]
fn a_driver_that_hangs_keeps_no_other_from_its_answer() {
    let (go_on, wait) = sync_channel::<()>(0);
    let wait = Arc::new(Mutex::new(wait));
    let hangs = Driver::new("hangs", move |_| {
        wait.lock().unwrap().recv().ok();
        Err(ProbeError::Absent("it came back".into()))
    });
    let states = surveyed(&[hangs, works("works")], Duration::from_secs(3));
    assert_eq!([&states[0].state, &states[1].state], [&ProbeState::Hangs, &ProbeState::Works]);
    drop(go_on);
}

#[test]
fn the_plan_is_the_one_that_a_run_would_have() {
    let mut watch = watch();
    watch.settings = watch.settings.interval(Duration::from_secs(3)).tier(Tier::Full);
    let of = |watch: &Watch| survey_of(&[], &Machine::default(), watch, PATIENCE);
    let survey = of(&watch).unwrap();
    assert_eq!((survey.interval, survey.samples_before_logging), (Duration::from_secs(3), 1));
    assert_eq!((survey.tier, survey.node_id, survey.left_to_another), (Tier::Full, None, None));
    watch.config.launch.local_rank = Some(2);
    assert!(of(&watch).unwrap().left_to_another.is_some_and(|why| why.contains("local rank 2")));
    watch.settings.interval = Some(Duration::ZERO);
    of(&watch).unwrap_err();
}

#[test]
fn a_node_id_with_which_no_run_is_sampled_is_told() {
    let mut watch = watch();
    watch.settings.node_id = Some("a?*b".to_owned());
    let of = |watch: &Watch| survey_of(&[], &Machine::default(), watch, PATIENCE);
    let told = of(&watch).unwrap_err().to_string();
    assert!(told.contains("a?*b"), "{told}");
    watch.config.launch.local_rank = Some(2);
    of(&watch).expect("a process that leaves the machine to another one needs no node id");
}

#[test]
fn this_machine_has_something_to_read() {
    let survey = survey(&watch()).unwrap();
    let works = survey.probes.iter().filter(|probe| probe.state == ProbeState::Works);
    let metrics: Vec<_> = works.flat_map(|probe| &probe.metrics).collect();
    let memory = metrics.iter().find(|metric| metric.name == "system_memory_usage_megabytes").unwrap();
    assert!(memory.value.is_some_and(|value| value > 0.0) && memory.what.is_some(), "{memory:?}");
}

#[test]
fn a_unit_is_what_a_name_ends_with() {
    for (name, expected) in [
        ("network_receive_megabytes_per_second", Some("MB/s")),
        ("disk_read_operations_per_second", Some("1/s")),
        ("gpu_0_power_usage_watts", Some("W")),
        ("cpu_utilization_percentage", Some("%")),
        ("process_threads", None),
        ("watts", None),
    ] {
        assert_eq!(unit(name), expected, "{name}");
    }
}
