//! What the machine is: processors, memory, name, as facts of the run; there is nothing to sample.
//!
//! | fact | on Linux from |
//! |---|---|
//! | `host.name`, `host.kernel` | `/proc/sys/kernel/hostname`, `/proc/sys/kernel/osrelease` |
//! | `cpu.model` | `model name` of the first processor in `/proc/cpuinfo` (`proc_cpuinfo(5)`) |
//! | `cpu.threads`, `cpu.cores` | `/sys/devices/system/cpu/online`, and the processors there that do not share a core by `topology/thread_siblings_list` (`Documentation/admin-guide/cputopology.rst`) |
//! | `memory_megabytes` | `MemTotal` of `/proc/meminfo` |
//!
//! `/proc/cpuinfo` is not read further: the kernel asks every processor for its clock then, which takes long where there
//! are hundreds.
//!
//! Elsewhere sysinfo tells the same. Processors and memory are the machine's, whatever a container may use of them.
//!
//! Invariant: what the system does not tell is no fact; the tier `compat` has none, as MLflow's monitor tells none.

#[cfg(target_os = "linux")]
use std::{collections::BTreeSet, fs::File, io::Read, path::Path};

use runlog_core::autolog::Tier;

use super::{Driver, Machine, Opened, Probe, ProbeError, Registry, Sink, absent};

pub(super) const DRIVER: Driver = Driver::built_in("hardware", open);

/// Bytes of a file that are looked at: what is wanted stands at its beginning.
#[cfg(target_os = "linux")]
const BYTES_MAX: usize = 4096;
/// More processors than Linux can have (`NR_CPUS`).
#[cfg(target_os = "linux")]
const CPUS_MAX: usize = 1 << 16;

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
        let text = head(&machine.proc.join(file));
        let text = text.lines().next().unwrap_or_default().trim();
        if !text.is_empty() {
            fact(name, text.to_owned());
        }
    }
    if let Some(model) = model(&head(&machine.proc.join("cpuinfo"))) {
        fact("cpu.model", model);
    }
    let cpus = machine.sys.join("devices/system/cpu");
    if let Some(online) = numbers(&head(&cpus.join("online"))) {
        fact("cpu.threads", online.len().to_string());
        let siblings = |cpu: &u32| head(&cpus.join(format!("cpu{cpu}/topology/thread_siblings_list")));
        let cores: BTreeSet<_> = online.iter().map(siblings).collect();
        // Told of some processors only, it is no number.
        if !cores.contains("") {
            fact("cpu.cores", cores.len().to_string());
        }
    }
    let meminfo = head(&machine.proc.join("meminfo"));
    let total = meminfo.lines().find_map(|line| {
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

/// The beginning of a file, with one call to the system; nothing where it cannot be read.
#[cfg(target_os = "linux")]
fn head(path: &Path) -> String {
    let mut buffer = [0; BYTES_MAX];
    let length = File::open(path).and_then(|mut file| file.read(&mut buffer)).unwrap_or(0);
    String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned()
}

/// The `model name` of the first processor; there is none on ARM.
#[cfg(target_os = "linux")]
fn model(cpuinfo: &str) -> Option<String> {
    let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map(|(_, name)| name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// The numbers of a list such as `0-3,8`; `None` if it is none.
#[cfg(target_os = "linux")]
fn numbers(text: &str) -> Option<BTreeSet<u32>> {
    let mut numbers = BTreeSet::new();
    for range in text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if last < first || (last - first) as usize >= CPUS_MAX {
            return None;
        }
        numbers.extend(first..=last);
    }
    (numbers.len() <= CPUS_MAX).then_some(numbers)
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

    fn facts(machine: &Machine) -> BTreeMap<String, String> {
        Bench::open(&DRIVER, machine).unwrap().facts()
    }

    #[test]
    fn a_machine_tells_its_name_processors_and_memory() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        write(
            &machine.proc.join("cpuinfo"),
            "processor\t: 0\nmodel name\t: Some CPU @ 2.60GHz\n\nprocessor\t: 1\n",
        );
        let cpus = machine.sys.join("devices/system/cpu");
        write(&cpus.join("online"), "0-1,4\n");
        for (cpu, siblings) in [(0, "0-1"), (1, "0-1"), (4, "4")] {
            write(&cpus.join(format!("cpu{cpu}/topology/thread_siblings_list")), siblings);
        }
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
        // As on ARM, in a sandbox that hides who shares a core.
        write(&machine.proc.join("cpuinfo"), "processor\t: 0\nBogoMIPS\t: 50.00\n\nprocessor\t: 1\n");
        write(&machine.sys.join("devices/system/cpu/online"), "0-1\n");
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
        let cores = ours.get("cpu.cores").zip(theirs.get("cpu.cores"));
        assert!(cores.is_none_or(|(ours, theirs)| ours == theirs), "{cores:?}");
    }

    proptest! {
        #[test]
        fn garbage_is_no_list_of_processors(text in "[0-9,x -]{0,30}") {
            if let Some(numbers) = numbers(&text) {
                prop_assert!(numbers.len() <= CPUS_MAX && text.trim().bytes().all(|byte| b"0123456789,-".contains(&byte)));
            }
        }
    }

    #[test]
    fn a_list_of_processors_is_read_as_the_kernel_writes_it() {
        for (list, count) in
            [("0\n", Some(1)), ("0-3,8-9", Some(6)), ("", None), ("3-1", None), ("0-4294967295", None)]
        {
            assert_eq!(numbers(list).map(|numbers| numbers.len()), count, "{list}");
        }
    }
}
