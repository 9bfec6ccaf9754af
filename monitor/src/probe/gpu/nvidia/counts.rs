//! What comes of the fields that stand for themselves: seconds of lowered clocks, memory errors, replaced rows, the
//! temperature of the memory.
//!
//! Invariant: a total counts from when the probe was opened; time in which the device was away is not counted.

use super::fields::{Fields, What};
use crate::counter::Sum;
use crate::metrics::{self, Metric};
use crate::probe::{Key, Registry, Sink, float};

const NANOSECONDS: f64 = 1e-9;

/// Metric, field, and what one of the field's units is in the metric's.
const TOTALS: &[(&Metric, What, f64)] = &[
    (&metrics::GPU_POWER_THROTTLED, What::PowerThrottled, NANOSECONDS),
    (&metrics::GPU_ECC_CORRECTED, What::EccCorrected, 1.0),
    (&metrics::GPU_ECC_UNCORRECTED, What::EccUncorrected, 1.0),
    (&metrics::GPU_PCIE_REPLAYS, What::PcieReplays, 1.0),
    (&metrics::GPU_ROWS_REMAPPED_CORRECTED, What::RowsCorrected, 1.0),
    (&metrics::GPU_ROWS_REMAPPED_UNCORRECTED, What::RowsUncorrected, 1.0),
];

/// Readings of the moment.
const STATES: &[(&Metric, What)] = &[
    (&metrics::GPU_MEMORY_TEMPERATURE, What::MemoryTemperature),
    (&metrics::GPU_ROW_REMAP_PENDING, What::RowPending),
];

#[derive(Debug)]
pub(super) struct Counts {
    totals: Vec<(Key, What, f64, Sum)>,
    states: Vec<(Key, What)>,
    heat: Option<Heat>,
}

impl Counts {
    pub(super) fn register(registry: &mut Registry, number: u32, fields: &mut Fields) -> Self {
        let mut wanted = |metric: &Metric, what: What| {
            let key = registry.metric_of("gpu", number, metric)?;
            fields.want(what);
            Some(key)
        };
        let total = |(metric, what, unit): &(&Metric, What, f64)| {
            Some((wanted(metric, *what)?, *what, *unit, Sum::default()))
        };
        let totals = TOTALS.iter().filter_map(total).collect();
        let states =
            STATES.iter().filter_map(|(metric, what)| Some((wanted(metric, *what)?, *what))).collect();
        let heat = registry.metric_of("gpu", number, &metrics::GPU_THERMAL_THROTTLED).map(|key| {
            for what in Heat::FIELDS {
                fields.want(what);
            }
            Heat { key, sums: Default::default() }
        });
        Self { totals, states, heat }
    }

    pub(super) fn rebase(&mut self) {
        self.totals.iter_mut().for_each(|(_, _, _, sum)| sum.rebase());
        self.heat.iter_mut().flat_map(|heat| &mut heat.sums).for_each(Sum::rebase);
    }

    pub(super) fn put(&mut self, fields: &Fields, sink: &mut Sink<'_>) {
        for (key, what, unit, sum) in &mut self.totals {
            if let Some(count) = fields.get(*what) {
                sink.put(*key, float(sum.advance(count)) * *unit);
            }
        }
        for (key, what) in &self.states {
            if let Some(state) = fields.get(*what) {
                sink.put(*key, float(state));
            }
        }
        if let Some(heat) = &mut self.heat {
            heat.put(fields, sink);
        }
    }
}

/// Time in which heat lowered clocks. Newer drivers count what they did and what the hardware did, which may be at
/// once, so the larger of the two is the least that it was; older drivers count both together.
#[derive(Debug)]
struct Heat {
    key: Key,
    sums: [Sum; 3],
}

impl Heat {
    const FIELDS: [What; 3] = [What::SoftThermalSlowdown, What::HardThermalSlowdown, What::ThermalThrottled];

    fn put(&mut self, fields: &Fields, sink: &mut Sink<'_>) {
        let mut longest = None;
        for (sum, what) in self.sums.iter_mut().zip(Self::FIELDS) {
            longest = longest.max(fields.get(what).map(|nanoseconds| sum.advance(nanoseconds)));
        }
        if let Some(nanoseconds) = longest {
            sink.put(self.key, float(nanoseconds) * NANOSECONDS);
        }
    }
}
