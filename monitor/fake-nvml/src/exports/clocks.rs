//! Clocks, performance states and why clocks are lower than they could be.

use std::ffi::{c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{
    nvmlClockType_t, nvmlPerfPolicyType_enum_NVML_PERF_POLICY_BOARD_LIMIT as BOARD_LIMIT,
    nvmlPerfPolicyType_enum_NVML_PERF_POLICY_POWER as POWER,
    nvmlPerfPolicyType_enum_NVML_PERF_POLICY_SYNC_BOOST as SYNC_BOOST,
    nvmlPerfPolicyType_enum_NVML_PERF_POLICY_THERMAL as THERMAL, nvmlPerfPolicyType_t, nvmlPstates_t,
    nvmlViolationTime_t,
};

use super::exports;
use crate::clock::timestamp;
use crate::codes::{Answer, INVALID_ARGUMENT, NOT_SUPPORTED};
use crate::key::Key;

/// By `nvmlClockType_t`.
const CLOCKS: [Key; 4] = [Key::ClockGraphics, Key::ClockSm, Key::ClockMemory, Key::ClockVideo];
const HIGHEST: [Key; 4] = [Key::MaxClockGraphics, Key::MaxClockSm, Key::MaxClockMemory, Key::MaxClockVideo];

exports! {
    device fn nvmlDeviceGetClockInfo(call, which: nvmlClockType_t, megahertz: *mut c_uint) {
        megahertz.put(call.number(of(CLOCKS, which)?)?)
    }

    device fn nvmlDeviceGetMaxClockInfo(call, which: nvmlClockType_t, megahertz: *mut c_uint) {
        megahertz.put(call.number(of(HIGHEST, which)?)?)
    }

    device fn nvmlDeviceGetPerformanceState(call, state: *mut nvmlPstates_t) {
        state.put(call.number(Key::PerformanceState)?)
    }

    device fn nvmlDeviceGetCurrentClocksThrottleReasons(call, reasons: *mut c_ulonglong) {
        reasons.put(call.count(Key::ThrottleReasons)?)
    }

    device fn nvmlDeviceGetCurrentClocksEventReasons(call, reasons: *mut c_ulonglong) {
        reasons.put(call.count(Key::ThrottleReasons)?)
    }

    device fn nvmlDeviceGetSupportedClocksThrottleReasons(call, reasons: *mut c_ulonglong) {
        call.value(Key::ThrottleReasons)?;
        reasons.put(0x1FF)
    }

    device fn nvmlDeviceGetSupportedClocksEventReasons(call, reasons: *mut c_ulonglong) {
        call.value(Key::ThrottleReasons)?;
        reasons.put(0x1FF)
    }

    device fn nvmlDeviceGetViolationStatus(call, policy: nvmlPerfPolicyType_t, time: *mut nvmlViolationTime_t) {
        let key = match policy {
            POWER => Key::ThrottledPower,
            THERMAL => Key::ThrottledThermal,
            SYNC_BOOST => Key::ThrottledSyncBoost,
            BOARD_LIMIT => Key::ThrottledBoard,
            _ => return Err(NOT_SUPPORTED),
        };
        time.put(nvmlViolationTime_t { referenceTime: timestamp(call.now), violationTime: call.count(key)? })
    }
}

fn of(keys: [Key; 4], which: nvmlClockType_t) -> Answer<Key> {
    keys.get(which as usize).copied().ok_or(INVALID_ARGUMENT)
}
