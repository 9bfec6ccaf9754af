//! GPM, the performance monitoring of Hopper and newer chips: how busy the parts of the chip were between two samples.
//!
//! Invariants: what is read is the mean over the whole time since the last sample, since that one is kept; nothing
//! sleeps, and every sample is released.
//!
//! Numbers and units: `nvmlGpmMetricId_t` in `nvml.h`.

use std::fmt;
use std::time::Duration;

use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::gpm::gpm_metrics_get;
use nvml_wrapper::{Device, GpmSample};

use super::fate::Ask;
use super::fields::{Fields, What};
use super::line::Line;
use crate::metrics::{self, Metric};
use crate::probe::{Key, MEGABYTE, Registry, Sink};

const MEBIBYTE: f64 = 1_048_576.0;
/// Samples must be this far apart (`nvml.h`).
const APART: Duration = Duration::from_millis(100);

/// Metric, GPM's, and what one of GPM's units is in ours.
const METRICS: &[(&Metric, GpmMetricId, f64)] = &[
    (&metrics::GPU_SM_ACTIVE, GpmMetricId::SmUtil, 1.0),
    (&metrics::GPU_TENSOR_ACTIVE, GpmMetricId::AnyTensorUtil, 1.0),
    (&metrics::GPU_DRAM_ACTIVE, GpmMetricId::DramBwUtil, 1.0),
    (&metrics::GPU_SM_OCCUPANCY, GpmMetricId::SmOccupancy, 1.0),
    (&metrics::GPU_FP64_ACTIVE, GpmMetricId::Fp64Util, 1.0),
    (&metrics::GPU_FP32_ACTIVE, GpmMetricId::Fp32Util, 1.0),
    (&metrics::GPU_FP16_ACTIVE, GpmMetricId::Fp16Util, 1.0),
    (&metrics::GPU_PCIE_RECEIVE_RATE, GpmMetricId::PcieRxPerSec, MEBIBYTE / MEGABYTE),
    (&metrics::GPU_PCIE_TRANSMIT_RATE, GpmMetricId::PcieTxPerSec, MEBIBYTE / MEGABYTE),
    (&metrics::GPU_LINK_RECEIVE_RATE, GpmMetricId::NvlinkTotalRxPerSec, MEBIBYTE / MEGABYTE),
    (&metrics::GPU_LINK_TRANSMIT_RATE, GpmMetricId::NvlinkTotalTxPerSec, MEBIBYTE / MEGABYTE),
];

fn is_pcie(id: GpmMetricId) -> bool {
    matches!(id, GpmMetricId::PcieRxPerSec | GpmMetricId::PcieTxPerSec)
}

/// A part of a GPU (MIG) that is sampled through the whole.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) parent: Device<'static>,
    pub(super) id: u32,
}

#[derive(Debug)]
struct Wanted {
    key: Key,
    id: GpmMetricId,
    unit: f64,
    ask: Ask,
}

pub(super) struct Gpm {
    wanted: Vec<Wanted>,
    instance: Option<Instance>,
    support: Ask,
    /// Whether the device has GPM; `None` until it has said so.
    is_supported: Option<bool>,
    sampling: Ask,
    comparing: Ask,
    /// Whether it has told what passes over PCIe.
    gives_pcie: bool,
    /// The last sample, and when it was taken.
    before: Option<(GpmSample<'static>, Duration)>,
}

impl fmt::Debug for Gpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpm").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

impl Gpm {
    /// For a MIG device also its utilization, which the driver has in no other place.
    pub(super) fn register(registry: &mut Registry, number: u32, is_instance: bool) -> Self {
        let mut wanted = |metric, id, unit| {
            let key = registry.metric_of("gpu", number, metric)?;
            Some(Wanted { key, id, unit, ask: Ask::default() })
        };
        let mut metrics: Vec<_> =
            METRICS.iter().filter_map(|(metric, id, unit)| wanted(metric, *id, *unit)).collect();
        if is_instance {
            metrics.extend(wanted(&metrics::GPU_UTILIZATION, GpmMetricId::GraphicsUtil, 1.0));
        }
        Self {
            wanted: metrics,
            instance: None,
            support: Ask::default(),
            is_supported: None,
            sampling: Ask::default(),
            comparing: Ask::default(),
            gives_pcie: false,
            before: None,
        }
    }

