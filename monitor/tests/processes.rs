//! The tree of a real process: children, grandchildren, threads, zombies, and what the ones that ended had used.
//!
//! One test, since all tests of a binary share one process and so one tree.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use runlog_core::autolog::Tier;
use runlog_monitor::readers::Readers;

/// The values without `process_`, read as if a second after the time before; that is time enough to look for new ones.
#[cfg(test)]
fn read(readers: &mut Readers) -> BTreeMap<String, f64> {
    readers.read(Some(Duration::from_secs(1)));
    assert_eq!(readers.failures().len(), 0, "{:?}", readers.failures());
    let values = readers.values().into_iter();
    values.map(|(name, value)| (name.strip_prefix("process_").unwrap().to_owned(), value)).collect()
}

/// The descendants that an independent reader finds.
#[cfg(test)]
fn descendants() -> usize {
    let mut system = sysinfo::System::new().unwrap();
    system.refresh_processes(sysinfo::ProcessesToUpdate::All, true);
    let own = sysinfo::Pid::from_u32(std::process::id());
    let is_ours = |process: &sysinfo::Process| {
        // Threads are listed too.
        let is_one = process.thread_kind().is_none() && process.status() != sysinfo::ProcessStatus::Zombie;
        let above = |pid: sysinfo::Pid| system.process(pid).and_then(sysinfo::Process::parent);
        is_one && std::iter::successors(process.parent(), |pid| above(*pid)).any(|pid| pid == own)
    };
    system.processes().values().filter(|process| is_ours(process)).count()
}

/// The state of a process and, in ticks, what its children had used that it waited for.
#[cfg(test)]
fn state_and_reaped(id: u32) -> (String, u64) {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[0].to_owned(), fields[13].parse::<u64>().unwrap() + fields[14].parse::<u64>().unwrap())
}

#[test]
fn the_tree_is_the_living_processes_and_keeps_what_the_ended_ones_used() {
    let mut readers = Readers::open_only(Path::new("/"), Tier::Full, |name| name.starts_with("process"));
    readers.read(None);
    let alone = read(&mut readers);
    assert_eq!(alone.get("tree_processes"), Some(&1.0));
    assert_eq!(alone["tree_threads"].to_string(), alone["threads"].to_string());

    // A child and its child.
    let script = "sleep 600 & echo $!; wait";
    let mut shell = Command::new("sh").arg("-c").arg(script).stdout(Stdio::piped()).spawn().unwrap();
    let mut grandchild = String::new();
    BufReader::new(shell.stdout.take().unwrap()).read_line(&mut grandchild).unwrap();
    let three = read(&mut readers);
    assert_eq!(three.get("tree_processes"), Some(&3.0), "{three:?}");
    assert_eq!(descendants(), 2);
    assert!(three["tree_memory_rss_megabytes"] > three["memory_rss_megabytes"], "{three:?}");

    // Threads, of this process and so of its tree.
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let (stop, stopped): (_, Receiver<()>) = sync_channel(0);
            let thread = std::thread::Builder::new().spawn(move || stopped.recv().unwrap_err()).unwrap();
            (stop, thread)
        })
        .collect();
    let threads = read(&mut readers);
    assert!((threads["threads"] - three["threads"] - 10.0).abs() < 0.5, "{threads:?}");
    assert!((threads["tree_threads"] - three["tree_threads"] - 10.0).abs() < 0.5, "{threads:?}");
    for (stop, thread) in waiting {
        drop(stop);
        thread.join().unwrap();
    }

    // A zombie is no process any more, and its child is taken over by another.
    shell.kill().unwrap();
    while state_and_reaped(shell.id()).0 != "Z" {
        std::thread::yield_now();
    }
    assert_eq!(read(&mut readers).get("tree_processes"), Some(&1.0));
    assert_eq!(descendants(), 0);
    shell.wait().unwrap();
    assert!(Command::new("kill").arg(grandchild.trim()).status().unwrap().success());
    assert_eq!(read(&mut readers).get("tree_processes"), Some(&1.0));

    // A child that began and ended between two readings.
    let before = state_and_reaped(std::process::id()).1;
    while state_and_reaped(std::process::id()).1 < before + 20 {
        let script = "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done";
        assert!(Command::new("sh").arg("-c").arg(script).status().unwrap().success());
    }
    let used = read(&mut readers);
    let of_children = used["tree_cpu_utilization_percentage"] - used["cpu_utilization_percentage"];
    assert!(of_children > 0.0, "{used:?}");
    let idle = read(&mut readers);
    assert!(idle["tree_cpu_utilization_percentage"] < of_children, "it counts once: {used:?} {idle:?}");
}
