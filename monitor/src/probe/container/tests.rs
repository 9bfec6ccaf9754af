//! Containers of both versions and of both at once, as trees of files; real cgroups are in `real`.

mod real;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use runlog_core::autolog::Tier;

use super::cgroup::testing::{cgroups, group};
use super::*;
use crate::probe::testing::{Bench, write};

const V2: (&str, &str, &str) = ("/", "/sys/fs/cgroup", "cgroup2");

type Values = BTreeMap<String, f64>;

/// The values without `container_`.
fn read(bench: &mut Bench) -> Values {
    named(bench.read().unwrap())
}

fn named(values: Values) -> Values {
    values
        .into_iter()
        .map(|(name, value)| (name.strip_prefix("container_").unwrap().to_owned(), value))
        .collect()
}

/// What was put, even if something else failed.
fn read_all(bench: &mut Bench) -> (Result<(), ProbeError>, Values) {
    let outcome = bench.read().map(drop);
    (outcome, bench.values())
}

fn open(machine: &Machine) -> Bench {
    Bench::open(&DRIVER, machine).unwrap()
}

fn pressure(total_micros: u64) -> String {
    format!(
        "some avg10=0.00 avg60=0.00 avg300=0.00 total={total_micros}\n\
         full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
    )
}

/// A container of v2 with 8 processors to run on, a limit of 4 GB and a quota of 2 processors.
fn v2(dir: &Path) -> Machine {
    let machine = cgroups(dir, "0::/\n", &[V2]);
    group(
        &machine,
        "fs/cgroup",
        &[
            ("memory.current", "3000000000\n"),
            ("memory.stat", "anon 900000000\ninactive_file 1000000000\nactive_file 5\n"),
            ("memory.max", "4000000000\n"),
            ("memory.high", "max\n"),
            ("memory.peak", "3500000000\n"),
            ("memory.events", "low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 0\n"),
            ("cpu.max", "200000 100000\n"),
            ("cpu.stat", "usage_usec 5000000\nuser_usec 1\nnr_periods 9\nthrottled_usec 700000\n"),
            ("cpu.pressure", &pressure(1_000_000)),
            ("memory.pressure", &pressure(2_000_000)),
            ("io.pressure", &pressure(3_000_000)),
        ],
    );
    machine
}

/// The same in v1, in which the machine's paths are seen.
fn v1(dir: &Path) -> Machine {
    let mounts = [
        ("/docker/4f", "/sys/fs/cgroup/memory", "cgroup memory"),
        ("/docker/4f", "/sys/fs/cgroup/cpu,cpuacct", "cgroup cpu,cpuacct"),
    ];
    let machine = cgroups(dir, "4:memory:/docker/4f\n3:cpu,cpuacct:/docker/4f\n", &mounts);
    let files = [
        ("memory/memory.usage_in_bytes", "3000000000\n"),
        ("memory/memory.limit_in_bytes", "4000000000\n"),
        ("memory/memory.max_usage_in_bytes", "3500000000\n"),
        (
            "memory/memory.stat",
            "inactive_file 5\nhierarchical_memory_limit 4000000000\ntotal_inactive_file 1000000000\n",
        ),
        ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
        ("cpu,cpuacct/cpuacct.usage", "5000000000\n"),
        ("cpu,cpuacct/cpu.cfs_quota_us", "200000\n"),
        ("cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ("cpu,cpuacct/cpu.stat", "nr_periods 9\nnr_throttled 5\nthrottled_time 700000000\n"),
    ];
    for (file, content) in files {
        set(&machine, file, content);
    }
    machine
}

fn set(machine: &Machine, file: &str, content: &str) {
    write(&machine.sys.join("fs/cgroup").join(file), content);
}

#[test]
fn a_container_of_v2_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let machine = v2(dir.path());
    let mut bench = open(&machine);
    assert_eq!(bench.facts()["container.memory_limit_megabytes"], "4000");
    assert_eq!(bench.facts()["container.cpu_limit_cores"], "2");
    let first = named(bench.read_after(None).unwrap());
    let expected = [
        ("cpu_throttled_seconds", 0.0),
        ("memory_peak_megabytes", 3500.0),
        ("memory_usage_percentage", 50.0),
        ("memory_working_set_megabytes", 2000.0),
        ("oom_kills", 0.0),
    ];
    assert_eq!(first, expected.map(|(name, value)| (name.to_owned(), value)).into());

    set(&machine, "cpu.stat", "usage_usec 6000000\nthrottled_usec 950000\n");
    set(&machine, "memory.events", "oom_kill 5\n");
    for (file, total) in [("cpu", 1_250_000), ("memory", 2_500_000), ("io", 4_000_000)] {
        set(&machine, &format!("{file}.pressure"), &pressure(total));
    }
    let values = read(&mut bench);
    assert_eq!(values.get("cpu_utilization_percentage"), Some(&50.0), "a second of two a second");
    assert_eq!(values.get("cpu_throttled_seconds"), Some(&0.25));
    assert_eq!(values.get("oom_kills"), Some(&2.0));
    let pressures = ["cpu", "memory", "io"].map(|kind| values.get(&format!("{kind}_pressure_percentage")));
    assert_eq!(pressures, [Some(&25.0), Some(&50.0), Some(&100.0)]);
    assert_eq!(values.len(), 9);
}

