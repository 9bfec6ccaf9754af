//! `runlog sync`, after processes that were killed.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::atomic::Ordering;

use runlog::{Config, RunStatus, Tracker};
use serde_json::Value;

use crate::command::fields;
use crate::counters::Counters;
use crate::support::{Place, text};

const POINTS: u64 = 200;

/// A process that was killed with records in its journal.
struct Killed {
    pid: u32,
    run_id: String,
    /// Points whose call returned.
    acknowledged: i64,
}

impl Place {
    fn sync(&self, arguments: &[&str]) -> Output {
        self.runlog_command(&["sync"]).args(arguments).output().unwrap()
    }

    /// The report, and whether the command called it good.
    fn sync_report(&self, arguments: &[&str]) -> (Value, bool) {
        let output = self.sync(&[arguments, &["--json"]].concat());
        assert_eq!(text(&output.stderr), "");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["ok"], output.status.success());
        (report, output.status.success())
    }

    /// A program that logs to the store at `uri`, which takes nothing meanwhile if it is the database, and is killed.
    fn killed(&self, uri: &str) -> Killed {
        let counter_file = self.path().join(format!("counter-{:016x}", fastrand::u64(..)));
        let counters = Counters::open(&counter_file);
        let count = || counters.at(0).load(Ordering::Acquire);
        let mut command = self.scenario(&["log-slowly", counter_file.to_str().unwrap()]);
        command.env("MLFLOW_TRACKING_URI", uri).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut run_id = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut run_id).unwrap();
        let _lock = uri.starts_with("sqlite").then(|| {
            let holder = rusqlite::Connection::open(self.database()).unwrap();
            holder.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
            holder.execute_batch("BEGIN IMMEDIATE").unwrap();
            holder
        });
        child.stdin.as_mut().unwrap().write_all(b"g").unwrap();
        while count() < POINTS {
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged = i64::try_from(count()).unwrap();
        Killed { pid: child.id(), run_id: run_id.trim_end().to_owned(), acknowledged }
    }

    /// That everything of the run is in the store at `uri`, once, and the run was ended.
    #[track_caller]
    fn check_delivered(&self, uri: &str, killed: &Killed) {
        let mut config: Config = self.config(&[]);
        // Elsewhere, so that this look recovers nothing.
        config.journal_dir = Some(self.path().join("other-journal"));
        let tracker = Tracker::with_config(Some(uri), config).unwrap();
        let points = tracker.metric_history(&killed.run_id, "loss").unwrap();
        let steps: Vec<i64> = points.iter().map(|point| point.step).collect();
        let stored = i64::try_from(steps.len()).unwrap();
        assert!((0..=1).contains(&(stored - killed.acknowledged)), "{stored} of {}", killed.acknowledged);
        assert_eq!(steps, (0..stored).collect::<Vec<_>>());
        assert_eq!(tracker.get_run(&killed.run_id).unwrap().info.status, RunStatus::Failed);
        if !uri.starts_with("sqlite") {
            let file = self.path().join(format!("mlruns/0/{}/metrics/loss", killed.run_id));
            let lines = std::fs::read_to_string(file).unwrap().lines().count();
            assert_eq!(i64::try_from(lines).unwrap(), stored, "a line a point");
        }
    }
}

/// Every file below `dir`, with what stands in it.
fn tree(dir: &Path) -> BTreeSet<(PathBuf, Vec<u8>)> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        } else {
            let content = std::fs::read(&path).unwrap();
            found.insert((path, content));
        }
    }
    found
}

const DATABASE: &str = "sqlite:///mlflow.db";
const FILES: &str = "./mlruns";

#[test]
fn what_a_killed_process_left_is_shown_then_delivered_and_then_gone() {
    let place = Place::new();
    let killed = place.killed(DATABASE);
    // The first look moves what the killed process left in the log of the database.
    place.runs();
    // Another thread closes the database when nobody needs it any more.
    let is_open = || ["mlflow.db-wal", "mlflow.db-shm"].iter().any(|file| place.path().join(file).exists());
    while is_open() {
        std::thread::yield_now();
    }
    let before = tree(place.path());
    let shown = place.sync(&["--dry-run"]);
    assert!(shown.status.success() && shown.stderr.is_empty());
    let shown = text(&shown.stdout);
    let short = &killed.run_id[..8];
    for part in [
        &format!("/mlflow.db\n  process {}, which died: 2", killed.pid),
        &format!("\n    run log-slowly ({short}): "),
        " records, to be ended\n",
        "of 1 process wait for `runlog sync` to deliver them, and 1 run to be ended.\n",
    ] {
        assert!(shown.contains(part), "{part}\nis not in\n{shown}");
    }
    let (dry, _) = place.sync_report(&["--dry-run"]);
    assert_eq!(dry["journals"][0]["state"], "waits");
    assert!(tree(place.path()) == before, "looking changes nothing");

    let doctor = place.runlog_command(&["doctor"]).output().unwrap();
    assert!(text(&doctor.stdout).contains("or `runlog sync` delivers them"));

    let done = place.sync(&[]);
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(text(&done.stderr), "", "no bar where nobody sees it");
    let done = text(&done.stdout);
    let ended = format!(
        "    ended log-slowly ({short}) as failed: its process ({}) died without ending it\n",
        killed.pid
    );
    assert!(done.contains("    delivered 2") && done.contains(&ended), "{done}");
    assert!(done.ends_with(" records and ended 1 run.\n"), "{done}");
    place.check_delivered(DATABASE, &killed);

    let again = place.sync(&[]);
    assert_eq!(again.status.code(), Some(0));
    assert_eq!(text(&again.stdout), "Nothing waits that a process left behind.\n");
    place.check_delivered(DATABASE, &killed);
}

