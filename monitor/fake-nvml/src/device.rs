//! A GPU or an instance of one: who it is and what it measures.

use std::collections::BTreeMap;
use std::fmt;

use crate::clock::Millis;
use crate::codes::{Answer, INVALID_ARGUMENT, NOT_SUPPORTED};
use crate::key::Key;
use crate::series::Series;

/// Which device: a GPU, or an instance of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) gpu: usize,
    pub(crate) instance: Option<usize>,
}

/// Handles are numbers that look like no pointer: a GPU each 256, its instances after it.
const HANDLES: usize = 0x4000_0000;

/// So many instances have handles.
pub(crate) const MOST_INSTANCES: usize = 255;

impl Target {
    pub(crate) fn gpu(gpu: usize) -> Self {
        Self { gpu, instance: None }
    }

    pub(crate) fn handle(self) -> usize {
        HANDLES + self.gpu * 256 + self.instance.map_or(0, |instance| instance + 1)
    }

    pub(crate) fn of_handle(handle: usize) -> Option<Self> {
        let number = handle.checked_sub(HANDLES)?;
        Some(Self { gpu: number / 256, instance: (number % 256).checked_sub(1) })
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.split_once('.') {
            Some((gpu, instance)) => {
                Some(Self { gpu: gpu.parse().ok()?, instance: Some(instance.parse().ok()?) })
            }
            None => Some(Self::gpu(text.parse().ok()?)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.instance {
            Some(instance) => write!(f, "{}.{instance}", self.gpu),
            None => write!(f, "{}", self.gpu),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) serial: Option<String>,
    /// `0000:01:00.0`.
    pub(crate) pci: String,
    pub(crate) minor: u32,
    pub(crate) architecture: Option<u32>,
    pub(crate) brand: u32,
    pub(crate) cores: Option<u32>,
    pub(crate) compute_capability: Option<(i32, i32)>,
    pub(crate) numa: Option<u32>,
}

#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) identity: Identity,
    pub(crate) values: BTreeMap<Key, Series>,
    /// Of a GPU; instances have none.
    pub(crate) instances: Vec<Self>,
    /// Of an instance: those of its GPU and compute instance.
    pub(crate) instance_ids: Option<(u32, u32)>,
}

impl Device {
    pub(crate) fn series(&self, key: Key) -> Answer<&Series> {
        self.values.get(&key).ok_or(NOT_SUPPORTED)
    }

    pub(crate) fn value(&self, key: Key, now: Millis) -> Answer<f64> {
        if key.is_unknown_under_mig() && self.is_divided(now) {
            return Err(NOT_SUPPORTED);
        }
        Ok(self.series(key)?.at(now))
    }

    /// Whether MIG is on.
    pub(crate) fn is_divided(&self, now: Millis) -> bool {
        self.values.get(&Key::MigMode).is_some_and(|mode| mode.at(now) > 0.5)
    }
}

/// The device among `gpus`, if there is one.
pub(crate) fn find(gpus: &[Device], target: Target) -> Answer<&Device> {
    let gpu = gpus.get(target.gpu).ok_or(INVALID_ARGUMENT)?;
    match target.instance {
        Some(instance) => gpu.instances.get(instance).ok_or(INVALID_ARGUMENT),
        None => Ok(gpu),
    }
}
