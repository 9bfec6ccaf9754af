//! Power, its limits, energy, temperature and fans.

use std::ffi::{c_int, c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{nvmlFanSpeedInfo_t, nvmlTemperature_t, nvmlTemperatureSensors_t};

use super::{exports, struct_version};
use crate::codes::{ARGUMENT_VERSION_MISMATCH, Answer, INVALID_ARGUMENT, NOT_SUPPORTED};
use crate::key::Key;
use crate::state::Call;

const FANS: [Key; 3] = [Key::Fan0, Key::Fan1, Key::Fan2];
const FAN_SPEEDS: [Key; 3] = [Key::FanRpm0, Key::FanRpm1, Key::FanRpm2];

exports! {
    device fn nvmlDeviceGetPowerUsage(call, milliwatts: *mut c_uint) {
        milliwatts.put(call.number(Key::PowerUsage)?)
    }

    device fn nvmlDeviceGetEnforcedPowerLimit(call, milliwatts: *mut c_uint) {
        milliwatts.put(call.number(Key::PowerLimit)?)
    }

    device fn nvmlDeviceGetPowerManagementLimit(call, milliwatts: *mut c_uint) {
        milliwatts.put(call.number(Key::PowerManagementLimit)?)
    }

    device fn nvmlDeviceGetPowerManagementDefaultLimit(call, milliwatts: *mut c_uint) {
        milliwatts.put(call.number(Key::PowerDefaultLimit)?)
    }

    device fn nvmlDeviceGetPowerManagementLimitConstraints(call, least: *mut c_uint, most: *mut c_uint) {
        least.put(call.number(Key::PowerMinLimit)?)?;
        most.put(call.number(Key::PowerMaxLimit)?)
    }

    device fn nvmlDeviceGetTotalEnergyConsumption(call, millijoules: *mut c_ulonglong) {
        millijoules.put(call.count(Key::Energy)?)
    }

    device fn nvmlDeviceGetTemperature(call, sensor: nvmlTemperatureSensors_t, celsius: *mut c_uint) {
        gpu_sensor(sensor)?;
        celsius.put(call.number(Key::Temperature)?)
    }

    device fn nvmlDeviceGetTemperatureV(call, reading: *mut nvmlTemperature_t) {
        let mut answer = reading.get()?;
        if answer.version != struct_version::<nvmlTemperature_t>(1) {
            return Err(ARGUMENT_VERSION_MISMATCH);
        }
        gpu_sensor(answer.sensorType)?;
        answer.temperature = c_int::try_from(call.number(Key::Temperature)?).unwrap_or(c_int::MAX);
        reading.put(answer)
    }

    device fn nvmlDeviceGetNumFans(call, count: *mut c_uint) {
        let fans = FANS.into_iter().take_while(|fan| call.value(*fan).is_ok()).count();
        if fans == 0 {
            return Err(NOT_SUPPORTED);
        }
        count.put(c_uint::try_from(fans).unwrap_or(0))
    }

    device fn nvmlDeviceGetFanSpeed(call, percent: *mut c_uint) {
        percent.put(call.number(Key::Fan0)?)
    }

    device fn nvmlDeviceGetFanSpeed_v2(call, fan: c_uint, percent: *mut c_uint) {
        percent.put(fan_value(&call, FANS, fan)?)
    }

    device fn nvmlDeviceGetFanSpeedRPM(call, speed: *mut nvmlFanSpeedInfo_t) {
        let mut answer = speed.get()?;
        if answer.version != struct_version::<nvmlFanSpeedInfo_t>(1) {
            return Err(ARGUMENT_VERSION_MISMATCH);
        }
        answer.speed = fan_value(&call, FAN_SPEEDS, answer.fan)?;
        speed.put(answer)
    }
}

/// The only sensor that there is a number for is the chip's.
fn gpu_sensor(sensor: nvmlTemperatureSensors_t) -> Answer<()> {
    if sensor == 0 { Ok(()) } else { Err(INVALID_ARGUMENT) }
}

/// A board without fans knows no such call, one with fewer no such fan.
fn fan_value(call: &Call, keys: [Key; 3], fan: u32) -> Answer<u32> {
    call.value(Key::Fan0)?;
    let key = keys.get(fan as usize).copied().ok_or(INVALID_ARGUMENT)?;
    call.value(FANS[fan as usize]).ok().ok_or(INVALID_ARGUMENT)?;
    call.number(key)
}
