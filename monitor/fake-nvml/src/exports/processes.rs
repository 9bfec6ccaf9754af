//! Processes on a device: what they hold, and how busy they keep it.

use std::ffi::{c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{nvmlProcessInfo_t, nvmlProcessUtilizationSample_t};

use super::exports;
use super::samples::moments;
use crate::clock::{moment, timestamp};
use crate::codes::{Answer, NOT_FOUND, NOT_SUPPORTED};
use crate::script::Process;
use crate::state::Call;

/// What the header has for a GPU that is not divided.
const NO_INSTANCE: u32 = u32::MAX;

/// `NVML_VALUE_NOT_AVAILABLE`.
const NOT_AVAILABLE: u64 = u64::MAX;

exports! {
    device fn nvmlDeviceGetComputeRunningProcesses_v3(call, count: *mut c_uint, infos: *mut nvmlProcessInfo_t) {
        infos.fill(count, running(&call, false)?)
    }

    device fn nvmlDeviceGetGraphicsRunningProcesses_v3(call, count: *mut c_uint, infos: *mut nvmlProcessInfo_t) {
        infos.fill(count, running(&call, true)?)
    }

    device fn nvmlDeviceGetProcessUtilization(
        call,
        samples: *mut nvmlProcessUtilizationSample_t,
        count: *mut c_uint,
        last_seen: c_ulonglong
    ) {
        if call.device()?.is_divided(call.now) || call.target()?.instance.is_some() {
            return Err(NOT_SUPPORTED);
        }
        let newest = moments(call.now).last().filter(|at| *at > moment(last_seen)).ok_or(NOT_FOUND)?;
        let busy = processes(&call)?.filter(|process| process.sm > 0 || process.memory_busy > 0);
        let found: Vec<_> = busy.map(|process| sample(process, timestamp(newest))).collect();
        if found.is_empty() { Err(NOT_FOUND) } else { samples.fill(count, found) }
    }
}

/// Those of a GPU with all its instances, or of one instance.
fn processes(call: &Call) -> Answer<impl Iterator<Item = &Process>> {
    let (target, now) = (call.target()?, call.now);
    let here = move |process: &&Process| {
        let same = match target.instance {
            Some(_) => process.target == target,
            None => process.target.gpu == target.gpu,
        };
        same && process.from <= now && now < process.to
    };
    Ok(call.script()?.processes.iter().filter(here))
}

fn running(call: &Call, graphics: bool) -> Answer<Vec<nvmlProcessInfo_t>> {
    let gpu = call.script()?.gpus.get(call.target()?.gpu).ok_or(NOT_FOUND)?;
    let info = |process: &Process| {
        let instance = process.target.instance.and_then(|number| gpu.instances.get(number));
        let ids = instance.and_then(|instance| instance.instance_ids);
        let (gpu_instance, compute_instance) = ids.unwrap_or((NO_INSTANCE, NO_INSTANCE));
        nvmlProcessInfo_t {
            pid: process.pid,
            usedGpuMemory: process.memory.unwrap_or(NOT_AVAILABLE),
            gpuInstanceId: gpu_instance,
            computeInstanceId: compute_instance,
        }
    };
    Ok(processes(call)?.filter(|process| process.graphics == graphics).map(info).collect())
}

fn sample(process: &Process, timestamp: u64) -> nvmlProcessUtilizationSample_t {
    nvmlProcessUtilizationSample_t {
        pid: process.pid,
        timeStamp: timestamp,
        smUtil: process.sm,
        memUtil: process.memory_busy,
        encUtil: process.encoder,
        decUtil: process.decoder,
    }
}
