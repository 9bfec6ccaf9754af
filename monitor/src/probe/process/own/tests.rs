//! This process as a tree of files, and as it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use runlog_core::autolog::Tier;

use super::*;
use crate::probe::testing::{Bench, empty, write};

/// What `stat` says: ticks of processor time, threads, major faults.
fn stat(ticks: u64, threads: u64, faults: u64) -> String {
    format!("7 (a b) R 1 7 7 0 -1 4194560 90 0 {faults} 0 {ticks} 0 5 5 20 0 {threads} 0 900 1000 50\n")
}

/// A process that may run on four processors.
fn machine(dir: &Path) -> Machine {
    let machine = empty(dir);
    let own = machine.proc.join("self");
    write(&own.join("stat"), &stat(100, 3, 10));
    write(&own.join("statm"), "9000 2000 300 1 0 500 0\n");
    write(
        &own.join("status"),
        "Name:\tx\nVmPeak:\t  99 kB\nVmHWM:\t  40000 kB\nVmRSS:\t 8 kB\nThreads:\t3\n",
    );
    for file in ["0", "1", "2", "17"] {
        write(&own.join("fd").join(file), "");
    }
    write(&own.join("task/7/status"), "Cpus_allowed:\tf\n");
    write(&own.join("task/7/stat"), &stat(60, 3, 10));
    write(&own.join("task/8/status"), "Cpus_allowed:\tf\n");
    write(&own.join("task/8/stat"), &stat(40, 3, 10).replace("7 (", "8 ("));
    machine
}

fn set(machine: &Machine, file: &str, content: &str) {
    write(&machine.proc.join("self").join(file), content);
}

/// The values without `process_`.
fn read_after(bench: &mut Bench, since_last: Option<Duration>) -> BTreeMap<String, f64> {
    let values = bench.read_after(since_last).unwrap().into_iter();
    values.map(|(name, value)| (name.strip_prefix("process_").unwrap().to_owned(), value)).collect()
}

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

#[test]
fn a_process_is_read() {
    assert_eq!(rustix::param::clock_ticks_per_second(), 100, "what the numbers below are of");
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(dir.path());
    let mut bench = Bench::open(&super::super::DRIVER, &machine).unwrap();
    let megabytes = 2000.0 * page_bytes() / 1e6;
    let gauges = [
        ("memory_peak_megabytes", 40.96),
        ("memory_rss_megabytes", megabytes),
        ("open_files", 4.0),
        ("threads", 3.0),
    ];
    let gauges = gauges.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(read_after(&mut bench, None), gauges.into(), "rates have no beginning yet");

    set(&machine, "stat", &stat(300, 12, 14));
    set(&machine, "task/7/stat", &stat(130, 12, 14));
    set(&machine, "task/8/stat", &stat(130, 12, 14));
    fs::remove_file(machine.proc.join("self/fd/17")).unwrap();
    let values = read_after(&mut bench, Some(Duration::from_secs(2)));
    assert_eq!(values.get("cpu_utilization_percentage"), Some(&25.0), "a second a second on four processors");
    assert_eq!(values.get("busiest_thread_percentage"), Some(&45.0));
    assert_eq!(values.get("major_faults_per_second"), Some(&2.0));
    assert_eq!(values.get("threads"), Some(&12.0));
    assert_eq!(values.get("open_files"), Some(&3.0));
    assert_eq!(values.len(), 7);
}

#[test]
fn processor_time_is_of_the_quota_where_that_is_less() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(dir.path());
    set(&machine, "cgroup", "0::/\n");
    set(&machine, "mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    write(&machine.sys.join("fs/cgroup/cgroup.events"), "");
    for (quota, expected) in [("50000 100000", 100.0), ("800000 100000", 12.5), ("max 100000", 12.5)] {
        write(&machine.sys.join("fs/cgroup/cpu.max"), quota);
        set(&machine, "stat", &stat(100, 3, 10));
        let mut bench = Bench::open(&super::super::DRIVER, &machine).unwrap();
        read_after(&mut bench, None);
        set(&machine, "stat", &stat(150, 3, 10));
        let values = read_after(&mut bench, SECOND);
        assert_eq!(values.get("cpu_utilization_percentage"), Some(&expected), "{quota}");
    }
}

