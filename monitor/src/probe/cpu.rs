//! `cpu_*_percentage`: how all processors and each one spent their time between two readings of `/proc/stat` (the
//! format: `proc_stat(5)`; what is busy: psutil's `cpu_percent`, which MLflow logs).
//!
//! Invariant: between 0 and 100, and only from two readings. The counters begin at boot, so one reading alone is the
//! average since then and says nothing about the run. A processor that was offline begins anew.

use super::pseudo::{Pseudo, lines, number, words};
use super::roll::Roll;
use super::sysfs::{processors, text};
use super::{Driver, Key, Machine, Opened, Probe, ProbeError, Registry, Sink, corrupt, float, wanted};
use crate::metrics;

pub(super) const DRIVER: Driver = Driver::built_in("cpu", open);

struct Cpu {
    stat: Pseudo,
    all: Meter,
    utilization: Option<Key>,
    waiting: Option<Key>,
    stolen: Option<Key>,
    cores: Roll<Core>,
    /// Those of every processor that may come online, by its name in the file; none if the tier leaves them out.
    core_keys: Vec<(String, Key)>,
}

struct Core {
    now: Times,
    meter: Meter,
    utilization: Option<Key>,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    let mut stat = Pseudo::open(machine.proc.join("stat"))?;
    let present = text(machine.sys.join("devices/system/cpu/present"));
    let indices = match present.and_then(|list| processors(&list)) {
        _ if wanted(registry, &metrics::CORE_UTILIZATION).is_err() => Vec::new(),
        Some(present) => present,
        None => listed(stat.whole()?),
    };
    let utilization = registry.metric(&metrics::CPU_UTILIZATION);
    let waiting = registry.metric(&metrics::CPU_WAITING);
    let stolen = registry.metric(&metrics::CPU_STOLEN);
    let key =
        |index| Some((format!("cpu{index}"), registry.metric_of("cpu", index, &metrics::CORE_UTILIZATION)?));
    let core_keys = indices.into_iter().filter_map(key).collect();
    Ok(Box::new(Cpu {
        stat,
        all: Meter::default(),
        utilization,
        waiting,
        stolen,
        cores: Roll::default(),
        core_keys,
    }))
}

impl Probe for Cpu {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        // The numbers of all interrupts follow, which are many.
        let stat = if self.core_keys.is_empty() { self.stat.head()? } else { self.stat.whole()? };
        let all = Times::parse(b"cpu", lines(stat).next().unwrap_or_default())
            .ok_or_else(|| corrupt("/proc/stat does not begin with the times of the processors"))?;
        self.cores.begin();
        if !self.core_keys.is_empty() {
            for line in core_lines(stat) {
                let name = words(line).next().unwrap_or_default();
                let now = Times::parse(name, line)
                    .ok_or_else(|| corrupt("/proc/stat has a processor without times"))?;
                let key =
                    || self.core_keys.iter().find(|(core, _)| core.as_bytes() == name).map(|(_, key)| *key);
                let (core, _) =
                    self.cores.list(name, || Core { now, meter: Meter::default(), utilization: key() });
                core.now = now;
            }
        }
        self.cores.end();

        let continuous = sink.since_last().is_some();
        if let Some(shares) = self.all.advance(all, continuous) {
            sink.put(self.utilization, shares.busy);
            sink.put(self.waiting, shares.waiting);
            sink.put(self.stolen, shares.stolen);
        }
        for core in self.cores.known() {
            if let Some(shares) = core.meter.advance(core.now, continuous) {
                sink.put(core.utilization, shares.busy);
            }
        }
        Ok(())
    }
}

/// The lines of single processors, which follow the first.
fn core_lines(stat: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(stat).skip(1).take_while(|line| line.starts_with(b"cpu"))
}

/// The processors that are online.
fn listed(stat: &[u8]) -> Vec<u32> {
    let index = |line| words(line).next()?.strip_prefix(b"cpu").and_then(number);
    core_lines(stat).filter_map(index).filter_map(|index| index.try_into().ok()).collect()
}

