//! The links: `PCIe` and `NVLink`.

use std::ffi::c_uint;

use nvml_wrapper_sys::bindings::{
    nvmlEnableState_t, nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_RX_BYTES as RECEIVED,
    nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_TX_BYTES as SENT, nvmlPcieUtilCounter_t,
};

use super::exports;
use crate::codes::INVALID_ARGUMENT;
use crate::key::Key;
use crate::script::whole;
use crate::state::small;

/// Over how long the driver measures throughput.
const THROUGHPUT_MILLIS: u64 = 20;

exports! {
    device fn nvmlDeviceGetPcieThroughput(call, counter: nvmlPcieUtilCounter_t, kilobytes: *mut c_uint) {
        let key = match counter {
            SENT => Key::PcieSent,
            RECEIVED => Key::PcieReceived,
            _ => return Err(INVALID_ARGUMENT),
        };
        let from = call.now.saturating_sub(THROUGHPUT_MILLIS);
        kilobytes.put(small(whole(call.device()?.series(key)?.growth(from, call.now) / 1000.0)))
    }

    device fn nvmlDeviceGetCurrPcieLinkGeneration(call, generation: *mut c_uint) {
        generation.put(call.number(Key::PcieGeneration)?)
    }

    device fn nvmlDeviceGetCurrPcieLinkWidth(call, lanes: *mut c_uint) {
        lanes.put(call.number(Key::PcieWidth)?)
    }

    device fn nvmlDeviceGetMaxPcieLinkGeneration(call, generation: *mut c_uint) {
        generation.put(call.number(Key::PcieMaxGeneration)?)
    }

    device fn nvmlDeviceGetMaxPcieLinkWidth(call, lanes: *mut c_uint) {
        lanes.put(call.number(Key::PcieMaxWidth)?)
    }

    device fn nvmlDeviceGetPcieReplayCounter(call, replays: *mut c_uint) {
        replays.put(call.number(Key::PcieReplays)?)
    }

    device fn nvmlDeviceGetNvLinkState(call, link: c_uint, active: *mut nvmlEnableState_t) {
        if link >= call.number(Key::Links)? {
            return Err(INVALID_ARGUMENT);
        }
        active.put(1)
    }
}
