//! What is told once of NVIDIA's hardware: `gpu.count`, `gpu.driver`, `gpu.cuda`, and of each device `gpu.<number>.…`.

use nvml_wrapper::{Device, Nvml, cuda_driver_version_major, cuda_driver_version_minor};

use super::found::{Found, State};
use super::gpu::Place;
use crate::probe::{MEGABYTE, Registry, float};

pub(super) fn tell_driver(registry: &mut Registry, nvml: &Nvml) {
    if let Ok(driver) = nvml.sys_driver_version() {
        registry.fact("gpu.driver", driver);
    }
    if let Ok(cuda) = nvml.sys_cuda_driver_version() {
        let (major, minor) = (cuda_driver_version_major(cuda), cuda_driver_version_minor(cuda));
        registry.fact("gpu.cuda", format!("{major}.{minor}"));
    }
}

pub(super) fn tell_device(registry: &mut Registry, found: &Found) {
    let mut tell = |what: &str, value: String| {
        if !value.is_empty() {
            registry.fact(format!("gpu.{}.{what}", found.number), value);
        }
    };
    tell("name", found.named.name.clone());
    tell("uuid", found.named.uuid.clone());
    if let Place::Instance { gpu, .. } = found.place {
        tell("instance_of", gpu.to_string());
    }
    match &found.state {
        State::Open(device) => tell_open(device, tell),
        State::Asleep => tell("state", "asleep when the run began".to_owned()),
        State::Lost => tell("state", "did not answer when the run began".to_owned()),
        State::Closed(why) => tell("state", format!("cannot be read: {why}")),
    }
}

fn tell_open(device: &Device<'static>, mut tell: impl FnMut(&str, String)) {
    if let Ok(memory) = device.memory_info() {
        tell("memory_megabytes", format!("{:.0}", float(memory.total) / MEGABYTE));
    }
    if let Ok(architecture) = device.architecture() {
        tell("architecture", format!("{architecture:?}"));
    }
    if let Ok(capability) = device.cuda_compute_capability() {
        tell("compute_capability", format!("{}.{}", capability.major, capability.minor));
    }
}