/// Compares two readings.
#[derive(Default)]
struct Meter {
    before: Option<Times>,
}

impl Meter {
    /// Takes a reading: the shares since the one before; `None` at the first, after a gap, and where no time passed.
    fn advance(&mut self, now: Times, continuous: bool) -> Option<Shares> {
        let before = self.before.replace(now).filter(|_| continuous)?;
        now.since(&before)
    }
}

/// Time since boot in the kernel's ticks: user, nice, system, idle, iowait, irq, softirq, steal. The two that follow
/// in the file, guest times, are contained in user and nice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times([u64; 8]);

const IDLE: usize = 3;
const IOWAIT: usize = 4;
const STEAL: usize = 7;
/// The kernels of 2002 had these; later ones only add.
const FIELDS_MIN: usize = 4;

/// Percentages of the time of a processor.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shares {
    busy: f64,
    waiting: f64,
    stolen: f64,
}

impl Times {
    fn parse(name: &[u8], line: &[u8]) -> Option<Self> {
        let mut fields = words(line);
        if fields.next()? != name {
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

    /// How the time since `before` was spent; `None` if no time has passed.
    ///
    /// Each counter by itself never runs backwards here: iowait does in the kernel, and would make others look busier.
    fn since(&self, before: &Self) -> Option<Shares> {
        let mut passed = [0.0; 8];
        for ((passed, now), before) in passed.iter_mut().zip(self.0).zip(before.0) {
            *passed = float(now.saturating_sub(before));
        }
        let total: f64 = passed.iter().sum();
        let idle = passed[IDLE] + passed[IOWAIT];
        // The ratio first: of two equal sums it is exactly 1, and never a hair above.
        let share = |time: f64| time / total * 100.0;
        (total > 0.0).then(|| Shares {
            busy: share((total - idle).max(0.0)),
            waiting: share(passed[IOWAIT]),
            stolen: share(passed[STEAL]),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use proptest::prelude::*;
    use runlog_core::autolog::Tier;

    use super::*;
    use crate::probe::testing::{Bench, tree, write};

    fn busy(before: &str, now: &str) -> Option<f64> {
        let parse = |text: &str| Times::parse(b"cpu", text.as_bytes()).unwrap();
        parse(now).since(&parse(before)).map(|shares| shares.busy)
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
            assert_eq!(Times::parse(b"cpu", bad.as_bytes()), None, "{bad:?}");
        }
        let huge = format!("cpu {0} {0} {0} {0}\n", u64::MAX);
        assert_eq!(busy("cpu 0 0 0 0", &huge), Some(75.0));
    }

    #[test]
    fn one_reading_is_no_sample_and_a_gap_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "stat", "cpu 900 0 0 100\ncpu0 900 0 0 100\n");
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        let write = |all: &str| {
            let only_one = all.replace("cpu", "cpu0");
            fs::write(machine.proc.join("stat"), [all, &only_one].concat()).unwrap();
        };

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

    /// `cpu` and then each core that is online, all with so many busy and idle ticks.
    fn stat(cores: &[(u32, u64, u64)]) -> String {
        let (busy, idle) = cores.iter().fold((0, 0), |sum, core| (sum.0 + core.1, sum.1 + core.2));
        let core =
            |(index, busy, idle): &(u32, u64, u64)| format!("cpu{index} {busy} 0 0 {idle} 0 0 0 0 0 0\n");
        let cores: String = cores.iter().map(core).collect();
        format!("cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\n{cores}intr 4711 1 2 3\nctxt 5\n")
    }

    fn of_cores(bench: &mut Bench) -> Vec<Option<f64>> {
        let values = bench.read().unwrap();
        (0..4).map(|core| values.get(&format!("cpu_{core}_utilization_percentage")).copied()).collect()
    }

    #[test]
    fn each_processor_and_what_waits_and_is_stolen() {
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "stat", "cpu 0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0\ncpu1 0 0 0 0 0\n");
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        assert!(bench.read_after(None).unwrap().is_empty());
        let then =
            "cpu 10 0 0 60 20 0 0 10 0 0\ncpu0 10 0 0 40 0 0 0 0 0 0\ncpu1 0 0 0 20 20 0 0 10 0 0\nintr 5\n";
        fs::write(machine.proc.join("stat"), then).unwrap();
        let values = bench.read().unwrap();
        let expected = [
            ("cpu_0_utilization_percentage", 20.0),
            ("cpu_1_utilization_percentage", 20.0),
            ("cpu_iowait_percentage", 20.0),
            ("cpu_steal_percentage", 10.0),
            ("cpu_utilization_percentage", 20.0),
        ];
        assert!(values.iter().map(|(name, value)| (name.as_str(), *value)).eq(expected), "{values:?}");
        let standard = Bench::open_in(Tier::Standard, &DRIVER, &machine).unwrap();
        assert_eq!(standard.registry.entries().len(), 1);
    }

    #[test]
    fn processors_may_go_offline_and_come_online() {
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "stat", &stat(&[(0, 0, 0), (1, 0, 0)]));
        write(&machine.sys.join("devices/system/cpu/present"), "0-2\n");
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read_after(None).unwrap();
        let mut read = |cores: &[(u32, u64, u64)]| {
            fs::write(machine.proc.join("stat"), stat(cores)).unwrap();
            of_cores(&mut bench)
        };
        assert_eq!(read(&[(0, 10, 10), (1, 5, 15)]), [Some(50.0), Some(25.0), None, None]);
        assert_eq!(read(&[(0, 20, 20), (2, 90, 10)]), [Some(50.0), None, None, None], "a first look");
        assert_eq!(read(&[(0, 30, 30), (1, 99, 99), (2, 90, 20)]), [Some(50.0), None, Some(0.0), None]);
        assert_eq!(read(&[(1, 100, 102), (2, 91, 20), (3, 5, 5)]), [None, Some(25.0), Some(100.0), None]);
        assert_eq!(
            read(&[(1, 101, 102), (2, 91, 20), (3, 9, 9)]),
            [None, Some(100.0), None, None],
            "never present"
        );
    }

    #[test]
    fn garbage_in_one_processors_line_fails_without_a_wrong_number() {
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "stat", &stat(&[(0, 0, 0), (1, 0, 0)]));
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read_after(None).unwrap();
        fs::write(machine.proc.join("stat"), stat(&[(0, 7, 1)]) + "cpu1 1 2\n").unwrap();
        bench.read().unwrap();
        let bad = stat(&[(0, 9, 9), (1, 9, 9)]).replace("cpu1 9", "cpu1 x");
        fs::write(machine.proc.join("stat"), bad).unwrap();
        assert!(matches!(bench.read(), Err(ProbeError::Failed(_))));
        assert!(bench.values().is_empty());
        fs::write(machine.proc.join("stat"), stat(&[(0, 8, 2), (1, 10, 10)])).unwrap();
        assert_eq!(of_cores(&mut bench), [Some(50.0), None, None, None], "since the last that could be read");
    }

    proptest! {
        #[test]
        fn any_two_readings_give_a_percentage_or_nothing(before: [u64; 8], now: [u64; 8]) {
            if let Some(Shares { busy, waiting, stolen }) = Times(now).since(&Times(before)) {
                for share in [busy, waiting, stolen, busy + waiting] {
                    prop_assert!((0.0..=100.000_001).contains(&share), "{}", share);
                }
                prop_assert!(busy <= 100.0 && stolen <= busy + 1e-6);
            }
        }

        #[test]
        fn any_bytes_parse_or_do_not(bytes: Vec<u8>) {
            let _parsed = Times::parse(b"cpu", &bytes);
            let _parsed = Times::parse(b"cpu", &[b"cpu ", &bytes[..]].concat());
            let _listed = listed(&bytes);
        }
    }
}
