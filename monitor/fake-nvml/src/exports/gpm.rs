//! GPU performance monitoring (Hopper and newer): two samples, and the means between them.

use std::ffi::c_uint;
use std::ptr::{null_mut, without_provenance_mut};

use nvml_wrapper_sys::bindings::{
    NVML_GPM_METRICS_GET_VERSION, NVML_GPM_SUPPORT_VERSION, nvmlGpmMetricsGet_t, nvmlGpmSample_t,
    nvmlGpmSupport_t,
};

use super::exports;
use crate::clock::Millis;
use crate::codes::{ARGUMENT_VERSION_MISMATCH, Answer, INVALID_ARGUMENT, NOT_SUPPORTED, SUCCESS};
use crate::device::{self, Device, Target};
use crate::key::Key;
use crate::rules::Stage;
use crate::state::{Call, GpmSample};

/// The least time between two samples that are compared.
const LEAST_MILLIS: Millis = 100;

const MEBIBYTE: f64 = 1_048_576.0;

exports! {
    device fn nvmlGpmQueryDeviceSupport(call, support: *mut nvmlGpmSupport_t) {
        let version = support.get()?.version;
        if version != NVML_GPM_SUPPORT_VERSION {
            return Err(ARGUMENT_VERSION_MISMATCH);
        }
        let known = is_monitored(call.device()?);
        support.put(nvmlGpmSupport_t { version, isSupportedDevice: known.into() })
    }

    system fn nvmlGpmSampleAlloc(mut call, sample: *mut nvmlGpmSample_t) {
        let handle = call.state.new_handle();
        sample.put(without_provenance_mut(handle))?;
        call.state.samples.insert(handle, None);
        Ok(())
    }

    always fn nvmlGpmSampleFree(mut call, sample: nvmlGpmSample_t) {
        call.state.samples.remove(&sample.address()).map(drop).ok_or(INVALID_ARGUMENT)
    }

    device fn nvmlGpmSampleGet(call, sample: nvmlGpmSample_t) {
        let target = call.target()?;
        take(call, target, sample.address())
    }

    device fn nvmlGpmMigSampleGet(call, instance: c_uint, sample: nvmlGpmSample_t) {
        let gpu = call.target()?.gpu;
        let instances = call.device()?.instances.iter();
        let mut ids = instances.map(|instance| instance.instance_ids.map(|(gpu_instance, _)| gpu_instance));
        let number = ids.position(|id| id == Some(instance)).ok_or(INVALID_ARGUMENT)?;
        take(call, Target { gpu, instance: Some(number) }, sample.address())
    }

    system fn nvmlGpmMetricsGet(call, request: *mut nvmlGpmMetricsGet_t) {
        let mut result: Box<nvmlGpmMetricsGet_t> = Box::new(request.get()?);
        if result.version != NVML_GPM_METRICS_GET_VERSION {
            return Err(ARGUMENT_VERSION_MISMATCH);
        }
        let sample = |handle: nvmlGpmSample_t| call.state.samples.get(&handle.addr()).copied().flatten();
        let (Some(first), Some(last)) = (sample(result.sample1), sample(result.sample2)) else {
            return Err(INVALID_ARGUMENT);
        };
        if first.target != last.target || last.at < first.at + LEAST_MILLIS {
            return Err(INVALID_ARGUMENT);
        }
        let mut call = call.about(Stage::About, first.target)?;
        let wanted = result.metrics.get_mut(..result.numMetrics as usize).ok_or(INVALID_ARGUMENT)?;
        for metric in wanted {
            let answer = call.part(metric.metricId);
            let device = device::find(&call.script()?.gpus, first.target)?;
            let answer = answer.and_then(|()| mean(device, metric.metricId, first.at, last.at));
            metric.nvmlReturn = answer.as_ref().err().copied().unwrap_or(SUCCESS);
            metric.value = answer.unwrap_or(0.0);
            let info = &mut metric.metricInfo;
            (info.shortName, info.longName, info.unit) = (null_mut(), null_mut(), null_mut());
        }
        request.put(*result)
    }
}

/// By GPM's metric id.
const ACTIVITIES: [(u32, Key); 12] = [
    (1, Key::GpmGraphics),
    (2, Key::GpmSm),
    (3, Key::GpmOccupancy),
    (4, Key::GpmInteger),
    (5, Key::GpmTensor),
    (6, Key::GpmDfma),
    (7, Key::GpmHmma),
    (9, Key::GpmImma),
    (10, Key::GpmDram),
    (11, Key::GpmFp64),
    (12, Key::GpmFp32),
    (13, Key::GpmFp16),
];

/// By GPM's metric id; these are in MiB a second.
const TRAFFIC: [(u32, Key); 4] =
    [(20, Key::PcieSent), (21, Key::PcieReceived), (60, Key::LinkReceived), (61, Key::LinkSent)];

fn is_monitored(device: &Device) -> bool {
    ACTIVITIES.iter().any(|(_, key)| device.values.contains_key(key))
}

fn mean(device: &Device, metric: u32, from: Millis, to: Millis) -> Answer<f64> {
    let of = |table: &[(u32, Key)]| table.iter().find(|(id, _)| *id == metric).map(|(_, key)| *key);
    if let Some(key) = of(&ACTIVITIES) {
        return Ok(device.series(key)?.mean(from, to));
    }
    let key = of(&TRAFFIC).ok_or(NOT_SUPPORTED)?;
    Ok(device.series(key)?.growth(from, to) / MEBIBYTE)
}

fn take(mut call: Call, target: Target, handle: usize) -> Answer<()> {
    if !is_monitored(device::find(&call.script()?.gpus, target)?) {
        return Err(NOT_SUPPORTED);
    }
    let at = call.now;
    let sample = call.state.samples.get_mut(&handle).ok_or(INVALID_ARGUMENT)?;
    *sample = Some(GpmSample { target, at });
    Ok(())
}
