//! GPUs from sysinfo, on systems other than Linux: how busy each is, and on Windows its memory.
//!
//! Invariant: on Windows NVIDIA's cards are left to NVIDIA's own probe where the program has it.
//!
//! macOS tells what `IOKit` calls "Device Utilization %"; its GPUs share the machine's memory. Windows tells by its
//! performance counters and DXGI; a GPU with less than 1 GiB of its own is taken for one inside a processor. On Linux sysinfo loads the vendors' libraries at every reading, so it is not used.

use std::cell::RefCell;

use sysinfo::{Gpu, Gpus, PCI};

use super::failed;
use crate::metrics;
use crate::probe::gpu::numbers::{Rank, numbered};
use crate::probe::{
    Driver, Key, MEGABYTE, Machine, Opened, Probe, ProbeError, Registry, Sink, absent, float,
};

pub(in crate::probe) const DRIVER: Driver = Driver::built_in("gpu", open);

/// From here on a GPU's memory is that of a card.
const CARD_BYTES_MIN: u64 = 1 << 30;

thread_local! {
    /// On Windows it holds handles that stay on their thread.
    static GPUS: RefCell<Option<Gpus>> = const { RefCell::new(None) };
}

struct Graphics {
    keys: Vec<Keys>,
}

struct Keys {
    pci: PCI,
    busy: Option<Key>,
    memory: Option<Key>,
    percentage: Option<Key>,
}

fn open(_: &Machine, registry: &mut Registry) -> Opened {
    let gpus = Gpus::new_with_refreshed_list().map_err(failed)?;
    let found = gpus.iter().map(|gpu| (rank(gpu), gpu.pci().clone(), gpu));
    let read = numbered(found.collect())
        .filter(|(_, rank, _)| !(cfg!(feature = "nvidia") && cfg!(windows) && *rank == Rank::Nvidia));
    let keys: Vec<_> = read.map(|(index, _, gpu)| Keys::register(registry, index, gpu)).collect();
    if keys.is_empty() {
        return Err(absent("the system tells of no GPU that another probe does not read"));
    }
    GPUS.set(Some(gpus));
    Ok(Box::new(Graphics { keys }))
}

fn rank(gpu: &Gpu) -> Rank {
    if gpu.vendor().is_some_and(|vendor| vendor.to_ascii_lowercase().contains("nvidia")) {
        Rank::Nvidia
    } else if cfg!(windows) && gpu.total_memory().is_none_or(|bytes| bytes < CARD_BYTES_MIN) {
        Rank::Integrated
    } else {
        // macOS tells of no GPU's memory.
        Rank::Card
    }
}

impl Keys {
    fn register(registry: &mut Registry, index: u32, gpu: &Gpu) -> Self {
        let has_memory = gpu.total_memory().is_some_and(|bytes| bytes > 0);
        let mut metric = |metric, is_told: bool| is_told.then(|| registry.metric_of("gpu", index, metric))?;
        let keys = Self {
            pci: gpu.pci().clone(),
            busy: metric(&metrics::GPU_UTILIZATION, true),
            memory: metric(&metrics::GPU_MEMORY_USED, has_memory),
            percentage: metric(&metrics::GPU_MEMORY_USED_PERCENTAGE, has_memory),
        };
        if let Some(name) = gpu.model().or(gpu.vendor()) {
            registry.fact(format!("gpu.{index}.name"), name);
        }
        if let Some(bytes) = gpu.total_memory().filter(|bytes| *bytes > 0) {
            registry.fact(format!("gpu.{index}.memory_megabytes"), bytes / 1_000_000);
        }
        keys
    }

    fn put(&self, sink: &mut Sink<'_>, gpu: &Gpu) {
        if let Some(busy) = gpu.usage() {
            sink.put(self.busy, f64::from(busy));
        }
        let memory = gpu.used_memory().zip(gpu.total_memory());
        if let Some((used, total)) = memory.filter(|(_, total)| *total > 0) {
            sink.put(self.memory, float(used) / MEGABYTE);
            sink.put(self.percentage, float(used) / float(total) * 100.0);
        }
    }
}

impl Probe for Graphics {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        GPUS.with_borrow_mut(|slot| {
            let gpus = match slot.take() {
                Some(gpus) => slot.insert(gpus),
                None => slot.insert(Gpus::new().map_err(failed)?),
            };
            gpus.refresh(true);
            for keys in &self.keys {
                if let Some(gpu) = gpus.iter().find(|gpu| *gpu.pci() == keys.pci) {
                    keys.put(sink, gpu);
                }
            }
            Ok(())
        })
    }
}
