//! `system_memory_usage_*` and `swap_usage_*`: what of the memory is not available and what of the swap is in use, from
//! `/proc/meminfo` (the format: `proc_meminfo(5)`).
//!
//! Invariant: all numbers come from one reading, and those of memory are absent if the kernel does not say what is
//! available (before 3.14, and in some sandboxes): free memory would be a different metric under the same name.

use super::pseudo::{Pseudo, lines, number, words};
use super::{
    Driver, Key, MEGABYTE, Machine, MemoryKeys, Opened, Probe, ProbeError, Registry, Sink, absent, corrupt,
    float,
};
use crate::metrics;

pub(super) const DRIVER: Driver = Driver::built_in("memory", open);

struct Memory {
    meminfo: Pseudo,
    keys: MemoryKeys,
    swap_used: Option<Key>,
    swap_used_percentage: Option<Key>,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    let mut meminfo = Pseudo::open(machine.proc.join("meminfo"))?;
    let amounts = Amounts::parse(meminfo.whole()?)?;
    let keys = MemoryKeys::register(registry);
    let mut of_swap =
        |metric| amounts.swap_total.filter(|total| *total > 0).and_then(|_| registry.metric(metric));
    let swap_used = of_swap(&metrics::SWAP_USED);
    let swap_used_percentage = of_swap(&metrics::SWAP_USED_PERCENTAGE);
    Ok(Box::new(Memory { meminfo, keys, swap_used, swap_used_percentage }))
}

impl Probe for Memory {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let amounts = Amounts::parse(self.meminfo.whole()?)?;
        if let Some((used, total)) = amounts.swap()? {
            sink.put(self.swap_used, used / MEGABYTE);
            sink.put(self.swap_used_percentage, used / total * 100.0);
        }
        self.keys.put(sink, amounts.total, amounts.available)
    }
}

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Amounts {
    total: u64,
    available: u64,
    swap_total: Option<u64>,
    swap_free: Option<u64>,
}

impl Amounts {
    fn parse(meminfo: &[u8]) -> Result<Self, ProbeError> {
        let [mut total, mut free, mut available, mut swap_total, mut swap_free] = [None; 5];
        for line in lines(meminfo).filter(|line| line.starts_with(b"Mem") || line.starts_with(b"Swap")) {
            let mut words = words(line);
            let slot = match words.next() {
                Some(b"MemTotal:") => &mut total,
                Some(b"MemFree:") => &mut free,
                Some(b"MemAvailable:") => &mut available,
                Some(b"SwapTotal:") => &mut swap_total,
                Some(b"SwapFree:") => &mut swap_free,
                _ => continue,
            };
            let kibibytes = words.next().and_then(number).and_then(|count| count.checked_mul(1024));
            *slot = Some(kibibytes.ok_or_else(|| corrupt("/proc/meminfo has a line without an amount"))?);
        }
        let (Some(total), Some(available)) = (total, available) else {
            return Err(absent("/proc/meminfo does not say how much memory is available"));
        };
        if total == 0 {
            return Err(corrupt("/proc/meminfo says that there is no memory"));
        }
        // Some containers have the total of their limit beside what is available on the whole machine; then what is
        // free stands for it, as in procps and psutil.
        let available = if available > total { free.unwrap_or(available) } else { available };
        Ok(Self { total, available, swap_total, swap_free })
    }

