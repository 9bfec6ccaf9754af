//! Jobs as launchers make them, and processes that meet at one run.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use runlog_core::autolog::{SystemMetrics, Tier};
use runlog_core::{Config, Error};

use super::*;
use crate::hub::Hub;
use crate::metrics;
use crate::probe::{Driver, Machine, Opened, ProbeError, Registry, Sink};
use crate::sampler::Patience;
use crate::testing::{Kept, probe};

/// To watch a run in a process whose environment is `vars`, with `dir` for temporary files.
fn watch(dir: &Path, vars: &str) -> Watch {
    let vars: HashMap<_, _> = vars
        .split_whitespace()
        .filter_map(|var| var.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut config = Config::from_map(&vars).unwrap();
    config.temp_dir = dir.to_owned();
    Watch::new("0123", SystemMetrics::new(), config)
}

fn decided(vars: &str) -> Decision {
    decide(&watch(Path::new("/"), vars))
}

/// A monitor that notes whether it runs.
#[derive(Debug)]
struct Noted(Arc<AtomicBool>);

impl Monitor for Noted {
    fn stop(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Starts a monitor for `watch`, and says whether it samples.
fn started(watch: &Watch) -> (Box<dyn Monitor>, bool) {
    let runs = Arc::new(AtomicBool::new(false));
    let start = |_: &Watch, _: Box<dyn MonitorSink>| -> Result<Box<dyn Monitor>> {
        runs.store(true, Ordering::Release);
        Ok(Box::new(Noted(Arc::clone(&runs))))
    };
    let monitor = one_a_node(watch, Box::new(Kept::default()), start).unwrap();
    let samples = runs.load(Ordering::Acquire);
    (monitor, samples)
}

#[test]
fn one_rank_of_a_node_samples_and_a_process_without_a_local_rank_does() {
    for vars in ["", "RANK=0 LOCAL_RANK=0", "RANK=8 LOCAL_RANK=0", "RANK=3 WORLD_SIZE=4", "LOCAL_RANK=first"]
    {
        assert!(matches!(decided(vars), Decision::Sample { .. }), "{vars}");
    }
    for vars in [
        "RANK=1 LOCAL_RANK=1",
        "OMPI_COMM_WORLD_RANK=9 OMPI_COMM_WORLD_LOCAL_RANK=1",
        "PMI_RANK=9 MPI_LOCALRANKID=1",
        "SLURM_STEP_ID=0 SLURM_PROCID=9 SLURM_LOCALID=1",
    ] {
        assert!(matches!(decided(vars), Decision::Rest(why) if why.contains("local rank 1")), "{vars}");
        let dir = tempfile::tempdir().unwrap();
        let (monitor, samples) = started(&watch(dir.path(), vars));
        assert!(!samples, "{vars}");
        monitor.stop().unwrap();
    }
}

#[test]
fn nodes_are_named_where_there_are_several() {
    let named = |vars: &str| match decided(vars) {
        Decision::Sample { node_id } => node_id,
        Decision::Rest(why) => panic!("{why}"),
    };
    for (vars, expected) in [
        ("", None),
        ("RANK=0 LOCAL_RANK=0 WORLD_SIZE=4 LOCAL_WORLD_SIZE=4", None),
        ("SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0 SLURM_STEP_NUM_NODES=1", None),
        ("RANK=0 LOCAL_RANK=0 WORLD_SIZE=8 LOCAL_WORLD_SIZE=4", Some("node_0")),
        ("RANK=4 LOCAL_RANK=0 WORLD_SIZE=8 LOCAL_WORLD_SIZE=4", Some("node_1")),
        (
            "SLURM_STEP_ID=0 SLURM_PROCID=6 SLURM_LOCALID=0 SLURM_NODEID=3 SLURM_STEP_NUM_NODES=4",
            Some("node_3"),
        ),
        // Nodes with unlike numbers of ranks: beyond the five numbers that nodes of five ranks can have.
        ("PMI_RANK=3 PMI_SIZE=5 MPI_LOCALRANKID=0 MPI_LOCALNRANKS=2", Some("node_8")),
    ] {
        assert_eq!(named(vars).as_deref(), expected, "{vars}");
    }
}

#[test]
fn what_the_user_says_of_the_node_wins() {
    let mut watch = watch(Path::new("/"), "RANK=4 LOCAL_RANK=0 WORLD_SIZE=8 LOCAL_WORLD_SIZE=4");
    for said in ["gpu-box", ""] {
        watch.settings.node_id = Some(said.to_owned());
        assert_eq!(decide(&watch), Decision::Sample { node_id: Some(said.to_owned()) });
    }
}

#[test]
fn keys_of_two_nodes_have_the_form_that_mlflows_ui_looks_for() {
    #[expect(clippy::unnecessary_wraps, reason = "as a driver is opened")]
    fn open(_: &Machine, registry: &mut Registry) -> Opened {
        let busy = registry.metric_of("gpu", 0, &metrics::GPU_MEMORY_USED);
        let cpu = registry.metric(&metrics::MEMORY_USED);
        Ok(probe(move |sink: &mut Sink<'_>| {
            sink.put(busy, 1.0);
            sink.put(cpu, 2.0);
            Ok::<(), ProbeError>(())
        }))
    }
    let dir = tempfile::tempdir().unwrap();
    let mut keys = BTreeSet::new();
    for rank in [0, 1] {
        let mut watch =
            watch(dir.path(), &format!("RANK={rank} LOCAL_RANK=0 GROUP_RANK={rank} GROUP_WORLD_SIZE=2"));
        watch.settings.tier = Some(Tier::Compat);
        let points = Kept::default();
        let start = |watch: &Watch, sink| -> Result<Box<dyn Monitor>> {
            let hub = Hub::new(Patience::DEFAULT);
            let drivers = vec![Driver::built_in("fake", open)];
            Ok(Box::new(hub.start(watch, sink, || (drivers, Machine::default()))?))
        };
        one_a_node(&watch, Box::new(points.clone()), start).unwrap().stop().unwrap();
        keys.extend(points.points().into_iter().map(|point| point.key));
    }
    let expected = [0, 1].map(|node| {
        ["gpu_0_memory_usage_megabytes", "system_memory_usage_megabytes"]
            .map(|name| format!("system/node_{node}/{name}"))
    });
    assert!(keys.iter().eq(expected.iter().flatten()), "{keys:?}");
}

#[test]
fn a_second_process_in_a_run_rests_until_the_first_one_stops() {
    let dir = tempfile::tempdir().unwrap();
    let watch = watch(dir.path(), "");
    let (first, samples) = started(&watch);
    assert!(samples);
    let (second, samples) = started(&watch);
    assert!(!samples);
    second.stop().unwrap();
    assert!(!started(&watch).1, "the end of one that rests frees nothing");
    first.stop().unwrap();
    let (third, samples) = started(&watch);
    assert!(samples, "a run that is resumed later is sampled");
    drop(third);
    assert!(started(&watch).1, "and so it is after one that was dropped");
    assert_eq!(dir.path().read_dir().unwrap().count(), 0, "no file is left");
}

#[test]
fn other_runs_and_other_nodes_are_none_of_its_business() {
    let dir = tempfile::tempdir().unwrap();
    let first = watch(dir.path(), "");
    let (mut run, mut node) = (first.clone(), first.clone());
    run.run_id = "4567".to_owned();
    node.settings.node_id = Some("../node_1".to_owned());
    let monitors = [&first, &run, &node].map(started);
    assert!(monitors.iter().all(|(_, samples)| *samples));
    assert_eq!(dir.path().read_dir().unwrap().count(), 3, "and no node's name leads elsewhere");
}

#[test]
fn a_monitor_that_does_not_start_keeps_nobody_away() {
    let dir = tempfile::tempdir().unwrap();
    let watch = watch(dir.path(), "");
    let fails = |_: &Watch, _: Box<dyn MonitorSink>| Err(Error::invalid("no interval"));
    one_a_node(&watch, Box::new(Kept::default()), fails).unwrap_err();
    assert!(started(&watch).1);
}

#[test]
fn a_turn_ends_though_a_forked_worker_has_its_file_open() {
    let dir = tempfile::tempdir().unwrap();
    let turn = Turn::take(dir.path(), "x").unwrap();
    let _of_the_worker = turn.lock.as_ref().unwrap().0.try_clone().unwrap();
    assert!(Turn::take(dir.path(), "x").is_none());
    let of_another_process = open(&dir.path().join("x")).unwrap();
    drop(turn);
    of_another_process.try_lock().unwrap();
    assert!(Turn::take(dir.path(), "x").is_some());
}

#[test]
fn a_forked_child_that_drops_its_copy_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let turn = Turn::take(dir.path(), "x").unwrap();
    let (file, path) = turn.lock.as_ref().unwrap();
    let copy = Some((file.try_clone().unwrap(), path.clone()));
    drop(Turn { lock: copy, owner: process::id() + 1 });
    assert!(Turn::take(dir.path(), "x").is_none());
}

#[test]
fn a_file_that_was_opened_before_its_turn_ended_is_looked_for_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let turn = Turn::take(dir.path(), "x").unwrap();
    let early = open(&path).unwrap();
    assert!(matches!(lock(open(&path).unwrap(), &path), Locked::Others));
    drop(turn);
    let _next = Turn::take(dir.path(), "x").unwrap();
    assert!(matches!(lock(early, &path), Locked::Gone), "its lock keeps nobody out");
}

