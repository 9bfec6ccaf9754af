//! The quantities that are made of one metric each: peaks, and sums of counters and of rates.
//!
//! Invariant: a quantity whose metric was never read is not told.

use super::accumulate::Mean;
use super::quantities as q;
use crate::counter::Growth;
use crate::metrics::{self as m, Metric};

/// How a metric's readings become its quantity.
#[derive(Clone, Copy)]
enum How {
    Highest,
    /// What a counter grew by.
    Growth,
    /// What a rate a second came to.
    Rate,
}

/// A quantity, and what it is made of.
struct Recipe {
    quantity: &'static str,
    metric: &'static str,
    how: How,
    /// What a unit of the metric is in the quantity's.
    scale: f64,
    /// Made of this metric only if the other is not there.
    instead_of: Option<&'static str>,
}

const fn recipe(quantity: &'static str, metric: &Metric, how: How) -> Recipe {
    named(quantity, metric.name, how)
}

const fn named(quantity: &'static str, metric: &'static str, how: How) -> Recipe {
    Recipe { quantity, metric, how, scale: 1.0, instead_of: None }
}

/// The kernel's own peaks, which miss nothing between two samples.
const PROCESS_PEAK: &str = "process_memory_peak_megabytes";
const CONTAINER_PEAK: &str = "container_memory_peak_megabytes";

const RECIPES: &[Recipe] = &[
    recipe(q::MEMORY_PEAK, &m::MEMORY_USED, How::Highest),
    named(q::PROCESS_PEAK, PROCESS_PEAK, How::Highest),
    Recipe { instead_of: Some(PROCESS_PEAK), ..recipe(q::PROCESS_PEAK, &m::PROCESS_RSS, How::Highest) },
    recipe(q::TREE_PEAK, &m::TREE_RSS, How::Highest),
    named(q::CONTAINER_PEAK, CONTAINER_PEAK, How::Highest),
    recipe(q::CONTAINER_WORKING_SET_PEAK, &m::CONTAINER_MEMORY, How::Highest),
    recipe(q::CONTAINER_THROTTLED, &m::CONTAINER_THROTTLED, How::Growth),
    recipe(q::OOM_KILLS, &m::CONTAINER_OOM_KILLS, How::Growth),
    Recipe { scale: 1.0 / 3600.0, ..recipe(q::CPU_ENERGY, &m::CPU_ENERGY, How::Growth) },
    recipe(q::NETWORK_RECEIVED, &m::NETWORK_RECEIVE_RATE, How::Rate),
    recipe(q::NETWORK_SENT, &m::NETWORK_TRANSMIT_RATE, How::Rate),
    recipe(q::INFINIBAND_RECEIVED, &m::INFINIBAND_RECEIVE_RATE, How::Rate),
    recipe(q::INFINIBAND_SENT, &m::INFINIBAND_TRANSMIT_RATE, How::Rate),
    recipe(q::DISK_READ, &m::DISK_READ_RATE, How::Rate),
    recipe(q::DISK_WRITTEN, &m::DISK_WRITE_RATE, How::Rate),
];

/// One quantity in the making.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) quantity: &'static str,
    scale: f64,
    so_far: SoFar,
}

#[derive(Debug)]
enum SoFar {
    Highest(Option<f64>),
    Growth(Growth),
    Rate(Mean),
}

impl Tally {
    /// The quantity that the metric `name` makes beside those of `registered`.
    pub(super) fn of(name: &str, registered: impl Fn(&str) -> bool) -> Option<Self> {
        let recipe = RECIPES.iter().find(|recipe| recipe.metric == name)?;
        if recipe.instead_of.is_some_and(registered) {
            return None;
        }
        let so_far = match recipe.how {
            How::Highest => SoFar::Highest(None),
            How::Growth => SoFar::Growth(Growth::default()),
            How::Rate => SoFar::Rate(Mean::default()),
        };
        Some(Self { quantity: recipe.quantity, scale: recipe.scale, so_far })
    }

    /// Takes a reading that stands for `secs`.
    pub(super) fn add(&mut self, reading: f64, secs: f64) {
        match &mut self.so_far {
            SoFar::Highest(highest) => *highest = Some(highest.map_or(reading, |before| before.max(reading))),
            SoFar::Growth(growth) => growth.add(reading),
            SoFar::Rate(rate) => rate.add(reading, secs),
        }
    }

    pub(super) fn get(&self) -> Option<f64> {
        let value = match &self.so_far {
            SoFar::Highest(highest) => *highest,
            SoFar::Growth(growth) => growth.get(),
            SoFar::Rate(rate) => rate.get().map(|per_second| per_second * rate.secs()),
        };
        value.map(|value| value * self.scale)
    }

    pub(super) fn is_peak(&self) -> bool {
        matches!(self.so_far, SoFar::Highest(_))
    }
}
