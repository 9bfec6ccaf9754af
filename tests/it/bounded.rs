//! A store that takes nothing costs a program no memory, no time and no record that is not counted.

use std::io::{BufReader, Write as _};
use std::process::{Child, ChildStdout, Stdio};

use runlog::{RunOptions, RunStatus, Tracker};
use serde_json::Value;

use crate::support::{Place, text};

/// The journal, and what a program may take beside it, its code and its mapped journal included.
const JOURNAL_MIB: u64 = 64;
const MEMORY_MIB_MAX: u64 = JOURNAL_MIB + 64;
/// Params that the program sets, and as many tags: one before, the rest meanwhile and afterwards.
const PARAMS: usize = 101;

/// A program that logs past the bound of its journal while this test keeps the database locked.
struct Program {
    place: Place,
    child: Child,
    told: BufReader<ChildStdout>,
    lock: rusqlite::Connection,
    run_id: String,
    /// What it told when it had logged.
    report: Value,
    points: u64,
}

impl Program {
    fn logs(points: u64, journal_mib: u64) -> Self {
        let place = Place::new();
        let mut child = place
            .scenario(&["log-past-the-bound", &points.to_string()])
            .env("RUNLOG_JOURNAL_MAX_MIB", journal_mib.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap());
        let run_id = line(&mut told);
        let lock = locked(&place);
        child.stdin.as_mut().unwrap().write_all(b"g").unwrap();
        let report = serde_json::from_str(&line(&mut told)).unwrap();
        Self { place, child, told, lock, run_id, report, points }
    }

    fn told(&self, name: &str) -> u64 {
        self.report[name].as_u64().unwrap_or_else(|| panic!("{name}: {}", self.report))
    }

    /// How many points of each thread were taken.
    fn taken(&self) -> Vec<i64> {
        self.report["taken"].as_array().unwrap().iter().map(|taken| taken.as_i64().unwrap()).collect()
    }

    /// Checks that every point is in the journal or counted, and that the journal is no larger than it may be.
    fn check_counts(&self, journal_mib: u64) {
        let taken: u64 = self.taken().iter().sum::<i64>().try_into().unwrap();
        assert_eq!(taken + self.told("dropped"), self.points, "{}", self.report);
        assert_eq!((self.told("lost"), self.told("refused")), (self.told("dropped"), 0));
        let texts = 2 * (PARAMS as u64 - 1);
        assert_eq!(self.told("waiting"), taken + texts, "{}", self.report);
        assert_eq!(self.report["is_durable"], true);
        let stored: i64 = self.lock.query_row("SELECT COUNT(*) FROM metrics", [], |row| row.get(0)).unwrap();
        assert_eq!(stored, 0, "nothing could be stored");
        let segments = self.segment_bytes();
        assert!(segments <= journal_mib << 20, "{segments} bytes of journal");
        // All but the 1 % for what is no metric, and what a segment's header takes.
        assert!(taken * 64 >= (journal_mib << 20) * 90 / 100, "{taken} were taken");
    }

    fn segment_bytes(&self) -> u64 {
        let files =
            |dir: std::path::PathBuf| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let processes = files(self.place.journal()).flat_map(files);
        let segments = processes.filter(|path| path.is_dir()).flat_map(files);
        let segments = segments.filter(|path| path.extension().is_some_and(|extension| extension == "seg"));
        segments.map(|path| path.metadata().unwrap().len()).sum()
    }

    /// Checks that the first points of each thread are stored, and everything that is no metric.
    fn check_stored(&self, tracker: &Tracker, status: RunStatus) {
        for (thread, taken) in self.taken().into_iter().enumerate() {
            let stored = tracker.metric_history(&self.run_id, &format!("t{thread}")).unwrap();
            let steps: Vec<i64> = stored.iter().map(|point| point.step).collect();
            assert!(steps == (0..taken).collect::<Vec<_>>(), "{} of {taken} are stored", steps.len());
        }
        let run = tracker.get_run(&self.run_id).unwrap();
        assert_eq!(run.info.status, status);
        assert_eq!(run.data.params.len(), PARAMS);
        let tags = run.data.tags.iter();
        assert_eq!(
            tags.filter(|tag| tag.key.contains("wards.") || tag.key.contains("while.")).count(),
            PARAMS - 1
        );
    }
}

