//! The calls of NVIDIA's library that the wrapper does not make, or not as they are needed.
//!
//! Invariant: every call gets a handle of the library that it is a call of and memory that outlives it; nothing of C
//! leaves this file but numbers.

#![expect(unsafe_code, reason = "the wrapper sets no scope in field values and lacks the other calls")]

use std::ffi::{c_int, c_uint, c_ulonglong};

use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper::{Device, FieldIdScheme};
use nvml_wrapper_sys::bindings::{
    nvmlFieldValue_t, nvmlMemory_t, nvmlReturn_enum_NVML_ERROR_UNKNOWN, nvmlTemperature_t,
    nvmlTemperatureSensors_enum_NVML_TEMPERATURE_GPU as GPU_SENSOR, nvmlValue_t,
    nvmlValueType_enum_NVML_VALUE_TYPE_DOUBLE as DOUBLE,
    nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_INT as SIGNED_INT,
    nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_LONG_LONG as SIGNED_LONG_LONG,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT as UNSIGNED_INT,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG as UNSIGNED_LONG,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG as UNSIGNED_LONG_LONG,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_SHORT as UNSIGNED_SHORT,
};

/// Asks for all of one device's links together, where a field is of a link (`nvml.h`, `NVML_FI_DEV_NVLINK_*`).
pub(super) const ALL_LINKS: u32 = u32::MAX;

/// Whether the driver is older than the call, so that nothing has been asked of it.
pub(super) fn is_unknown(error: &NvmlError) -> bool {
    matches!(error, NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound)
}

/// One field to ask for, and then its answer.
#[derive(Clone, Copy)]
pub(super) struct Field(nvmlFieldValue_t);

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number {
    pub(super) value: u64,
    /// Whether the driver keeps it in 64 bits.
    pub(super) wide: bool,
}

impl Field {
    /// The field `id` as it was numbered before driver 580.82, which gave the numbers from 251 to 273 to others
    /// (docs.nvidia.com/deploy/nvml-api/known-issues.html).
    pub(super) fn new(id: u32, scope: u32, scheme: FieldIdScheme) -> Self {
        let id = match (scheme, id) {
            (FieldIdScheme::V13Update1, 251..=255) => id + 18,
            (FieldIdScheme::V13Update1, 256..=273) => id - 5,
            _ => id,
        };
        Self(nvmlFieldValue_t {
            fieldId: id,
            scopeId: scope,
            timestamp: 0,
            latencyUsec: 0,
            valueType: UNSIGNED_INT,
            nvmlReturn: nvmlReturn_enum_NVML_ERROR_UNKNOWN,
            value: nvmlValue_t { ullVal: 0 },
        })
    }

    /// What was answered. A count below 0 or a fraction is none that a field of ours can have.
    pub(super) fn answer(&self) -> Result<Number, NvmlError> {
        nvml_try(self.0.nvmlReturn)?;
        let value = self.0.value;
        // SAFETY: every member of the union is a plain number, of which all bit patterns are valid; `new` wrote all
        // its bytes, and the driver says in `valueType` which member it has written.
        let number = unsafe {
            match self.0.valueType {
                UNSIGNED_INT => Some((u64::from(value.uiVal), false)),
                UNSIGNED_SHORT => Some((u64::from(value.usVal), false)),
                #[cfg_attr(
                    not(windows),
                    expect(clippy::useless_conversion, reason = "a long of C has 32 bits on Windows")
                )]
                UNSIGNED_LONG => Some((u64::from(value.ulVal), size_of_val(&value.ulVal) == 8)),
                UNSIGNED_LONG_LONG => Some((value.ullVal, true)),
                SIGNED_INT => u64::try_from(value.siVal).ok().map(|value| (value, false)),
                SIGNED_LONG_LONG => u64::try_from(value.sllVal).ok().map(|value| (value, true)),
                DOUBLE => whole(value.dVal).map(|value| (value, true)),
                _ => None,
            }
        };
        let (value, wide) = number.ok_or(NvmlError::NoData)?;
        Ok(Number { value, wide })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked before")]
fn whole(value: f64) -> Option<u64> {
    (0.0..9e15).contains(&value).then(|| value.round() as u64)
}

/// Asks for all `fields` of `device` in one call (`nvmlDeviceGetFieldValues`).
pub(super) fn field_values(device: &Device<'static>, fields: &mut [Field]) -> Result<(), NvmlError> {
    let call = nvml_sym(device.nvml().lib().nvmlDeviceGetFieldValues.as_ref())?;
    let count = c_int::try_from(fields.len()).map_err(|_too_many| NvmlError::InvalidArg)?;
    let first = fields.as_mut_ptr().cast::<nvmlFieldValue_t>();
    // SAFETY: the handle is of this library, which is never unloaded; `first` leads to `count` values, since `Field`
    // is one value and nothing else (checked below), and the call keeps no pointer.
    nvml_try(unsafe { call(device.handle(), count, first) })
}

