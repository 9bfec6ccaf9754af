//! Instances of a divided GPU.

use nvml_wrapper::enum_wrappers::device::Sampling;
use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::gpm::gpm_metrics_get;

use super::{Driver, near};

const DIVIDED: &str = "device 0 h100 name=H100\n\
    mig 0.0 gi=3 name=\"H100 MIG 3g.40gb\" uuid=MIG-a\nset 0.0 memory.total 40e9\nset 0.0 memory.used 7e9\nset 0.0 gpm.sm 40\n\
    mig 0.1 gi=5 ci=1\nset 0.1 memory.total 10e9\nset 0.1 memory.used 1e9\nset 0.1 gpm.sm 80\nprocess 0.1 77 memory=5";

#[test]
fn a_divided_gpu_has_instances_with_memory_of_their_own() {
    let driver = Driver::new(DIVIDED);
    let device = driver.device();
    assert_eq!(device.mig_mode().unwrap().current, 1);
    assert_eq!(device.mig_device_count().unwrap(), 7);
    let first = device.mig_device_by_index(0).unwrap();
    assert!(first.mig_is_mig_device_handle().unwrap());
    assert!(!device.mig_is_mig_device_handle().unwrap());
    assert_eq!(first.name().unwrap(), "H100 MIG 3g.40gb");
    assert_eq!(first.uuid().unwrap(), "MIG-a");
    assert_eq!(first.memory_info().unwrap().used, 7_000_000_000);
    assert_eq!(first.mig_parent_device().unwrap().uuid().unwrap(), device.uuid().unwrap());
    assert!(driver.device_by_uuid("MIG-a").unwrap().mig_is_mig_device_handle().unwrap());
    assert!(matches!(first.power_usage(), Err(NvmlError::NotSupported)));
    assert!(matches!(device.mig_device_by_index(2), Err(NvmlError::NotFound)));
    assert!(matches!(device.mig_device_by_index(7), Err(NvmlError::InvalidArg)));
    let (mut gpu_instance, mut compute_instance) = (0, 0);
    // SAFETY: an open device and places for numbers.
    unsafe {
        let second = device.mig_device_by_index(1).unwrap().handle();
        assert_eq!(driver.lib().nvmlDeviceGetGpuInstanceId(second, &raw mut gpu_instance), 0);
        assert_eq!(driver.lib().nvmlDeviceGetComputeInstanceId(second, &raw mut compute_instance), 0);
    }
    assert_eq!((gpu_instance, compute_instance), (5, 1));
}

#[test]
fn a_gpu_that_is_not_divided_has_room_for_no_instance() {
    assert_eq!(Driver::new("device 0 h100").device().mig_device_count().unwrap(), 0);
    assert_eq!(Driver::new("device 0").device().mig_device_count().unwrap(), 0);
}

#[test]
fn a_divided_gpu_does_not_know_its_utilization() {
    let driver = Driver::new(DIVIDED);
    let device = driver.device();
    driver.fake.advance(1000);
    assert!(matches!(device.utilization_rates(), Err(NvmlError::NotSupported)));
    assert!(matches!(device.samples(Sampling::GpuUtilization, None), Err(NvmlError::NotSupported)));
    assert!(matches!(device.process_utilization_stats(None), Err(NvmlError::NotSupported)));
    assert!(device.encoder_utilization().is_err());
    assert!(device.power_usage().is_ok());
    assert_eq!(device.mig_device_by_index(0).unwrap().running_compute_processes_count().unwrap(), 0);
    let processes = device.running_compute_processes().unwrap();
    assert_eq!((processes[0].pid, processes[0].gpu_instance_id), (77, Some(5)));
}

#[test]
fn instances_are_monitored_by_the_id_of_their_gpu_instance() {
    let driver = Driver::new(DIVIDED);
    let device = driver.device();
    let mean = |id| {
        let first = device.gpm_mig_sample(id)?;
        driver.fake.advance(1000);
        let last = device.gpm_mig_sample(id)?;
        gpm_metrics_get(&driver, &first, &last, &[GpmMetricId::SmUtil])?.remove(0).map(|metric| metric.value)
    };
    near(mean(3).unwrap(), 40.0);
    near(mean(5).unwrap(), 80.0);
    assert!(matches!(mean(4), Err(NvmlError::InvalidArg)));
}