#[test]
fn a_container_of_v1_is_read_alike() {
    let dir = tempfile::tempdir().unwrap();
    let machine = v1(dir.path());
    let mut bench = open(&machine);
    assert_eq!(bench.facts()["container.memory_limit_megabytes"], "4000");
    assert_eq!(bench.facts()["container.cpu_limit_cores"], "2");
    bench.read_after(None).unwrap();
    set(&machine, "cpu,cpuacct/cpuacct.usage", "6000000000\n");
    set(&machine, "cpu,cpuacct/cpu.stat", "throttled_time 950000000\n");
    set(&machine, "memory/memory.oom_control", "oom_kill 5\n");
    let expected = [
        ("cpu_throttled_seconds", 0.25),
        ("cpu_utilization_percentage", 50.0),
        ("memory_peak_megabytes", 3500.0),
        ("memory_usage_percentage", 50.0),
        ("memory_working_set_megabytes", 2000.0),
        ("oom_kills", 2.0),
    ];
    assert_eq!(read(&mut bench), expected.map(|(name, value)| (name.to_owned(), value)).into());
}

#[test]
fn with_both_versions_each_controller_is_read_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mounts =
        [("/", "/sys/fs/cgroup/memory", "cgroup memory"), ("/", "/sys/fs/cgroup/unified", "cgroup2")];
    let machine = cgroups(dir.path(), "4:memory:/job\n0::/job\n", &mounts);
    set(&machine, "memory/release_agent", "");
    set(&machine, "memory/job/memory.usage_in_bytes", "500000000\n");
    set(&machine, "memory/job/memory.stat", "total_inactive_file 0\n");
    set(&machine, "memory/job/memory.limit_in_bytes", "1000000000\n");
    // The same names in v2, where another account must not be taken for it.
    let cpu_stat = "usage_usec 5000000\n";
    let files = [
        ("cpu.stat", cpu_stat),
        ("cpu.pressure", &pressure(0)),
        ("memory.current", "1\n"),
        ("memory.stat", "x\n"),
    ];
    group(&machine, "fs/cgroup/unified/job", &files);
    let mut bench = open(&machine);
    bench.read_after(None).unwrap();
    set(&machine, "unified/job/cpu.stat", "usage_usec 9000000\n");
    let expected = [
        ("cpu_pressure_percentage", 0.0),
        ("cpu_utilization_percentage", 50.0),
        ("memory_usage_percentage", 50.0),
        ("memory_working_set_megabytes", 500.0),
    ];
    let expected: Values = expected.map(|(name, value)| (name.to_owned(), value)).into();
    assert_eq!(read(&mut bench), expected, "4 seconds on 8 processors, and no quota that could throttle");
}

/// A job in a cgroup of its own below one with other processes, both of v2 and not in a namespace.
fn nested(dir: &Path, own: [(&str, &str); 2], above: [(&str, &str); 2]) -> Machine {
    let machine = cgroups(dir, "0::/jobs/1\n", &[V2]);
    for (path, usage) in [("jobs", "3000000000\n"), ("jobs/1", "1000000000\n")] {
        let stats = [("memory.stat", "inactive_file 0\n"), ("cpu.stat", "usage_usec 0\nthrottled_usec 0\n")];
        group(&machine, &format!("fs/cgroup/{path}"), &[stats[0], stats[1], ("memory.current", usage)]);
    }
    for (file, content) in own {
        set(&machine, &format!("jobs/1/{file}"), content);
    }
    for (file, content) in above {
        set(&machine, &format!("jobs/{file}"), content);
    }
    machine
}

