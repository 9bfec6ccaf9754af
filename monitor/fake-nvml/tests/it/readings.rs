//! Identity and momentary values.

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, MemoryLocation, PerformanceState, TemperatureSensor,
};
use nvml_wrapper::enums::device::{SampleValue, UsedGpuMemory};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id;
use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlFieldValue_t, nvmlMemory_t, nvmlMemory_v2_t, nvmlTemperature_t,
};

use super::Driver;

#[test]
#[expect(deprecated, reason = "the search by serial number is one of the driver's")]
fn a_device_says_who_it_is() {
    let driver = Driver::new(
        "driver 575.51.03\ncuda 12.9\ndevice 0\n\
         device 1 h100 name=\"NVIDIA H100 NVL\" uuid=GPU-7 serial=42 pci=0001:0a:00.0 minor=3 arch=9 cc=9.0 cores=7 numa=1",
    );
    assert_eq!(driver.device_count().unwrap(), 2);
    assert_eq!(driver.sys_driver_version().unwrap(), "575.51.03");
    assert_eq!(driver.sys_cuda_driver_version().unwrap(), 12_090);
    for device in [
        driver.device_by_index(1).unwrap(),
        driver.device_by_uuid("GPU-7").unwrap(),
        driver.device_by_serial("42").unwrap(),
        driver.device_by_pci_bus_id("0001:0A:00.0").unwrap(),
    ] {
        assert_eq!(device.name().unwrap(), "NVIDIA H100 NVL");
        assert_eq!(device.uuid().unwrap(), "GPU-7");
        assert_eq!(device.serial().unwrap(), "42");
        assert_eq!(device.index().unwrap(), 1);
        assert_eq!(device.minor_number().unwrap(), 3);
        assert_eq!(device.num_cores().unwrap(), 7);
        assert_eq!(device.numa_node_id().unwrap(), 1);
        assert_eq!(device.architecture().unwrap().as_c(), 9);
        let capability = device.cuda_compute_capability().unwrap();
        assert_eq!((capability.major, capability.minor), (9, 0));
        let pci = device.pci_info().unwrap();
        assert_eq!(pci.bus_id, "00000001:0A:00.0");
        assert_eq!((pci.domain, pci.bus, pci.device), (1, 10, 0));
    }
    assert!(matches!(driver.device_by_uuid("GPU-8"), Err(NvmlError::NotFound)));
    assert!(matches!(driver.device_by_index(2), Err(NvmlError::InvalidArg)));
}

#[test]
fn what_is_not_set_is_not_supported() {
    let driver = Driver::new("device 0");
    let device = driver.device();
    assert!(matches!(device.memory_info(), Err(NvmlError::NotSupported)));
    assert!(matches!(device.power_usage(), Err(NvmlError::NotSupported)));
    assert!(matches!(device.num_fans(), Err(NvmlError::NotSupported)));
    assert!(matches!(device.mig_mode(), Err(NvmlError::NotSupported)));
    assert!(matches!(device.serial(), Err(NvmlError::NotSupported)));
    assert!(!device.gpm_support().unwrap());
    assert!(device.name().is_ok());
}

#[test]
fn the_first_version_of_memory_counts_what_is_reserved_as_used() {
    let driver =
        Driver::new("device 0\nset 0 memory.total 1000\nset 0 memory.reserved 100\nset 0 memory.used 300");
    let second = driver.device().memory_info().unwrap();
    assert_eq!((second.total, second.reserved, second.used, second.free), (1000, 100, 300, 600));

    let mut first = nvmlMemory_t { total: 0, free: 0, used: 0 };
    // SAFETY: an open device and a structure of the right type, here and below.
    let code = unsafe { driver.lib().nvmlDeviceGetMemoryInfo(driver.device().handle(), &raw mut first) };
    assert_eq!((code, first.total, first.used, first.free), (0, 1000, 400, 600));
}

#[test]
fn structures_of_another_version_are_refused() {
    let driver = Driver::new("device 0 h100");
    let device = unsafe_handle(&driver);
    let mut memory = nvmlMemory_v2_t { version: 1, total: 0, reserved: 0, free: 0, used: 0 };
    // SAFETY: an open device and structures of the right types.
    let codes = unsafe {
        let mut temperature: nvmlTemperature_t = std::mem::zeroed();
        let old = driver.lib().nvmlDeviceGetTemperatureV(device, &raw mut temperature);
        temperature.version = u32::try_from(size_of::<nvmlTemperature_t>()).unwrap() | (1 << 24);
        let right = driver.lib().nvmlDeviceGetTemperatureV(device, &raw mut temperature);
        assert_eq!(temperature.temperature, 30);
        (driver.lib().nvmlDeviceGetMemoryInfo_v2(device, &raw mut memory), old, right)
    };
    assert_eq!(codes, (25, 25, 0));
}

