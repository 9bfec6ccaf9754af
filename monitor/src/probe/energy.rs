//! `cpu_power_watts` and `cpu_energy_joules`: the energy of the processor packages by their own meters (RAPL), from
//! `/sys/class/powercap/intel-rapl:*`, where AMD's are too (the format: the kernel's
//! `Documentation/power/powercap/powercap.rst`).
//!
//! Invariant: each meter counts once. The dies of one package may each show the package's own meter, and some machines
//! show one meter through two interfaces. Meters are for root only since 2020; then there is no metric, and no estimate.

use std::time::Duration;

use super::sysfs::{Attribute, names, text};
use super::{
    Driver, Key, Machine, Opened, Probe, ProbeError, Registry, Sink, absent, corrupt, float, wanted,
};
use crate::metrics;

pub(super) const DRIVER: Driver = Driver::built_in("cpu power", open);

const MICROJOULES: f64 = 1e6;
/// No package takes more.
const WATTS_MAX: f64 = 600.0;

struct Packages {
    meters: Vec<Meter>,
    microjoules: u64,
    power: Option<Key>,
    energy: Option<Key>,
}

/// A counter of microjoules that begins anew at the end of its range.
struct Meter {
    counter: Attribute,
    range: u64,
    before: Option<u64>,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    wanted(registry, &metrics::CPU_POWER)?;
    let class = machine.sys.join("class/powercap");
    let mut meters: Vec<Meter> = Vec::new();
    for zone in names(&class) {
        // Of `intel-rapl:0:0` and the like the package has the energy already, and `psys` is the whole machine.
        let is_top = zone.strip_prefix("intel-rapl:").is_some_and(|rest| !rest.contains(':'));
        let zone = class.join(zone);
        if is_top && text(zone.join("name")).is_some_and(|name| name.starts_with("package")) {
            let range = text(zone.join("max_energy_range_uj")).and_then(|range| range.parse().ok());
            let range = range.ok_or_else(|| corrupt("a meter of energy does not say where it ends"))?;
            let meter = Meter { counter: Attribute::open(zone.join("energy_uj"))?, range, before: None };
            meter.read()?;
            let mut is_new = true;
            for known in &meters {
                is_new &= !known.is(&meter)?;
            }
            if is_new {
                meters.push(meter);
            }
        }
    }
    if meters.is_empty() {
        return Err(absent("the processors have no meter of their energy"));
    }
    let power = registry.metric(&metrics::CPU_POWER);
    let energy = registry.metric(&metrics::CPU_ENERGY);
    Ok(Box::new(Packages { meters, microjoules: 0, power, energy }))
}

impl Probe for Packages {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        if sink.since_last().is_none_or(|time| self.meters.iter().any(|meter| meter.may_turn_in(time))) {
            // Over such a time a meter may have begun anew more than once, or over a gap never have counted.
            self.rebase();
        }
        let microjoules = self.advance().inspect_err(|_| self.rebase())?;
        self.microjoules = self.microjoules.saturating_add(microjoules.unwrap_or(0));
        sink.put(self.energy, float(self.microjoules) / MICROJOULES);
        sink.put_rate(self.power, microjoules.map(|microjoules| float(microjoules) / MICROJOULES));
        Ok(())
    }
}

impl Packages {
    /// The energy of all packages since the last reading; `None` unless every one of them tells.
    fn advance(&mut self) -> Result<Option<u64>, ProbeError> {
        let mut sum = Some(0_u64);
        for meter in &mut self.meters {
            let microjoules = meter.advance()?;
            sum = sum.zip(microjoules).and_then(|(sum, more)| sum.checked_add(more));
        }
        Ok(sum)
    }

    fn rebase(&mut self) {
        for meter in &mut self.meters {
            meter.before = None;
        }
    }
}

impl Meter {
    /// Whether it may pass its whole range in so long a time.
    fn may_turn_in(&self, time: Duration) -> bool {
        time.as_secs_f64() * WATTS_MAX * MICROJOULES >= float(self.range)
    }

    fn read(&self) -> Result<u64, ProbeError> {
        let now = self.counter.read()?.ok_or_else(|| absent("a meter of energy does not answer"))?;
        if now > self.range { Err(corrupt("a meter of energy is beyond its end")) } else { Ok(now) }
    }

    fn advance(&mut self) -> Result<Option<u64>, ProbeError> {
        let now = self.read()?;
        Ok(self.before.replace(now).and_then(|before| passed(before, now, self.range)))
    }

    /// Whether `other` shows this meter: then it lies between two readings of this one.
    fn is(&self, other: &Self) -> Result<bool, ProbeError> {
        let (before, theirs, after) = (self.read()?, other.read()?, self.read()?);
        let since = |now| passed(before, now, self.range);
        Ok(self.range == other.range && since(theirs).is_some_and(|theirs| Some(theirs) <= since(after)))
    }
}