#[test]
fn a_limit_is_compared_with_what_counts_against_it_and_the_nearest_is_told() {
    for (own, above, percentage, fact) in [
        ("max\n", "4000000000\n", 75.0, "4000"),
        ("8000000000\n", "4000000000\n", 75.0, "4000"),
        ("1250000000\n", "4000000000\n", 80.0, "1250"),
        ("4000000000\n", "max\n", 25.0, "4000"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let cpu = ("cpu.max", "max 100000\n");
        let machine = nested(dir.path(), [("memory.max", own), cpu], [("memory.max", above), cpu]);
        let mut bench = open(&machine);
        let values = read(&mut bench);
        assert_eq!(values.get("memory_usage_percentage"), Some(&percentage), "{own}{above}");
        assert_eq!(values.get("memory_working_set_megabytes"), Some(&1000.0), "the own cgroup's");
        assert_eq!(bench.facts()["container.memory_limit_megabytes"], fact);
        assert!(!bench.facts().contains_key("container.cpu_limit_cores"));
        assert!(!values.contains_key("cpu_throttled_seconds"), "nothing could throttle");
    }
}

#[test]
fn pressures_peak_and_kills_are_the_own_cgroups() {
    let dir = tempfile::tempdir().unwrap();
    let machine = nested(
        dir.path(),
        [("memory.max", "4000000000\n"), ("cpu.max", "max 100000\n")],
        [("memory.max", "max\n"), ("cpu.max", "max 100000\n")],
    );
    let both = |own: u64, above: u64| {
        for (place, amount) in [("jobs/1", own), ("jobs", above)] {
            set(&machine, &format!("{place}/io.pressure"), &pressure(amount * 1000));
            set(&machine, &format!("{place}/memory.peak"), &format!("{amount}000000\n"));
            set(&machine, &format!("{place}/memory.events"), &format!("oom_kill {amount}\n"));
        }
    };
    both(100, 500);
    let mut bench = open(&machine);
    bench.read_after(None).unwrap();
    both(200, 900);
    let values = read(&mut bench);
    assert_eq!(values.get("io_pressure_percentage"), Some(&10.0));
    assert_eq!(values.get("memory_peak_megabytes"), Some(&200.0));
    assert_eq!(values.get("oom_kills"), Some(&100.0));
}

#[test]
fn a_quota_is_compared_with_what_is_used_of_it_and_the_nearest_is_told() {
    // The own cgroup uses 1 processor and those of the job 3, of 8 that this process may run on.
    for (own, above, percentage, fact, throttled) in [
        ("max 100000\n", "400000 100000\n", 75.0, "4", 2.0),
        ("200000 100000\n", "400000 100000\n", 75.0, "2", 3.0),
        ("125000 100000\n", "400000 100000\n", 80.0, "1.25", 3.0),
        ("400000 100000\n", "max 100000\n", 25.0, "4", 1.0),
        ("1600000 100000\n", "max 100000\n", 12.5, "16", 1.0),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let memory = ("memory.max", "max\n");
        let machine = nested(dir.path(), [("cpu.max", own), memory], [("cpu.max", above), memory]);
        let mut bench = open(&machine);
        bench.read_after(None).unwrap();
        set(&machine, "jobs/1/cpu.stat", "usage_usec 1000000\nthrottled_usec 1000000\n");
        set(&machine, "jobs/cpu.stat", "usage_usec 3000000\nthrottled_usec 2000000\n");
        let values = read(&mut bench);
        assert_eq!(values.get("cpu_utilization_percentage"), Some(&percentage), "{own}{above}");
        assert_eq!(values.get("cpu_throttled_seconds"), Some(&throttled), "{own}{above}");
        assert_eq!(bench.facts()["container.cpu_limit_cores"], fact);
        assert!(!values.contains_key("memory_usage_percentage"), "there is no limit");
    }
}

#[test]
fn without_a_quota_it_is_of_the_processors_of_its_set_and_not_of_those_that_this_process_is_bound_to() {
    let dir = tempfile::tempdir().unwrap();
    let machine = v2(dir.path());
    group(&machine, "fs/cgroup", &[("cpu.max", "max 100000\n"), ("cpuset.cpus.effective", "0-15,32-47\n")]);
    let mut bench = open(&machine);
    bench.read_after(None).unwrap();
    set(&machine, "cpu.stat", "usage_usec 13000000\nthrottled_usec 0\n");
    assert_eq!(read(&mut bench).get("cpu_utilization_percentage"), Some(&25.0), "8 of 32");

    set(&machine, "cpuset.cpus.effective", "many\n");
    assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Failed(_))));

    let dir = tempfile::tempdir().unwrap();
    let mounts = [
        ("/job", "/sys/fs/cgroup/cpu,cpuacct", "cgroup cpu,cpuacct"),
        ("/job", "/sys/fs/cgroup/cpuset", "cgroup cpuset"),
    ];
    let machine = cgroups(dir.path(), "3:cpu,cpuacct:/job\n2:cpuset:/job\n", &mounts);
    let place = machine.sys.join("fs/cgroup");
    write(&place.join("cpuset/cpuset.effective_cpus"), "4-7\n");
    write(&place.join("cpu,cpuacct/cpuacct.usage"), "0\n");
    let mut bench = open(&machine);
    bench.read_after(None).unwrap();
    write(&place.join("cpu,cpuacct/cpuacct.usage"), "1000000000\n");
    assert_eq!(read(&mut bench).get("cpu_utilization_percentage"), Some(&25.0), "1 of 4");
}

