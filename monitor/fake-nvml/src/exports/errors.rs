//! Memory errors and rows that were replaced.

use std::ffi::{c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{
    nvmlEccCounterType_enum_NVML_AGGREGATE_ECC as AGGREGATE,
    nvmlEccCounterType_enum_NVML_VOLATILE_ECC as VOLATILE, nvmlEccCounterType_t, nvmlEnableState_t,
    nvmlMemoryErrorType_enum_NVML_MEMORY_ERROR_TYPE_CORRECTED as CORRECTED,
    nvmlMemoryErrorType_enum_NVML_MEMORY_ERROR_TYPE_UNCORRECTED as UNCORRECTED, nvmlMemoryErrorType_t,
    nvmlMemoryLocation_enum_NVML_MEMORY_LOCATION_COUNT as LOCATIONS,
    nvmlMemoryLocation_enum_NVML_MEMORY_LOCATION_DEVICE_MEMORY as DEVICE_MEMORY, nvmlMemoryLocation_t,
};

use super::exports;
use crate::codes::{Answer, INVALID_ARGUMENT};
use crate::key::Key;

exports! {
    device fn nvmlDeviceGetTotalEccErrors(
        call, error: nvmlMemoryErrorType_t, counter: nvmlEccCounterType_t, count: *mut c_ulonglong
    ) {
        count.put(call.count(ecc(error, counter)?)?)
    }

    device fn nvmlDeviceGetMemoryErrorCounter(
        call,
        error: nvmlMemoryErrorType_t,
        counter: nvmlEccCounterType_t,
        location: nvmlMemoryLocation_t,
        count: *mut c_ulonglong
    ) {
        if location >= LOCATIONS {
            return Err(INVALID_ARGUMENT);
        }
        let errors = call.count(ecc(error, counter)?)?;
        count.put(if location == DEVICE_MEMORY { errors } else { 0 })
    }

    device fn nvmlDeviceGetEccMode(call, current: *mut nvmlEnableState_t, pending: *mut nvmlEnableState_t) {
        let mode = call.number(Key::EccMode)?;
        current.put(mode)?;
        pending.put(mode)
    }

    device fn nvmlDeviceGetRemappedRows(
        call, corrected: *mut c_uint, uncorrected: *mut c_uint, pending: *mut c_uint, failed: *mut c_uint
    ) {
        corrected.put(call.number(Key::RowsCorrected)?)?;
        uncorrected.put(call.number(Key::RowsUncorrected)?)?;
        pending.put(call.number(Key::RowsPending)?)?;
        failed.put(call.number(Key::RowsFailure)?)
    }

    device fn nvmlDeviceGetRetiredPagesPendingStatus(call, pending: *mut nvmlEnableState_t) {
        pending.put(call.number(Key::PagesPending)?)
    }
}

pub(super) fn ecc(error: nvmlMemoryErrorType_t, counter: nvmlEccCounterType_t) -> Answer<Key> {
    match (error, counter) {
        (CORRECTED, VOLATILE) => Ok(Key::EccCorrected),
        (UNCORRECTED, VOLATILE) => Ok(Key::EccUncorrected),
        (CORRECTED, AGGREGATE) => Ok(Key::EccCorrectedEver),
        (UNCORRECTED, AGGREGATE) => Ok(Key::EccUncorrectedEver),
        _ => Err(INVALID_ARGUMENT),
    }
}
