//! Journals on a disk that is full, or becomes so, or can only be read: logging goes on, and what a kill will lose is
//! said before.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use runlog::{Run, RunStatus, Tracker};
use rusqlite::Connection;

use super::program::Program;
use super::victim::{Logged, Victim};
use super::{UNMAPPED, rounds};
use crate::support::{Place, text};

/// What is said when a kill will lose records.
const WARNING: &str = "a kill will lose";

/// A lock that keeps everybody from writing to the store, until it is dropped.
fn locked(place: &Place) -> Connection {
    let holder = Connection::open(place.database()).unwrap();
    holder.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    holder
}

/// Starts four threads that log while the store takes nothing, until the disk is full and for a while longer.
fn log_until_full(place: &Place, rng: &mut fastrand::Rng, vars: &[(&str, &str)]) -> (Victim, Connection) {
    const RECORDS_MORE: u64 = 5000;
    // Two to four segments, and some space where one is begun in vain.
    let kib = rng.u32(9000..20_000).to_string();
    let mix = if rng.bool() { "points" } else { "texts" };
    let disk = ["on-small-disk", &kib, place.journal().to_str().unwrap()].map(str::to_owned);
    let mut victim = Victim::start(place, mix, 0, vars, &disk.each_ref().map(String::as_str));
    let lock = locked(place);
    victim.go();
    victim.wait_until(|counts, safe| counts.iter().sum::<u64>() > safe.iter().sum::<u64>() + RECORDS_MORE);
    (victim, lock)
}

#[test]
fn what_was_logged_before_a_full_disk_was_warned_of_survives_a_kill() {
    rounds(8, |rng| {
        let place = Place::new();
        let vars = if rng.bool() { &[][..] } else { &[UNMAPPED] };
        let (mut victim, lock) = log_until_full(&place, rng, vars);
        let logged = victim.kill_after_warning();
        drop(lock);
        assert_eq!(victim.told().matches(WARNING).count(), 1, "{}", victim.told());
        let run = recovered(&place, victim.program()).get_run(&logged.run_id).unwrap();
        logged.check_records(&place, &run);
        Logged::check_end(&run);
    });
}

#[test]
fn everything_that_was_logged_on_a_full_disk_arrives_when_the_store_is_back() {
    rounds(4, |rng| {
        let place = Place::new();
        let vars = [UNMAPPED, ("RUNLOG_FINISH_TIMEOUT_SECONDS", "600")];
        let vars = if rng.bool() { &vars } else { &vars[1..] };
        let (mut victim, lock) = log_until_full(&place, rng, vars);
        drop(lock);
        let logged = victim.stop();
        assert_eq!(victim.told().matches(WARNING).count(), 1, "{}", victim.told());
        let run = place.run();
        logged.check_records(&place, &run);
        assert_eq!(run.info.status, RunStatus::Finished);
    });
}

/// A program whose disk is full since it logged a first point, and the file that fills it.
fn on_a_full_disk(place: &Place) -> Program {
    let dir = place.journal();
    let mut command =
        place.scenario(&["on-small-disk", "16000", dir.to_str().unwrap(), "log-on-a-full-disk"]);
    command.stderr(std::fs::File::create(place.path().join("told")).unwrap());
    let mut program = Program::start(&mut command, true);
    assert_eq!(program.line(), "ready");
    let mut filler = std::fs::File::create(seen(place, &program).join("filler")).unwrap();
    for bytes in [1 << 16, 1] {
        while filler.write_all(&vec![0; bytes]).is_ok() {}
    }
    program.go();
    assert_eq!(program.line(), "started");
    program
}

#[test]
fn runs_keys_and_large_records_that_are_new_on_a_full_disk_arrive() {
    let place = Place::new();
    let mut program = on_a_full_disk(&place);
    let lock = locked(&place);
    program.go();
    assert_eq!(program.line(), "logged");
    drop(lock);
    program.go();
    program.end();
    let told = std::fs::read_to_string(place.path().join("told")).unwrap();
    assert_eq!(told.matches(WARNING).count(), 1, "{told}");
    let runs = place.runs();
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[1].data.metrics.len(), 33, "the long keys too");
    for run in runs {
        assert_eq!(run.info.status, RunStatus::Finished);
        let found = ["loss", "through a handle", "by key"].map(|key| run.metric(key));
        assert_eq!(found, [Some(0.25), Some(1.0), Some(2.0)], "{}", run.info.run_name);
        assert_eq!(run.inputs.datasets[0].dataset.schema.as_ref().map(String::len), Some(200_000));
    }
}

#[test]
fn a_kill_on_a_full_disk_keeps_what_was_known_before() {
    let place = Place::new();
    let mut program = on_a_full_disk(&place);
    let lock = locked(&place);
    program.go();
    assert_eq!(program.line(), "logged");
    program.kill();
    drop(lock);
    let told = std::fs::read_to_string(place.path().join("told")).unwrap();
    assert_eq!(told.matches(WARNING).count(), 1, "{told}");
    recovered(&place, &program);
    let run = place.runs().into_iter().find(|run| run.info.run_name == "before").unwrap();
    assert_eq!((run.info.status, run.metric("loss")), (RunStatus::Failed, Some(0.25)));
}

#[test]
fn where_no_journal_can_be_kept_that_is_said_once_and_logging_goes_on() {
    let dir = |place: &Place| place.journal().to_str().unwrap().to_owned();
    // A disk that can only be read, some that are too small for the parts of a journal, and no directory at all.
    for kib in ["0", "4", "8", "12", "16", "20", "4000", "5000"].map(Some).into_iter().chain([None]) {
        let place = Place::new();
        let mut command = if let Some(kib) = kib {
            place.scenario(&["on-small-disk", kib, &dir(&place), "finish"])
        } else {
            std::fs::write(place.journal(), "").unwrap();
            place.scenario(&["finish"])
        };
        let run = finished(&place, &mut command);
        assert_eq!((run.info.status, run.metric("loss")), (RunStatus::Finished, Some(0.5)), "{kib:?}");
    }
}

fn finished(place: &Place, command: &mut Command) -> Run {
    let output = command.output().unwrap();
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}{}", text(&output.stdout));
    assert_eq!(told.matches(WARNING).count(), 1, "{told}");
    place.run()
}

/// The journals, on the disk that only the program and its player see.
fn seen(place: &Place, program: &Program) -> PathBuf {
    let dir = place.journal();
    Path::new(&format!("/proc/{}/root", program.player())).join(dir.strip_prefix("/").unwrap())
}

/// A tracker that has delivered what the program left on its disk, which is still full.
fn recovered(place: &Place, program: &Program) -> Tracker {
    let dir = seen(place, program);
    let store =
        std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir());
    let left = std::fs::read_dir(store.unwrap()).unwrap().next().unwrap().unwrap().path();
    let mut config = place.config(&[]);
    config.journal_dir = Some(dir);
    let tracker = Tracker::with_config(Some(place.store), config).unwrap();
    while left.exists() {
        tracker.recover().unwrap();
        std::thread::yield_now();
    }
    tracker
}
