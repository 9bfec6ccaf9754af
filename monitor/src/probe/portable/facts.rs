//! What the machine is, from sysinfo, as facts of the run; there is nothing to sample.
//!
//! Invariant: the facts are those of Linux; the tier `compat` has none.

use runlog_core::autolog::Tier;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, System};

use super::super::{Driver, Machine, Opened, Probe, ProbeError, Registry, Sink, absent};

pub(super) const DRIVER: Driver = Driver::built_in("host", open);

/// Has told its facts when it was opened.
struct Host;

impl Probe for Host {
    fn sample(&mut self, _: &mut Sink<'_>) -> Result<(), ProbeError> {
        Ok(())
    }
}

fn open(_: &Machine, registry: &mut Registry) -> Opened {
    if registry.tier() == Tier::Compat {
        return Err(absent("the tier leaves it out"));
    }
    let mut fact = |name, text: Option<String>| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            registry.fact(name, text);
        }
    };
    fact("host.name", System::host_name().ok());
    fact("host.os", System::long_os_version().ok());
    fact("host.kernel", System::kernel_version().ok());
    if let Ok(mut system) = System::new() {
        system.refresh_cpu_list(CpuRefreshKind::nothing());
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let number = |count: u64| (count > 0).then(|| count.to_string());
        fact("host.cpu", system.cpus().first().map(|cpu| cpu.brand().trim().to_owned()));
        fact("host.cpu_threads", number(system.cpus().len() as u64));
        fact("host.cpu_cores", System::physical_core_count().ok().and_then(|count| number(count as u64)));
        fact("host.memory_megabytes", number((system.total_memory() + 500_000) / 1_000_000));
    }
    Ok(Box::new(Host))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::probe::testing::Bench;

    #[test]
    fn sysinfo_knows_this_machine_as_we_do() {
        let of = |drivers: &[Driver]| {
            let driver = drivers.iter().find(|driver| driver.name == "host").unwrap();
            Bench::open(driver, &Machine::default()).unwrap().facts()
        };
        let (ours, theirs) = (of(crate::probe::PROBES), of(crate::probe::portable::PROBES));
        for name in ["host.name", "host.kernel", "host.cpu_threads", "host.memory_megabytes"] {
            assert_eq!(ours.get(name), theirs.get(name), "{name}");
        }
        let cores = ours.get("host.cpu_cores").zip(theirs.get("host.cpu_cores"));
        assert!(cores.is_none_or(|(ours, theirs)| ours == theirs), "{cores:?}");
    }
}
