//! What the machine is: processors, memory, name, as facts of the run; there is nothing to sample.
//!
//! | fact | on Linux from |
//! |---|---|
//! | `host.name`, `host.kernel` | `/proc/sys/kernel/hostname`, `/proc/sys/kernel/osrelease` |
//! | `cpu.model`, `cpu.threads`, `cpu.cores` | `/proc/cpuinfo`: its `model name`, its processors, and those of them that are other cores (`proc_cpuinfo(5)`) |
//! | `memory_megabytes` | `MemTotal` of `/proc/meminfo` |
//!
//! Elsewhere sysinfo tells the same. Processors and memory are the machine's, whatever a container may use of them.
//!
//! Invariant: what the system does not tell is no fact; the tier `compat` has none, as MLflow's monitor tells none.

#[cfg(target_os = "linux")]
use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use runlog_core::autolog::Tier;

use super::{Driver, Machine, Opened, Probe, ProbeError, Registry, Sink, absent};

pub(super) const DRIVER: Driver = Driver::built_in("hardware", open);

/// Bytes of an account that are looked at: that of 1000 processors has 2 MB.
#[cfg(target_os = "linux")]
const BYTES_MAX: u64 = 16 << 20;

/// Has told its facts when it was opened.
struct Hardware;

impl Probe for Hardware {
    fn sample(&mut self, _: &mut Sink<'_>) -> Result<(), ProbeError> {
        Ok(())
    }
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    if registry.tier() == Tier::Compat {
        return Err(absent("the tier `compat` has no facts of the machine"));
    }
    let mut facts = Vec::new();
    tell(machine, &mut |name, value| facts.push((name, value)));
    if facts.is_empty() {
        return Err(absent("the system tells nothing of the machine"));
    }
    for (name, value) in facts {
        registry.fact(name, value);
    }
    Ok(Box::new(Hardware))
}

#[cfg(target_os = "linux")]
fn tell(machine: &Machine, fact: &mut dyn FnMut(&'static str, String)) {
    for (name, file) in [("host.name", "sys/kernel/hostname"), ("host.kernel", "sys/kernel/osrelease")] {
        let text = lines(&machine.proc.join(file)).next();
        if let Some(text) = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) {
            fact(name, text);
        }
    }
    let Cpus { model, threads, cores } = Cpus::read(lines(&machine.proc.join("cpuinfo")));
    if let Some(model) = model {
        fact("cpu.model", model);
    }
    for (name, count) in [("cpu.threads", threads), ("cpu.cores", cores.len())] {
        if count > 0 {
            fact(name, count.to_string());
        }
    }
    let total = lines(&machine.proc.join("meminfo")).find_map(|line| {
        let kibibytes = line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim_end();
        kibibytes.parse::<u64>().ok()?.checked_mul(1024)
    });
    if let Some(total) = total.filter(|total| *total > 0) {
        fact("memory_megabytes", (total / 1_000_000).to_string());
    }
}

#[cfg(not(target_os = "linux"))]
fn tell(_: &Machine, fact: &mut dyn FnMut(&'static str, String)) {
    by_sysinfo(fact);
}

/// The lines of a file as far as it can be read.
#[cfg(target_os = "linux")]
fn lines(path: &Path) -> impl Iterator<Item = String> {
    let file = File::open(path).ok();
    let lines = file.map(|file| BufReader::new(file.take(BYTES_MAX)).split(b'\n'));
    lines.into_iter().flatten().map_while(Result::ok).map(|line| String::from_utf8_lossy(&line).into_owned())
}

/// What `/proc/cpuinfo` says of the processors.
#[cfg(target_os = "linux")]
#[derive(Debug, Default, PartialEq)]
struct Cpus {
    model: Option<String>,
    threads: usize,
    /// Socket and number of each core; empty where the architecture does not tell them.
    cores: BTreeSet<(u32, u32)>,
}

#[cfg(target_os = "linux")]
impl Cpus {
    fn read(lines: impl Iterator<Item = String>) -> Self {
        let mut cpus = Self::default();
        let mut socket = None;
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            let (name, value) = (name.trim(), value.trim());
            match name {
                "processor" if value.parse::<u32>().is_ok() => {
                    cpus.threads += 1;
                    socket = None;
                }
                "model name" if cpus.model.is_none() && !value.is_empty() => {
                    cpus.model = Some(value.to_owned());
                }
                "physical id" => socket = value.parse().ok(),
                "core id" => cpus.cores.extend(socket.zip(value.parse().ok())),
                _ => {}
            }
        }
        cpus
    }
}