#[test]
fn power_temperature_clocks_and_limits() {
    let driver = Driver::new(
        "device 0 h100\nset 0 power.usage 350_500\nset 0 power.limit 650_000\nset 0 temperature.gpu 61\n\
         set 0 clock.sm 1755\nset 0 clock.memory 2619\nset 0 throttle.reasons 0x24\nset 0 pstate 2\n\
         set 0 utilization.encoder 12\nset 0 utilization.decoder 13\nset 0 utilization.gpu 99\nset 0 utilization.memory 40",
    );
    let device = driver.device();
    assert_eq!(device.power_usage().unwrap(), 350_500);
    assert_eq!(device.enforced_power_limit().unwrap(), 650_000);
    assert_eq!(device.power_management_limit().unwrap(), 700_000);
    assert_eq!(device.temperature(TemperatureSensor::Gpu).unwrap(), 61);
    assert_eq!(device.clock_info(Clock::SM).unwrap(), 1755);
    assert_eq!(device.clock_info(Clock::Memory).unwrap(), 2619);
    assert_eq!(device.max_clock_info(Clock::Graphics).unwrap(), 1980);
    let reasons = ThrottleReasons::SW_POWER_CAP | ThrottleReasons::SW_THERMAL_SLOWDOWN;
    assert_eq!(device.current_throttle_reasons().unwrap(), reasons);
    assert_eq!(device.performance_state().unwrap(), PerformanceState::Two);
    assert_eq!(device.encoder_utilization().unwrap().utilization, 12);
    assert_eq!(device.decoder_utilization().unwrap().utilization, 13);
    let utilization = device.utilization_rates().unwrap();
    assert_eq!((utilization.gpu, utilization.memory), (99, 40));
}

#[test]
fn errors_rows_fans_and_the_link() {
    let driver = Driver::new(
        "device 0 h100\nset 0 ecc.corrected 5\nset 0 ecc.uncorrected 2\nset 0 ecc.corrected.aggregate 9\n\
         set 0 rows.corrected 3\nset 0 rows.pending 1\nset 0 pcie.replays 7\nset 0 fan.0 30\nset 0 fan.1 45\nset 0 fan.1.rpm 1200",
    );
    let device = driver.device();
    let errors = |kind, counter| device.total_ecc_errors(kind, counter).unwrap();
    assert_eq!(errors(MemoryError::Corrected, EccCounter::Volatile), 5);
    assert_eq!(errors(MemoryError::Uncorrected, EccCounter::Volatile), 2);
    assert_eq!(errors(MemoryError::Corrected, EccCounter::Aggregate), 9);
    let at = |location| {
        device.memory_error_counter(MemoryError::Corrected, EccCounter::Volatile, location).unwrap()
    };
    assert_eq!((at(MemoryLocation::Device), at(MemoryLocation::L2Cache)), (5, 0));
    assert_eq!(device.pcie_replay_counter().unwrap(), 7);
    assert_eq!(device.current_pcie_link_gen().unwrap(), 5);
    assert_eq!(device.current_pcie_link_width().unwrap(), 16);
    assert_eq!(device.num_fans().unwrap(), 2);
    assert_eq!((device.fan_speed(0).unwrap(), device.fan_speed(1).unwrap()), (30, 45));
    assert_eq!(device.fan_speed_rpm(1).unwrap(), 1200);
    assert!(matches!(device.fan_speed(2), Err(NvmlError::InvalidArg)));

    let (mut corrected, mut uncorrected, mut pending, mut failed) = (0, 0, 0, 9);
    // SAFETY: an open device and places for numbers.
    let code = unsafe {
        driver.lib().nvmlDeviceGetRemappedRows(
            device.handle(),
            &raw mut corrected,
            &raw mut uncorrected,
            &raw mut pending,
            &raw mut failed,
        )
    };
    assert_eq!((code, corrected, uncorrected, pending, failed), (0, 3, 0, 1, 0));
}

