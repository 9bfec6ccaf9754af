//! What was logged is kept: a record whose call returned survives SIGKILL, and reaches the store once.

#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod forked;
mod program;
mod recovering;
mod victim;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fastrand::Rng;

use crate::support::Place;
use victim::{Logged, Victim};

/// Rounds that go on at the same time: most of each is waiting.
const AT_ONCE: usize = 5;
/// A journal of four segments is bounded, so that a program which logs for long goes through them again and again.
const SMALL: (&str, &str) = ("RUNLOG_JOURNAL_MAX_MIB", "16");
const UNMAPPED: (&str, &str) = ("RUNLOG_JOURNAL_MMAP", "false");

#[test]
fn a_kill_at_any_moment_loses_and_doubles_nothing() {
    rounds(60, |rng| kill_while_logging(&Place::new(), rng, &[SMALL]));
}

/// A line of a file is a point, for MLflow too.
#[test]
fn a_kill_at_any_moment_loses_and_doubles_nothing_in_a_file_store() {
    rounds(40, |rng| kill_while_logging(&Place::of_files(), rng, &[SMALL]));
}

#[test]
fn a_kill_loses_and_doubles_nothing_where_the_journal_is_not_mapped() {
    rounds(20, |rng| {
        let place = if rng.bool() { Place::new() } else { Place::of_files() };
        kill_while_logging(&place, rng, &[SMALL, UNMAPPED]);
    });
}

#[test]
fn a_kill_of_several_processes_in_one_directory_loses_and_doubles_nothing() {
    rounds(5, |rng| {
        let place = if rng.bool() { Place::new() } else { Place::of_files() };
        let mut victims: Vec<Victim> = (0..3)
            .map(|_| {
                let mix = if rng.bool() { "points" } else { "texts" };
                Victim::start(&place, mix, 0, &[SMALL], &[])
            })
            .collect();
        for victim in &mut victims {
            victim.go();
        }
        let mut all = Vec::new();
        for mut victim in victims {
            victim.wait_for(rng.u64(1..10_000));
            all.push(victim.kill());
        }
        let tracker = place.recovered();
        for logged in all {
            let run = tracker.get_run(&logged.run_id).unwrap();
            logged.check_records(&place, &run);
            Logged::check_end(&run);
        }
    });
}

/// Plays rounds, each with a seed of its own; the seeds of those that fail are told.
fn rounds(count: usize, round: impl Fn(&mut Rng) + Sync) {
    let (left, failed) = (AtomicUsize::new(count), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                    let seed = fastrand::u64(..);
                    let outcome = catch_unwind(AssertUnwindSafe(|| round(&mut Rng::with_seed(seed))));
                    if outcome.is_err() {
                        failed.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "rounds with these seeds failed, each is told above: {failed:?}");
}

/// Kills a program at a random moment, somewhere from its first record to long after the first of them are stored.
fn kill_while_logging(place: &Place, rng: &mut Rng, vars: &[(&str, &str)]) {
    // As many rounds among few records as among many; seldom at the pace of a training.
    let most = 2 << rng.u32(0..17);
    let (pause_us, records) = if rng.u8(..8) == 0 { (200, rng.u64(1..2000)) } else { (0, rng.u64(1..=most)) };
    let logged = killed(place, rng, vars, pause_us, records);
    check(place, &logged);
}

/// Starts a program and kills it when it has logged so many records.
fn killed(place: &Place, rng: &mut Rng, vars: &[(&str, &str)], pause_us: u32, records: u64) -> Logged {
    let mix = if rng.bool() { "points" } else { "texts" };
    let mut victim = Victim::start(place, mix, pause_us, vars, &[]);
    victim.go();
    victim.wait_for(records);
    victim.kill()
}

/// Delivers what is left, and checks that everything is there.
fn check(place: &Place, logged: &Logged) {
    let tracker = place.recovered();
    let run = tracker.get_run(&logged.run_id).unwrap();
    logged.check_records(place, &run);
    Logged::check_end(&run);
    drop(tracker);
    assert_eq!(place.journals(), Vec::<PathBuf>::new(), "what is delivered is removed");
}
