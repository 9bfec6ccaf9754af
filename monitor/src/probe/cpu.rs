//! `cpu_utilization_percentage`: the share of all processors' time that was not idle, between two readings of
//! `/proc/stat` (the format: `proc_stat(5)`; the formula: psutil's `cpu_percent`, which MLflow logs).
//!
//! Invariant: between 0 and 100, and only from two readings. The counters begin at boot, so one reading alone is the
//! average since then and says nothing about the run.

use super::pseudo::{Pseudo, lines, number, words};
use super::{Driver, Key, Machine, Opened, Probe, ProbeError, Registry, Sink, corrupt, float};
use crate::metrics;

pub(super) const DRIVER: Driver = Driver::built_in("cpu", open);

struct Cpu {
    stat: Pseudo,
    before: Option<Times>,
    utilization: Option<Key>,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    let stat = Pseudo::open(machine.proc.join("stat"))?;
    let utilization = registry.metric(&metrics::CPU_UTILIZATION);
    Ok(Box::new(Cpu { stat, before: None, utilization }))
}

impl Probe for Cpu {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let now = Times::parse(self.stat.head()?)
            .ok_or_else(|| corrupt("/proc/stat does not begin with the times of the processors"))?;
        let before = self.before.filter(|_| sink.since_last().is_some());
        let Some(before) = before else {
            self.before = Some(now);
            return Ok(());
        };
        // Without a tick of the kernel's clock in between there is nothing to divide: the next reading looks back to
        // the same beginning, so no time is lost.
        if let Some(percentage) = now.busy_since(&before) {
            sink.put(self.utilization, percentage);
            self.before = Some(now);
        }
        Ok(())
    }
}

/// Time since boot in the kernel's ticks: user, nice, system, idle, iowait, irq, softirq, steal. The two that follow
/// in the file, guest times, are contained in user and nice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times([u64; 8]);

const IDLE: usize = 3;
const IOWAIT: usize = 4;
/// The kernels of 2002 had these; later ones only add.
const FIELDS_MIN: usize = 4;

impl Times {
    fn parse(stat: &[u8]) -> Option<Self> {
        let mut fields = words(lines(stat).next()?);
        if fields.next()? != b"cpu" {
            return None;
        }
        let mut times = [0; 8];
        let mut count = 0;
        for (time, field) in times.iter_mut().zip(fields) {
            *time = number(field)?;
            count += 1;
        }
        (count >= FIELDS_MIN).then_some(Self(times))
    }

    /// The percentage of the time since `before` that was busy; `None` if no time has passed.
    ///
    /// Each counter by itself never runs backwards here: iowait does in the kernel, and would make others look busier.
    fn busy_since(&self, before: &Self) -> Option<f64> {
        let mut total = 0.0;
        let mut idle = 0.0;
        for (place, (now, before)) in self.0.iter().zip(before.0).enumerate() {
            let passed = float(now.saturating_sub(before));
            total += passed;
            if matches!(place, IDLE | IOWAIT) {
                idle += passed;
            }
        }
        // The ratio first: of two equal sums it is exactly 1, and never a hair above.
        (total > 0.0).then(|| (total - idle) / total * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::probe::testing::{Bench, tree};

    fn busy(before: &str, now: &str) -> Option<f64> {
        let parse = |text: &str| Times::parse(text.as_bytes()).unwrap();
        parse(now).busy_since(&parse(before))
    }

    #[test]
    fn steal_and_interrupts_are_busy_and_waiting_for_a_disk_is_idle() {
        let zero = "cpu 0 0 0 0 0 0 0 0 0 0";
        for (now, expected) in [
            ("cpu 10 0 0 30 0 0 0 0 0 0", 25.0),
            ("cpu 0 10 0 30 0 0 0 0 0 0", 25.0),
            ("cpu 0 0 10 30 0 0 0 0 0 0", 25.0),
            ("cpu 0 0 0 10 30 0 0 0 0 0", 0.0),
            ("cpu 0 0 0 30 0 10 0 0 0 0", 25.0),
            ("cpu 0 0 0 30 0 0 10 0 0 0", 25.0),
            ("cpu 0 0 0 30 0 0 0 10 0 0", 25.0),
            ("cpu 10 0 0 30 0 0 0 0 10 0", 25.0),
            ("cpu 10 0 0 0 0 0 0 0 10 0", 100.0),
        ] {
            assert_eq!(busy(zero, now), Some(expected), "{now}");
        }
    }

    #[test]
    fn a_counter_that_runs_backwards_counts_as_still() {
        assert_eq!(busy("cpu 10 0 0 10 50", "cpu 20 0 0 40 20"), Some(25.0));
        assert_eq!(busy("cpu 10 0 0 10", "cpu 5 0 0 5"), None);
        assert_eq!(busy("cpu 10 0 0 10", "cpu 10 0 0 10"), None);
    }

    #[test]
    fn what_is_not_the_kernels_line_is_refused() {
        for bad in [
            "",
            "\n",
            "cpu",
            "cpu0 1 2 3 4",
            "cpu 1 2 3",
            "cpu 1 2 x 4",
            "cpu 1 2 3 99999999999999999999",
            "cpu -1 2 3 4",
            "intr 5",
        ] {
            assert_eq!(Times::parse(bad.as_bytes()), None, "{bad:?}");
        }
        let huge = format!("cpu {0} {0} {0} {0}\n", u64::MAX);
        assert_eq!(busy("cpu 0 0 0 0", &huge), Some(75.0));
    }

    #[test]
    fn one_reading_is_no_sample_and_a_gap_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "stat", "cpu 900 0 0 100\ncpu0 900 0 0 100\n");
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        let write = |text: &str| fs::write(machine.proc.join("stat"), text).unwrap();

        assert!(bench.read_after(None).unwrap().is_empty(), "the average since boot");
        write("cpu 950 0 0 150\n");
        assert_eq!(bench.read().unwrap().get("cpu_utilization_percentage"), Some(&50.0));
        assert!(bench.read().unwrap().is_empty(), "no tick of the clock has passed");
        write("cpu 980 0 0 160\n");
        assert_eq!(bench.read().unwrap().get("cpu_utilization_percentage"), Some(&75.0));
        write("cpu 9980 0 0 160\n");
        assert!(bench.read_after(None).unwrap().is_empty(), "the hole is not averaged over");
        write("cpu 9990 0 0 190\n");
        assert_eq!(
            bench.read_after(Some(Duration::from_secs(1))).unwrap().get("cpu_utilization_percentage"),
            Some(&25.0)
        );
    }

    #[test]
    fn a_reading_that_fails_leaves_the_beginning_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "stat", "cpu 0 0 0 0\n");
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read_after(None).unwrap();
        fs::write(machine.proc.join("stat"), "garbage").unwrap();
        assert!(matches!(bench.read(), Err(ProbeError::Failed(_))));
        fs::write(machine.proc.join("stat"), "cpu 1 0 0 3\n").unwrap();
        assert_eq!(bench.read().unwrap().get("cpu_utilization_percentage"), Some(&25.0));
    }

    proptest! {
        #[test]
        fn any_two_readings_give_a_percentage_or_nothing(before: [u64; 8], now: [u64; 8]) {
            if let Some(busy) = Times(now).busy_since(&Times(before)) {
                prop_assert!((0.0..=100.0).contains(&busy), "{}", busy);
            }
        }

        #[test]
        fn any_bytes_parse_or_do_not(bytes: Vec<u8>) {
            let _parsed = Times::parse(&bytes);
            let _parsed = Times::parse(&[b"cpu ", &bytes[..]].concat());
        }
    }
}
