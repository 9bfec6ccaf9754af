//! The library and its driver: initialization, versions, words for codes, and the search for devices.

use std::ffi::{c_char, c_int, c_uint};
use std::ptr::without_provenance_mut;

use nvml_wrapper_sys::bindings::{NvmlLib, nvmlDevice_t, nvmlReturn_t};

use super::exports;
use crate::codes::{self, Answer, INVALID_ARGUMENT, NOT_FOUND, UNINITIALIZED};
use crate::device::{Device, Target};
use crate::ffi::Out;
use crate::rules::Stage;
use crate::script::Script;
use crate::state::{Call, lock};

exports! {
    begin fn nvmlInit_v2(call) {
        initialize(call)
    }

    begin fn nvmlInitWithFlags(call, _flags: c_uint) {
        initialize(call)
    }

    always fn nvmlShutdown(mut call) {
        call.state.users = call.state.users.checked_sub(1).ok_or(UNINITIALIZED)?;
        Ok(())
    }

    system fn nvmlSystemGetDriverVersion(call, version: *mut c_char, length: c_uint) {
        version.put_text(length, &call.script()?.driver)
    }

    system fn nvmlSystemGetNVMLVersion(call, version: *mut c_char, length: c_uint) {
        version.put_text(length, &call.script()?.nvml)
    }

    system fn nvmlSystemGetCudaDriverVersion(call, version: *mut c_int) {
        version.put(call.script()?.cuda)
    }

    system fn nvmlSystemGetCudaDriverVersion_v2(call, version: *mut c_int) {
        version.put(call.script()?.cuda)
    }

    system fn nvmlDeviceGetCount_v2(call, count: *mut c_uint) {
        count.put(c_uint::try_from(call.script()?.gpus.len()).unwrap_or(c_uint::MAX))
    }

    system fn nvmlDeviceGetHandleByIndex_v2(call, index: c_uint, device: *mut nvmlDevice_t) {
        if index as usize >= call.script()?.gpus.len() {
            return Err(INVALID_ARGUMENT);
        }
        found(call, Target::gpu(index as usize), device)
    }

    system fn nvmlDeviceGetHandleByUUID(call, uuid: *const c_char, device: *mut nvmlDevice_t) {
        let uuid = uuid.read()?;
        let target = search(&call, |known| known.identity.uuid == uuid)?;
        found(call, target, device)
    }

    system fn nvmlDeviceGetHandleBySerial(call, serial: *const c_char, device: *mut nvmlDevice_t) {
        let serial = serial.read()?;
        let target = search(&call, |known| known.identity.serial.as_ref() == Some(&serial))?;
        found(call, target, device)
    }

    system fn nvmlDeviceGetHandleByPciBusId_v2(call, bus_id: *const c_char, device: *mut nvmlDevice_t) {
        let bus_id = bus_id.read()?.to_lowercase();
        let target = search(&call, |known| bus_id.ends_with(known.identity.pci.as_str()))?;
        found(call, target, device)
    }
}

fn initialize(mut call: Call) -> Answer<()> {
    if let Some(code) = call.script()?.init {
        return Err(code);
    }
    call.state.users += 1;
    Ok(())
}

impl Call {
    /// The entrance of initialization: reads the script that the environment names, if there is none yet.
    fn begin(symbol: &'static str, target: Option<Target>) -> Answer<Self> {
        let mut state = lock();
        if state.script.is_none()
            && let Some(script) = script_of_environment()
        {
            state.load(script);
        }
        drop(state);
        Self::always(symbol, target)
    }
}

#[expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the only way in and out where no test is"
)]
fn script_of_environment() -> Option<Script> {
    let path = std::env::var_os("FAKE_NVML_SCRIPT")?;
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
    match text.and_then(|text| Script::parse(&text).map_err(|error| error.to_string())) {
        Ok(script) => Some(script),
        Err(error) => {
            eprintln!("FAKE_NVML_SCRIPT={}: {error}", path.display());
            None
        }
    }
}

fn search(call: &Call, is_it: impl Fn(&Device) -> bool) -> Answer<Target> {
    for (index, gpu) in call.script()?.gpus.iter().enumerate() {
        if is_it(gpu) {
            return Ok(Target::gpu(index));
        }
        if let Some(instance) = gpu.instances.iter().position(&is_it) {
            return Ok(Target { gpu: index, instance: Some(instance) });
        }
    }
    Err(NOT_FOUND)
}

/// A device that was looked for may not open.
fn found(call: Call, target: Target, device: Out<nvmlDevice_t>) -> Answer<()> {
    call.about(Stage::Search, target)?;
    device.put(without_provenance_mut(target.handle()))
}

/// NVML's words for a code.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlErrorString(result: nvmlReturn_t) -> *const c_char {
    codes::text(result).as_ptr().cast()
}

const _: fn(&mut NvmlLib) = |library| library.nvmlErrorString = Ok(nvmlErrorString);
