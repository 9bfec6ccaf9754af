//! `pcie_*_megabytes_per_second` and `nvlink_*_megabytes_per_second`.
//!
//! PCIe is read from GPM where that tells it; else from the driver's counters; else, and only in the tier `full`, by
//! the call that blocks 20 ms for each direction. NVLink is read from the counters of all links, else from GPM.
//!
//! Invariant: a rate is over the time between two readings of one counter, however many samples lie between.

use std::time::Duration;

use runlog_core::autolog::Tier;

use super::fate::Ask;
use super::fields::{Fields, What};
use super::gauges::pcie_throughput;
use super::line::Line;
use super::raw::Number;
use crate::counter::Counter;
use crate::metrics;
use crate::probe::{Key, MEGABYTE, Registry, Sink, float};

const KIBIBYTE: f64 = 1024.0;

#[derive(Debug)]
pub(super) struct Links {
    /// Received and sent.
    pcie: [Option<Key>; 2],
    nvlink: [Option<Key>; 2],
    pcie_counters: [Flow; 2],
    nvlink_counters: [Flow; 2],
    blocking: Ask,
    may_block: bool,
}

impl Links {
    pub(super) fn register(registry: &mut Registry, number: u32, fields: &mut Fields) -> Self {
        let mut key = |metric| registry.metric_of("gpu", number, metric);
        let links = Self {
            pcie: [key(&metrics::GPU_PCIE_RECEIVE_RATE), key(&metrics::GPU_PCIE_TRANSMIT_RATE)],
            nvlink: [key(&metrics::GPU_LINK_RECEIVE_RATE), key(&metrics::GPU_LINK_TRANSMIT_RATE)],
            pcie_counters: Default::default(),
            nvlink_counters: Default::default(),
            blocking: Ask::default(),
            may_block: registry.tier() >= Tier::Full,
        };
        let wanted = [(links.pcie, PCIE), (links.nvlink, NVLINK)];
        for (keys, whats) in wanted {
            keys.iter().zip(whats).filter(|(key, _)| key.is_some()).for_each(|(_, what)| fields.want(what));
        }
        links
    }

    pub(super) fn rebase(&mut self) {
        self.pcie_counters.iter_mut().chain(&mut self.nvlink_counters).for_each(Flow::rebase);
    }

    /// `in_gpm`: whether GPM gives what passes over PCIe; `None` while that is not known.
    pub(super) fn put(
        &mut self,
        in_gpm: Option<bool>,
        fields: &mut Fields,
        line: &mut Line,
        sink: &mut Sink<'_>,
    ) {
        let now = line.now();
        for ((key, what), flow) in self.nvlink.iter().zip(NVLINK).zip(&mut self.nvlink_counters) {
            if let Some(rate) = fields.get(what).and_then(|count| flow.advance(count, now)) {
                sink.put(*key, rate * KIBIBYTE / MEGABYTE);
            }
        }
        if in_gpm == Some(true) {
            for what in PCIE {
                fields.drop(what);
            }
            return;
        }
        for ((key, what), flow) in self.pcie.iter().zip(PCIE).zip(&mut self.pcie_counters) {
            match fields.number(what) {
                Some(number) if is_wide(number) => {
                    if let Some(rate) = flow.advance(number.value, now) {
                        sink.put(*key, rate / MEGABYTE);
                    }
                }
                Some(number) if !number.wide => fields.drop(what),
                _ => {}
            }
        }
        if self.may_block
            && in_gpm == Some(false)
            && self.pcie[0].is_some()
            && !PCIE.into_iter().any(|what| fields.is_possible(what))
            && let Some(rates) = line.ask(&mut self.blocking, pcie_throughput)
        {
            for (key, kilobytes) in self.pcie.iter().zip(rates) {
                sink.put(*key, kilobytes * 1000.0 / MEGABYTE);
            }
        }
    }
}

const PCIE: [What; 2] = [What::PcieReceived, What::PcieSent];
const NVLINK: [What; 2] = [What::LinkReceived, What::LinkSent];

/// `nvml.h` says of these counters that they wrap, and not where. One of 32 bits wraps several times a second, and then
/// differences mean nothing; one that has passed 2³² has more.
fn is_wide(number: Number) -> bool {
    number.wide && number.value > u64::from(u32::MAX)
}

/// A counter as a rate.
#[derive(Debug, Default)]
struct Flow {
    counter: Counter,
    at: Duration,
}

impl Flow {
    /// The rate a second since the reading before.
    fn advance(&mut self, count: u64, now: Duration) -> Option<f64> {
        let secs = now.saturating_sub(std::mem::replace(&mut self.at, now)).as_secs_f64();
        let counted = self.counter.advance(count)?;
        (secs > 0.0).then(|| float(counted) / secs)
    }

    fn rebase(&mut self) {
        self.counter.rebase();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_over_the_time_since_the_counter_was_last_read() {
        let mut flow = Flow::default();
        let at = Duration::from_secs;
        assert_eq!(flow.advance(1000, at(0)), None);
        assert_eq!(flow.advance(1010, at(1)), Some(10.0));
        assert_eq!(flow.advance(1050, at(5)), Some(10.0), "samples without a reading lie between");
        assert_eq!(flow.advance(3, at(6)), None, "it began anew");
        assert_eq!(flow.advance(8, at(6)), None, "no time has passed");
        flow.rebase();
        assert_eq!(flow.advance(500, at(7)), None);
    }

    #[test]
    fn a_counter_that_may_have_32_bits_is_not_taken_for_one_that_has_more() {
        let number = |value, wide| Number { value, wide };
        assert!(!is_wide(number(1 << 40, false)));
        assert!(!is_wide(number(u64::from(u32::MAX), true)));
        assert!(is_wide(number(1 << 32, true)));
    }
}
