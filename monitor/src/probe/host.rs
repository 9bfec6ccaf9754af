//! The machine as a whole: what it is, told once, and the load average of its kernel.
//!
//! Invariant: a fact is told where the system tells it, and only above the tier `compat`.

use std::collections::BTreeSet;
use std::path::Path;

use runlog_core::autolog::Tier;

use super::pseudo::{Pseudo, words};
use super::sysfs::{names, processors, text};
use super::{Driver, Key, Machine, Opened, Probe, ProbeError, Registry, Sink, absent, corrupt, wanted};
use crate::metrics;

pub(super) const DRIVER: Driver = Driver::built_in("host", open);

struct Host {
    load: Option<(Pseudo, Key)>,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    let told_before = registry.facts().len();
    if registry.tier() > Tier::Compat {
        tell(machine, registry);
    }
    let wanted = wanted(registry, &metrics::LOAD_AVERAGE);
    let load = match wanted.and_then(|()| Pseudo::open(machine.proc.join("loadavg"))) {
        Ok(mut loadavg) => {
            parse(loadavg.head()?).ok_or_else(no_load)?;
            registry.metric(&metrics::LOAD_AVERAGE).map(|key| (loadavg, key))
        }
        Err(ProbeError::Absent(_)) => None,
        Err(failed) => return Err(failed),
    };
    if load.is_none() && registry.facts().len() == told_before {
        return Err(absent("the system says nothing of the machine, or the tier leaves it out"));
    }
    Ok(Box::new(Host { load }))
}

impl Probe for Host {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        if let Some((loadavg, key)) = &mut self.load {
            sink.put(*key, parse(loadavg.head()?).ok_or_else(no_load)?);
        }
        Ok(())
    }
}

fn no_load() -> ProbeError {
    corrupt("/proc/loadavg does not begin with a load")
}

/// The load of the last minute (the format: `proc_loadavg(5)`).
fn parse(loadavg: &[u8]) -> Option<f64> {
    let first = words(loadavg).next()?;
    // Rust reads names and exponents too, which the kernel does not write.
    first.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.').then_some(())?;
    str::from_utf8(first).ok()?.parse().ok()
}

fn tell(machine: &Machine, registry: &mut Registry) {
    let cpuinfo = machine.proc.join("cpuinfo");
    // On a large machine all of it takes the kernel long, and is only read where `/sys` is not there.
    let first =
        Pseudo::open(cpuinfo.clone()).and_then(|mut file| Ok(file.head()?.to_vec())).unwrap_or_default();
    let all = || text(&cpuinfo).unwrap_or_default();
    let cpus = machine.sys.join("devices/system/cpu");
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            registry.fact(name, value);
        }
    };
    fact("host.cpu", model(&String::from_utf8_lossy(&first)));
    fact("host.cpu_cores", cores(&cpus, all).map(|cores| cores.to_string()));
    fact("host.cpu_threads", threads(&cpus, all).map(|threads| threads.to_string()));
    fact("host.memory_megabytes", memory(machine).map(|megabytes| megabytes.to_string()));
    fact("host.os", system(machine));
    fact("host.kernel", text(machine.proc.join("sys/kernel/osrelease")));
    fact("host.name", text(machine.proc.join("sys/kernel/hostname")));
}

/// The values of one field of `/proc/cpuinfo`, whose lines are `name : value`.
fn values<'a>(cpuinfo: &'a str, field: &str) -> impl Iterator<Item = &'a str> {
    let pairs = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    pairs.filter(move |(name, _)| name.trim() == field).map(|(_, value)| value.trim())
}

/// The name of the processors: where architectures write it.
fn model(cpuinfo: &str) -> Option<String> {
    let name = ["model name", "Model", "cpu"].into_iter().find_map(|field| values(cpuinfo, field).next());
    name.filter(|name| !name.is_empty()).map(str::to_owned)
}

/// The processors that are online, hardware threads each.
fn threads(cpus: &Path, cpuinfo: impl Fn() -> String) -> Option<usize> {
    let online = text(cpus.join("online")).and_then(|list| processors(&list)).map(|online| online.len());
    online.or_else(|| Some(values(&cpuinfo(), "processor").count())).filter(|threads| *threads > 0)
}

/// The cores that those threads are of: each thread knows its siblings.
fn cores(cpus: &Path, cpuinfo: impl Fn() -> String) -> Option<usize> {
    let cpu = |name: &String| name.strip_prefix("cpu").is_some_and(|number| number.parse::<u32>().is_ok());
    let siblings = |name: String| {
        let topology = cpus.join(name).join("topology");
        // The older name of the same file.
        text(topology.join("core_cpus_list")).or_else(|| text(topology.join("thread_siblings_list")))
    };
    let by_topology: BTreeSet<_> = names(cpus).into_iter().filter(cpu).filter_map(siblings).collect();
    let cores = if by_topology.is_empty() { by_cpuinfo(&cpuinfo()) } else { by_topology.len() };
    (cores > 0).then_some(cores)
}

fn by_cpuinfo(cpuinfo: &str) -> usize {
    let cores: BTreeSet<_> = values(cpuinfo, "physical id").zip(values(cpuinfo, "core id")).collect();
    cores.len()
}

