//! `system_memory_usage_*`: what of the memory is not available, from `/proc/meminfo` (the format: `proc_meminfo(5)`).
//!
//! Invariant: both numbers come from one reading, and both are absent if the kernel does not say what is available
//! (before 3.14, and in some sandboxes): free memory would be a different metric under the same name.

use super::pseudo::{Pseudo, lines, number, words};
use super::{Driver, Machine, MemoryKeys, Opened, Probe, ProbeError, Registry, Sink, absent, corrupt};

pub(super) const DRIVER: Driver = Driver::built_in("memory", open);

struct Memory {
    meminfo: Pseudo,
    keys: MemoryKeys,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    let mut meminfo = Pseudo::open(machine.proc.join("meminfo"))?;
    parse(meminfo.whole()?)?;
    Ok(Box::new(Memory { meminfo, keys: MemoryKeys::register(registry) }))
}

impl Probe for Memory {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let (total, available) = parse(self.meminfo.whole()?)?;
        self.keys.put(sink, total, available)
    }
}

/// The total and the available memory in bytes.
fn parse(meminfo: &[u8]) -> Result<(u64, u64), ProbeError> {
    let (mut total, mut available) = (None, None);
    for line in lines(meminfo) {
        let slot = if line.starts_with(b"MemTotal:") {
            &mut total
        } else if line.starts_with(b"MemAvailable:") {
            &mut available
        } else {
            continue;
        };
        let kibibytes = words(line).nth(1).and_then(number).and_then(|count| count.checked_mul(1024));
        *slot = Some(kibibytes.ok_or_else(|| corrupt("/proc/meminfo has a line without an amount"))?);
        if let (Some(total), Some(available)) = (total, available) {
            return match total {
                0 => Err(corrupt("/proc/meminfo says that there is no memory")),
                total => Ok((total, available)),
            };
        }
    }
    Err(absent("/proc/meminfo does not say how much memory is available"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::probe::testing::{Bench, tree};

    const MEMINFO: &str = "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    4000000 kB\n\
                           Buffers:          100000 kB\n";

    #[test]
    fn used_is_what_is_not_available() {
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "meminfo", MEMINFO);
        let values = Bench::open(&DRIVER, &machine).unwrap().read().unwrap();
        assert_eq!(values.get("system_memory_usage_megabytes"), Some(&12_288.0));
        assert_eq!(values.get("system_memory_usage_percentage"), Some(&75.0));
        assert_eq!(values.len(), 2);
    }

    #[test]
    fn a_kernel_that_does_not_say_has_no_metric() {
        for missing in ["", "MemTotal: 5 kB\nMemFree: 3 kB\n", "MemAvailable: 5 kB\n", "nonsense"] {
            assert!(matches!(parse(missing.as_bytes()), Err(ProbeError::Absent(_))), "{missing:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "meminfo", "MemTotal: 5 kB\n");
        assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Absent(_))));
    }

    #[test]
    fn garbage_and_impossible_amounts_fail() {
        for bad in [
            "MemTotal: x kB\nMemAvailable: 1 kB\n",
            "MemTotal:\nMemAvailable: 1 kB\n",
            "MemTotal: 0 kB\nMemAvailable: 0 kB\n",
            "MemTotal: 18446744073709551615 kB\nMemAvailable: 1 kB\n",
        ] {
            assert!(matches!(parse(bad.as_bytes()), Err(ProbeError::Failed(_))), "{bad:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "meminfo", MEMINFO);
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        fs::write(machine.proc.join("meminfo"), "MemTotal: 1 kB\nMemAvailable: 2 kB\n").unwrap();
        assert!(matches!(bench.read(), Err(ProbeError::Failed(_))));
        fs::write(machine.proc.join("meminfo"), MEMINFO).unwrap();
        assert_eq!(bench.read().unwrap().len(), 2, "it is asked again and answers");
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_do_not(bytes: Vec<u8>) {
            let _parsed = parse(&bytes);
            let _parsed = parse(&[b"MemTotal: ", &bytes[..], b"\nMemAvailable: ", &bytes[..]].concat());
        }
    }
}
