//! The built-in probes over files of one's own, read when asked: for tests and measurements (feature `testing`).
//!
//! Invariant: what is read here is read by the code that runs are sampled with.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use runlog_core::Error;
use runlog_core::autolog::Tier;

use crate::probe::{Machine, PROBES, Probe, ProbeError};
use crate::readings::Readings;
use crate::registry::Registry;

/// Probes that were opened, and what they have read.
pub struct Readers {
    probes: Vec<Box<dyn Probe>>,
    registry: Registry,
    readings: Readings,
    failures: Vec<Error>,
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("readings", &self.readings).finish_non_exhaustive()
    }
}

impl Readers {
    /// The names of the built-in drivers, in the order in which they are read.
    pub fn drivers() -> impl Iterator<Item = &'static str> {
        PROBES.iter().map(|driver| &*driver.name)
    }

    /// Opens every built-in probe whose hardware the files below `root` show: its `proc`, `sys` and `etc`. The disk is
    /// the one that `root` is on; `/` is this machine.
    pub fn open(root: &Path, tier: Tier) -> Self {
        Self::open_only(root, tier, |_| true)
    }

    /// The same for the drivers of which `wanted` says so, by name.
    pub fn open_only(root: &Path, tier: Tier, wanted: impl Fn(&str) -> bool) -> Self {
        let machine = Machine::below(root);
        let mut registry = Registry::new(tier);
        let (mut probes, mut failures) = (Vec::new(), Vec::new());
        for driver in PROBES.iter().filter(|driver| wanted(&driver.name)) {
            match driver.open(&machine, &mut registry) {
                Ok(probe) => probes.push(probe),
                Err(ProbeError::Absent(_)) => {}
                Err(ProbeError::Failed(error)) => failures.push(error),
            }
        }
        Self { probes, readings: Readings::new(&registry), registry, failures }
    }

    /// Reads every probe once, so long after the time before; `None` is the first time, or after a gap.
    pub fn read(&mut self, since_last: Option<Duration>) {
        self.failures.clear();
        self.readings.begin(since_last);
        for probe in &mut self.probes {
            if let Err(ProbeError::Failed(error)) = probe.sample(&mut self.readings.sink()) {
                self.failures.push(error);
            }
        }
    }

    /// How many probes were opened.
    pub fn count(&self) -> usize {
        self.probes.len()
    }

    /// What the last reading, or else the opening, failed at.
    pub fn failures(&self) -> &[Error] {
        &self.failures
    }

    /// The values of the last reading, by name without `system/`.
    pub fn values(&self) -> BTreeMap<String, f64> {
        let named = self.registry.entries().iter().zip(self.readings.values());
        named.filter_map(|(entry, value)| Some((entry.name.to_string(), (*value)?))).collect()
    }

    /// What the probes said of the hardware, by name without `runlog.`.
    pub fn facts(&self) -> BTreeMap<String, String> {
        self.registry.facts().iter().cloned().collect()
    }
}