#[test]
fn what_a_system_does_not_tell_has_no_metric() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(dir.path());
    set(&machine, "status", "Name:\tx\n");
    for missing in ["fd", "task"] {
        fs::remove_dir_all(machine.proc.join("self").join(missing)).unwrap();
    }
    let bench = Bench::open(&super::super::DRIVER, &machine).unwrap();
    let names: Vec<_> = bench.registry.entries().iter().map(|entry| entry.name.to_string()).collect();
    assert_eq!(names, ["process_memory_rss_megabytes", "process_threads", "process_major_faults_per_second"]);

    fs::remove_file(machine.proc.join("self/stat")).unwrap();
    assert!(matches!(Bench::open(&super::super::DRIVER, &machine), Err(ProbeError::Absent(_))));
    let opened = Bench::open_in(Tier::Compat, &super::super::DRIVER, &Machine::default());
    assert!(matches!(opened, Err(ProbeError::Absent(_))), "the lowest tier");
}

#[test]
fn garbage_fails_and_keeps_nothing_else_back() {
    for (file, lost) in [
        ("stat", &["cpu_utilization_percentage", "major_faults_per_second", "threads"] as &[_]),
        ("statm", &["memory_rss_megabytes", "memory_peak_megabytes"]),
        ("status", &["memory_peak_megabytes"]),
        ("task/8/stat", &["busiest_thread_percentage"]),
    ] {
        for garbage in ["", "garbage\n", "1 (x) S 1 1 1", "-1 -1"] {
            let dir = tempfile::tempdir().unwrap();
            let machine = machine(dir.path());
            let whole = fs::read_to_string(machine.proc.join("self").join(file)).unwrap();
            let mut bench = Bench::open(&super::super::DRIVER, &machine).unwrap();
            bench.read_after(None).unwrap();
            assert_eq!(bench.read().unwrap().len(), 7);
            set(&machine, file, garbage);
            let outcome = bench.read();
            let values = bench.values();
            assert!(matches!(outcome, Err(ProbeError::Failed(_))), "{file} {garbage:?}");
            for lost in lost {
                assert!(!values.contains_key(&format!("process_{lost}")), "{file} {garbage:?} {lost}");
            }
            assert_eq!(values.len(), 7 - lost.len(), "{file} {garbage:?}");
            // A rate does not reach back over what could not be read.
            set(&machine, file, &whole);
            let rates = lost.iter().filter(|name| {
                name.contains("cpu") || name.contains("per_second") || name.contains("busiest")
            });
            assert_eq!(bench.read().unwrap().len(), 7 - rates.count(), "{file} {garbage:?}");
            assert_eq!(bench.read().unwrap().len(), 7);
        }
    }
}

#[test]
fn this_process_is_read_as_the_system_tells_it() {
    let mut bench = Bench::open(&super::super::DRIVER, &Machine::default()).unwrap();
    let before = bench.read_after(None).unwrap();
    let opened: Vec<_> = (0..200).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
    let memory = vec![1_u8; 50_000_000];
    let after = bench.read().unwrap();
    drop((opened, std::hint::black_box(memory)));

    let rise = |name: &str| after[name] - before[name];
    // Tests beside this one open and close files and take memory too, but not so much.
    assert!(rise("process_open_files") > 100.0, "{before:?} {after:?}");
    assert!(rise("process_memory_rss_megabytes") > 25.0, "{before:?} {after:?}");
    assert!(after["process_memory_peak_megabytes"] > 50.0, "{after:?}");
    assert!(after["process_threads"] >= 1.0);
    assert_eq!(after.len(), 7, "{after:?}");
}
