//! Memory in both versions, and utilization.

use std::ffi::c_uint;

use nvml_wrapper_sys::bindings::{nvmlBAR1Memory_t, nvmlMemory_t, nvmlMemory_v2_t, nvmlUtilization_t};

use super::{exports, struct_version};
use crate::codes::{ARGUMENT_VERSION_MISMATCH, Answer};
use crate::ffi::Out;
use crate::key::Key;
use crate::state::Call;

/// What the driver says of how long it looked, in microseconds.
const PERIOD_MICROS: u32 = 167_000;

exports! {
    device fn nvmlDeviceGetMemoryInfo(call, memory: *mut nvmlMemory_t) {
        let (total, reserved, used) = memory_of(&call)?;
        let used = used + reserved;
        memory.put(nvmlMemory_t { total, free: total.saturating_sub(used), used })
    }

    device fn nvmlDeviceGetMemoryInfo_v2(call, memory: *mut nvmlMemory_v2_t) {
        let version = memory.get()?.version;
        if version != struct_version::<nvmlMemory_v2_t>(2) {
            return Err(ARGUMENT_VERSION_MISMATCH);
        }
        let (total, reserved, used) = memory_of(&call)?;
        memory.put(nvmlMemory_v2_t { version, total, reserved, free: total.saturating_sub(used + reserved), used })
    }

    device fn nvmlDeviceGetBAR1MemoryInfo(call, memory: *mut nvmlBAR1Memory_t) {
        let (total, used) = (call.count(Key::Bar1Total)?, call.count(Key::Bar1Used)?);
        memory.put(nvmlBAR1Memory_t { bar1Total: total, bar1Free: total.saturating_sub(used), bar1Used: used })
    }

    device fn nvmlDeviceGetUtilizationRates(call, utilization: *mut nvmlUtilization_t) {
        utilization.put(nvmlUtilization_t {
            gpu: call.number(Key::UtilizationGpu)?,
            memory: call.number(Key::UtilizationMemory).unwrap_or(0),
        })
    }

    device fn nvmlDeviceGetEncoderUtilization(call, percent: *mut c_uint, period: *mut c_uint) {
        engine(&call, Key::Encoder, percent, period)
    }

    device fn nvmlDeviceGetDecoderUtilization(call, percent: *mut c_uint, period: *mut c_uint) {
        engine(&call, Key::Decoder, percent, period)
    }

    device fn nvmlDeviceGetJpgUtilization(call, percent: *mut c_uint, period: *mut c_uint) {
        engine(&call, Key::Jpeg, percent, period)
    }

    device fn nvmlDeviceGetOfaUtilization(call, percent: *mut c_uint, period: *mut c_uint) {
        engine(&call, Key::Ofa, percent, period)
    }
}

/// In bytes: all, reserved by the driver, used by others.
fn memory_of(call: &Call) -> Answer<(u64, u64, u64)> {
    let reserved = call.count(Key::MemoryReserved).unwrap_or(0);
    Ok((call.count(Key::MemoryTotal)?, reserved, call.count(Key::MemoryUsed)?))
}

fn engine(call: &Call, key: Key, percent: Out<c_uint>, period: Out<c_uint>) -> Answer<()> {
    percent.put(call.number(key)?)?;
    period.put(PERIOD_MICROS)
}
