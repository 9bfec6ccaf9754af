//! Values by field id, which reach what has no call of its own.
//!
//! Numbers are those of NVIDIA's header; 251 to 273 changed theirs with driver 580.82
//! (<https://docs.nvidia.com/deploy/nvml-api/known-issues.html>).

use std::ffi::c_int;

use nvml_wrapper_sys::bindings::field_id as id;
use nvml_wrapper_sys::bindings::{
    nvmlFieldValue_t, nvmlValue_t, nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT as UNSIGNED_INT,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG as UNSIGNED_LONG_LONG,
};

use super::exports;
use super::samples::unsigned;
use crate::clock::timestamp;
use crate::codes::{Answer, INVALID_ARGUMENT, NOT_SUPPORTED, SUCCESS};
use crate::key::Key;
use crate::state::{Call, small};

/// `scopeId` for all links together.
const ALL_LINKS: u32 = u32::MAX;

enum Value {
    Small(u32),
    Large(u64),
}

exports! {
    device fn nvmlDeviceGetFieldValues(mut call, count: c_int, values: *mut nvmlFieldValue_t) {
        let count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(INVALID_ARGUMENT)?;
        values.each(count, |field| {
            let answer = call.part(field.fieldId).and_then(|()| read(&call, field.fieldId, field.scopeId));
            field.timestamp = timestamp(call.now).cast_signed();
            field.latencyUsec = 0;
            field.nvmlReturn = answer.as_ref().err().copied().unwrap_or(SUCCESS);
            match answer {
                Ok(Value::Small(value)) => (field.valueType, field.value) = (UNSIGNED_INT, unsigned(value)),
                Ok(Value::Large(value)) => {
                    (field.valueType, field.value) = (UNSIGNED_LONG_LONG, nvmlValue_t { ullVal: value });
                }
                Err(_) => field.value = nvmlValue_t { ullVal: 0 },
            }
            Ok(())
        })
    }
}

fn read(call: &Call, field: u32, scope: u32) -> Answer<Value> {
    let field = header_number(&call.script()?.driver, field)?;
    let small = |key| call.number(key).map(Value::Small);
    let large = |key| call.count(key).map(Value::Large);
    match field {
        id::NVML_FI_DEV_ECC_CURRENT | id::NVML_FI_DEV_ECC_PENDING => small(Key::EccMode),
        id::NVML_FI_DEV_ECC_SBE_VOL_TOTAL => large(Key::EccCorrected),
        id::NVML_FI_DEV_ECC_DBE_VOL_TOTAL => large(Key::EccUncorrected),
        id::NVML_FI_DEV_ECC_SBE_AGG_TOTAL => large(Key::EccCorrectedEver),
        id::NVML_FI_DEV_ECC_DBE_AGG_TOTAL => large(Key::EccUncorrectedEver),
        id::NVML_FI_DEV_PERF_POLICY_POWER => large(Key::ThrottledPower),
        id::NVML_FI_DEV_PERF_POLICY_THERMAL => large(Key::ThrottledThermal),
        id::NVML_FI_DEV_PERF_POLICY_SYNC_BOOST => large(Key::ThrottledSyncBoost),
        id::NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT => large(Key::ThrottledBoard),
        id::NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN => large(Key::ThrottledSoftwareThermal),
        id::NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN => large(Key::ThrottledHardwareThermal),
        id::NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN => large(Key::ThrottledPowerBrake),
        id::NVML_FI_DEV_MEMORY_TEMP => small(Key::MemoryTemperature),
        id::NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION => large(Key::Energy),
        id::NVML_FI_DEV_NVLINK_LINK_COUNT => small(Key::Links),
        id::NVML_FI_DEV_PCIE_REPLAY_COUNTER => small(Key::PcieReplays),
        // In KiB.
        id::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX => link(call, Key::LinkSent, scope, 1024),
        id::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX => link(call, Key::LinkReceived, scope, 1024),
        id::NVML_FI_DEV_NVLINK_COUNT_XMIT_BYTES => link(call, Key::LinkSent, scope, 1),
        id::NVML_FI_DEV_NVLINK_COUNT_RCV_BYTES => link(call, Key::LinkReceived, scope, 1),
        id::NVML_FI_DEV_REMAPPED_COR => small(Key::RowsCorrected),
        id::NVML_FI_DEV_REMAPPED_UNC => small(Key::RowsUncorrected),
        id::NVML_FI_DEV_REMAPPED_PENDING => small(Key::RowsPending),
        id::NVML_FI_DEV_REMAPPED_FAILURE => small(Key::RowsFailure),
        // The scopes are the board, the module it stands on and its memory; only the board is known here.
        id::NVML_FI_DEV_POWER_AVERAGE if scope == 0 => small(Key::PowerUsage),
        id::NVML_FI_DEV_POWER_INSTANT if scope == 0 => small(Key::PowerInstant),
        id::NVML_FI_DEV_POWER_MIN_LIMIT if scope == 0 => small(Key::PowerMinLimit),
        id::NVML_FI_DEV_POWER_MAX_LIMIT if scope == 0 => small(Key::PowerMaxLimit),
        id::NVML_FI_DEV_POWER_DEFAULT_LIMIT if scope == 0 => small(Key::PowerDefaultLimit),
        id::NVML_FI_DEV_POWER_CURRENT_LIMIT if scope == 0 => small(Key::PowerLimit),
        id::NVML_FI_DEV_POWER_REQUESTED_LIMIT if scope == 0 => small(Key::PowerManagementLimit),
        id::NVML_FI_DEV_PCIE_COUNT_TX_BYTES => wrapped(call, Key::PcieSent),
        id::NVML_FI_DEV_PCIE_COUNT_RX_BYTES => wrapped(call, Key::PcieReceived),
        _ => Err(NOT_SUPPORTED),
    }
}

/// The number that the header of the first CUDA 13 has for what a driver calls `field`.
fn header_number(driver: &str, field: u32) -> Answer<u32> {
    let mut parts = driver.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let renumbered = (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (580, 82);
    match field {
        0 => Err(INVALID_ARGUMENT),
        251..=268 if renumbered => Ok(field + 5),
        269..=273 if renumbered => Ok(field - 18),
        field if field < id::NVML_FI_MAX => Ok(field),
        _ => Err(INVALID_ARGUMENT),
    }
}

/// What one `NVLink` carried, or all of them.
fn link(call: &Call, key: Key, scope: u32, unit: u64) -> Answer<Value> {
    let (carried, links) = (call.count(key)?, call.count(Key::Links)?);
    match scope {
        ALL_LINKS => Ok(Value::Large(carried / unit)),
        link if u64::from(link) < links => Ok(Value::Large(carried / links / unit)),
        _ => Err(INVALID_ARGUMENT),
    }
}

/// A counter of `PCIe`, which begins anew after so many bits.
fn wrapped(call: &Call, key: Key) -> Answer<Value> {
    let count = call.count(key)?;
    match call.number(Key::PcieCounterBits).unwrap_or(64) {
        bits @ 33..64 => Ok(Value::Large(count % (1 << bits))),
        32 => Ok(Value::Small(small(count % (1 << 32)))),
        64.. => Ok(Value::Large(count)),
        bits => Ok(Value::Small(small(count % (1 << bits)))),
    }
}