#[test]
fn a_soft_limit_holds_too() {
    let dir = tempfile::tempdir().unwrap();
    let machine = v2(dir.path());
    set(&machine, "memory.high", "2500000000\n");
    assert_eq!(read(&mut open(&machine)).get("memory_usage_percentage"), Some(&80.0));
}

#[test]
fn a_limit_that_changes_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let machine = v2(dir.path());
    let mut bench = open(&machine);
    bench.read_after(None).unwrap();
    set(&machine, "memory.max", "8000000000\n");
    set(&machine, "cpu.max", "400000 100000\n");
    set(&machine, "cpu.stat", "usage_usec 6000000\nthrottled_usec 700000\n");
    let values = read(&mut bench);
    assert_eq!(values.get("memory_usage_percentage"), Some(&25.0));
    assert_eq!(values.get("cpu_utilization_percentage"), Some(&25.0));
    set(&machine, "memory.max", "max\n");
    set(&machine, "cpu.max", "max 100000\n");
    set(&machine, "cpu.stat", "usage_usec 8000000\nthrottled_usec 700000\n");
    let values = read(&mut bench);
    assert!(!values.contains_key("memory_usage_percentage"), "lifted");
    assert_eq!(values.get("cpu_utilization_percentage"), Some(&25.0), "two of the eight processors");
}

#[test]
fn a_quota_above_that_is_lifted_holds_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let memory = ("memory.max", "max\n");
    let above = [("cpu.max", "400000 100000\n"), memory];
    let machine = nested(dir.path(), [("cpu.max", "max 100000\n"), memory], above);
    let mut bench = open(&machine);
    bench.read_after(None).unwrap();
    set(&machine, "jobs/cpu.max", "max 100000\n");
    set(&machine, "jobs/1/cpu.stat", "usage_usec 1000000\nthrottled_usec 0\n");
    set(&machine, "jobs/cpu.stat", "usage_usec 8000000\nthrottled_usec 0\n");
    assert_eq!(read(&mut bench).get("cpu_utilization_percentage"), Some(&12.5), "the own cgroup's, of 8");
}

#[test]
fn v1_tells_a_limit_that_lies_above_what_can_be_seen() {
    let dir = tempfile::tempdir().unwrap();
    let machine = v1(dir.path());
    set(&machine, "memory/memory.limit_in_bytes", "9223372036854771712\n");
    set(
        &machine,
        "memory/memory.stat",
        "hierarchical_memory_limit 8000000000\ntotal_inactive_file 1000000000\n",
    );
    let mut bench = open(&machine);
    assert_eq!(bench.facts()["container.memory_limit_megabytes"], "8000");
    assert_eq!(read(&mut bench).get("memory_usage_percentage"), Some(&25.0));
}

