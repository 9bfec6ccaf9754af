//! `*_pressure_percentage`: the share of time in which tasks stood still for want of a resource, from the `total=` of
//! `/proc/pressure/*` (PSI; the format: the kernel's `Documentation/accounting/psi.rst`).
//!
//! Invariant: exact over any interval, since the kernel counts microseconds; its own averages are not read.

use std::path::PathBuf;

use super::pseudo::{Pseudo, lines, number, words};
use super::{
    Driver, Key, Machine, Opened, Probe, ProbeError, Registry, Sink, absent, corrupt, float, wanted,
};
use crate::counter::Counter;
use crate::metrics::{self, Metric};

pub(super) const DRIVER: Driver = Driver::built_in("pressure", open);

struct Pressure(Vec<Stalls>);

/// The files, and the metrics of some and of all tasks.
const RESOURCES: [(&str, &Metric, Option<&Metric>); 3] = [
    ("pressure/cpu", &metrics::CPU_PRESSURE, None),
    ("pressure/memory", &metrics::MEMORY_PRESSURE, Some(&metrics::MEMORY_FULL_PRESSURE)),
    ("pressure/io", &metrics::IO_PRESSURE, Some(&metrics::IO_FULL_PRESSURE)),
];

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    wanted(registry, &metrics::CPU_PRESSURE)?;
    let mut resources = Vec::new();
    for (file, some, full) in RESOURCES {
        match Stalls::open(machine.proc.join(file), registry, some, full) {
            Ok(resource) => resources.push(resource),
            Err(ProbeError::Absent(_)) => {}
            Err(failed) => return Err(failed),
        }
    }
    if resources.is_empty() {
        return Err(absent("the kernel does not account for pressure"));
    }
    Ok(Box::new(Pressure(resources)))
}

impl Probe for Pressure {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let mut outcome = Ok(());
        for resource in &mut self.0 {
            // One that fails leaves the others.
            outcome = outcome.and(resource.sample(sink));
        }
        outcome
    }
}

/// One resource, of the machine or of a cgroup.
pub(super) struct Stalls {
    file: Pseudo,
    some: Option<Key>,
    full: Option<Key>,
    some_micros: Counter,
    full_micros: Counter,
}

impl Stalls {
    /// Opens a file of pressure and registers its metrics. A kernel that was started without the account (`psi=0`) may
    /// have the file all the same, and refuses to read it.
    pub(super) fn open(
        path: PathBuf,
        registry: &mut Registry,
        some: &Metric,
        full: Option<&Metric>,
    ) -> Result<Self, ProbeError> {
        wanted(registry, some)?;
        let mut file = Pseudo::open(path)?;
        let content = file.head().map_err(|_unreadable| absent("the kernel's account of pressure is off"))?;
        let (_, has_full) = parse(content).ok_or_else(not_pressure)?;
        let some = registry.metric(some);
        let full = full.filter(|_| has_full.is_some()).and_then(|full| registry.metric(full));
        Ok(Self { file, some, full, some_micros: Counter::default(), full_micros: Counter::default() })
    }

    pub(super) fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let read = self.file.head().and_then(|content| parse(content).ok_or_else(not_pressure));
        let (some, full) = read.inspect_err(|_| {
            self.some_micros.rebase();
            self.full_micros.rebase();
        })?;
        let some = self.some_micros.advance(some);
        let full = full.and_then(|full| self.full_micros.advance(full));
        if let Some(micros) = sink.since_last().map(|since_last| since_last.as_secs_f64() * 1e6)
            && micros > 0.0
        {
            // The kernel's clock and ours are read a moment apart.
            let share = |stalled: u64| (float(stalled) / micros * 100.0).min(100.0);
            sink.put(self.some, some.map_or(f64::NAN, share));
            sink.put(self.full, full.map_or(f64::NAN, share));
        }
        Ok(())
    }
}

fn not_pressure() -> ProbeError {
    corrupt("a file of pressure does not say for how long tasks stood still")
}

