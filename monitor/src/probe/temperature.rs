//! `cpu_temperature_celsius`: the hottest processor package, by the sensors in the processors, from
//! `/sys/class/hwmon` (the format: the kernel's `Documentation/hwmon/sysfs-interface.rst`, and `coretemp.rst`,
//! `k10temp.rst` beside it).
//!
//! Invariant: a sensor of a package is preferred to those of what is in it, and a true temperature to one that was
//! shifted to control fans.

use std::path::{Path, PathBuf};

use super::sysfs::{Attribute, names, text};
use super::{Driver, Key, Machine, Opened, Probe, ProbeError, Registry, Sink, absent, wanted};
use crate::metrics;

pub(super) const DRIVER: Driver = Driver::built_in("cpu temperature", open);

/// Drivers of sensors in processors.
const CHIPS: [&str; 6] = ["coretemp", "k10temp", "zenpower", "k8temp", "via_cputemp", "cpu_thermal"];
/// How the labels of sensors of a whole package begin, the best first. An empty one is every sensor.
const LABELS: [&str; 5] = ["Package id", "Physical id", "Tdie", "Tctl", ""];

struct Temperature {
    sensors: Vec<Attribute>,
    hottest: Option<Key>,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    wanted(registry, &metrics::CPU_TEMPERATURE)?;
    let class = machine.sys.join("class/hwmon");
    let mut sensors = Vec::new();
    for chip in names(&class) {
        let chip = class.join(chip);
        if text(chip.join("name")).is_some_and(|name| CHIPS.contains(&&*name)) {
            for path in of_packages(&chip) {
                sensors.extend(Attribute::open(path).ok());
            }
        }
    }
    sensors.retain(|sensor| matches!(celsius(sensor), Ok(Some(_))));
    if sensors.is_empty() {
        return Err(absent("the processors have no sensor of their temperature"));
    }
    let hottest = registry.metric(&metrics::CPU_TEMPERATURE);
    Ok(Box::new(Temperature { sensors, hottest }))
}

impl Probe for Temperature {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let mut hottest = f64::NAN;
        for sensor in &self.sensors {
            // `max` of nothing and a number is the number.
            hottest = hottest.max(celsius(sensor)?.unwrap_or(f64::NAN));
        }
        sink.put(self.hottest, hottest);
        Ok(())
    }
}

/// The sensors of a chip that are of a whole package.
fn of_packages(chip: &Path) -> Vec<PathBuf> {
    let files = names(chip);
    let sensors =
        files.iter().filter_map(|file| file.strip_suffix("_input").filter(|it| it.starts_with("temp")));
    let labelled: Vec<_> = sensors
        .map(|sensor| (sensor, text(chip.join(format!("{sensor}_label"))).unwrap_or_default()))
        .collect();
    let of = |start: &&str| labelled.iter().any(|(_, label)| label.starts_with(start));
    let best = LABELS.into_iter().find(of).unwrap_or_default();
    let chosen = labelled.iter().filter(|(_, label)| label.starts_with(best));
    chosen.map(|(sensor, _)| chip.join(format!("{sensor}_input"))).collect()
}

/// The sensor's temperature; `None` if it does not answer.
fn celsius(sensor: &Attribute) -> Result<Option<f64>, ProbeError> {
    Ok(sensor.read::<i32>()?.map(|thousandths| f64::from(thousandths) / 1000.0))
}

#[cfg(test)]
mod tests {
    use runlog_core::autolog::Tier;

    use super::*;
    use crate::probe::testing::{Bench, empty, write};

    fn chip(machine: &Machine, hwmon: &str, name: &str, sensors: &[(&str, &str)]) {
        let chip = machine.sys.join("class/hwmon").join(hwmon);
        write(&chip.join("name"), &format!("{name}\n"));
        for (place, (label, value)) in sensors.iter().enumerate() {
            if !label.is_empty() {
                write(&chip.join(format!("temp{}_label", place + 1)), &format!("{label}\n"));
            }
            write(&chip.join(format!("temp{}_input", place + 1)), &format!("{value}\n"));
        }
    }

    fn check(chips: &[(&str, &[(&str, &str)])], expected: Option<f64>) {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        for (place, (name, sensors)) in chips.iter().enumerate() {
            chip(&machine, &format!("hwmon{place}"), name, sensors);
        }
        let read = Bench::open(&DRIVER, &machine).ok().map(|mut bench| bench.read().unwrap());
        assert_eq!(read.map(|values| values["cpu_temperature_celsius"]), expected, "{chips:?}");
    }

    #[test]
    fn the_hottest_package_whoever_made_it() {
        let intel: &[_] = &[("Package id 0", "52000"), ("Core 0", "61000")];
        check(&[("nvme", &[("Composite", "80000")]), ("coretemp", intel)], Some(52.0));
        check(&[("coretemp", intel), ("coretemp", &[("Package id 1", "57500")])], Some(57.5));
        check(&[("coretemp", &[("Core 0", "40000"), ("Core 1", "41000")])], Some(41.0));
        check(&[("k10temp", &[("Tctl", "77000"), ("Tdie", "50000"), ("Tccd1", "60000")])], Some(50.0));
        check(&[("k10temp", &[("Tctl", "45250"), ("Tccd1", "60000")])], Some(45.25));
        check(&[("cpu_thermal", &[("", "-4000")])], Some(-4.0));
        check(&[("acpitz", &[("", "20000")]), ("k10temp", &[("Tctl", "hot")])], None);
        check(&[], None);
    }

    #[test]
    fn garbage_fails_and_a_sensor_may_answer_again() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        chip(&machine, "hwmon3", "coretemp", &[("Package id 0", "52000")]);
        assert!(matches!(Bench::open_in(Tier::Standard, &DRIVER, &machine), Err(ProbeError::Absent(_))));
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        for bad in ["", "hot", "99999999999"] {
            write(&machine.sys.join("class/hwmon/hwmon3/temp1_input"), bad);
            assert!(matches!(bench.read(), Err(ProbeError::Failed(_))), "{bad:?}");
            write(&machine.sys.join("class/hwmon/hwmon3/temp1_input"), "53000\n");
            assert_eq!(bench.read().unwrap().get("cpu_temperature_celsius"), Some(&53.0));
        }
    }
}
