//! `utilization_percentage` and `memory_utilization_percentage`: the mean over the whole time since the last sample,
//! from the ring buffer that the driver fills about six times a second (`nvmlDeviceGetSamples`).
//!
//! Invariant: a reading of the moment stands in only where there is no such buffer or nothing new in it
//! (`nvmlDeviceGetUtilizationRates`, which looks back a sixth of a second to a second).

use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::Sampling;
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::{Sample, Utilization};

use super::fate::Ask;
use super::line::Line;
use crate::probe::{Key, Sink};

/// One kind of time that the driver records.
#[derive(Debug)]
pub(super) struct Busy {
    key: Option<Key>,
    sampling: Sampling,
    moment: fn(&Utilization) -> u32,
    buffer: Ask,
    rates: Ask,
    /// The driver's time of the newest entry that was read, in microseconds.
    seen: Option<u64>,
}

impl Busy {
    pub(super) fn computing(key: Option<Key>) -> Self {
        Self::new(key, Sampling::GpuUtilization, |rates| rates.gpu)
    }

    pub(super) fn moving_memory(key: Option<Key>) -> Self {
        Self::new(key, Sampling::MemoryUtilization, |rates| rates.memory)
    }

    fn new(key: Option<Key>, sampling: Sampling, moment: fn(&Utilization) -> u32) -> Self {
        Self { key, sampling, moment, buffer: Ask::default(), rates: Ask::default(), seen: None }
    }

    /// Forgets where it was: what the buffer holds from before is not of the time to come.
    pub(super) fn rebase(&mut self) {
        self.seen = None;
    }

    pub(super) fn read(&mut self, line: &mut Line, sink: &mut Sink<'_>) {
        if self.key.is_none() {
            return;
        }
        let (sampling, seen) = (self.sampling, self.seen);
        let entries = line.ask(&mut self.buffer, |device| match device.samples(sampling, seen) {
            Err(NvmlError::NotFound) => Ok(Vec::new()),
            entries => entries,
        });
        if let Some(entries) = entries {
            let newest = entries.iter().map(|entry| entry.timestamp).max();
            let Some(before) = self.seen.replace(newest.max(self.seen).unwrap_or(0)) else {
                return; // what the buffer holds at first is of the time before
            };
            if let Some(mean) = mean(&entries, before) {
                sink.put(self.key, mean);
                return;
            }
        }
        if sink.since_last().is_some()
            && let Some(rates) = line.ask(&mut self.rates, Device::utilization_rates)
        {
            let percentage = (self.moment)(&rates);
            if percentage <= 100 {
                sink.put(self.key, f64::from(percentage));
            }
        }
    }
}

/// The mean of the entries after `seen`, which are equally far apart. Values that are no percentage are left out.
fn mean(entries: &[Sample], seen: u64) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for entry in entries.iter().filter(|entry| entry.timestamp > seen) {
        let value = match entry.value {
            SampleValue::F64(value) => value,
            SampleValue::U32(value) => f64::from(value),
            SampleValue::U64(value) => crate::probe::float(value),
            SampleValue::I64(value) => crate::probe::float(u64::try_from(value).ok()?),
        };
        if (0.0..=100.0).contains(&value) {
            sum += value;
            count += 1.0;
        }
    }
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_of_new_entries_that_are_percentages() {
        let entry = |timestamp, value| Sample { timestamp, value: SampleValue::U32(value) };
        let entries = [entry(1, 100), entry(2, 10), entry(3, 4_000_000_000), entry(4, 20)];
        assert_eq!(mean(&entries, 1), Some(15.0));
        assert_eq!(mean(&entries, 0), Some(130.0 / 3.0));
        assert_eq!(mean(&entries, 4), None);
        assert_eq!(mean(&[], 0), None);
    }
}
