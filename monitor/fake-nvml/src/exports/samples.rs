//! The driver's ring of past readings.
//!
//! A reading is the mean of the 167 ms before it; 120 are kept. Real rings of power and clocks have other intervals.

use std::ffi::{c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{
    nvmlSample_t, nvmlSamplingType_t, nvmlValue_t,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT as UNSIGNED_INT, nvmlValueType_t,
};

use super::exports;
use crate::clock::{Millis, moment, timestamp};
use crate::codes::{INVALID_ARGUMENT, NOT_FOUND, NOT_SUPPORTED};
use crate::key::Key;
use crate::script::whole;
use crate::state::small;

const INTERVAL: Millis = 167;
const DEPTH: u64 = 120;

/// By `nvmlSamplingType_t`.
const RINGS: [Option<Key>; 10] = [
    Some(Key::PowerUsage),
    Some(Key::UtilizationGpu),
    Some(Key::UtilizationMemory),
    Some(Key::Encoder),
    Some(Key::Decoder),
    Some(Key::ClockSm),
    Some(Key::ClockMemory),
    None,
    Some(Key::Jpeg),
    Some(Key::Ofa),
];

exports! {
    device fn nvmlDeviceGetSamples(
        mut call,
        which: nvmlSamplingType_t,
        last_seen: c_ulonglong,
        value_type: *mut nvmlValueType_t,
        count: *mut c_uint,
        samples: *mut nvmlSample_t
    ) {
        call.part(which)?;
        let key = RINGS.get(which as usize).ok_or(INVALID_ARGUMENT)?.ok_or(NOT_SUPPORTED)?;
        call.value(key)?;
        let series = call.device()?.series(key)?;
        let found: Vec<Millis> = moments(call.now).filter(|at| *at > moment(last_seen)).collect();
        value_type.put(UNSIGNED_INT)?;
        if found.is_empty() {
            return Err(NOT_FOUND);
        }
        if samples.is_null() {
            return count.put(small(found.len() as u64));
        }
        let filled = found.len().min(count.get()? as usize);
        if filled == 0 {
            return Err(INVALID_ARGUMENT);
        }
        count.put(small(filled as u64))?;
        let mut found = found.into_iter();
        samples.each(filled, |sample| {
            let at = found.next().unwrap_or(0);
            let value = small(whole(series.mean(at - INTERVAL, at)));
            *sample = nvmlSample_t { timeStamp: timestamp(at), sampleValue: unsigned(value) };
            Ok(())
        })
    }
}

/// When the readings were taken that the ring still has.
pub(super) fn moments(now: Millis) -> impl Iterator<Item = Millis> {
    let last = now / INTERVAL;
    (last.saturating_sub(DEPTH) + 1..=last).map(|number| number * INTERVAL)
}

/// With the unused half 0, as a driver that clears its buffer leaves it.
pub(super) fn unsigned(value: u32) -> nvmlValue_t {
    let mut whole = nvmlValue_t { ullVal: 0 };
    whole.uiVal = value;
    whole
}
