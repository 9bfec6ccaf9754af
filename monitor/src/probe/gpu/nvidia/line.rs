//! The line to one device: every call goes over it, so that its errors are judged in one place.
//!
//! Invariant: a device that does not answer is not called again until it is connected anew.

use std::time::Duration;

use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;

use super::fate::{Ask, Fate, fate};

#[derive(Debug, Default)]
pub(super) struct Line {
    /// `None` while the device is lost, asleep or not yet found.
    device: Option<Device<'static>>,
    /// Time since the probe was opened, as far as it was sampled.
    now: Duration,
}

impl Line {
    pub(super) fn connect(&mut self, device: Device<'static>) {
        self.device = Some(device);
    }

    pub(super) fn disconnect(&mut self) {
        self.device = None;
    }

    pub(super) fn is_connected(&self) -> bool {
        self.device.is_some()
    }

    pub(super) fn device(&self) -> Option<&Device<'static>> {
        self.device.as_ref()
    }

    pub(super) fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn at(&mut self, now: Duration) {
        self.now = now;
    }

    /// Makes a call, if it is due and the device is there. `None` is no reading, for whatever reason.
    pub(super) fn ask<T>(
        &mut self,
        ask: &mut Ask,
        call: impl FnOnce(&Device<'static>) -> Result<T, NvmlError>,
    ) -> Option<T> {
        if !ask.is_due(self.now) {
            return None;
        }
        match call(self.device.as_ref()?) {
            Ok(value) => {
                ask.worked();
                Some(value)
            }
            Err(error) => {
                self.fail(ask, &error);
                None
            }
        }
    }

    /// Judges an error that came inside an answer.
    pub(super) fn fail(&mut self, ask: &mut Ask, error: &NvmlError) {
        let fate = fate(error);
        ask.failed(fate, self.now);
        if fate == Fate::Gone {
            self.disconnect();
        }
    }
}
