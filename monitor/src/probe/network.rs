//! `network_*_megabytes`: the bytes of every interface since the monitor began, from `/proc/self/net/dev` (the format:
//! `proc_pid_net(5)`).
//!
//! Invariant: the interfaces are those of this process's network namespace; `/sys/class/net` may show another's.

use super::pseudo::{Pseudo, lines, number, words};
use super::traffic::Traffic;
use super::{Driver, Machine, Opened, Probe, ProbeError, Registry, Sink, corrupt};

pub(super) const DRIVER: Driver = Driver::built_in("network", open);

/// Lines that head the table.
const HEADER_LINES: usize = 2;
/// Columns after the name: bytes received come first, bytes sent ninth.
const SENT_COLUMN: usize = 8;

struct Network {
    dev: Pseudo,
    traffic: Traffic,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    let dev = Pseudo::open(machine.proc.join("self/net/dev"))?;
    Ok(Box::new(Network { dev, traffic: Traffic::register(registry) }))
}

impl Probe for Network {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        for line in lines(self.dev.whole()?).skip(HEADER_LINES).filter(|line| !line.is_empty()) {
            let (name, received, sent) =
                parse(line).ok_or_else(|| corrupt("/proc/self/net/dev has a line that is no interface"))?;
            self.traffic.count(name, received, sent);
        }
        self.traffic.put(sink);
        Ok(())
    }
}

/// The name of the interface, the bytes received and sent.
fn parse(line: &[u8]) -> Option<(&[u8], u64, u64)> {
    // The last colon: the name of an alias has one itself, and the first number may follow without a space.
    let colon = line.iter().rposition(|byte| *byte == b':')?;
    let (name, columns) = line.split_at_checked(colon)?;
    let mut columns = words(columns.get(1..)?);
    let received = columns.next().and_then(number)?;
    let sent = columns.nth(SENT_COLUMN - 1).and_then(number)?;
    Some((name.trim_ascii(), received, sent))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::probe::testing::{Bench, tree};

    const HEADER: &str = "Inter-|   Receive                                                |  Transmit\n \
         face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls \
         carrier compressed\n";

    fn table(rows: &[(&str, u64, u64)]) -> String {
        let row =
            |(name, rx, tx): &(&str, u64, u64)| format!("{name:>6}: {rx} 9 8 7 6 5 4 3 {tx} 2 1 0 0 0 0 0\n");
        HEADER.to_owned() + &rows.iter().map(row).collect::<String>()
    }

    #[test]
    fn megabytes_of_all_interfaces_since_the_first_reading() {
        let dir = tempfile::tempdir().unwrap();
        let machine =
            tree(dir.path(), "self/net/dev", &table(&[("lo", 1_000_000, 500_000), ("eth0", 77_000_000, 1)]));
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        assert_eq!(bench.read().unwrap().get("network_receive_megabytes"), Some(&0.0));
        let later = table(&[("lo", 1_500_000, 1_000_000), ("eth0", 79_000_000, 250_001)]);
        fs::write(machine.proc.join("self/net/dev"), later).unwrap();
        let values = bench.read().unwrap();
        assert_eq!(values.get("network_receive_megabytes"), Some(&2.5));
        assert_eq!(values.get("network_transmit_megabytes"), Some(&0.75));
    }

    #[test]
    fn names_may_have_colons_and_numbers_may_follow_at_once() {
        assert_eq!(parse(b"eth0:1: 5 0 0 0 0 0 0 0 6 0"), Some((&b"eth0:1"[..], 5, 6)));
        assert_eq!(parse(b"  eth0:5 0 0 0 0 0 0 0 6 0"), Some((&b"eth0"[..], 5, 6)));
        let huge = format!("x: {0} 0 0 0 0 0 0 0 {0}", u64::MAX);
        assert_eq!(parse(huge.as_bytes()), Some((&b"x"[..], u64::MAX, u64::MAX)));
    }

    #[test]
    fn garbage_fails_and_the_sums_go_on_after_it() {
        for bad in ["", "eth0", "eth0: 1 2 3", "eth0: a 0 0 0 0 0 0 0 6", "eth0: 1 0 0 0 0 0 0 0 -6"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "self/net/dev", &table(&[("lo", 1_000_000, 0)]));
        let path = machine.proc.join("self/net/dev");
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read().unwrap();
        fs::write(&path, table(&[("lo", 2_000_000, 0)]) + "garbage\n").unwrap();
        assert!(matches!(bench.read(), Err(ProbeError::Failed(_))));
        fs::write(&path, table(&[("lo", 4_000_000, 0)])).unwrap();
        assert_eq!(bench.read().unwrap().get("network_receive_megabytes"), Some(&3.0));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_do_not(bytes: Vec<u8>) {
            let _parsed = parse(&bytes);
        }
    }
}
