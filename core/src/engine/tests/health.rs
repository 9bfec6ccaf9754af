//! How logging does is told as it is, and as metrics where that is wanted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{PATIENCE, Rig};
use crate::engine::health::{KEYS, LOG_EVERY};
use crate::error::ErrorKind;
use crate::journal::record::Text;
use crate::store::Store;
use crate::store::faulty::{Call, Fault, Gate, Method};
use crate::sync::lock;
use crate::{Health, RunOptions, Tracker, clock};

/// A store that fails until the switch is on.
fn failing() -> (Rig, Arc<AtomicBool>) {
    let works = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&works);
    let rig = Rig::new(move |call| match call.method {
        Method::LogBatch if !seen.load(Ordering::Relaxed) => Fault::Fails(ErrorKind::Unavailable),
        _ => Fault::None,
    });
    (rig, works)
}

/// The health when nothing waits: a panic of another test is noted in every journal.
fn rested(rig: &Rig) -> Health {
    loop {
        rig.engine.flush(PATIENCE).unwrap();
        let health = rig.engine.health();
        if health.waiting_bytes == 0 {
            return health;
        }
    }
}

#[test]
fn a_store_in_trouble_is_told_with_what_waits_and_for_how_long_until_it_is_over() {
    let (rig, works) = failing();
    let param = |key: &str| Text::Param { run: rig.run, key: key.to_owned(), value: "x".repeat(1000) };
    // What is stored leaves nothing in the counts.
    works.store(true, Ordering::Relaxed);
    rig.log_text(&param("stored"));
    rested(&rig);
    works.store(false, Ordering::Relaxed);
    let before = clock::now_ms();
    rig.log(0..10);
    rig.log_text(&param("waiting"));
    rig.engine.flush(std::time::Duration::from_millis(1)).unwrap_err();
    while !rig.engine.health().is_store_in_trouble {
        std::thread::yield_now();
    }
    let health = rig.engine.health();
    assert_eq!(health.waiting_records, 11, "however many slots a record takes");
    assert!(health.waiting_bytes > 11 * 64 && health.waiting_bytes < 100 * 64);
    assert!(health.is_durable && !health.lag.is_zero());
    let said = health.last_error.unwrap();
    assert!(said.message.contains("in the script") && said.time_ms >= before, "{said:?}");
    let lag = health.lag;
    assert!(rig.engine.health().lag >= lag, "it grows");

    works.store(true, Ordering::Relaxed);
    let health = rested(&rig);
    assert_eq!((health.waiting_records, health.waiting_bytes), (0, 0));
    assert!(health.lag.is_zero() && !health.is_store_in_trouble);
    assert!(health.last_error.is_some(), "what it said last is no news, but stays");
}

#[test]
fn a_refused_record_is_told_once_by_health_and_by_losses() {
    let rig = Rig::new(|call| match call.batch {
        Some(batch) if batch.metrics.iter().any(|point| point.step == 3) => {
            Fault::Fails(ErrorKind::InvalidInput)
        }
        _ => Fault::None,
    });
    rig.log(0..10);
    rig.engine.flush(PATIENCE).unwrap();
    let health = rig.engine.health();
    assert_eq!((health.refused_records, health.dropped_records), (1, 0));
    assert_eq!(rig.engine.losses(rig.run).total(), 1);
    assert!(health.last_error.is_some() && !health.is_store_in_trouble);
}

#[test]
fn a_run_that_logs_health_has_each_metric_at_its_end_and_another_run_has_none() {
    let tracker = Tracker::open("memory:").unwrap();
    for on in [true, false] {
        let run = tracker.start_run(RunOptions::new().log_health(on)).unwrap();
        run.log_metric("loss", 0.5, 1);
        let run_id = run.run_id().to_owned();
        run.finish().unwrap();
        let stored = tracker.get_run(&run_id).unwrap();
        let mut keys: Vec<_> = stored.data.metrics.iter().map(|metric| metric.key.as_str()).collect();
        keys.retain(|key| *key != "loss");
        let mut expected = if on { KEYS.to_vec() } else { Vec::new() };
        expected.sort_unstable();
        assert_eq!(keys, expected);
        assert!(lock(&tracker.engine().unwrap().health_logs.0).is_empty(), "and nothing is left of it");
    }
}

#[test]
fn health_is_logged_when_it_is_due_though_the_store_takes_nothing_and_then_not_again() {
    let (rig, works) = failing();
    rig.log(0..1);
    rig.engine.flush(std::time::Duration::from_millis(1)).unwrap_err();
    rig.engine.log_health(rig.run, 7).unwrap();
    assert_eq!(rig.engine.health().waiting_records, 1, "not yet");
    lock(&rig.engine.health_logs.0)[0].due = clock::instant();
    while rig.engine.health().waiting_records == 1 {
        std::thread::yield_now();
    }
    assert!(lock(&rig.engine.health_logs.0)[0].due > clock::instant() + LOG_EVERY / 2);
    works.store(true, Ordering::Relaxed);
    rig.engine.flush(PATIENCE).unwrap();
    rig.engine.flush(PATIENCE).unwrap();
    let waiting = rig.store.metric_history(&rig.run_id, KEYS[0]).unwrap();
    let [point] = &waiting[..] else { panic!("{waiting:?}") };
    assert_eq!((point.step, point.value), (7, 1.0));
}

#[test]
fn a_call_that_is_not_answered_shows_in_the_lag() {
    let gate = Gate::new();
    let held = gate.clone();
    let rig = Rig::new(move |call| match call {
        Call { method: Method::LogBatch, .. } => Fault::Waits(held.clone()),
        _ => Fault::None,
    });
    rig.log(0..5);
    gate.wait_for_arrivals(1);
    let first = rig.engine.health();
    rig.log(5..9);
    while rig.engine.health().lag <= first.lag {
        std::thread::yield_now();
    }
    assert_eq!(rig.engine.health().waiting_records, 9);
    gate.open();
    assert!(rested(&rig).lag.is_zero());
}
