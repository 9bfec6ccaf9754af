//! `infiniband_*`: what InfiniBand and RoCE ports moved, RDMA included, which no network interface counts; from
//! `/sys/class/infiniband/<device>/ports/<port>/counters` (the format: the kernel's
//! `Documentation/ABI/stable/sysfs-class-infiniband`).
//!
//! Invariant: a port counts while it answers. Adapters are asked by a command to their firmware, which may take long.

use super::sysfs::{Attribute, names};
use super::{
    Driver, Key, MEGABYTE, Machine, Opened, Probe, ProbeError, Registry, Sink, absent, float, wanted,
};
use crate::counter::Counter;
use crate::metrics;

pub(super) const DRIVER: Driver = Driver::built_in("infiniband", open).may_block();

/// Data is counted in words of this size.
const WORD_BYTES: f64 = 4.0;
/// Where an adapter with counters of 32 bits only has stopped counting.
const STUCK: u64 = u32::MAX as u64;

struct Infiniband {
    received: Direction,
    sent: Direction,
}

/// One direction of all ports.
struct Direction {
    ports: Vec<(Attribute, Counter)>,
    rate: Option<Key>,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    wanted(registry, &metrics::INFINIBAND_RECEIVE_RATE)?;
    let class = machine.sys.join("class/infiniband");
    let (mut received, mut sent) = (Vec::new(), Vec::new());
    for device in names(&class) {
        let ports = class.join(device).join("ports");
        for port in names(&ports) {
            // A port without such counters, or that we may not ask, is one that does not tell.
            let counter = |name| {
                let counter = Attribute::open(ports.join(&port).join("counters").join(name)).ok()?;
                counter.read::<u64>().ok().flatten().map(|_| (counter, Counter::default()))
            };
            if let (Some(of_received), Some(of_sent)) = (counter("port_rcv_data"), counter("port_xmit_data"))
            {
                received.push(of_received);
                sent.push(of_sent);
            }
        }
    }
    if received.is_empty() {
        return Err(absent("no InfiniBand or RoCE port has counters"));
    }
    let received = Direction { ports: received, rate: registry.metric(&metrics::INFINIBAND_RECEIVE_RATE) };
    let sent = Direction { ports: sent, rate: registry.metric(&metrics::INFINIBAND_TRANSMIT_RATE) };
    Ok(Box::new(Infiniband { received, sent }))
}

impl Probe for Infiniband {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        self.received.sample(sink).and(self.sent.sample(sink))
    }
}

impl Direction {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let mut sum = None;
        let mut outcome = Ok(());
        for (port, counter) in &mut self.ports {
            match port.read::<u64>() {
                Ok(Some(words)) if words != STUCK => {
                    sum = counter.advance(words).map(|words| sum.unwrap_or(0.0) + float(words)).or(sum);
                }
                Ok(_) => counter.rebase(),
                Err(garbage) => {
                    counter.rebase();
                    outcome = Err(garbage);
                }
            }
        }
        outcome?;
        sink.put_rate(self.rate, sum.map(|words: f64| words * WORD_BYTES / MEGABYTE));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use runlog_core::autolog::Tier;

    use super::*;
    use crate::probe::testing::{Bench, empty, write};

    fn set(machine: &Machine, port: &str, received: &str, sent: &str) {
        let counters = machine.sys.join("class/infiniband").join(port).join("counters");
        write(&counters.join("port_rcv_data"), received);
        write(&counters.join("port_xmit_data"), sent);
    }

    #[test]
    fn ports_count_words_of_four_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Absent(_))));
        let beyond_32_bits = 1_u64 << 40;
        set(&machine, "mlx5_0/ports/1", &format!("{beyond_32_bits}\n"), "0\n");
        set(&machine, "mlx5_1/ports/1", "100\n", "100\n");
        set(&machine, "mlx5_1/ports/2", "0\n", "0\n");
        set(&machine, "siw0/ports/1", "N/A (no PMA)\n", "N/A (no PMA)\n");
        write(&machine.sys.join("class/infiniband/efa_0/ports/1/hw_counters/rx_bytes"), "5\n");
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        assert!(bench.read_after(None).unwrap().is_empty());
        set(&machine, "mlx5_0/ports/1", &format!("{}\n", beyond_32_bits + 10_000_000), "3000000\n");
        set(&machine, "mlx5_1/ports/1", "5000100\n", "100\n");
        let values = bench.read_after(Some(Duration::from_secs(2))).unwrap();
        assert_eq!(values.get("infiniband_receive_megabytes_per_second"), Some(&30.0));
        assert_eq!(values.get("infiniband_transmit_megabytes_per_second"), Some(&6.0));
        assert!(matches!(Bench::open_in(Tier::Compat, &DRIVER, &machine), Err(ProbeError::Absent(_))));
    }

    #[test]
    fn a_port_that_begins_anew_or_is_stuck_adds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        set(&machine, "a/ports/1", "1000000", "0");
        set(&machine, "b/ports/1", "4294967295", "0");
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read_after(None).unwrap();
        let mut read = |received: &str| {
            set(&machine, "a/ports/1", received, "0");
            bench.read().map(|values| values.get("infiniband_receive_megabytes_per_second").copied())
        };
        assert_eq!(read("2000000").unwrap(), Some(4.0));
        assert_eq!(read("5").unwrap(), None, "no port has an amount, which is not 0");
        assert_eq!(read("1000005").unwrap(), Some(4.0));
        assert!(matches!(read("garbage"), Err(ProbeError::Failed(_))));
        assert_eq!(read("9000005").unwrap(), None, "two intervals are not one");
        assert_eq!(read("9250005").unwrap(), Some(1.0));
        assert_eq!(read("4294967295").unwrap(), None);
        assert_eq!(read("9500005000").unwrap(), None, "nor are these");
        assert_eq!(read("9500255000").unwrap(), Some(1.0));
    }

    #[test]
    fn one_port_that_does_not_answer_leaves_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        set(&machine, "a/ports/1", "0", "0");
        let counters = machine.sys.join("class/infiniband/b/ports/1/counters");
        fs::create_dir_all(counters.join("port_rcv_data")).unwrap();
        fs::create_dir_all(counters.join("port_xmit_data")).unwrap();
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read_after(None).unwrap();
        set(&machine, "a/ports/1", "250000", "0");
        assert_eq!(bench.read().unwrap().get("infiniband_receive_megabytes_per_second"), Some(&1.0));
    }
}
