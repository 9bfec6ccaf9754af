//! `memory_usage_megabytes` and `memory_usage_percentage`: memory in use, with what the driver reserves, as MLflow has
//! them from the first version of `nvmlDeviceGetMemoryInfo`. The second version gives the two apart.

use super::fate::Ask;
use super::line::Line;
use super::raw::{self, is_unknown};
use crate::metrics;
use crate::probe::{Key, MEGABYTE, Registry, Sink, float};

#[derive(Debug)]
pub(super) struct Memory {
    used: Option<Key>,
    used_percentage: Option<Key>,
    ask: Ask,
}

impl Memory {
    pub(super) fn register(registry: &mut Registry, number: u32) -> Self {
        Self {
            used: registry.metric_of("gpu", number, &metrics::GPU_MEMORY_USED),
            used_percentage: registry.metric_of("gpu", number, &metrics::GPU_MEMORY_USED_PERCENTAGE),
            ask: Ask::default(),
        }
    }

    pub(super) fn read(&mut self, line: &mut Line, sink: &mut Sink<'_>) {
        let answer = line.ask(&mut self.ask, |device| match device.memory_info() {
            Ok(info) => Ok((info.used.saturating_add(info.reserved), info.total)),
            Err(error) if is_unknown(&error) => raw::memory(device),
            Err(error) => Err(error),
        });
        if let Some((used_bytes, total_bytes)) = answer {
            sink.put(self.used, float(used_bytes) / MEGABYTE);
            sink.put(self.used_percentage, float(used_bytes) / float(total_bytes) * 100.0);
        }
    }
}