    pub(super) fn of_instance(&mut self, instance: Option<Instance>) {
        self.instance = instance;
    }

    /// Forgets the last sample.
    pub(super) fn rebase(&mut self) {
        self.before = None;
    }

    /// Whether what passes over PCIe is told here; `None` until it is known. A driver may have GPM and not allow it.
    pub(super) fn gives_pcie(&self) -> Option<bool> {
        let is_possible = self.is_supported != Some(false)
            && self.sampling.is_possible()
            && self.comparing.is_possible()
            && self.wanted.iter().any(|wanted| is_pcie(wanted.id) && wanted.ask.is_possible());
        if self.gives_pcie || !is_possible { Some(self.gives_pcie) } else { None }
    }

    pub(super) fn read(&mut self, fields: &Fields, line: &mut Line, sink: &mut Sink<'_>) {
        if self.wanted.is_empty() || !self.supported(line) || !self.is_apart(line.now()) {
            return;
        }
        let instance = self.instance.as_ref();
        let sample = line.ask(&mut self.sampling, |device| match instance {
            None => device.gpm_sample(),
            Some(instance) => instance.parent.gpm_mig_sample(instance.id),
        });
        let Some(sample) = sample else { return };
        if let Some((before, _)) = self.before.take() {
            self.compare(fields, &before, &sample, line, sink);
        }
        self.before = Some((sample, line.now()));
    }

    fn supported(&mut self, line: &mut Line) -> bool {
        if let Some(known) = self.is_supported {
            return known;
        }
        let instance = self.instance.as_ref();
        self.is_supported = line.ask(&mut self.support, |device| {
            // Dropping a sample panics where the library cannot free it.
            if device.nvml().lib().nvmlGpmSampleFree.is_err() {
                return Ok(false);
            }
            instance.map_or(device, |instance| &instance.parent).gpm_support()
        });
        self.is_supported == Some(true)
    }

    fn is_apart(&self, now: Duration) -> bool {
        self.before.as_ref().is_none_or(|(_, at)| now.saturating_sub(*at) >= APART)
    }

    fn compare(
        &mut self,
        fields: &Fields,
        before: &GpmSample<'static>,
        sample: &GpmSample<'static>,
        line: &mut Line,
        sink: &mut Sink<'_>,
    ) {
        let now = line.now();
        let is_due = |wanted: &&mut Wanted| {
            let elsewhere = match wanted.id {
                GpmMetricId::NvlinkTotalRxPerSec => fields.is_possible(What::LinkReceived),
                GpmMetricId::NvlinkTotalTxPerSec => fields.is_possible(What::LinkSent),
                _ => false,
            };
            wanted.ask.is_due(now) && !elsewhere
        };
        let mut due: Vec<_> = self.wanted.iter_mut().filter(is_due).collect();
        let ids: Vec<_> = due.iter().map(|wanted| wanted.id).collect();
        if ids.is_empty() {
            return;
        }
        let values = line.ask(&mut self.comparing, |device| {
            gpm_metrics_get(device.nvml(), before, sample, &ids).map_err(|error| match error {
                // By the driver's clock they were too close, which says nothing of the next two.
                NvmlError::InvalidArg => NvmlError::NoData,
                error => error,
            })
        });
        for (wanted, value) in due.iter_mut().zip(values.unwrap_or_default()) {
            self.gives_pcie |= is_pcie(wanted.id) && value.is_ok();
            match value {
                // A counter that ran backwards between the samples makes a share or a rate below 0.
                Ok(value) if value.value < 0.0 => {}
                Ok(value) => sink.put(wanted.key, value.value * wanted.unit),
                Err(error) => line.fail(&mut wanted.ask, &error),
            }
        }
    }
}
