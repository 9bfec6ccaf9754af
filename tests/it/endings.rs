//! A run's status is the truth, for every way a process can end.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use runlog::{Run, RunStatus};

use crate::support::{Place, text};

/// Runs a scenario and checks how its only run ended.
fn check(arguments: &[&str], status: RunStatus, ended_by: Option<&str>) -> Run {
    let place = Place::new();
    let output = place.play(arguments);
    let run = place.run();
    let told = text(&output.stderr);
    assert_eq!(run.info.status, status, "{arguments:?}: {told}");
    assert!(run.info.end_time.is_some_and(|end| end >= run.info.start_time));
    match (ended_by, run.tag("runlog.ended_by")) {
        (None, None) => {}
        (Some(expected), Some(tag)) => assert!(tag.contains(expected), "{arguments:?}: {tag:?}"),
        (_, tag) => panic!("{arguments:?}: ended by {tag:?}; {told}"),
    }
    assert!(!told.contains("fatal"), "{told}");
    run
}

#[test]
fn finish_is_finished_and_delivers() {
    let run = check(&["finish"], RunStatus::Finished, None);
    assert_eq!(run.metric("loss"), Some(0.5));
}

#[test]
fn a_guard_dropped_without_finish_is_failed_and_says_where_it_started() {
    let run = check(&["drop"], RunStatus::Failed, Some("tests/scenario/main.rs"));
    assert_eq!(run.metric("loss"), Some(0.5));
}

#[test]
fn an_error_and_a_panic_are_failed_with_their_messages() {
    check(&["error"], RunStatus::Failed, Some("the data is empty"));
    check(&["panic"], RunStatus::Failed, Some("shapes differ: [2] and [3]"));
}

#[test]
fn a_guard_alive_at_exit_ends_by_the_exit_status() {
    check(&["exit-with-guard", "0"], RunStatus::Finished, None);
    let run = check(&["exit-with-guard", "3"], RunStatus::Failed, Some("exited with status 3"));
    assert_eq!(run.metric("loss"), Some(0.5));
    assert!(run.metric("system/disk_usage_percentage").is_some(), "the monitor ended with the run");
}

#[test]
fn a_process_that_has_ended_leaves_one_complete_file() {
    for scenario in [&["finish"][..], &["exit-with-guard", "0"], &["implicit"]] {
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
fn a_run_that_a_log_call_opened_ends_by_the_exit_status() {
    check(&["implicit"], RunStatus::Finished, None);
    check(&["implicit", "panic"], RunStatus::Failed, Some("101"));
    check(&["implicit-in-thread"], RunStatus::Finished, None);
}

#[test]
fn a_worker_thread_logs_into_the_run_of_its_program() {
    let run = check(&["worker-thread"], RunStatus::Finished, None);
    assert_eq!((run.info.run_name.as_str(), run.metric("loss")), ("worker-thread", Some(0.5)));
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
fn end_run_ends_with_its_status_and_the_guard_adds_nothing() {
    check(&["end-run"], RunStatus::Killed, None);
}

#[test]
fn a_short_run_has_all_system_metrics() {
    let run = check(&["system-metrics"], RunStatus::Finished, None);
    let keys: Vec<&str> = run.data.metrics.iter().map(|metric| metric.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "system/cpu_utilization_percentage",
            "system/disk_available_megabytes",
            "system/disk_usage_megabytes",
            "system/disk_usage_percentage",
            "system/network_receive_megabytes",
            "system/network_transmit_megabytes",
            "system/system_memory_usage_megabytes",
            "system/system_memory_usage_percentage",
        ]
    );
}

/// Sends a signal to a program that waits for it, and returns how it died and its run.
fn signal(handling: &str, signal: i32) -> (Option<i32>, Run) {
    let place = Place::new();
    let mut child = place.start(&["wait-for-signal", handling]);
    let mut told = BufReader::new(child.stdout.take().unwrap());
    let mut ready = String::new();
    told.read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    let pid = rustix::process::Pid::from_child(&child);
    let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
    if handling != "default" {
        // A second one, when the first is through: a reload, or somebody who is impatient.
        let mut handled = String::new();
        while !handling.starts_with("ignored") && handled.trim_end() != "handled 1" {
            handled.clear();
            told.read_line(&mut handled).unwrap();
        }
        rustix::process::kill_process(pid, signal).unwrap();
    }
    // Closing the pipe lets the program go on; one that dies of the signal must not have gone on before.
    let pipe = child.stdin.take().filter(|_| handling == "default");
    let status = child.wait().unwrap();
    drop(pipe);
    (status.signal(), place.run())
}

#[test]
fn a_process_that_dies_of_a_signal_leaves_its_run_killed() {
    for (number, name) in [(2, "SIGINT"), (15, "SIGTERM"), (1, "SIGHUP")] {
        let (died_of, run) = signal("default", number);
        assert_eq!(died_of, Some(number), "the signal still does what it does");
        assert_eq!((run.info.status, run.tag("runlog.ended_by")), (RunStatus::Killed, Some(name)));
        assert_eq!(run.metric("loss"), Some(0.5));
    }
}

#[test]
fn a_signal_that_the_program_ignores_stays_ignored() {
    let (died_of, run) = signal("ignored", 15);
    assert_eq!((died_of, run.info.status), (None, RunStatus::Finished));
}

#[test]
fn a_program_that_handles_signals_itself_decides_by_finish() {
    for handling in ["handled-before", "handled-after", "chained-after"] {
        let (died_of, run) = signal(handling, 15);
        assert_eq!((died_of, run.info.status), (None, RunStatus::Finished), "{handling}");
        assert_eq!(run.tag("handled"), Some("2"), "{handling}: its own handler was called, both times");
    }
}

#[test]
fn an_aborting_panic_is_told_by_the_next_process() {
    let place = Place::new();
    assert!(place.play(&["abort"]).status.signal().is_some());
    assert_eq!(place.run().info.status, RunStatus::Running);
    place.recovered();
    let run = place.run();
    assert_eq!(run.info.status, RunStatus::Failed);
    assert!(run.tag("runlog.ended_by").unwrap().contains("this one aborts"));
}

#[test]
fn the_first_look_after_a_kill_shows_the_truth() {
    let place = Place::new();
    let mut child = place.start(&["wait-for-signal", "default"]);
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
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
    let run = check(&["fork"], RunStatus::Finished, None);
    assert_eq!((run.param("child_status"), run.metric("loss")), (Some("0"), Some(0.25)));
    assert_eq!((run.metric("from_child"), run.metric("from_parent")), (Some(1.0), Some(2.0)));
}

#[test]
fn a_run_is_not_ended_for_a_process_that_no_longer_owns_it() {
    let place = Place::new();
    let mut child = place.start(&["wait-for-signal", "default"]);
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
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
    place.play(&["drop"]);
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