/// Keeps every other connection from writing.
fn locked(place: &Place) -> rusqlite::Connection {
    let lock = rusqlite::Connection::open(place.database()).unwrap();
    lock.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    lock
}

fn line(told: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn ten_million_points_into_a_store_that_takes_nothing_are_kept_or_counted_and_what_was_kept_is_delivered() {
    let mut program = Program::logs(10_000_000, JOURNAL_MIB);
    program.check_counts(JOURNAL_MIB);
    if let Some(peak) = program.report["peak_memory_kib"].as_u64() {
        assert!(peak < MEMORY_MIB_MAX << 10, "{}", program.report);
    }
    program.lock.execute_batch("ROLLBACK").unwrap();
    program.child.stdin.as_mut().unwrap().write_all(b"g").unwrap();
    let told = line(&mut program.told);
    assert_eq!(told.split(' ').next().unwrap(), program.told("dropped").to_string(), "as the end says");
    assert!(program.child.wait().unwrap().success());
    assert_eq!(program.place.journals().len(), 0, "nothing is left");
    program.check_stored(&program.place.tracker(), RunStatus::Finished);
}

#[test]
fn what_a_killed_program_had_in_its_full_journal_the_next_one_delivers() {
    const SMALL_MIB: u64 = 17;
    let mut program = Program::logs(1_000_000, SMALL_MIB);
    program.check_counts(SMALL_MIB);
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    program.lock.execute_batch("ROLLBACK").unwrap();
    program.check_stored(&program.place.recovered(), RunStatus::Failed);
}

/// Lets a program end in this way while nothing can be stored, and returns what it said.
fn end_unstored(how: &str, status: RunStatus) -> String {
    let place = Place::new();
    let mut child = place
        .scenario(&["end-unstored", how])
        .env("RUNLOG_FINISH_TIMEOUT_SECONDS", "0.05")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap());
    let run_id = line(&mut told);
    let lock = locked(&place);
    // Open until it has ended: the end of its input would end it too.
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"g").unwrap();
    if how == "signal" {
        assert_eq!(line(&mut told), "logged");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    drop(input);
    assert_eq!(output.status.success(), how == "finish", "{}", output.status);
    assert_eq!(place.journals().len(), 1, "{how}: it waits");
    lock.execute_batch("ROLLBACK").unwrap();
    let tracker = place.recovered();
    assert_eq!(tracker.get_run(&run_id).unwrap().info.status, status, "{how}");
    let steps = tracker.metric_history(&run_id, "loss").unwrap();
    assert!(steps.iter().map(|point| point.step).eq(0..1000), "{how}: {} points", steps.len());
    text(&output.stderr)
}

#[test]
fn whatever_way_a_program_ends_while_nothing_can_be_stored_the_next_one_stores_it() {
    end_unstored("exit", RunStatus::Failed);
    end_unstored("signal", RunStatus::Killed);
    let said = end_unstored("finish", RunStatus::Finished);
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("wait in the journal")).collect();
    let [line] = lines[..] else { panic!("once: {said}") };
    assert!(line.contains(" 1001 record(s) wait ") && line.contains("`runlog sync`"), "{line}");
}

#[test]
fn runs_log_how_logging_does_where_the_environment_says_so() {
    let place = Place::new();
    let config = place.config(&[("RUNLOG_LOG_HEALTH", "true")]);
    let tracker = Tracker::with_config(Some(place.store), config).unwrap();
    let run_id = tracker.start_run("watched").unwrap().run_id().to_owned();
    tracker.start_run(RunOptions::new().run_id(&run_id)).unwrap().finish().unwrap();
    for key in ["waiting_records", "waiting_bytes", "dropped_records", "refused_records", "lag_seconds"] {
        let points = tracker.metric_history(&run_id, &format!("runlog/{key}")).unwrap();
        let steps: Vec<i64> = points.iter().map(|point| point.step).collect();
        assert_eq!(steps, [0, 1], "{key}: at each end, and the steps go on");
    }
    let unwatched = tracker.start_run(RunOptions::new().log_health(false)).unwrap();
    let unwatched_id = unwatched.run_id().to_owned();
    unwatched.finish().unwrap();
    assert_eq!(tracker.get_run(&unwatched_id).unwrap().data.metrics.len(), 0);
}