/// The microseconds in which some and in which all tasks stood still. The kernel tells of all tasks for every resource
/// but, before 5.13, the processors.
fn parse(pressure: &[u8]) -> Option<(u64, Option<u64>)> {
    let (mut some, mut full) = (None, None);
    for line in lines(pressure).filter(|line| !line.is_empty()) {
        let mut words = words(line);
        let slot = match words.next()? {
            b"some" => &mut some,
            b"full" => &mut full,
            _ => return None,
        };
        *slot = Some(words.find_map(|word| word.strip_prefix(b"total=")).and_then(number)?);
    }
    Some((some?, full))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use runlog_core::autolog::Tier;

    use super::*;
    use crate::probe::testing::{Bench, empty, write};

    fn psi(some: u64, full: u64) -> String {
        format!(
            "some avg10=1.50 avg60=0.40 avg300=0.00 total={some}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total={full}\n"
        )
    }

    #[test]
    fn shares_of_the_time_since_the_last_reading() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        let set = |resource: &str, some, full| {
            write(&machine.proc.join("pressure").join(resource), &psi(some, full));
        };
        set("cpu", 1_000_000, 0);
        set("memory", 5_000_000, 4_000_000);
        set("io", 7_000_000, 0);
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        assert!(bench.read_after(None).unwrap().is_empty());
        set("cpu", 1_500_000, 0);
        set("memory", 5_200_000, 4_100_000);
        set("io", 9_000_000, 0);
        let values = bench.read_after(Some(Duration::from_secs(2))).unwrap();
        let expected = [
            ("cpu_pressure_percentage", 25.0),
            ("io_full_pressure_percentage", 0.0),
            ("io_pressure_percentage", 100.0),
            ("memory_full_pressure_percentage", 5.0),
            ("memory_pressure_percentage", 10.0),
        ];
        assert!(values.iter().map(|(name, value)| (name.as_str(), *value)).eq(expected), "{values:?}");

        set("io", 100, 0);
        assert_eq!(bench.read().unwrap().get("io_pressure_percentage"), None, "it began anew");
        set("io", 250_100, 0);
        assert_eq!(bench.read().unwrap().get("io_pressure_percentage"), Some(&25.0));
        assert!(bench.read_after(None).unwrap().is_empty(), "no share of a gap");
    }

    #[test]
    fn kernels_without_the_account_have_no_metric_and_each_resource_stands_alone() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Absent(_))));
        std::fs::create_dir_all(machine.proc.join("pressure/io")).unwrap();
        assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Absent(_))), "it cannot be read");
        write(&machine.proc.join("pressure/cpu"), "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n");
        let bench = Bench::open(&DRIVER, &machine).unwrap();
        assert_eq!(bench.registry.entries().len(), 1);
        assert!(matches!(Bench::open_in(Tier::Compat, &DRIVER, &machine), Err(ProbeError::Absent(_))));
    }

    #[test]
    fn garbage_in_one_file_leaves_the_others_and_is_no_interval_when_it_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        let set = |resource: &str, text: &str| write(&machine.proc.join("pressure").join(resource), text);
        let all = |text: &str| ["cpu", "memory", "io"].iter().for_each(|resource| set(resource, text));
        all(&psi(0, 0));
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read_after(None).unwrap();
        for bad in
            ["", "some", "some total=x\n", "total=5\n", "full total=5\n", "some avg10=0 total=-5\n", "\u{0}"]
        {
            set("memory", bad);
            assert!(matches!(bench.read(), Err(ProbeError::Failed(_))), "{bad:?}");
            assert_eq!(bench.values().len(), 3, "those of the others");
            set("memory", &psi(900_000, 0));
            assert_eq!(bench.read().unwrap().len(), 3, "two intervals are not one");
            assert_eq!(bench.read().unwrap().len(), 5);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_do_not(bytes: Vec<u8>) {
            let _parsed = parse(&bytes);
            let _parsed = parse(&[b"some total=", &bytes[..]].concat());
        }
    }
}
