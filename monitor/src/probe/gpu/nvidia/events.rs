//! `xid_events`: errors that the driver reports about a GPU (docs.nvidia.com/deploy/xid-errors).
//!
//! Each device has a set of its own, since a set of several fails as a whole with the first of them that is lost.
//!
//! Invariants: nothing waits for an event, each sample takes those that have come; a set is given up only after what it
//! still had was taken.

use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::{Device, EventSet, Nvml};

/// More in one sample are left for the next: a board that fails can report without end.
const EVENTS_MAX: u32 = 64;

/// One device's errors.
#[derive(Debug, Default)]
pub(super) struct Errors {
    /// It stays while the device is lost: why it was lost may be said only afterwards.
    set: Option<EventSet<'static>>,
    /// The driver reports some of this device.
    are_reported: bool,
    count: u64,
}

impl Errors {
    /// Errors since the probe was opened, if the driver reports them.
    pub(super) fn count(&self) -> Option<u64> {
        self.are_reported.then_some(self.count)
    }

    /// Begins anew with a device that has come.
    pub(super) fn watch(&mut self, nvml: &'static Nvml, device: &Device<'static>) {
        self.leave();
        // Dropping a set panics where the library cannot free it.
        if nvml.lib().nvmlEventSetFree.is_ok() {
            self.set = nvml.create_event_set().ok().and_then(|set| register(device, set));
        }
        self.are_reported = self.set.is_some();
    }

    /// Gives up the set.
    pub(super) fn leave(&mut self) {
        self.take();
        self.set = None;
    }

    /// Takes the events that have come.
    pub(super) fn take(&mut self) {
        let Some(set) = &self.set else { return };
        for _ in 0..EVENTS_MAX {
            let Ok(event) = set.wait(0) else { return };
            if event.event_type.contains(EventTypes::CRITICAL_XID_ERROR) {
                self.count += 1;
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn register(device: &Device<'static>, set: EventSet<'static>) -> Option<EventSet<'static>> {
    device.register_events(EventTypes::CRITICAL_XID_ERROR, set).ok()
}

/// The driver reports events on Linux only.
#[cfg(not(target_os = "linux"))]
fn register(_: &Device<'static>, _: EventSet<'static>) -> Option<EventSet<'static>> {
    None
}