/// What was counted between two readings. An end that was passed lies between one from the upper half of the range and
/// one from the lower; anything else that runs backwards is a new beginning.
fn passed(before: u64, now: u64, range: u64) -> Option<u64> {
    let wrapped = before > range / 2 && now < range / 2;
    now.checked_sub(before).or_else(|| if wrapped { (range - before).checked_add(now) } else { None })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use runlog_core::autolog::Tier;

    use super::*;
    use crate::probe::testing::{Bench, empty, write};

    const RANGE: u64 = 262_143_328_850;

    fn zone(machine: &Machine, zone: &str, name: &str, microjoules: u64) {
        let zone = machine.sys.join("class/powercap").join(zone);
        write(&zone.join("name"), &format!("{name}\n"));
        write(&zone.join("max_energy_range_uj"), &format!("{RANGE}\n"));
        write(&zone.join("energy_uj"), &format!("{microjoules}\n"));
    }

    fn watts(bench: &mut Bench, secs: u64) -> Option<f64> {
        bench.read_after(Some(Duration::from_secs(secs))).unwrap().get("cpu_power_watts").copied()
    }

    #[test]
    fn packages_count_and_what_is_in_them_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        fs::create_dir_all(machine.sys.join("class/powercap/intel-rapl")).unwrap();
        zone(&machine, "intel-rapl:0", "package-0", 1_000_000);
        zone(&machine, "intel-rapl:0:0", "core", 900_000);
        zone(&machine, "intel-rapl:0:1", "dram", 800_000);
        zone(&machine, "intel-rapl:1", "package-1", 5_000_000);
        zone(&machine, "intel-rapl:2", "psys", 99_000_000);
        zone(&machine, "intel-rapl-mmio:0", "package-0", 1_000_000);
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        let first = bench.read_after(None).unwrap();
        assert_eq!((first.len(), first.get("cpu_energy_joules")), (1, Some(&0.0)));
        zone(&machine, "intel-rapl:0", "package-0", 101_000_000);
        zone(&machine, "intel-rapl:1", "package-1", 55_000_000);
        zone(&machine, "intel-rapl:2", "psys", 999_000_000);
        let values = bench.read_after(Some(Duration::from_secs(2))).unwrap();
        assert_eq!(values.get("cpu_power_watts"), Some(&75.0));
        assert_eq!(values.get("cpu_energy_joules"), Some(&150.0));
    }

    #[test]
    fn dies_that_show_one_meter_count_once() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        for (place, name) in
            ["package-0-die-0", "package-0-die-1", "package-1-die-0", "package-1-die-1"].iter().enumerate()
        {
            zone(&machine, &format!("intel-rapl:{place}"), name, 7_000_000 + 1_000_000 * (place as u64 / 2));
        }
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read_after(None).unwrap();
        for place in 0..4 {
            zone(&machine, &format!("intel-rapl:{place}"), "", 50_000_000 + 1_000_000 * (place / 2));
        }
        assert_eq!(watts(&mut bench, 1), Some(86.0));
    }

    #[test]
    fn a_meter_goes_on_past_its_end_and_a_new_beginning_adds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        zone(&machine, "intel-rapl:0", "package-0", RANGE - 30_000_000);
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read_after(None).unwrap();
        zone(&machine, "intel-rapl:0", "package-0", 20_000_000);
        assert_eq!(watts(&mut bench, 1), Some(50.0));
        zone(&machine, "intel-rapl:0", "package-0", 5_000_000);
        assert_eq!(watts(&mut bench, 1), None, "20 J before: not the end of its range");
        zone(&machine, "intel-rapl:0", "package-0", 6_000_000);
        assert_eq!(watts(&mut bench, 1), Some(1.0));
        zone(&machine, "intel-rapl:0", "package-0", 900_000_000);
        let after_a_gap = bench.read_after(None).unwrap();
        assert_eq!((after_a_gap.len(), after_a_gap.get("cpu_energy_joules")), (1, Some(&51.0)));
    }

    #[test]
    fn over_a_time_in_which_a_meter_may_turn_more_than_once_nothing_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        zone(&machine, "intel-rapl:0", "package-0", 1_000_000);
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read_after(None).unwrap();
        zone(&machine, "intel-rapl:0", "package-0", 2_000_000);
        let values = bench.read_after(Some(Duration::from_mins(10))).unwrap();
        assert_eq!((values.len(), values.get("cpu_energy_joules")), (1, Some(&0.0)));
        zone(&machine, "intel-rapl:0", "package-0", 3_000_000);
        assert_eq!(watts(&mut bench, 1), Some(1.0));
    }

    #[test]
    fn no_meter_is_absent_and_garbage_fails() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Absent(_))));
        zone(&machine, "intel-rapl:0", "package-0", 0);
        assert!(matches!(Bench::open_in(Tier::Compat, &DRIVER, &machine), Err(ProbeError::Absent(_))));
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read_after(None).unwrap();
        for bad in ["", "x", "-1", "999999999999999"] {
            write(&machine.sys.join("class/powercap/intel-rapl:0/energy_uj"), bad);
            assert!(matches!(bench.read(), Err(ProbeError::Failed(_))), "{bad:?}");
            assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Failed(_))), "{bad:?}");
            zone(&machine, "intel-rapl:0", "package-0", 5_000_000);
            assert_eq!(watts(&mut bench, 1), None, "two intervals are not one");
            assert_eq!(watts(&mut bench, 1), Some(0.0));
        }
        write(&machine.sys.join("class/powercap/intel-rapl:0/max_energy_range_uj"), "far");
        assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Failed(_))));
        zone(&machine, "intel-rapl:1", "package-1", 0);
        fs::remove_file(machine.sys.join("class/powercap/intel-rapl:1/energy_uj")).unwrap();
        zone(&machine, "intel-rapl:0", "package-0", 0);
        assert!(
            matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Absent(_))),
            "one of two is not the sum"
        );
    }

    proptest! {
        #[test]
        fn what_passed_is_never_more_than_the_range(range: u64, before: u64, now: u64) {
            let (before, now) = (before.min(range), now.min(range));
            if let Some(passed) = passed(before, now, range) {
                prop_assert!(passed <= range);
            }
        }
    }
}