#[test]
fn a_report_has_every_documented_field() {
    let place = Place::new();
    let killed = place.killed(DATABASE);
    let (report, ok) = place.sync_report(&[]);
    assert!(ok);
    let journal = &report["journals"][0];
    assert_eq!((&journal["state"], &journal["pid"]), (&"delivered".into(), &killed.pid.into()));
    let waited = journal["records"]["metrics"].as_i64().unwrap();
    assert!((0..=1).contains(&(waited - killed.acknowledged)), "{journal}");
    assert_eq!(journal["delivered"], waited);
    assert_eq!(journal["ended_runs"][0]["run_id"], killed.run_id);
    assert_eq!(journal["ended_runs"][0]["status"], "FAILED");
    let mut found = BTreeSet::new();
    fields(&report, "", &mut found);
    let documentation = include_str!("../../docs/sync.md");
    let rows = documentation.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: BTreeSet<_> = rows.map(|(field, _)| field.to_owned()).collect();
    assert_eq!(found, documented);
}

#[test]
fn what_waits_for_a_store_that_is_gone_stays_until_it_is_back() {
    let place = Place::new();
    let killed = place.killed(DATABASE);
    place.runs();
    let aside = place.path().join("aside.db");
    std::fs::rename(place.database(), &aside).unwrap();
    for arguments in [&[][..], &["--tracking-uri", DATABASE]] {
        let output = place.sync(arguments);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stdout);
        assert!(
            said.contains("stays: the store is not there any more") && said.contains("still there"),
            "{said}"
        );
        assert!(!place.database().exists() && place.journals().len() == 1);
    }
    std::fs::rename(aside, place.database()).unwrap();
    assert_eq!(place.sync(&[]).status.code(), Some(0));
    place.check_delivered(DATABASE, &killed);
}

#[test]
fn every_store_is_served_or_the_one_that_is_named() {
    let place = Place::new();
    let (in_database, in_files) = (place.killed(DATABASE), place.killed(FILES));
    let (report, ok) = place.sync_report(&["--tracking-uri", FILES]);
    assert!(ok);
    assert_eq!(report["journals"].as_array().unwrap().len(), 1);
    place.check_delivered(FILES, &in_files);
    assert_eq!(place.journals().len(), 1);
    let other_files = place.killed(FILES);
    let (report, ok) = place.sync_report(&[]);
    assert!(ok);
    assert_eq!(report["journals"].as_array().unwrap().len(), 2);
    place.check_delivered(DATABASE, &in_database);
    place.check_delivered(FILES, &other_files);
    assert_eq!(place.journals().len(), 0);
}

#[test]
fn a_process_that_lives_is_shown_and_left_alone() {
    let place = Place::new();
    let mut child = place.start(&["kill"]);
    read_ready(&mut child);
    let (report, ok) = place.sync_report(&[]);
    assert!(ok);
    assert_eq!(
        (&report["journals"][0]["state"], &report["journals"][0]["pid"]),
        (&"lives".into(), &child.id().into())
    );
    assert_eq!(place.run().info.status, RunStatus::Running);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(place.run().info.status, RunStatus::Finished);
}

/// A container beside this one: the same kernel, other process ids.
#[cfg(target_os = "linux")]
#[test]
fn a_process_of_another_container_is_left_alone_until_it_is_dead() {
    let place = Place::new();
    let mut outside = place.start(&["as-pid-1", "kill"]);
    let mut lines = BufReader::new(outside.stdout.as_mut().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let pid = line.trim_end().strip_prefix("pid ").unwrap_or_else(|| panic!("{line}")).to_owned();
    line.clear();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let (report, ok) = place.sync_report(&[]);
    assert!(ok);
    assert_eq!(
        (&report["journals"][0]["state"], &report["journals"][0]["pid"]),
        (&"lives".into(), &1.into())
    );
    assert_eq!(place.run().info.status, RunStatus::Running);
    // What is process 1 there is killed from here.
    let killed = std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
    assert!(killed.success());
    outside.wait().unwrap();
    let (report, ok) = place.sync_report(&[]);
    assert!(ok);
    assert_eq!(report["journals"][0]["state"], "delivered");
    assert_eq!(place.run().info.status, RunStatus::Failed);
}

#[test]
fn two_syncs_and_a_training_that_recovers_deliver_each_journal_once() {
    let place = Place::of_files();
    let killed: Vec<_> = (0..4).map(|_| place.killed(FILES)).collect();
    let start = |mut command: std::process::Command| {
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut syncs = [(); 2].map(|()| start(place.runlog_command(&["sync", "--json"])));
    let mut training = start(place.scenario(&["finish"]));
    let mut delivered = Vec::new();
    for sync in &mut syncs {
        let mut said = String::new();
        sync.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        sync.wait().unwrap();
        let report: Value = serde_json::from_str(&said).unwrap();
        let journals = report["journals"].as_array().unwrap().clone();
        let ended = journals.iter().flat_map(|journal| journal["ended_runs"].as_array().unwrap().clone());
        delivered.extend(ended.map(|run| run["run_id"].as_str().unwrap().to_owned()));
    }
    assert!(training.wait().unwrap().success());
    let once: BTreeSet<_> = delivered.iter().collect();
    assert_eq!(once.len(), delivered.len(), "no run is ended twice");
    // Whatever the training had claimed when it ended is left for this one.
    assert_eq!(place.sync(&[]).status.code(), Some(0));
    for one in &killed {
        place.check_delivered(FILES, one);
    }
    assert_eq!(place.journals().len(), 0);
}

fn read_ready(child: &mut Child) {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
}
