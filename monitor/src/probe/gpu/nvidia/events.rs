//! `xid_events`: errors that the driver reports about a GPU (docs.nvidia.com/deploy/xid-errors).
//!
//! Invariant: nothing waits for an event; each sample takes those that have come.

use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::{Device, EventSet, Nvml};

use super::raw;

/// More in one sample are left for the next: a board that fails can report without end.
const EVENTS_MAX: u32 = 64;

/// What reports the errors of all devices.
#[derive(Debug, Default)]
pub(super) struct Events {
    set: Option<EventSet<'static>>,
}

/// One device's errors.
#[derive(Debug, Default)]
pub(super) struct Errors {
    /// By what the driver names the device in events; `None` if it reports none of it.
    device: Option<usize>,
    count: u64,
}

impl Errors {
    /// Errors since the probe was opened, if the driver reports them.
    pub(super) fn count(&self) -> Option<u64> {
        self.device.map(|_| self.count)
    }
}

impl Events {
    /// Begins anew with these devices. Those that cannot be watched are left out.
    pub(super) fn watch(&mut self, nvml: &'static Nvml, mut devices: Vec<(&Device<'static>, &mut Errors)>) {
        self.set = None;
        // Dropping a set panics where the library cannot free it.
        while nvml.lib().nvmlEventSetFree.is_ok() && !devices.is_empty() {
            let Ok(set) = nvml.create_event_set() else { return };
            match register_all(&mut devices, set) {
                Ok(set) => {
                    self.set = Some(set);
                    return;
                }
                // The wrapper lets go of the whole set with it.
                Err(unwatchable) => {
                    devices.remove(unwatchable);
                }
            }
        }
    }

    /// Takes the events that have come.
    pub(super) fn poll(&self, mut errors_of: Vec<&mut Errors>) {
        let Some(set) = &self.set else { return };
        for _ in 0..EVENTS_MAX {
            let Ok(event) = set.wait(0) else { return };
            let device = Some(raw::identity(&event.device));
            if event.event_type.contains(EventTypes::CRITICAL_XID_ERROR)
                && let Some(errors) = errors_of.iter_mut().find(|errors| errors.device == device)
            {
                errors.count += 1;
            }
        }
    }
}

/// # Errors
/// The place of a device that cannot be watched.
fn register_all(
    devices: &mut [(&Device<'static>, &mut Errors)],
    set: EventSet<'static>,
) -> Result<EventSet<'static>, usize> {
    let mut set = set;
    for (place, (device, errors)) in devices.iter_mut().enumerate() {
        errors.device = None;
        set = register(device, set).ok_or(place)?;
        errors.device = Some(raw::identity(device));
    }
    Ok(set)
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