#[test]
fn a_container_without_limits_has_no_percentage_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let machine = v2(dir.path());
    set(&machine, "memory.max", "max\n");
    set(&machine, "cpu.max", "max 100000\n");
    let mut bench = open(&machine);
    bench.read_after(None).unwrap();
    assert!(bench.facts().is_empty());
    set(&machine, "cpu.stat", "usage_usec 7000000\nthrottled_usec 700000\n");
    let values = read(&mut bench);
    assert_eq!(values.get("cpu_utilization_percentage"), Some(&25.0), "two of the eight processors");
    for absent in ["memory_usage_percentage", "cpu_throttled_seconds"] {
        assert!(!values.contains_key(absent), "{absent}");
    }

    let dir = tempfile::tempdir().unwrap();
    let machine = v1(dir.path());
    set(&machine, "memory/memory.limit_in_bytes", "9223372036854771712\n");
    set(
        &machine,
        "memory/memory.stat",
        "hierarchical_memory_limit 9223372036854771712\ntotal_inactive_file 0\n",
    );
    set(&machine, "cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    let values = read(&mut open(&machine));
    assert!(!values.contains_key("memory_usage_percentage") && !values.contains_key("cpu_throttled_seconds"));
}

#[test]
fn a_login_session_is_no_container() {
    let dir = tempfile::tempdir().unwrap();
    let cpu = ("cpu.max", "max 100000\n");
    let none = [("memory.max", "max\n"), cpu];
    let machine = nested(dir.path(), none, none);
    assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Absent(_))));
    let rooted = cgroups(dir.path(), "0::/\n", &[("/", "/sys/fs/cgroup/none", "cgroup2")]);
    assert!(matches!(Bench::open(&DRIVER, &rooted), Err(ProbeError::Absent(_))), "a bare machine");
    let without = crate::probe::testing::empty(&dir.path().join("without"));
    assert!(matches!(Bench::open(&DRIVER, &without), Err(ProbeError::Absent(_))), "no cgroups");
}