const _: () = assert!(size_of::<Field>() == size_of::<nvmlFieldValue_t>());

/// The number of the GPU instance that a MIG device is, on its GPU (`nvmlDeviceGetGpuInstanceId`).
pub(super) fn gpu_instance(device: &Device<'static>) -> Result<u32, NvmlError> {
    let call = nvml_sym(device.nvml().lib().nvmlDeviceGetGpuInstanceId.as_ref())?;
    let mut instance: c_uint = 0;
    // SAFETY: the handle is of this library, which is never unloaded; `instance` outlives the call.
    nvml_try(unsafe { call(device.handle(), &raw mut instance) })?;
    Ok(instance)
}

/// The temperature of the chip in °C, by the call that goes on where `nvmlDeviceGetTemperature` ends
/// (`nvmlDeviceGetTemperatureV`, of driver 570 and later).
pub(super) fn temperature(device: &Device<'static>) -> Result<i32, NvmlError> {
    let call = nvml_sym(device.nvml().lib().nvmlDeviceGetTemperatureV.as_ref())?;
    let version = c_uint::try_from(size_of::<nvmlTemperature_t>()).unwrap_or_default() | 1 << 24;
    let mut reading = nvmlTemperature_t { version, sensorType: GPU_SENSOR, temperature: 0 };
    // SAFETY: the handle is of this library, which is never unloaded; `reading` has the layout that its version
    // names and outlives the call.
    nvml_try(unsafe { call(device.handle(), &raw mut reading) })?;
    Ok(reading.temperature)
}

/// Why clocks are not at their highest, as bits, by the call that goes on where `nvmlDeviceGetCurrentClocksThrottleReasons`
/// ends (`nvmlDeviceGetCurrentClocksEventReasons`, of driver 535 and later).
pub(super) fn clock_event_reasons(device: &Device<'static>) -> Result<u64, NvmlError> {
    let call = nvml_sym(device.nvml().lib().nvmlDeviceGetCurrentClocksEventReasons.as_ref())?;
    let mut reasons: c_ulonglong = 0;
    // SAFETY: the handle is of this library, which is never unloaded; `reasons` outlives the call.
    nvml_try(unsafe { call(device.handle(), &raw mut reasons) })?;
    Ok(reasons)
}

/// Used memory with what the driver reserves, and all memory, in bytes, by the call that drivers before 510 have
/// (`nvmlDeviceGetMemoryInfo`, the first version).
pub(super) fn memory(device: &Device<'static>) -> Result<(u64, u64), NvmlError> {
    let call = nvml_sym(device.nvml().lib().nvmlDeviceGetMemoryInfo.as_ref())?;
    let mut info = nvmlMemory_t { total: 0, free: 0, used: 0 };
    // SAFETY: the handle is of this library, which is never unloaded; `info` outlives the call.
    nvml_try(unsafe { call(device.handle(), &raw mut info) })?;
    Ok((info.used, info.total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_numbered_as_the_driver_numbers_them() {
        let id = |id, scheme| Field::new(id, 0, scheme).0.fieldId;
        for field in [74, 82, 138, 250, 274] {
            assert_eq!(id(field, FieldIdScheme::V13Update1), field);
        }
        assert_eq!(
            [251, 255, 256, 273].map(|field| id(field, FieldIdScheme::V13Update1)),
            [269, 273, 251, 268]
        );
        assert_eq!(id(251, FieldIdScheme::V12), 251);
    }

    #[test]
    fn an_answer_is_what_its_type_says_and_nothing_where_it_cannot_be_a_count() {
        let answer = |kind, value| {
            let mut field = Field::new(1, 0, FieldIdScheme::V12);
            assert!(field.answer().is_err(), "nobody has answered yet");
            (field.0.nvmlReturn, field.0.valueType, field.0.value) = (0, kind, value);
            field.answer().ok().map(|number| (number.value, number.wide))
        };
        assert_eq!(
            answer(UNSIGNED_INT, nvmlValue_t { ullVal: u64::MAX }),
            Some((u64::from(u32::MAX), false))
        );
        assert_eq!(answer(UNSIGNED_LONG_LONG, nvmlValue_t { ullVal: u64::MAX }), Some((u64::MAX, true)));
        assert_eq!(answer(UNSIGNED_SHORT, nvmlValue_t { usVal: 7 }), Some((7, false)));
        assert_eq!(answer(SIGNED_INT, nvmlValue_t { siVal: -1 }), None);
        assert_eq!(answer(SIGNED_LONG_LONG, nvmlValue_t { sllVal: -1 }), None);
        assert_eq!(answer(DOUBLE, nvmlValue_t { dVal: 2.4 }), Some((2, true)));
        for no_count in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert_eq!(answer(DOUBLE, nvmlValue_t { dVal: no_count }), None);
        }
        assert_eq!(answer(99, nvmlValue_t { ullVal: 1 }), None);
    }
}
