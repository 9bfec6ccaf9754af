//! What a driver's calls say, asked through `nvml-wrapper` as programs do.

use std::mem::ManuallyDrop;
use std::ops::Deref;

use fake_nvml::FakeNvml;
use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, PcieUtilCounter, Sampling, TemperatureSensor};
use nvml_wrapper::enums::device::{SampleValue, UsedGpuMemory};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id;

/// A fake, and the library opened on it; the library is shut down first.
struct Driver {
    nvml: ManuallyDrop<Nvml>,
    fake: FakeNvml,
}

impl Driver {
    fn new(script: &str) -> Self {
        let fake = FakeNvml::new(script).unwrap();
        let nvml = Nvml::builder().lib_path(fake.path().as_os_str()).init().unwrap();
        Self { nvml: ManuallyDrop::new(nvml), fake }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: not used after this.
        unsafe { ManuallyDrop::drop(&mut self.nvml) };
    }
}

impl Deref for Driver {
    type Target = Nvml;

    fn deref(&self) -> &Nvml {
        &self.nvml
    }
}