#[cfg(any(not(target_os = "linux"), test))]
fn by_sysinfo(fact: &mut dyn FnMut(&'static str, String)) {
    use sysinfo::{CpuRefreshKind, MemoryRefreshKind, System};

    let mut text = |name, text: Option<String>| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            fact(name, text);
        }
    };
    text("host.name", System::host_name().ok());
    text("host.kernel", System::kernel_version().ok());
    let Ok(mut system) = System::new() else { return };
    system.refresh_cpu_list(CpuRefreshKind::nothing());
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    text("cpu.model", system.cpus().first().map(|cpu| cpu.brand().trim().to_owned()));
    let number = |count: u64| (count > 0).then(|| count.to_string());
    text("cpu.threads", number(system.cpus().len() as u64));
    text("cpu.cores", System::physical_core_count().ok().and_then(|count| number(count as u64)));
    text("memory_megabytes", number(system.total_memory() / 1_000_000));
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::probe::testing::{Bench, empty, write};

    const TWO_SOCKETS: &str = "\
processor\t: 0\nmodel name\t: Some CPU @ 2.60GHz\nphysical id\t: 0\ncore id\t\t: 0\n\n\
processor\t: 1\nmodel name\t: Some CPU @ 2.60GHz\nphysical id\t: 0\ncore id\t\t: 0\n\n\
processor\t: 2\nmodel name\t: Some CPU @ 2.60GHz\nphysical id\t: 1\ncore id\t\t: 0\n\n";

    fn facts(machine: &Machine) -> BTreeMap<String, String> {
        Bench::open(&DRIVER, machine).unwrap().facts()
    }

    #[test]
    fn a_machine_tells_its_name_processors_and_memory() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        write(&machine.proc.join("cpuinfo"), TWO_SOCKETS);
        write(&machine.proc.join("meminfo"), "MemTotal:       16384000 kB\nMemFree: 1 kB\n");
        write(&machine.proc.join("sys/kernel/hostname"), "gpu-box\n");
        write(&machine.proc.join("sys/kernel/osrelease"), "6.18.0\n");
        let expected = [
            ("cpu.cores", "2"),
            ("cpu.model", "Some CPU @ 2.60GHz"),
            ("cpu.threads", "3"),
            ("host.kernel", "6.18.0"),
            ("host.name", "gpu-box"),
            ("memory_megabytes", "16777"),
        ];
        assert!(facts(&machine).iter().map(|(name, value)| (&**name, &**value)).eq(expected));
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        assert!(bench.read().unwrap().is_empty() && bench.registry.entries().is_empty(), "it has no metrics");
    }

    #[test]
    fn what_the_system_does_not_tell_is_no_fact() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Absent(_))));
        // As on ARM, where there is neither a name nor a socket.
        write(&machine.proc.join("cpuinfo"), "processor\t: 0\nBogoMIPS\t: 50.00\n\nprocessor\t: 1\n");
        write(&machine.proc.join("meminfo"), "MemTotal: many kB\n");
        assert_eq!(facts(&machine), BTreeMap::from([("cpu.threads".to_owned(), "2".to_owned())]));
    }

    #[test]
    fn compat_tells_nothing() {
        let compat = Bench::open_in(Tier::Compat, &DRIVER, &Machine::default());
        assert!(matches!(compat, Err(ProbeError::Absent(why)) if why.contains("compat")));
    }

    #[test]
    fn sysinfo_knows_this_machine_as_we_do() {
        let mut theirs = BTreeMap::new();
        by_sysinfo(&mut |name, value| drop(theirs.insert(name.to_owned(), value)));
        let ours = facts(&Machine::default());
        for name in ["host.name", "host.kernel", "cpu.threads", "memory_megabytes"] {
            assert_eq!(ours.get(name), theirs.get(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_counted_as_nothing_or_little(text in "((processor|physical id|core id|model name) ?: ?[0-9a-z]{0,12}\n?)*") {
            let cpus = Cpus::read(text.lines().map(str::to_owned));
            prop_assert!(cpus.cores.len() <= text.lines().count() && cpus.threads <= text.lines().count());
        }
    }
}