#[test]
fn fields_have_their_types_and_their_own_errors() {
    let driver = Driver::new(
        "device 0 h100\nset 0 temperature.memory 77\nset 0 energy 123_456\nset 0 throttled.power 2e9\nunset 0 rows.corrected\n\
         fault 0 nvmlDeviceGetFieldValues/83 NO_DATA to_call=1",
    );
    let ids = [
        field_id::NVML_FI_DEV_MEMORY_TEMP,
        field_id::NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION,
        field_id::NVML_FI_DEV_PERF_POLICY_POWER,
        field_id::NVML_FI_DEV_REMAPPED_COR,
    ];
    let ask = || driver.device().field_values_for(&ids.map(FieldId)).unwrap();
    let value =
        |field: Result<nvml_wrapper::struct_wrappers::device::FieldValueSample, _>| field.unwrap().value;
    let first: Vec<_> = ask().into_iter().map(value).collect();
    assert!(matches!(first[0], Ok(SampleValue::U32(77))), "{first:?}");
    assert!(matches!(first[1], Err(NvmlError::NoData)), "{first:?}");
    assert!(matches!(first[2], Ok(SampleValue::U64(2_000_000_000))), "{first:?}");
    assert!(matches!(first[3], Err(NvmlError::NotSupported)), "{first:?}");
    let second: Vec<_> = ask().into_iter().map(value).collect();
    assert!(matches!(second[1], Ok(SampleValue::U64(123_456))), "{second:?}");
    assert_eq!(driver.fake.calls("nvmlDeviceGetFieldValues"), 2);
    assert_eq!(driver.fake.calls("nvmlDeviceGetFieldValues/82@0"), 2);
}

#[test]
fn fields_of_throttling_follow_the_numbers_of_the_driver() {
    for (version, number) in [("580.65.06", 251), ("580.82.07", 269)] {
        let driver =
            Driver::new(&format!("driver {version}\ndevice 0 h100\nset 0 throttled.sw_thermal 5000"));
        let id = FieldId(field_id::NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN);
        let wrapped = driver.device().field_values_for(&[id]).unwrap().remove(0).unwrap();
        assert!(matches!(wrapped.value, Ok(SampleValue::U64(5000))), "{version}: {wrapped:?}");
        assert_eq!(field(&driver, number, 0), Ok(5000), "{version}");
        assert_eq!(
            field(&driver, 520 - number, 0),
            Err(3),
            "{version}: the other scheme's number is another field"
        );
    }
}

#[test]
fn links_are_counted_alone_or_together() {
    let driver = Driver::new("device 0 h100\nset 0 nvlink.links 4\nset 0 nvlink.rx 8_388_608");
    let received = field_id::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX;
    assert_eq!(field(&driver, received, u32::MAX), Ok(8192));
    assert_eq!(field(&driver, received, 0), Ok(2048));
    assert_eq!(field(&driver, received, 3), Ok(2048));
    assert_eq!(field(&driver, received, 4), Err(2));
}

#[test]
fn pcie_counters_wrap_where_the_script_says() {
    let driver = Driver::new("device 0 h100\nset 0 pcie.counter_bits 32\nset 0 pcie.tx 4_294_967_306");
    assert_eq!(field(&driver, field_id::NVML_FI_DEV_PCIE_COUNT_TX_BYTES, 0), Ok(10));
}

#[test]
fn processes_are_counted_before_they_are_told() {
    let driver = Driver::new(
        "device 0 h100\nprocess 0 self memory=2e9\nprocess 0 77\nprocess 0 78 kind=graphics memory=5\n\
         process 0 79 memory=1 from_ms=1000 to_ms=2000",
    );
    let device = driver.device();
    let told = |list: Vec<nvml_wrapper::struct_wrappers::device::ProcessInfo>| -> Vec<_> {
        list.into_iter().map(|info| (info.pid, info.used_gpu_memory)).collect()
    };
    let compute = told(device.running_compute_processes().unwrap());
    assert_eq!(
        compute,
        [(std::process::id(), UsedGpuMemory::Used(2_000_000_000)), (77, UsedGpuMemory::Unavailable)]
    );
    assert_eq!(told(device.running_graphics_processes().unwrap()), [(78, UsedGpuMemory::Used(5))]);
    driver.fake.advance(1000);
    assert_eq!(device.running_compute_processes_count().unwrap(), 3);
    driver.fake.advance(1000);
    assert_eq!(device.running_compute_processes_count().unwrap(), 2);

    let (mut room, mut one) = (1, Vec::with_capacity(1));
    // SAFETY: an open device, and room for as many as is said.
    let code = unsafe {
        driver.lib().nvmlDeviceGetComputeRunningProcesses_v3(device.handle(), &raw mut room, one.as_mut_ptr())
    };
    assert_eq!((code, room), (7, 2));
}

fn unsafe_handle(driver: &Driver) -> nvmlDevice_t {
    // SAFETY: used while the library is open.
    unsafe { driver.device().handle() }
}

/// One field as a count, or its code.
fn field(driver: &Driver, field: u32, scope: u32) -> Result<u64, u32> {
    // SAFETY: zero is a value of every member; an open device; one structure, as is said.
    unsafe {
        let mut value: nvmlFieldValue_t = std::mem::zeroed();
        (value.fieldId, value.scopeId) = (field, scope);
        assert_eq!(driver.lib().nvmlDeviceGetFieldValues(unsafe_handle(driver), 1, &raw mut value), 0);
        if value.nvmlReturn == 0 { Ok(value.value.ullVal) } else { Err(value.nvmlReturn) }
    }
}
