//! Jobs of several processes: which of them has system metrics, and under which names.

use std::io::{BufRead as _, BufReader};
use std::process::Command;

use runlog::{Run, RunStatus};

use crate::support::{Place, text};

/// A scenario whose runs are sampled once at their start and once at their end.
fn sampled(place: &Place, scenario: &str) -> Command {
    let mut command = place.scenario(&[scenario]);
    command.env("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true").env("TMPDIR", place.path());
    command.env("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "3600");
    command
}

/// A run that asks for system metrics, in a process with these variables.
fn run_of(vars: &str) -> Run {
    let place = Place::new();
    let mut command = sampled(&place, "system-metrics");
    command.envs(vars.split_whitespace().filter_map(|var| var.split_once('=')));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    place.runs().into_iter().find(|run| run.info.run_name == "system-metrics").unwrap()
}

#[test]
fn local_rank_0_samples_its_node_and_the_others_do_not() {
    let node_1 = run_of("RANK=2 WORLD_SIZE=4 LOCAL_RANK=0 LOCAL_WORLD_SIZE=2");
    assert!(node_1.metric("system/node_1/disk_usage_percentage").is_some());
    assert!(node_1.metric("system/disk_usage_percentage").is_none());
    for rank_1 in ["OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_LOCAL_RANK=1", "RANK=3 LOCAL_RANK=1"] {
        let run = run_of(rank_1);
        assert!(run.data.metrics.is_empty() && run.info.status == RunStatus::Finished, "{run:?}");
    }
    let named = run_of("RANK=2 LOCAL_RANK=0 NODE_RANK=1 MLFLOW_SYSTEM_METRICS_NODE_ID=mine");
    assert!(named.metric("system/mine/disk_usage_percentage").is_some(), "{named:?}");
    let alone = run_of("SLURM_PROCID=0 SLURM_LOCALID=1 SLURM_NNODES=2");
    assert!(alone.metric("system/disk_usage_percentage").is_some(), "a script of sbatch is no rank");
}

#[test]
fn what_a_launcher_says_wrongly_stops_nothing() {
    let run = run_of("RANK=first LOCAL_RANK=-1 WORLD_SIZE=0 SLURM_STEP_ID=x PMI_RANK=99999999999999");
    assert!(run.metric("system/disk_usage_percentage").is_some(), "{run:?}");
}

#[test]
fn a_process_that_joins_a_run_samples_only_if_no_other_one_does() {
    let place = Place::new();
    let mut first = sampled(&place, "kill");
    let mut first =
        first.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(first.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    let run_id = place.run().info.run_id;
    let tracker = place.tracker();
    let points = || {
        let store = tracker.store().unwrap();
        store.metric_history(&run_id, "system/disk_usage_percentage").unwrap().len()
    };
    // Its first point is on its way.
    while points() == 0 {
        std::thread::yield_now();
    }
    let join = || {
        let output = sampled(&place, "finish").env("MLFLOW_RUN_ID", &run_id).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    join();
    assert_eq!(points(), 1, "the second process leaves the machine to the first one");
    first.kill().unwrap();
    first.wait().unwrap();
    join();
    assert!(points() > 1, "a killed process holds nobody up");
    let locks = place
        .path()
        .read_dir()
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".lock"));
    assert_eq!(locks.count(), 0, "and the one after it tidies up");
}
