//! Instances of a divided GPU (MIG).

use std::ffi::c_uint;
use std::ptr::without_provenance_mut;

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlDeviceAttributes_t};

use super::exports;
use crate::codes::{INVALID_ARGUMENT, NOT_FOUND, NOT_SUPPORTED};
use crate::device::Target;
use crate::key::Key;
use crate::state::small;

const MEBIBYTE: u64 = 1_048_576;

exports! {
    device fn nvmlDeviceGetMigMode(call, current: *mut c_uint, pending: *mut c_uint) {
        let mode = call.number(Key::MigMode)?;
        current.put(mode)?;
        pending.put(mode)
    }

    device fn nvmlDeviceGetMaxMigDeviceCount(call, count: *mut c_uint) {
        let there = small(call.device()?.instances.len() as u64);
        let capacity = call.number(Key::MigCapacity).unwrap_or(0).max(there);
        count.put(if call.device()?.is_divided(call.now) { capacity } else { 0 })
    }

    device fn nvmlDeviceGetMigDeviceHandleByIndex(call, index: c_uint, instance: *mut nvmlDevice_t) {
        call.value(Key::MigMode)?;
        let device = call.device()?;
        if index as usize >= device.instances.len() {
            let capacity = call.number(Key::MigCapacity).unwrap_or(0);
            return Err(if index < capacity { NOT_FOUND } else { INVALID_ARGUMENT });
        }
        let target = Target { instance: Some(index as usize), ..call.target()? };
        instance.put(without_provenance_mut(target.handle()))
    }

    device fn nvmlDeviceGetDeviceHandleFromMigDeviceHandle(call, device: *mut nvmlDevice_t) {
        let target = call.target()?;
        if target.instance.is_none() {
            return Err(INVALID_ARGUMENT);
        }
        device.put(without_provenance_mut(Target::gpu(target.gpu).handle()))
    }

    device fn nvmlDeviceIsMigDeviceHandle(call, answer: *mut c_uint) {
        answer.put(call.target()?.instance.is_some().into())
    }

    device fn nvmlDeviceGetGpuInstanceId(call, id: *mut c_uint) {
        id.put(call.device()?.instance_ids.ok_or(NOT_SUPPORTED)?.0)
    }

    device fn nvmlDeviceGetComputeInstanceId(call, id: *mut c_uint) {
        id.put(call.device()?.instance_ids.ok_or(NOT_SUPPORTED)?.1)
    }

    device fn nvmlDeviceGetAttributes_v2(call, attributes: *mut nvmlDeviceAttributes_t) {
        call.device()?.instance_ids.ok_or(NOT_SUPPORTED)?;
        attributes.put(nvmlDeviceAttributes_t {
            multiprocessorCount: call.number(Key::Multiprocessors).unwrap_or(0),
            sharedCopyEngineCount: 1,
            sharedDecoderCount: 0,
            sharedEncoderCount: 0,
            sharedJpegCount: 0,
            sharedOfaCount: 0,
            gpuInstanceSliceCount: 1,
            computeInstanceSliceCount: 1,
            memorySizeMB: call.count(Key::MemoryTotal)? / MEBIBYTE,
        })
    }
}
