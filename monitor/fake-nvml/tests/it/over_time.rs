//! Counters, the ring of readings, means between samples and events.

use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enum_wrappers::device::{PcieUtilCounter, Sampling};
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::gpm::gpm_metrics_get;
use nvml_wrapper::struct_wrappers::device::Sample;

use super::{Driver, near};

#[test]
fn counters_grow_with_the_clock_and_can_go_backwards() {
    let driver =
        Driver::new("device 0 h100\nset 0 energy 1000\nrate 0 energy 0=300_000 4000=0\nstep 0 energy 9000=5");
    let energy = || driver.device().total_energy_consumption().unwrap();
    assert_eq!(energy(), 1000);
    driver.fake.advance(2000);
    assert_eq!(energy(), 601_000);
    driver.fake.advance(6000);
    assert_eq!(energy(), 1_201_000);
    driver.fake.advance(1000);
    assert_eq!(energy(), 5);
    driver.fake.change("rate 0 energy 1000").unwrap();
    driver.fake.advance(3000);
    assert_eq!(energy(), 3005);
    assert_eq!(driver.fake.now(), 12_000);
}

#[test]
fn throughput_is_that_of_the_last_moments() {
    let driver = Driver::new("device 0 h100\nrate 0 pcie.rx 1000=64_000_000 2000=0");
    let throughput = || driver.device().pcie_throughput(PcieUtilCounter::Receive).unwrap();
    assert_eq!(throughput(), 0);
    driver.fake.advance(1500);
    assert_eq!(throughput(), 64_000);
    driver.fake.advance(1000);
    assert_eq!(throughput(), 0);
}

#[test]
fn the_ring_has_a_reading_each_167_ms_and_says_when_none_is_new() {
    let driver = Driver::new("device 0 h100\nstep 0 utilization.gpu 0=80 334=0");
    let device = driver.device();
    let samples = |last: u64| device.samples(Sampling::GpuUtilization, last);
    assert!(matches!(samples(0), Err(NvmlError::NotFound)));
    driver.fake.advance(600);
    let first = samples(0).unwrap();
    assert_eq!(values(&first), [80, 80, 0]);
    assert_eq!(first[1].timestamp - first[0].timestamp, 167_000);
    let last = first[2].timestamp;
    assert!(matches!(samples(last), Err(NvmlError::NotFound)));
    driver.fake.advance(100);
    assert_eq!(values(&samples(last).unwrap()), [0]);
    driver.fake.advance(60_000);
    assert_eq!(samples(last).unwrap().len(), 120);
}

#[test]
fn the_ring_knows_what_a_look_at_the_wrong_moment_does_not() {
    let driver = Driver::new("device 0 h100\ncycle 0 utilization.gpu 10000 0=100 9000=0");
    driver.fake.advance(9500);
    assert_eq!(driver.device().utilization_rates().unwrap().gpu, 0);
    let ring = values(&driver.device().samples(Sampling::GpuUtilization, None).unwrap());
    let mean = f64::from(ring.iter().sum::<u32>()) / f64::from(u32::try_from(ring.len()).unwrap());
    assert!((94.0..97.0).contains(&mean), "{mean}");
}

#[test]
fn processes_are_as_busy_as_the_script_says() {
    let driver = Driver::new("device 0 h100\nprocess 0 77 sm=40 memory_busy=10\nprocess 0 78 sm=0");
    let device = driver.device();
    let busy = |last: u64| device.process_utilization_stats(last);
    assert!(matches!(busy(0), Err(NvmlError::NotFound)));
    driver.fake.advance(200);
    let first = busy(0).unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!((first[0].pid, first[0].sm_util, first[0].mem_util), (77, 40, 10));
    assert!(matches!(busy(first[0].timestamp), Err(NvmlError::NotFound)));
    driver.fake.change("process 0 77 sm=55").unwrap();
    driver.fake.advance(200);
    assert_eq!(busy(first[0].timestamp).unwrap()[0].sm_util, 55);
}

#[test]
fn monitoring_answers_with_means_between_two_samples() {
    let driver = Driver::new(
        "device 0 h100\nstep 0 gpm.sm 0=100 1000=0\nset 0 gpm.tensor 30\nrate 0 nvlink.rx 1_048_576\nunset 0 gpm.fp64\n\
         fault 0 nvmlGpmMetricsGet/10 NO_DATA",
    );
    let device = driver.device();
    assert!(device.gpm_support().unwrap());
    let first = device.gpm_sample().unwrap();
    driver.fake.advance(99);
    let ids = [
        GpmMetricId::SmUtil,
        GpmMetricId::AnyTensorUtil,
        GpmMetricId::DramBwUtil,
        GpmMetricId::Fp64Util,
        GpmMetricId::NvlinkTotalRxPerSec,
    ];
    let early = device.gpm_sample().unwrap();
    assert!(matches!(gpm_metrics_get(&driver, &first, &early, &ids), Err(NvmlError::InvalidArg)));
    drop(early);
    driver.fake.advance(3901);
    let last = device.gpm_sample().unwrap();
    let metrics = gpm_metrics_get(&driver, &first, &last, &ids).unwrap();
    near(metrics[0].as_ref().unwrap().value, 25.0);
    near(metrics[1].as_ref().unwrap().value, 30.0);
    assert!(matches!(metrics[2], Err(NvmlError::NoData)));
    assert!(matches!(metrics[3], Err(NvmlError::NotSupported)));
    near(metrics[4].as_ref().unwrap().value, 1.0);
    assert_eq!(driver.fake.gpm_samples(), 2);
    drop((first, last));
    assert_eq!(driver.fake.gpm_samples(), 0);
}

#[test]
fn events_are_told_once_and_only_from_registration_on() {
    let driver =
        Driver::new("device 0 h100\ndevice 1 h100\nxid 0 13\nxid 0 79 at_ms=2000\nxid 1 31 at_ms=2000");
    driver.fake.advance(1000);
    let set = driver.create_event_set().unwrap();
    let set =
        driver.device().register_events(EventTypes::CRITICAL_XID_ERROR, set).map_err(|e| e.error).unwrap();
    assert!(matches!(set.wait(0), Err(NvmlError::Timeout)));
    driver.fake.advance(1000);
    let event = format!("{:?}", set.wait(0).unwrap());
    assert!(event.contains("79"), "{event}");
    assert!(matches!(set.wait(0), Err(NvmlError::Timeout)));
    assert_eq!(driver.fake.event_sets(), 1);
    drop(set);
    assert_eq!(driver.fake.event_sets(), 0);
}

#[test]
fn an_event_that_is_there_is_told_before_the_loss_of_its_device() {
    let driver = Driver::new("device 0 h100\nxid 0 79 at_ms=1000\nlost 0 from_ms=1000");
    let set = driver.create_event_set().unwrap();
    let set =
        driver.device().register_events(EventTypes::CRITICAL_XID_ERROR, set).map_err(|e| e.error).unwrap();
    driver.fake.advance(1000);
    assert!(set.wait(0).is_ok());
    assert!(matches!(set.wait(0), Err(NvmlError::GpuLost)));
}

fn values(samples: &[Sample]) -> Vec<u32> {
    let value = |sample: &Sample| match sample.value {
        SampleValue::U32(value) => value,
        ref other => panic!("{other:?}"),
    };
    samples.iter().map(value).collect()
}
