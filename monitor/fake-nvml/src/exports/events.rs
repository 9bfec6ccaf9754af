//! Events: XIDs that a script raises.

use std::ffi::{c_uint, c_ulonglong};
use std::ptr::without_provenance_mut;

use nvml_wrapper_sys::bindings::{
    nvmlEventData_t, nvmlEventSet_t, nvmlEventTypeXidCriticalError, nvmlEventTypeXidCriticalError as XID,
};

use super::exports;
use crate::codes::{Answer, INVALID_ARGUMENT, NOT_SUPPORTED, TIMEOUT};
use crate::rules::Stage;
use crate::state::{self, Call, EventSet};

/// What the header has for a GPU that is not divided.
const NO_INSTANCE: u32 = u32::MAX;

/// How often a waiting call looks; real drivers are woken.
const LOOK: std::time::Duration = std::time::Duration::from_millis(5);

exports! {
    system fn nvmlEventSetCreate(mut call, set: *mut nvmlEventSet_t) {
        let handle = call.state.new_handle();
        set.put(without_provenance_mut(handle))?;
        call.state.event_sets.insert(handle, EventSet::default());
        Ok(())
    }

    device fn nvmlDeviceRegisterEvents(mut call, types: c_ulonglong, set: nvmlEventSet_t) {
        let (target, now) = (call.target()?, call.now);
        if target.instance.is_some() || types & !u64::from(nvmlEventTypeXidCriticalError) != 0 {
            return Err(NOT_SUPPORTED);
        }
        let set = call.state.event_sets.get_mut(&set.address()).ok_or(INVALID_ARGUMENT)?;
        set.devices.push((target, now));
        Ok(())
    }

    system fn nvmlEventSetWait_v2(mut call, set: nvmlEventSet_t, data: *mut nvmlEventData_t, timeout_ms: c_uint) {
        // An event that is there is delivered at once (`nvml.h`), so before it is said that a device is lost.
        if let Some(event) = next(&mut call, set.address())? {
            return data.put(event);
        }
        let devices = call.state.event_sets.get(&set.address()).ok_or(INVALID_ARGUMENT)?.devices.clone();
        for (target, _) in devices {
            call = call.about(Stage::About, target)?;
        }
        let until = call.now.saturating_add(timeout_ms.into());
        loop {
            if let Some(event) = next(&mut call, set.address())? {
                return data.put(event);
            }
            if call.state.clock.is_manual() || call.now >= until {
                return Err(TIMEOUT);
            }
            call.state = state::wait(call.state, LOOK);
            call.now = call.state.clock.now();
        }
    }

    always fn nvmlEventSetFree(mut call, set: nvmlEventSet_t) {
        call.state.event_sets.remove(&set.address()).map(drop).ok_or(INVALID_ARGUMENT)
    }
}

/// The first event since registration that was not told yet.
fn next(call: &mut Call, handle: usize) -> Answer<Option<nvmlEventData_t>> {
    let set = call.state.event_sets.get(&handle).ok_or(INVALID_ARGUMENT)?;
    let heard = |(number, event): &(usize, &crate::script::Event)| {
        let registered = |(target, since): &_| *target == event.target && *since <= event.at;
        event.at <= call.now && set.devices.iter().any(registered) && !set.told.contains(number)
    };
    let found = call.script()?.events.iter().enumerate().find(heard).map(|(number, event)| (number, *event));
    let Some((number, event)) = found else { return Ok(None) };
    call.state.event_sets.entry(handle).or_default().told.push(number);
    Ok(Some(nvmlEventData_t {
        device: without_provenance_mut(event.target.handle()),
        eventType: XID.into(),
        eventData: event.xid,
        gpuInstanceId: NO_INSTANCE,
        computeInstanceId: NO_INSTANCE,
    }))
}
