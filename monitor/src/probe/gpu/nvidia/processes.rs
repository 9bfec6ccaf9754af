//! `process_memory_megabytes` and `process_sm_percentage`: what this process and its descendants have of the GPU.
//!
//! Invariant: only processes that are ours are counted, and without one there is no point. Older drivers name processes
//! by their number outside of any container; in one there is then no match.

use std::collections::BTreeMap;

use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::{ProcessInfo, ProcessUtilizationSample};

use super::fate::Ask;
use super::line::Line;
use super::tree::Tree;
use crate::metrics;
use crate::probe::{Key, MEGABYTE, Registry, Sink, float};

#[derive(Debug)]
pub(super) struct Processes {
    memory: Option<Key>,
    sm: Option<Key>,
    list: Ask,
    utilization: Ask,
    /// The driver's time of the newest utilization that was read, in microseconds.
    seen: Option<u64>,
}

impl Processes {
    pub(super) fn register(registry: &mut Registry, number: u32) -> Self {
        Self {
            memory: registry.metric_of("gpu", number, &metrics::GPU_PROCESS_MEMORY),
            sm: registry.metric_of("gpu", number, &metrics::GPU_PROCESS_SM),
            list: Ask::default(),
            utilization: Ask::default(),
            seen: None,
        }
    }

    pub(super) fn rebase(&mut self) {
        self.seen = None;
    }

    pub(super) fn read(&mut self, tree: &Tree, line: &mut Line, sink: &mut Sink<'_>) {
        if self.memory.is_none() {
            return;
        }
        let list = line.ask(&mut self.list, |device| nothing_is_empty(device.running_compute_processes()));
        let ours: Vec<_> = list.into_iter().flatten().filter(|process| tree.contains(process.pid)).collect();
        if let Some(bytes) = held(&ours) {
            sink.put(self.memory, float(bytes) / MEGABYTE);
        }
        // What others run is asked for only where we run something: it is two calls more.
        if ours.is_empty() {
            return;
        }
        let seen = self.seen;
        let samples = line
            .ask(&mut self.utilization, |device| nothing_is_empty(device.process_utilization_stats(seen)));
        let Some(samples) = samples else { return };
        let newest = samples.iter().map(|sample| sample.timestamp).max();
        if let Some(seen) = self.seen.replace(newest.max(self.seen).unwrap_or(0))
            && let Some(percentage) = sm(&samples, seen, |pid| tree.contains(pid))
        {
            sink.put(self.sm, percentage);
        }
    }
}

/// The driver answers "not found" where nothing runs.
fn nothing_is_empty<T>(answer: Result<Vec<T>, NvmlError>) -> Result<Vec<T>, NvmlError> {
    match answer {
        Err(NvmlError::NotFound) => Ok(Vec::new()),
        answer => answer,
    }
}

/// The bytes that these processes hold; `None` if the driver does not know it of one (Windows).
fn held(processes: &[ProcessInfo]) -> Option<u64> {
    let bytes = |process: &ProcessInfo| match process.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Some(bytes),
        UsedGpuMemory::Unavailable => None,
    };
    let total = processes.iter().map(bytes).try_fold(0_u64, |sum, bytes| Some(sum.saturating_add(bytes?)))?;
    (!processes.is_empty()).then_some(total)
}

/// The mean of each of our processes since `seen`, summed: kernels of several take turns.
fn sm(samples: &[ProcessUtilizationSample], seen: u64, is_ours: impl Fn(u32) -> bool) -> Option<f64> {
    let mut means: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.timestamp > seen && sample.sm_util <= 100) {
        if is_ours(sample.pid) {
            let (sum, count) = means.entry(sample.pid).or_default();
            *sum += f64::from(sample.sm_util);
            *count += 1.0;
        }
    }
    let total: f64 = means.values().map(|(sum, count)| sum / count).sum();
    (!means.is_empty()).then(|| total.min(100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utilization_is_the_sum_of_our_processes_means() {
        let sample = |pid, timestamp, sm_util| ProcessUtilizationSample {
            pid,
            timestamp,
            sm_util,
            mem_util: 0,
            enc_util: 0,
            dec_util: 0,
        };
        let samples = [
            sample(7, 5, 20),
            sample(7, 6, 40),
            sample(8, 6, 10),
            sample(9, 6, 50),
            sample(7, 1, 90),
            sample(8, 6, 4_000),
        ];
        assert_eq!(sm(&samples, 1, |pid| pid != 9), Some(40.0));
        assert_eq!(sm(&samples, 1, |pid| pid == 10), None);
        assert_eq!(sm(&samples, 6, |_| true), None);
        assert_eq!(sm(&[sample(7, 5, 80), sample(8, 5, 80)], 0, |_| true), Some(100.0));
    }
}
