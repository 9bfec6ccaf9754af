//! A store that takes nothing costs no more than the journal's room, and no end more than its time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{PATIENCE, Rig};
use crate::config::Config;
use crate::entity::RunStatus;
use crate::error::{Error, ErrorKind};
use crate::journal::record::{Point, Text};
use crate::journal::{Journal, Place, Shape};
use crate::store::faulty::{Call, Fault, Faulty, Gate, Method};
use crate::store::{MemoryStore, Store};
use crate::sync::lock;
use crate::tracker::Tracker;

/// Slots of a small journal, of which a hundred are kept for what is no metric.
const SLOTS: u64 = 10_000;
const QUEUED: u64 = 100_000;

fn small() -> Shape {
    Shape { slots_max: SLOTS, ..Shape::default() }
}

/// A script whose store stops at the gate when something is to be stored.
fn stops_at(gate: &Gate) -> impl Fn(&Call<'_>) -> Fault + Send + Sync + 'static {
    let gate = gate.clone();
    move |call| match call.method {
        Method::LogBatch => Fault::Waits(gate.clone()),
        _ => Fault::None,
    }
}

#[test]
fn a_full_journal_drops_the_newest_metrics_counts_each_and_keeps_room_for_the_rest() {
    let gate = Gate::new();
    let rig = Rig::with(small(), stops_at(&gate));
    rig.log(0..1);
    gate.wait_for_arrivals(1);
    let keys: Vec<u32> =
        (0..4).map(|n| rig.engine.journal.definitions().key(&format!("t{n}")).unwrap()).collect();
    let taken: Vec<i64> = std::thread::scope(|scope| {
        let (log, keys) = (|key| (0..5000).filter(|step| rig.takes(key, *step)).count(), &keys);
        let threads: Vec<_> = keys.iter().map(|key| scope.spawn(move || log(*key))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap().try_into().unwrap()).collect()
    });
    let journalled: i64 = taken.iter().sum();
    let dropped = 20_000 - u64::try_from(journalled).unwrap();
    // Threads that come to the bound together may each be let in; the panics of other tests take some room.
    assert!((9000..=9904).contains(&journalled), "{taken:?}");

    let run = rig.run;
    rig.log_text(&Text::Param { run, key: "p".to_owned(), value: "v".to_owned() });
    rig.log_text(&Text::Tag { run, key: "t".to_owned(), value: "v".to_owned() });
    rig.log_text(&Text::End { run, status: RunStatus::Finished, time: 9 });
    let health = rig.engine.health();
    assert_eq!(health.dropped_records, dropped);
    assert_eq!(health.waiting_records, u64::try_from(journalled).unwrap() + 4);
    assert_eq!(health.refused_records, 0);
    assert!(health.waiting_bytes <= health.waiting_bytes_max);

    gate.open();
    rig.engine.flush(PATIENCE).unwrap();
    for (n, taken) in taken.iter().enumerate() {
        let stored = rig.store.metric_history(&rig.run_id, &format!("t{n}")).unwrap();
        let steps: Vec<i64> = stored.iter().map(|point| point.step).collect();
        assert_eq!(steps, (0..*taken).collect::<Vec<_>>(), "the first ones");
    }
    let losses = rig.engine.losses(run);
    assert_eq!((losses.total(), losses.iter().count()), (dropped, 1));
    let run = rig.stored();
    assert_eq!((run.param("p"), run.tag("t"), run.info.status), (Some("v"), Some("v"), RunStatus::Finished));
}

#[test]
fn a_receipt_of_a_dropped_record_says_why() {
    let gate = Gate::new();
    let rig = Rig::with(small(), stops_at(&gate));
    let mut refused = (0..)
        .map(|step| rig.engine.log_metric(Point { run: rig.run, key: 0, value: 0.5, timestamp: 1, step }));
    let refused = refused.find(|logged| logged.is_refused()).unwrap();
    let error = refused.wait().unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("full"), "{error}");
    gate.open();
}

#[test]
fn a_record_that_fits_nowhere_is_counted_as_that_and_not_as_a_full_journal() {
    let rig = Rig::new(|_| Fault::None);
    // No file can be written any more.
    std::fs::remove_dir_all(rig.engine.journal.dir().unwrap()).unwrap();
    let text = Text::Tag { run: rig.run, key: "t".to_owned(), value: "x".repeat(17 << 20) };
    let error = rig.engine.log(rig.run, &text).wait().unwrap_err();
    assert!(error.to_string().contains("over 16 MiB"), "{error}");
    let losses = rig.engine.losses(rig.run);
    assert!(losses.total() == 1 && losses.iter().all(|(why, _)| why.contains("16 MiB")), "{losses}");
    assert_eq!(rig.engine.health().dropped_records, 1);
}

#[test]
fn what_is_kept_about_records_on_their_way_stays_bounded() {
    let gate = Gate::new();
    let rig = Rig::with(small(), stops_at(&gate));
    let long = "x".repeat(100_000);
    for step in 0..12_000 {
        rig.engine.log_observed(rig.run, &format!("p{step}"), "v".to_owned());
        rig.engine.refuse(rig.run, &Error::invalid(long.as_str()));
    }
    let observed = lock(&rig.engine.observed).len();
    assert!((1..=10_000).contains(&observed), "as many as are in the journal: {observed}");
    let tickets = lock(&rig.engine.tickets);
    let kept: usize = tickets.kept.iter().map(|(_, text, _)| text.len()).sum();
    assert!(tickets.kept.len() == super::super::REFUSALS_KEPT && kept < 2_000_000, "{kept}");
    drop(tickets);
    gate.open();
}

