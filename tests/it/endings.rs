//! A run's status is the truth, for every way a process can end.
//!
//! The ways, and what they mean, are a table in the documentation; the tests walk that very table.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, ChildStdout};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use runlog::{Run, RunStatus};

use crate::counters::Counters;
use crate::support::{Place, text};

/// Rows that are tested at the same time: most of each is waiting.
const AT_ONCE: usize = 8;
const SIGNALS: [(i32, &str); 3] = [(1, "SIGHUP"), (2, "SIGINT"), (15, "SIGTERM")];

/// What a row of the table says of one scenario.
#[derive(Clone, Debug)]
struct Row {
    status: RunStatus,
    /// The process cannot do it; the next one does.
    at_next_start: bool,
    /// What the tag `runlog.ended_by` contains, at least one of them; without any there is no tag.
    ended_by: Vec<&'static str>,
    scenario: Vec<&'static str>,
}

/// The rows of the documentation's table, one for each scenario that they name.
fn table() -> Vec<Row> {
    let documentation = include_str!("../../docs/endings.md");
    let rows = documentation.lines().filter(|line| line.starts_with("| ")).skip(2);
    rows.flat_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" |").map(str::trim).collect();
        let [_, status, ended_by, scenarios] = cells[..] else { panic!("four cells: {line}") };
        let code = |cell: &'static str| cell.split('`').skip(1).step_by(2).collect::<Vec<_>>();
        let named = ["FINISHED", "FAILED", "KILLED"].into_iter().find(|name| status.contains(name));
        let row = Row {
            status: RunStatus::from_text(named.unwrap()).unwrap(),
            at_next_start: status.ends_with("at the next start"),
            ended_by: code(ended_by),
            scenario: Vec::new(),
        };
        let scenarios = code(scenarios);
        assert!(!scenarios.is_empty(), "nothing tests: {line}");
        scenarios.into_iter().map(move |it| Row { scenario: it.split(' ').collect(), ..row.clone() })
    })
    .collect()
}

#[test]
fn every_row_of_the_table_of_endings_is_true() {
    let mut jobs: VecDeque<Box<dyn FnOnce() + Send>> = VecDeque::new();
    for row in table() {
        if row.scenario[0] != "signal" {
            jobs.push_back(Box::new(move || row.play()));
            continue;
        }
        for (signal, name) in SIGNALS {
            for as_pid_1 in [false, true] {
                let mut row = row.clone();
                row.ended_by.retain(|it| !it.starts_with("SIG") || *it == name);
                jobs.push_back(Box::new(move || row.signal(signal, as_pid_1)));
            }
        }
    }
    assert!(jobs.len() > 80, "the table is not where this test looks");
    let (jobs, failed) = (Mutex::new(jobs), AtomicUsize::new(0));
    let next = || jobs.lock().unwrap().pop_front();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(job) = next() {
                    let outcome = catch_unwind(AssertUnwindSafe(job));
                    failed.fetch_add(usize::from(outcome.is_err()), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(failed.into_inner(), 0, "endings that are not as the table says; each is told above");
}

impl Row {
    /// Plays the scenario to its end, or kills it when it says that it is ready.
    fn play(&self) {
        let place = Place::new();
        let told = if self.scenario[0] == "kill" {
            let mut child = place.start(&self.scenario);
            wait_until_ready(&mut child);
            child.kill().unwrap();
            child.wait().unwrap();
            String::new()
        } else {
            text(&place.play(&self.scenario).stderr)
        };
        self.check(&place, &told);
    }

    /// Sends the signal once to a program with its default action, and twice to one that goes on, the second time when
    /// the first is through: a reload, or somebody who is impatient.
    fn signal(&self, signal: i32, as_pid_1: bool) {
        let place = Place::new();
        let mut arguments = if as_pid_1 { vec!["as-pid-1"] } else { Vec::new() };
        arguments.extend(&self.scenario);
        let mut child = place.start(&arguments);
        let mut told = Told::of(&mut child);
        let pid = told.pid_when_ready(as_pid_1);
        let send = || {
            let pid = rustix::process::Pid::from_raw(pid.unwrap_or(child.id().cast_signed())).unwrap();
            let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
            rustix::process::kill_process(pid, signal).unwrap();
        };
        let handling = self.scenario[1];
        send();
        if handling != "default" {
            for count in ["handled 1", "handled 2"] {
                if handling != "ignored" {
                    assert_eq!(told.line(), count, "{self:?}: its own handler was called");
                }
                if count == "handled 1" {
                    send();
                }
            }
        }
        // Ending its input lets the program go on; one that dies of the signal must not have gone on before.
        let dies_of_it = handling == "default";
        let input = child.stdin.take().filter(|_| dies_of_it);
        let status = child.wait().unwrap();
        drop(input);
        match (dies_of_it, as_pid_1) {
            (true, true) => assert_eq!(status.code(), Some(128 + signal), "{self:?}: as a shell would tell"),
            (true, false) => assert_eq!(status.signal(), Some(signal), "{self:?}: it does what it does"),
            (false, _) => assert!(status.success(), "{self:?}: {status}"),
        }
        self.check(&place, &format!("signal {signal}, as PID 1: {as_pid_1}"));
    }

    /// Checks how the only run in the place ended.
    fn check(&self, place: &Place, told: &str) {
        if self.at_next_start {
            assert_eq!(place.run().info.status, RunStatus::Running, "{self:?}: {told}");
            place.recovered();
        }
        let run = place.run();
        let tag = run.tag("runlog.ended_by");
        assert_eq!(run.info.status, self.status, "{self:?}: {told}, {tag:?}");
        assert!(run.info.end_time.is_some_and(|end| end >= run.info.start_time), "{self:?}");
        let is_told = match tag {
            Some(tag) => self.ended_by.iter().any(|text| tag.contains(text)),
            None => self.ended_by.is_empty(),
        };
        assert!(is_told, "{self:?}: ended by {tag:?}, {told}");
        assert!(!told.contains("fatal"), "{self:?}: {told}");
        let logged = (self.scenario != ["die-at-creation"]).then_some(0.5);
        assert_eq!(run.metric("loss"), logged, "{self:?}: {told}");
    }
}

/// What a program tells on its standard output.
struct Told(BufReader<ChildStdout>);

impl Told {
    fn of(child: &mut Child) -> Self {
        Self(BufReader::new(child.stdout.take().unwrap()))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Waits until the program is ready, and returns its id if it tells one.
    fn pid_when_ready(&mut self, tells_pid: bool) -> Option<i32> {
        let (mut pid, mut ready) = (None, false);
        while !ready || (tells_pid && pid.is_none()) {
            match self.line().as_str() {
                "ready" => ready = true,
                other => match other.strip_prefix("pid ") {
                    Some(number) => pid = Some(number.parse().unwrap()),
                    None => panic!(
                        "{other:?}: what runlog does as PID 1 of a container cannot be tested here; run the tests as \
                         root, or allow user namespaces (sysctl user.max_user_namespaces, \
                         kernel.unprivileged_userns_clone)"
                    ),
                },
            }
        }
        pid
    }
}

fn wait_until_ready(child: &mut Child) {
    Told::of(child).pid_when_ready(false);
}

/// Plays a scenario and returns its only run, which must have finished.
fn finished(arguments: &[&str]) -> Run {
    let place = Place::new();
    let output = place.play(arguments);
    let run = place.run();
    assert_eq!(run.info.status, RunStatus::Finished, "{arguments:?}: {}", text(&output.stderr));
    run
}

#[test]
fn a_process_that_has_ended_leaves_one_complete_file() {
    for scenario in [&["finish"][..], &["exit", "0"], &["opened", "return"]] {
        let place = Place::new();
        place.play(scenario);
        let left = |dir: &Path| -> Vec<String> {
            let mut names: Vec<_> = std::fs::read_dir(dir)
                .into_iter()
                .flatten()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(left(place.path()), ["journal", "mlflow.db"], "{scenario:?}: no log beside the database");
        let [store] = &left(&place.journal())[..] else { panic!("one store") };
        assert_eq!(left(&place.journal().join(store)), [""; 0], "{scenario:?}: and nothing in the journal");
    }
}

#[test]
fn a_worker_thread_logs_into_the_run_of_its_program() {
    let run = finished(&["worker-thread"]);
    assert_eq!((run.info.run_name.as_str(), run.metric("loss")), ("worker-thread", Some(0.5)));
}

#[test]
fn a_log_call_on_any_thread_opens_a_run_that_ends_with_the_process() {
    assert_eq!(finished(&["opened-in-thread"]).metric("loss"), Some(0.5));
}

#[test]
fn nested_runs_all_end() {
    let place = Place::new();
    place.play(&["nested"]);
    let runs = place.runs();
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|run| run.info.status == RunStatus::Finished));
    let id = |name: &str| runs.iter().find(|run| run.info.run_name == name).unwrap();
    assert_eq!(id("inner").tag("mlflow.parentRunId"), Some(id("outer").info.run_id.as_str()));
}

#[test]
fn a_short_run_has_all_system_metrics() {
    for (options, node) in
        [(&["system-metrics"][..], ""), (&["system-metrics", "for-the-process"], "node_7/")]
    {
        let place = Place::new();
        place.play(options);
        let runs = place.runs();
        let keys = |name: &str| -> Vec<&str> {
            let run = runs.iter().find(|run| run.info.run_name == name).unwrap();
            run.data.metrics.iter().map(|metric| metric.key.as_str()).collect()
        };
        let expected = [
            "cpu_utilization_percentage",
            "disk_available_megabytes",
            "disk_usage_megabytes",
            "disk_usage_percentage",
            "network_receive_megabytes",
            "network_transmit_megabytes",
            "system_memory_usage_megabytes",
            "system_memory_usage_percentage",
        ];
        let keys_of_run = keys("system-metrics");
        for key in expected {
            assert!(
                keys_of_run.contains(&&*format!("system/{node}{key}")),
                "{key} is not in {keys_of_run:?}"
            );
        }
        assert!(keys_of_run.iter().all(|key| key.starts_with(&format!("system/{node}"))), "{keys_of_run:?}");
        assert_eq!(keys("without"), [""; 0], "switched off for the process");
        if !node.is_empty() {
            let sampled = runs.iter().find_map(|run| run.data.metrics.first()).unwrap();
            assert!(
                sampled.step > 1,
                "an interval of 20 ms fits a run of 200 ms more than twice: {sampled:?}"
            );
        }
    }
}

#[test]
fn the_monitor_of_a_run_that_an_exit_ends_has_its_last_word() {
    let run = finished(&["exit-with-system-metrics"]);
    assert!(run.metric("system/disk_usage_percentage").is_some());
}

#[test]
fn a_record_that_was_taken_while_the_process_exited_is_kept() {
    let place = Place::new();
    let counter = Counters::open(&place.path().join("counter"));
    let mut child = place.start(&["exit-while-logging", place.path().join("counter").to_str().unwrap()]);
    assert_eq!(Told::of(&mut child).line(), "going");
    child.stdin.as_mut().unwrap().write_all(b"g").unwrap();
    assert!(child.wait().unwrap().success());
    let taken = counter.at(0).load(Ordering::Acquire);
    let tracker = place.recovered();
    let run = place.run();
    assert_eq!(run.info.status, RunStatus::Finished);
    let stored = tracker.metric_history(&run.info.run_id, "steps").unwrap().len() as u64;
    assert!(
        stored == taken || stored == taken + 1,
        "{stored} stored of {taken} taken, and at most one in flight"
    );
}

#[test]
fn a_child_process_works_on_its_parents_run_wherever_it_is() {
    let place = Place::new();
    place.play(&["parent-process"]);
    let runs = place.runs();
    assert_eq!(runs.len(), 2, "the parent's, and one more that the child started after it");
    let run = runs.iter().find(|run| run.info.run_name == "scenario").unwrap();
    assert_eq!((run.metric("loss"), run.metric("from_child")), (Some(0.5), Some(1.0)));
    assert!(run.tag("child").unwrap().ends_with(": 0"), "{:?}", run.tag("child"));
    assert_eq!(run.info.status, RunStatus::Finished);
}

#[test]
fn the_first_look_after_a_kill_shows_the_truth() {
    let place = Place::new();
    let mut child = place.start(&["kill"]);
    wait_until_ready(&mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    let output = place.command(env!("CARGO_BIN_EXE_runlog")).args(["list", "--json"]).output().unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed[0]["info"]["status"], "FAILED", "{}", text(&output.stderr));
    let metrics = listed[0]["data"]["metrics"].as_array().unwrap();
    assert_eq!((&metrics[0]["key"], &metrics[0]["value"]), (&"loss".into(), &0.5.into()));
}

#[test]
fn a_forked_child_logs_to_its_parents_run_and_does_not_end_it() {
    let run = finished(&["fork"]);
    assert_eq!((run.param("child_status"), run.metric("loss")), (Some("0"), Some(0.5)));
    assert_eq!((run.metric("from_child"), run.metric("from_parent")), (Some(1.0), Some(2.0)));
}

#[test]
fn a_run_is_not_ended_for_a_process_that_no_longer_owns_it() {
    let place = Place::new();
    let mut child = place.start(&["kill"]);
    wait_until_ready(&mut child);
    let run_id = place.run().info.run_id;
    child.kill().unwrap();
    child.wait().unwrap();
    // Somebody else resumes it before the dead process's journal is delivered.
    let mut elsewhere = place.config(&[]);
    elsewhere.journal_dir = Some(place.path().join("elsewhere"));
    let other = runlog::Tracker::with_config(Some("sqlite:///mlflow.db"), elsewhere).unwrap();
    let resumed = other.start_run(runlog::RunOptions::new().run_id(&run_id)).unwrap();
    place.recovered();
    assert_eq!(place.run().info.status, RunStatus::Running);
    resumed.finish().unwrap();
    assert_eq!(place.run().info.status, RunStatus::Finished);
}

#[test]
fn a_resumed_run_no_longer_says_how_it_ended_before() {
    let place = Place::new();
    place.play(&["early-return"]);
    let run_id = place.run().info.run_id;
    place.tracker().start_run(runlog::RunOptions::new().run_id(&run_id)).unwrap().finish().unwrap();
    let run = place.run();
    assert_eq!((run.info.status, run.tag("runlog.ended_by")), (RunStatus::Finished, None));
}

#[test]
fn what_a_handle_logged_is_delivered_when_the_process_exits() {
    let place = Place::new();
    place.play(&["finish"]);
    let output = place.play(&["handle", &place.run().info.run_id]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let run = place.run();
    assert_eq!((run.metric("from_handle"), run.info.status), (Some(0.5), RunStatus::Finished));
}

#[test]
fn a_terminal_that_is_gone_ends_no_training() {
    let place = Place::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = place.scenario(&["bad-key"]).stderr(writer).status().unwrap();
    assert!(status.success());
    assert_eq!((place.run().info.status, place.run().metric("loss")), (RunStatus::Finished, Some(0.5)));
}

#[test]
fn a_forked_child_has_system_metrics_of_its_own_and_leaves_its_parents_alone() {
    let place = Place::new();
    place.play(&["fork-while-sampled"]);
    let runs = place.runs();
    for name in ["parent", "child"] {
        let run = runs.iter().find(|run| run.info.run_name == name).unwrap();
        assert_eq!(run.info.status, RunStatus::Finished, "{name}");
        let step = |key: &str| {
            run.data.metrics.iter().find(|metric| metric.key == format!("system/{key}")).map(|it| it.step)
        };
        assert_eq!(step("disk_usage_percentage"), Some(1), "{name} has an opening and a last window");
    }
    let parent = runs.iter().find(|run| run.info.run_name == "parent").unwrap();
    assert_eq!(parent.param("child_status"), Some("0"));
}