    /// Used and all swap; `None` without swap.
    fn swap(&self) -> Result<Option<(f64, f64)>, ProbeError> {
        let (Some(total @ 1..), Some(free)) = (self.swap_total, self.swap_free) else { return Ok(None) };
        let used =
            total.checked_sub(free).ok_or_else(|| corrupt("more swap is said to be free than there is"))?;
        Ok(Some((float(used), float(total))))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::probe::testing::{Bench, tree};

    const MEMINFO: &str = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    4000000 kB\n\
                           Buffers:          100000 kB\nSwapCached:            5 kB\n";
    const SWAP: &str = "SwapTotal:       8000000 kB\nSwapFree:        6000000 kB\n";

    #[test]
    fn used_is_what_is_not_available() {
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "meminfo", MEMINFO);
        let values = Bench::open(&DRIVER, &machine).unwrap().read().unwrap();
        assert_eq!(values.get("system_memory_usage_megabytes"), Some(&12_288.0));
        assert_eq!(values.get("system_memory_usage_percentage"), Some(&75.0));
        assert_eq!(values.len(), 2, "no swap");
    }

    #[test]
    fn swap_is_there_while_it_is_switched_on() {
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "meminfo", &[MEMINFO, SWAP].concat());
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        let values = bench.read().unwrap();
        assert_eq!(values.get("swap_usage_megabytes"), Some(&2048.0));
        assert_eq!(values.get("swap_usage_percentage"), Some(&25.0));
        for off in ["SwapTotal: 0 kB\nSwapFree: 0 kB\n", "SwapTotal: 5 kB\n", ""] {
            fs::write(machine.proc.join("meminfo"), [MEMINFO, off].concat()).unwrap();
            assert_eq!(bench.read().unwrap().len(), 2, "{off:?}");
        }
        fs::write(machine.proc.join("meminfo"), [MEMINFO, "SwapTotal: 0 kB\nSwapFree: 0 kB\n"].concat())
            .unwrap();
        assert_eq!(
            Bench::open(&DRIVER, &machine).unwrap().registry.entries().len(),
            2,
            "nothing is registered"
        );
    }

    #[test]
    fn a_kernel_that_does_not_say_has_no_metric() {
        for missing in ["", "MemTotal: 5 kB\nMemFree: 3 kB\n", "MemAvailable: 5 kB\n", "nonsense"] {
            assert!(matches!(Amounts::parse(missing.as_bytes()), Err(ProbeError::Absent(_))), "{missing:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "meminfo", "MemTotal: 5 kB\n");
        assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Absent(_))));
    }

    #[test]
    fn a_containers_total_beside_what_the_machine_has_available() {
        let lxc = "MemTotal: 2000 kB\nMemFree: 500 kB\nMemAvailable: 9000 kB\n";
        let amounts = Amounts::parse(lxc.as_bytes()).unwrap();
        assert_eq!((amounts.total, amounts.available), (2_048_000, 512_000));
    }

    #[test]
    fn garbage_and_impossible_amounts_fail() {
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "meminfo", &[MEMINFO, SWAP].concat());
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        for bad in [
            "MemTotal: x kB\nMemAvailable: 1 kB\n",
            "MemTotal:\nMemAvailable: 1 kB\n",
            "MemTotal: 0 kB\nMemAvailable: 0 kB\n",
            "MemTotal: 18446744073709551615 kB\nMemAvailable: 1 kB\n",
            "MemTotal: 1 kB\nMemAvailable: 2 kB\n",
            "MemTotal: 1 kB\nMemFree: 3 kB\nMemAvailable: 2 kB\n",
            &[MEMINFO, "SwapTotal: 1 kB\nSwapFree: 2 kB\n"].concat(),
            &[MEMINFO, "SwapTotal: much\n"].concat(),
        ] {
            fs::write(machine.proc.join("meminfo"), bad).unwrap();
            assert!(matches!(bench.read(), Err(ProbeError::Failed(_))), "{bad:?}");
            fs::write(machine.proc.join("meminfo"), [MEMINFO, SWAP].concat()).unwrap();
            assert_eq!(bench.read().unwrap().len(), 4, "it is asked again and answers");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_do_not(bytes: Vec<u8>) {
            let _parsed = Amounts::parse(&bytes);
            let _parsed = Amounts::parse(&[b"MemTotal: ", &bytes[..], b"\nMemAvailable: ", &bytes[..]].concat());
        }
    }
}