#[test]
fn what_made_the_container_is_told_by_its_mark() {
    for (mark, runtime) in [
        (".dockerenv", "docker"),
        ("run/.containerenv", "podman"),
        (".singularity.d/env", "apptainer"),
        ("var/run/secrets/kubernetes.io/serviceaccount/token", "kubernetes"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        // Not in a namespace and without limits: only the mark tells.
        let cpu = ("cpu.max", "max 100000\n");
        let none = [("memory.max", "max\n"), cpu];
        let machine = nested(dir.path(), none, none);
        write(&machine.proc.join("self/root").join(mark), "");
        assert_eq!(open(&machine).facts()["container.runtime"], runtime);
    }
    let dir = tempfile::tempdir().unwrap();
    let machine = cgroups(dir.path(), "0::/kubepods/burstable/pod1/2\n", &[V2]);
    group(&machine, "fs/cgroup/kubepods/burstable/pod1/2", &[("memory.current", "1\n")]);
    write(&machine.proc.join("self/root/.dockerenv"), "");
    assert_eq!(open(&machine).facts()["container.runtime"], "kubernetes");
}

#[test]
fn files_that_a_kernel_lacks_have_no_metric() {
    let dir = tempfile::tempdir().unwrap();
    let machine = v2(dir.path());
    for file in ["memory.peak", "memory.high", "cpu.pressure", "memory.pressure", "io.pressure"] {
        fs::remove_file(machine.sys.join("fs/cgroup").join(file)).unwrap();
    }
    set(&machine, "memory.events", "oom 4\n");
    let mut bench = open(&machine);
    let names: Vec<_> = bench.registry.entries().iter().map(|entry| entry.name.to_string()).collect();
    let expected = [
        "container_memory_working_set_megabytes",
        "container_memory_usage_percentage",
        "container_cpu_utilization_percentage",
        "container_cpu_throttled_seconds",
    ];
    assert_eq!(names, expected);
    assert_eq!(read(&mut bench).get("memory_usage_percentage"), Some(&50.0));

    for file in ["memory.current", "cpu.stat"] {
        fs::remove_file(machine.sys.join("fs/cgroup").join(file)).unwrap();
    }
    assert!(open(&machine).registry.entries().is_empty(), "a container of which the kernel keeps no account");
}

#[test]
fn garbage_fails_and_keeps_nothing_else_back() {
    let whole = 9;
    for (file, lost) in [
        ("memory.current", vec!["memory_working_set_megabytes", "memory_usage_percentage"]),
        ("memory.stat", vec!["memory_working_set_megabytes", "memory_usage_percentage"]),
        ("memory.max", vec!["memory_usage_percentage"]),
        ("memory.peak", vec!["memory_peak_megabytes"]),
        ("memory.events", vec!["oom_kills"]),
        ("cpu.stat", vec!["cpu_utilization_percentage", "cpu_throttled_seconds"]),
        ("cpu.max", vec!["cpu_utilization_percentage", "cpu_throttled_seconds"]),
        ("io.pressure", vec!["io_pressure_percentage"]),
    ] {
        for garbage in ["", "garbage\n", "-5\n", "99999999999999999999999\n"] {
            let dir = tempfile::tempdir().unwrap();
            let machine = v2(dir.path());
            let before = fs::read_to_string(machine.sys.join("fs/cgroup").join(file)).unwrap();
            let mut bench = open(&machine);
            assert_eq!(bench.read().unwrap().len(), 5, "rates have no beginning yet");
            assert_eq!(bench.read().unwrap().len(), whole);
            set(&machine, file, garbage);
            let (outcome, values) = read_all(&mut bench);
            assert!(matches!(outcome, Err(ProbeError::Failed(_))), "{file} {garbage:?}");
            let values = named(values);
            for name in &lost {
                assert!(!values.contains_key(*name), "{file} {garbage:?} {name}");
            }
            assert!(values.len() >= whole - lost.len() - 1, "{file} {garbage:?} {values:?}");

            set(&machine, file, &before);
            let back = read(&mut bench);
            let rates =
                lost.iter().filter(|name| name.contains("cpu_utilization") || name.contains("pressure"));
            assert_eq!(back.len(), whole - rates.count(), "{file}: a rate begins anew");
            assert_eq!(bench.read().unwrap().len(), whole);
        }
    }
}

#[test]
fn a_gap_is_not_averaged_over_and_totals_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let machine = v2(dir.path());
    let mut bench = open(&machine);
    bench.read_after(None).unwrap();
    set(&machine, "cpu.stat", "usage_usec 900000000\nthrottled_usec 1700000\n");
    let values = named(bench.read_after(None).unwrap());
    assert!(!values.contains_key("cpu_utilization_percentage"));
    assert_eq!(values.get("cpu_throttled_seconds"), Some(&1.0));
    set(&machine, "cpu.stat", "usage_usec 901000000\nthrottled_usec 1700000\n");
    assert_eq!(read(&mut bench).get("cpu_utilization_percentage"), Some(&50.0));
}

#[test]
fn the_lowest_tier_reads_none_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let opened = Bench::open_in(Tier::Compat, &DRIVER, &v2(dir.path()));
    assert!(matches!(opened, Err(ProbeError::Absent(_))));
}

#[test]
fn any_bytes_are_read_or_fail() {
    let dir = tempfile::tempdir().unwrap();
    let machine = v2(dir.path());
    let files = vec![
        "memory.current",
        "memory.stat",
        "memory.max",
        "memory.events",
        "cpu.stat",
        "cpu.max",
        "io.pressure",
    ];
    let read = |(bytes, file): (Vec<u8>, &str)| {
        let path = machine.sys.join("fs/cgroup").join(file);
        let whole = fs::read(&path).unwrap();
        let mut bench = open(&machine);
        bench.read_after(None).unwrap();
        fs::write(&path, &bytes).unwrap();
        let (_outcome, values) = read_all(&mut bench);
        prop_assert!(values.values().all(|value| *value >= 0.0), "{:?}", values);
        let _opened = Bench::open(&DRIVER, &machine);
        fs::write(&path, whole).unwrap();
        Ok(())
    };
    let any = (any::<Vec<u8>>(), proptest::sample::select(files));
    proptest::test_runner::TestRunner::default().run(&any, read).unwrap();
}
