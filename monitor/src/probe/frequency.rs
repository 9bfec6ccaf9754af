//! `cpu_frequency_megahertz`: the clock of the processors, from `/sys/devices/system/cpu/cpufreq` (the format: the
//! kernel's `Documentation/admin-guide/pm/cpufreq.rst`).
//!
//! Invariant: averaged over processors, not over clocks that several share. Kernels before 5.18 may wait 10 ms for each
//! clock, so at most [`CLOCKS_MAX`] are asked, on a thread of their own.

use super::sysfs::{Attribute, names, text};
use super::{Driver, Key, Machine, Opened, Probe, ProbeError, Registry, Sink, absent, wanted};
use crate::metrics;

pub(super) const DRIVER: Driver = Driver::built_in("cpu frequency", open).may_block();

/// Each takes a file descriptor too. Of more, evenly spread ones stand for the others.
const CLOCKS_MAX: usize = 32;

struct Frequency {
    clocks: Vec<Clock>,
    mean: Option<Key>,
}

/// What sets the clock of some processors.
struct Clock {
    kilohertz: Attribute,
    processors: f64,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    wanted(registry, &metrics::CPU_FREQUENCY)?;
    let cpufreq = machine.sys.join("devices/system/cpu/cpufreq");
    let mut policies = names(&cpufreq);
    policies.retain(|policy| policy.starts_with("policy"));
    let clock = |policy: &String| {
        let policy = cpufreq.join(policy);
        let processors = text(policy.join("affected_cpus"))?.split_whitespace().map(|_| 1.0).sum();
        Some(Clock { kilohertz: Attribute::open(policy.join("scaling_cur_freq")).ok()?, processors })
    };
    let step = policies.len().div_ceil(CLOCKS_MAX).max(1);
    let mut clocks: Vec<_> = policies.iter().step_by(step).filter_map(clock).collect();
    clocks.retain(|clock| matches!(clock.read(), Ok(Some(_))));
    if clocks.is_empty() {
        return Err(absent("the kernel does not know the clock of the processors"));
    }
    let mean = registry.metric(&metrics::CPU_FREQUENCY);
    Ok(Box::new(Frequency { clocks, mean }))
}

impl Probe for Frequency {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let (mut sum, mut processors) = (0.0, 0.0);
        for clock in &self.clocks {
            if let Some(megahertz) = clock.read()? {
                sum += megahertz * clock.processors;
                processors += clock.processors;
            }
        }
        // Of none that answers there is no mean, and this is no number.
        sink.put(self.mean, sum / processors);
        Ok(())
    }
}

impl Clock {
    /// Megahertz; `None` while the processors are offline, and where a hypervisor keeps it to itself.
    fn read(&self) -> Result<Option<f64>, ProbeError> {
        let kilohertz = self.kilohertz.read::<u32>()?.filter(|kilohertz| *kilohertz > 0);
        Ok(kilohertz.map(|kilohertz| f64::from(kilohertz) / 1000.0))
    }
}

#[cfg(test)]
mod tests {
    use runlog_core::autolog::Tier;

    use super::*;
    use crate::probe::testing::{Bench, empty, write};

    fn policy(machine: &Machine, number: u32, processors: &str, kilohertz: &str) {
        let policy = machine.sys.join(format!("devices/system/cpu/cpufreq/policy{number}"));
        write(&policy.join("affected_cpus"), processors);
        write(&policy.join("scaling_cur_freq"), kilohertz);
    }

    #[test]
    fn each_processor_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Absent(_))));
        write(&machine.sys.join("devices/system/cpu/cpufreq/boost"), "1\n");
        policy(&machine, 0, "0 1 2\n", "1000000\n");
        policy(&machine, 3, "3\n", "3000000\n");
        policy(&machine, 4, "4\n", "0\n");
        policy(&machine, 5, "5\n", "<unknown>\n");
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        assert_eq!(bench.read().unwrap().get("cpu_frequency_megahertz"), Some(&1500.0));
        policy(&machine, 3, "3\n", "0\n");
        assert_eq!(bench.read().unwrap().get("cpu_frequency_megahertz"), Some(&1000.0));
        policy(&machine, 0, "0 1 2\n", "0\n");
        assert!(bench.read().unwrap().is_empty());
        policy(&machine, 0, "0 1 2\n", "fast\n");
        assert!(matches!(bench.read(), Err(ProbeError::Failed(_))));
        policy(&machine, 0, "0 1 2\n", "2000000\n");
        assert_eq!(bench.read().unwrap().get("cpu_frequency_megahertz"), Some(&2000.0));
        assert!(matches!(Bench::open_in(Tier::Standard, &DRIVER, &machine), Err(ProbeError::Absent(_))));
    }

    #[test]
    fn of_many_clocks_some_are_asked() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        for processor in 0..256 {
            policy(&machine, processor, &processor.to_string(), "2500000");
        }
        let mut registry = Registry::new(Tier::Full);
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        assert_eq!(bench.read().unwrap().get("cpu_frequency_megahertz"), Some(&2500.0));
        assert!(open(&machine, &mut registry).is_ok());
        let descriptors = names("/proc/self/fd").len();
        assert!(descriptors < 200, "{descriptors} open files");
    }
}