/// All memory that the kernel manages.
fn memory(machine: &Machine) -> Option<u64> {
    let meminfo = text(machine.proc.join("meminfo"))?;
    let kibibytes: u64 = values(&meminfo, "MemTotal").next()?.strip_suffix(" kB")?.parse().ok()?;
    Some((kibibytes.checked_mul(1024)? + 500_000) / 1_000_000)
}

/// The distribution (the format: `os-release(5)`), or else the kernel's name.
fn system(machine: &Machine) -> Option<String> {
    let release = text(machine.etc.join("os-release")).unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name =
        name.map(|name| name.trim().trim_matches(['"', '\'']).to_owned()).filter(|name| !name.is_empty());
    name.or_else(|| text(machine.proc.join("sys/kernel/ostype")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::probe::testing::{Bench, empty, write};

    const CPUINFO: &str = "processor\t: 0\nmodel name\t: AMD EPYC 7R13: 48 cores\nphysical id\t: 0\ncore id\t\t: 0\n\n\
                           processor\t: 1\nmodel name\t: AMD EPYC 7R13: 48 cores\nphysical id\t: 0\ncore id\t\t: 0\n";

    fn whole(machine: &Machine) {
        write(&machine.proc.join("loadavg"), "1.50 0.40 0.10 2/300 4711\n");
        write(&machine.proc.join("cpuinfo"), CPUINFO);
        write(&machine.proc.join("meminfo"), "MemTotal:       16000500 kB\nMemFree: 1 kB\n");
        write(&machine.proc.join("sys/kernel/osrelease"), "6.8.0-40-generic\n");
        write(&machine.proc.join("sys/kernel/hostname"), "gpu-17\n");
        write(&machine.etc.join("os-release"), "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n");
        let cpus = machine.sys.join("devices/system/cpu");
        write(&cpus.join("online"), "0-3\n");
        for (cpu, siblings) in [(0, "0,2"), (1, "1,3"), (2, "0,2"), (3, "1,3")] {
            write(&cpus.join(format!("cpu{cpu}/topology/core_cpus_list")), siblings);
        }
    }

    #[test]
    fn the_machine_is_told_once_above_compat() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        whole(&machine);
        let bench = Bench::open(&DRIVER, &machine).unwrap();
        let expected = [
            ("host.cpu", "AMD EPYC 7R13: 48 cores"),
            ("host.cpu_cores", "2"),
            ("host.cpu_threads", "4"),
            ("host.kernel", "6.8.0-40-generic"),
            ("host.memory_megabytes", "16385"),
            ("host.name", "gpu-17"),
            ("host.os", "Debian GNU/Linux 13 (trixie)"),
        ];
        let facts = bench.facts();
        assert!(facts.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected), "{facts:?}");
        let told = |tier| {
            let mut registry = Registry::new(tier);
            let opened = open(&machine, &mut registry);
            assert!(registry.entries().is_empty(), "the load is left out");
            (opened.is_ok(), registry.facts().len())
        };
        assert_eq!((told(Tier::Compat), told(Tier::Standard)), ((false, 0), (true, 7)));
    }

    #[test]
    fn what_is_not_told_is_left_out_file_by_file() {
        let missing = |file: &str| {
            let dir = tempfile::tempdir().unwrap();
            let machine = empty(dir.path());
            whole(&machine);
            let path = dir.path().join(file);
            let removed =
                if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
            removed.unwrap();
            let mut registry = Registry::new(Tier::Standard);
            assert!(open(&machine, &mut registry).is_ok());
            registry.facts().iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        let has = |facts: Vec<String>, fact: &str| facts.iter().any(|told| told.starts_with(fact));
        assert!(!has(missing("proc/meminfo"), "host.memory_megabytes"));
        assert!(!has(missing("proc/cpuinfo"), "host.cpu="));
        assert!(!has(missing("proc/sys/kernel/hostname"), "host.name"));
        assert!(!has(missing("proc/sys/kernel/osrelease"), "host.kernel"));
        assert!(!has(missing("etc/os-release"), "host.os"));
        let without_sys = missing("sys/devices");
        assert!(has(without_sys.clone(), "host.cpu_cores=1") && has(without_sys, "host.cpu_threads=2"));
        assert_eq!(missing("proc").len(), 3, "the cores, the threads and the distribution");
    }

    #[test]
    fn the_load_average_is_the_minutes() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Absent(_))));
        whole(&machine);
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        assert_eq!(bench.read().unwrap().get("load_average_1m"), Some(&1.5));
        for bad in ["", "\n", "inf 0 0", "nan", "-1.0 0 0", "1e5", "1.2.3", "\u{0}"] {
            write(&machine.proc.join("loadavg"), bad);
            assert!(matches!(bench.read(), Err(ProbeError::Failed(_))), "{bad:?}");
        }
        write(&machine.proc.join("loadavg"), "130.25 1 1 1/1 1\n");
        assert_eq!(bench.read().unwrap().get("load_average_1m"), Some(&130.25));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_do_not(bytes: Vec<u8>, cpuinfo: String) {
            if let Some(load) = parse(&bytes) {
                prop_assert!(load >= 0.0);
            }
            let _model = model(&cpuinfo);
            let _cores = by_cpuinfo(&cpuinfo);
        }
    }
}
