//! What was logged is kept: a record whose call returned survives SIGKILL, and reaches the store once.

use std::io::{BufRead as _, BufReader, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};

use runlog::RunStatus;

use crate::support::{Counter, Place};

/// Records that must be acknowledged before the kill.
const RECORDS: u64 = 2000;
const ROUNDS: usize = 20;
/// Rounds that go on at the same time: most of each is waiting.
const AT_ONCE: usize = 5;

#[test]
fn a_kill_loses_and_doubles_nothing() {
    rounds(|| drop(kill_while_logging(&Place::new(), false)));
}

#[test]
fn a_kill_loses_and_doubles_nothing_while_the_store_could_take_nothing() {
    rounds(|| drop(kill_while_logging(&Place::new(), true)));
}

/// A line of a file is a point, for MLflow too.
#[test]
fn a_kill_loses_and_doubles_nothing_in_a_file_store() {
    rounds(|| {
        let place = Place::of_files();
        let (run_id, stored) = kill_while_logging(&place, false);
        let file =
            std::fs::read_to_string(place.path().join(format!("mlruns/0/{run_id}/metrics/loss"))).unwrap();
        assert_eq!(i64::try_from(file.lines().count()).unwrap(), stored);
    });
}

fn rounds(round: impl Fn() + Sync) {
    let left = AtomicUsize::new(ROUNDS);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                    round();
                }
            });
        }
    });
}

/// Kills a process that logs, recovers, and returns the run and how many points it has.
fn kill_while_logging(place: &Place, locked: bool) -> (String, i64) {
    let counter = Counter::new(&place.path().join("counter"));
    let mut child = place.start(&["log-and-count", place.path().join("counter").to_str().unwrap()]);
    let mut run_id = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut run_id).unwrap();
    let run_id = run_id.trim_end();

    let lock = locked.then(|| {
        let holder = rusqlite::Connection::open(place.database()).unwrap();
        holder.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        holder
    });
    child.stdin.as_mut().unwrap().write_all(b"g").unwrap();
    while counter.get() < RECORDS {
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
    if let Some(holder) = &lock {
        let stored: i64 = holder.query_row("SELECT COUNT(*) FROM metrics", [], |row| row.get(0)).unwrap();
        assert_eq!(stored, 0, "nothing could be stored yet");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    drop(lock);
    let acknowledged = i64::try_from(counter.get()).unwrap();

    let tracker = place.recovered();
    let steps: Vec<i64> =
        tracker.metric_history(run_id, "loss").unwrap().iter().map(|point| point.step).collect();
    let stored = i64::try_from(steps.len()).unwrap();
    assert!(
        stored == acknowledged || stored == acknowledged + 1,
        "{stored} stored of {acknowledged} acknowledged, and at most one in flight"
    );
    assert_eq!(steps, (0..stored).collect::<Vec<_>>(), "each once, in order");

    let run = tracker.get_run(run_id).unwrap();
    assert_eq!(run.info.status, RunStatus::Failed);
    assert!(run.tag("runlog.ended_by").unwrap().contains("died"));
    let last = tracker.metric_history(run_id, "loss").unwrap().last().unwrap().timestamp;
    assert_eq!(run.info.end_time, Some(last), "it ended when it was last heard of");
    (run_id.to_owned(), stored)
}