#[test]
fn two_never_have_the_turn_however_often_it_changes_hands() {
    let dir = tempfile::tempdir().unwrap();
    let (held, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while turns.load(Ordering::Relaxed) < 2000 {
                    if let Some(turn) = Turn::take(dir.path(), "x").filter(|turn| turn.lock.is_some()) {
                        assert!(!held.swap(true, Ordering::AcqRel), "two at once");
                        turns.fetch_add(1, Ordering::Relaxed);
                        held.store(false, Ordering::Release);
                        drop(turn);
                    }
                }
            });
        }
    });
}

#[test]
fn files_of_processes_that_were_killed_are_harmless() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), "").unwrap();
    let turn = Turn::take(dir.path(), "x").unwrap();
    assert!(turn.lock.is_some() && Turn::take(dir.path(), "x").is_none());
}

#[test]
fn where_no_file_can_be_made_everybody_samples() {
    let dir = tempfile::tempdir().unwrap();
    let watch = watch(&dir.path().join("none"), "");
    let monitors = [started(&watch), started(&watch)];
    assert!(monitors.iter().all(|(_, samples)| *samples));
}

#[cfg(target_os = "linux")]
#[test]
fn a_link_in_place_of_the_file_is_not_followed() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let elsewhere = dir.path().join("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, dir.path().join("x")).unwrap();
    assert!(Turn::take(dir.path(), "x").unwrap().lock.is_none());
    assert!(!elsewhere.exists());
    let turn = Turn::take(dir.path(), "y").unwrap();
    let mode = turn.lock.as_ref().unwrap().0.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "and nobody else may open it");
}
