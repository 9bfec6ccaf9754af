//! Who a device is.

use std::ffi::{c_char, c_int, c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{
    nvmlBrandType_t, nvmlDeviceArchitecture_t, nvmlEnableState_t, nvmlPciInfo_t,
};

use super::exports;
use crate::codes::{Answer, NOT_SUPPORTED, UNKNOWN};
use crate::ffi::field;
use crate::key::Key;
use crate::state::small;

exports! {
    device fn nvmlDeviceGetName(call, name: *mut c_char, length: c_uint) {
        name.put_text(length, &call.device()?.identity.name)
    }

    device fn nvmlDeviceGetUUID(call, uuid: *mut c_char, length: c_uint) {
        uuid.put_text(length, &call.device()?.identity.uuid)
    }

    device fn nvmlDeviceGetSerial(call, serial: *mut c_char, length: c_uint) {
        serial.put_text(length, call.device()?.identity.serial.as_deref().ok_or(NOT_SUPPORTED)?)
    }

    device fn nvmlDeviceGetIndex(call, index: *mut c_uint) {
        let target = call.target()?;
        index.put(small(target.instance.unwrap_or(target.gpu) as u64))
    }

    device fn nvmlDeviceGetMinorNumber(call, minor: *mut c_uint) {
        minor.put(call.device()?.identity.minor)
    }

    device fn nvmlDeviceGetBrand(call, brand: *mut nvmlBrandType_t) {
        brand.put(call.device()?.identity.brand)
    }

    device fn nvmlDeviceGetArchitecture(call, architecture: *mut nvmlDeviceArchitecture_t) {
        architecture.put(call.device()?.identity.architecture.ok_or(NOT_SUPPORTED)?)
    }

    device fn nvmlDeviceGetNumGpuCores(call, cores: *mut c_uint) {
        cores.put(call.device()?.identity.cores.ok_or(NOT_SUPPORTED)?)
    }

    device fn nvmlDeviceGetCudaComputeCapability(call, major: *mut c_int, minor: *mut c_int) {
        let capability = call.device()?.identity.compute_capability.ok_or(NOT_SUPPORTED)?;
        major.put(capability.0)?;
        minor.put(capability.1)
    }

    device fn nvmlDeviceGetNumaNodeId(call, node: *mut c_uint) {
        node.put(call.device()?.identity.numa.ok_or(NOT_SUPPORTED)?)
    }

    device fn nvmlDeviceGetMemoryBusWidth(call, bits: *mut c_uint) {
        bits.put(call.number(Key::MemoryBusWidth)?)
    }

    device fn nvmlDeviceGetPersistenceMode(call, mode: *mut nvmlEnableState_t) {
        mode.put(call.number(Key::PersistenceMode)?)
    }

    device fn nvmlDeviceGetPciInfo_v3(call, pci: *mut nvmlPciInfo_t) {
        pci.put(pci_info(&call.device()?.identity.pci)?)
    }

    device fn nvmlDeviceGetSupportedEventTypes(call, types: *mut c_ulonglong) {
        call.device()?;
        types.put(u64::from(nvml_wrapper_sys::bindings::nvmlEventTypeXidCriticalError))
    }
}

/// Both forms of the bus id that the header names: domains of four and of eight digits.
fn pci_info(id: &str) -> Answer<nvmlPciInfo_t> {
    let parts: Option<Vec<u32>> =
        id.split([':', '.']).map(|part| u32::from_str_radix(part, 16).ok()).collect();
    let Some([domain, bus, device, function]) = parts.as_deref() else { return Err(UNKNOWN) };
    Ok(nvmlPciInfo_t {
        busIdLegacy: field(&format!("{domain:04X}:{bus:02X}:{device:02X}.{function:X}")),
        domain: *domain,
        bus: *bus,
        device: *device,
        pciDeviceId: 0x2330_10DE,
        pciSubSystemId: 0x16C1_10DE,
        busId: field(&format!("{domain:08X}:{bus:02X}:{device:02X}.{function:X}")),
    })
}