#[test]
fn nobody_waits_for_a_log_call_that_does_not_return() {
    let rig = Rig::new(|_| Fault::None);
    rig.log(0..10);
    rig.engine.journal.leave_a_hole();
    rig.log(10..20);
    rig.engine.flush(PATIENCE).unwrap();
    assert_eq!(rig.steps(), (0..20).collect::<Vec<_>>());
    rig.log(20..21);
    rig.engine.flush(PATIENCE).unwrap();
    assert_eq!(rig.steps().len(), 21);
    assert_eq!(rig.engine.health().waiting_records, 0);
}

#[test]
fn a_store_that_panics_for_a_while_loses_nothing() {
    let rig = Rig::new(|call| match call {
        Call { method: Method::LogBatch | Method::Sync, number: ..2, .. } => panic!("a bug in a store"),
        _ => Fault::None,
    });
    rig.log_all_kinds();
    rig.engine.flush(PATIENCE).unwrap();
    rig.check_all_kinds();
    let said = rig.engine.health().last_error.unwrap();
    assert!(said.message.contains("panicked"), "{said:?}");
}

#[test]
fn a_shipper_that_died_is_told_of_and_what_is_logged_goes_on_into_the_journal() {
    let rig = Rig::new(|_| Fault::None);
    rig.engine.has_a_bug.store(true, Ordering::Relaxed);
    rig.log(0..1);
    let error = rig.engine.flush(PATIENCE).unwrap_err();
    assert!(error.to_string().starts_with("1 record(s) wait in the journal"), "{error}");
    assert!(error.to_string().contains("panicked"), "{error}");
    assert!(rig.engine.health().is_store_in_trouble);
    assert!((1..100_000).all(|step| rig.takes(0, step)), "beyond a segment too");
    assert_eq!(rig.engine.health().waiting_records, 100_000);
    // As the death of the process does.
    rig.engine.close(PATIENCE);
    rig.engine.journal.unlock();
    rig.recover();
    assert_eq!(rig.steps(), (0..100_000).collect::<Vec<_>>());
}

/// A tracker over a store that stops at a gate, with the journal on disk where there is a directory.
fn tracker(gate: &Gate, dir: Option<&tempfile::TempDir>, patience: Duration) -> (Tracker, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    let faulty = Arc::new(Faulty::scripted(Arc::clone(&store) as _, stops_at(gate)));
    let place = dir.map_or(Place::Memory, |dir| Place::Directory(dir.path().to_owned()));
    let journal = Journal::open(&place, "s", Shape::default());
    (Tracker::over(faulty, journal, Config::default(), patience).unwrap(), store)
}

#[test]
fn a_run_with_a_hundred_thousand_points_in_the_queue_ends_when_all_are_stored() {
    let (gate, dir) = (Gate::new(), tempfile::tempdir().unwrap());
    let (tracker, store) = tracker(&gate, Some(&dir), PATIENCE);
    let run = tracker.start_run(()).unwrap();
    let run_id = run.run_id().to_owned();
    let loss = run.metric("loss");
    for step in 0..QUEUED {
        loss.log(0.5, step);
    }
    assert_eq!(tracker.health().waiting_records, QUEUED);
    gate.open();
    tracker.set_finish_timeout(Duration::MAX);
    run.finish().unwrap();
    assert_eq!(store.metric_history(&run_id, "loss").unwrap().len() as u64, QUEUED);
    assert_eq!(store.get_run(&run_id).unwrap().info.status, RunStatus::Finished);
}

#[test]
fn an_end_gives_a_store_that_does_not_answer_its_time_and_the_rest_stays_in_the_journal() {
    let (gate, dir) = (Gate::new(), tempfile::tempdir().unwrap());
    let (tracker, store) = tracker(&gate, Some(&dir), Duration::from_millis(1));
    let run = tracker.start_run(()).unwrap();
    let run_id = run.run_id().to_owned();
    let loss = run.metric("loss");
    for step in 0..QUEUED {
        loss.log(0.5, step);
    }
    // It is safe, and this program goes on to deliver it.
    run.finish().unwrap();
    assert_eq!(tracker.health().waiting_records, QUEUED + 1, "with the run's end");
    let engine = tracker.engine().unwrap();
    let error = engine.flush_at_end().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} record(s) wait in the journal: the store has not taken them yet", QUEUED + 1)
    );
    gate.open();
    tracker.flush().unwrap();
    assert_eq!(store.metric_history(&run_id, "loss").unwrap().len() as u64, QUEUED);
    assert_eq!(store.get_run(&run_id).unwrap().info.status, RunStatus::Finished);
}

#[test]
fn an_end_whose_rest_is_in_memory_alone_says_so() {
    let gate = Gate::new();
    let (tracker, _store) = tracker(&gate, None, Duration::from_millis(1));
    let run = tracker.start_run(()).unwrap();
    run.log_metric("loss", 0.5, 1);
    let error = run.finish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("2 record(s) wait"), "{error}");
    gate.open();
}

#[test]
fn many_ends_give_a_store_that_takes_nothing_its_time_once() {
    let (gate, dir) = (Gate::new(), tempfile::tempdir().unwrap());
    let (tracker, _store) = tracker(&gate, Some(&dir), Duration::from_millis(1));
    let engine = tracker.engine().unwrap();
    let end = || {
        let run = tracker.start_run(()).unwrap();
        run.log_metric("loss", 0.5, 1);
        run.finish().unwrap();
    };
    end();
    tracker.set_finish_timeout(Duration::from_hours(1));
    assert!(engine.patience_now() < Duration::from_secs(1));
    // Were each to wait for its hour, this would never end.
    end();
    end();
    gate.open();
    tracker.flush().unwrap();
    assert_eq!(engine.patience_now(), Duration::from_hours(1), "it takes again");
}
