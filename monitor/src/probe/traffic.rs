//! The bytes that all interfaces moved since the monitor began, from counters that begin somewhere before.
//!
//! Invariant: the sums never fall. A counter that runs backwards begins anew and adds nothing; an interface that
//! appears later is counted from its own beginning, and what one moved stays counted when it is taken away.

use super::roll::Roll;
use super::{Key, MEGABYTE, Registry, Sink, float};
use crate::metrics;

/// The sums over every interface, loopback and virtual ones too, as MLflow has them.
#[derive(Debug)]
pub(super) struct Traffic {
    interfaces: Roll<Interface>,
    begun: bool,
    received_bytes: u64,
    sent_bytes: u64,
    received: Option<Key>,
    sent: Option<Key>,
}

/// The counters of an interface as they were at the last reading.
#[derive(Debug, Default)]
struct Interface {
    received_bytes: u64,
    sent_bytes: u64,
}

impl Traffic {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            interfaces: Roll::default(),
            begun: false,
            received_bytes: 0,
            sent_bytes: 0,
            received: registry.metric(&metrics::NETWORK_RECEIVED),
            sent: registry.metric(&metrics::NETWORK_SENT),
        }
    }

    /// Begins a reading of all interfaces.
    pub(super) fn begin(&mut self) {
        self.interfaces.begin();
    }

    /// Takes the counters of one interface, in bytes.
    pub(super) fn count(&mut self, name: &[u8], received_bytes: u64, sent_bytes: u64) {
        let (interface, _) = self.interfaces.list(name, Interface::default);
        let received = received_bytes.saturating_sub(interface.received_bytes);
        let sent = sent_bytes.saturating_sub(interface.sent_bytes);
        *interface = Interface { received_bytes, sent_bytes };
        if self.begun {
            self.received_bytes = self.received_bytes.saturating_add(received);
            self.sent_bytes = self.sent_bytes.saturating_add(sent);
        }
    }

    /// Ends the reading and puts the sums; the first reading is where they begin.
    pub(super) fn put(&mut self, sink: &mut Sink<'_>) {
        self.interfaces.end();
        // A machine without any interface has no traffic to speak of, which is not the same as 0 MB.
        self.begun |= !self.interfaces.is_empty();
        if self.begun {
            sink.put(self.received, float(self.received_bytes) / MEGABYTE);
            sink.put(self.sent, float(self.sent_bytes) / MEGABYTE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readings::Readings;

    /// Each interface with the megabytes it received and sent, and the values that this puts.
    type Reading<'a> = (&'a [(&'a str, u64, u64)], &'a [f64]);

    fn check(readings: &[Reading<'_>]) {
        let mut registry = Registry::new(runlog_core::autolog::Tier::Compat);
        let mut traffic = Traffic::register(&mut registry);
        let mut into = Readings::new(&registry);
        for (place, (interfaces, expected)) in readings.iter().enumerate() {
            traffic.begin();
            for (name, received, sent) in *interfaces {
                traffic.count(name.as_bytes(), received * 1_000_000, sent * 1_000_000);
            }
            into.begin(None);
            traffic.put(&mut into.sink());
            let values: Vec<_> = into.values().iter().flatten().copied().collect();
            assert_eq!(values, *expected, "reading {place}");
        }
    }

    #[test]
    fn every_interface_counts_from_the_first_reading_on() {
        check(&[
            (&[("lo", 100, 100), ("eth0", 7000, 10)], &[0.0, 0.0]),
            (&[("lo", 101, 101), ("eth0", 7004, 12)], &[5.0, 3.0]),
            (&[("eth0", 7005, 12), ("lo", 101, 101)], &[6.0, 3.0]),
        ]);
    }

    #[test]
    fn a_counter_that_runs_backwards_begins_anew() {
        check(&[
            (&[("eth0", 1000, 1000)], &[0.0, 0.0]),
            (&[("eth0", 1010, 1010)], &[10.0, 10.0]),
            (&[("eth0", 3, 1020)], &[10.0, 20.0]),
            (&[("eth0", 5, 1020)], &[12.0, 20.0]),
            (&[("eth0", u64::MAX / 1_000_000, 1020)], &[18_446_744_073_709.55, 20.0]),
        ]);
    }

    #[test]
    fn interfaces_that_come_and_go_keep_what_they_moved() {
        check(&[
            (&[("eth0", 50, 0)], &[0.0, 0.0]),
            (&[("eth0", 51, 0), ("veth1", 2, 1)], &[3.0, 1.0]),
            (&[("eth0", 52, 0), ("veth1", 5, 1)], &[7.0, 1.0]),
            (&[("eth0", 53, 0)], &[8.0, 1.0]),
            (&[("eth0", 53, 0), ("veth1", 1, 1)], &[9.0, 2.0]),
        ]);
    }

    #[test]
    fn without_an_interface_there_is_no_metric() {
        check(&[(&[], &[]), (&[], &[]), (&[("lo", 9, 9)], &[0.0, 0.0]), (&[("lo", 10, 9)], &[1.0, 0.0])]);
    }
}
