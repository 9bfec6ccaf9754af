//! What goes wrong: absent drivers, faults, lost devices, slow calls and calls that hang.

use std::thread;

use fake_nvml::FakeNvml;
use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::error::NvmlError;

use super::{Driver, open};

#[test]
fn a_driver_can_refuse_to_begin() {
    for (code, is) in [
        ("DRIVER_NOT_LOADED", "DriverNotLoaded"),
        ("18", "LibRmVersionMismatch"),
        ("29", "UnexpectedVariant(29)"),
    ] {
        let fake = FakeNvml::new(&format!("init {code}")).unwrap();
        let error = Nvml::builder().lib_path(fake.path().as_os_str()).init().unwrap_err();
        assert_eq!(format!("{error:?}"), is);
        assert_eq!(fake.users(), 0);
    }
}

#[test]
fn who_is_not_initialized_is_refused() {
    let driver = Driver::new("device 0 h100");
    assert_eq!(driver.fake.users(), 1);
    let mut count = 0;
    // SAFETY: a place for a number; the library stays loaded.
    unsafe {
        assert_eq!(driver.lib().nvmlShutdown(), 0);
        assert_eq!(driver.lib().nvmlDeviceGetCount_v2(&raw mut count), 1);
        assert_eq!(driver.lib().nvmlShutdown(), 1);
        assert_eq!(driver.lib().nvmlInitWithFlags(0), 0);
    }
    assert_eq!(driver.device_count().unwrap(), 1);
}

#[test]
fn a_fault_meets_one_call_of_one_device() {
    let driver = Driver::new("device 0 h100\ndevice 1 h100\nfault 1 nvmlDeviceGetPowerUsage UNKNOWN");
    let second = driver.device_by_index(1).unwrap();
    assert!(driver.device().power_usage().is_ok());
    assert!(matches!(second.power_usage(), Err(NvmlError::Unknown)));
    assert!(second.memory_info().is_ok());
    assert_eq!(driver.fake.calls("nvmlDeviceGetPowerUsage"), 2);
    assert_eq!(driver.fake.calls("nvmlDeviceGetPowerUsage@1"), 1);
}

#[test]
fn faults_begin_and_end_with_time_and_with_calls() {
    let driver = Driver::new(
        "device 0 h100\nfault 0 nvmlDeviceGetPowerUsage UNKNOWN from_ms=1000 to_ms=2000\n\
         fault 0 nvmlDeviceGetMemoryInfo_v2 NO_DATA from_call=2 to_call=3",
    );
    let power = || driver.device().power_usage().is_ok();
    assert!(power());
    driver.fake.advance(1000);
    assert!(!power());
    driver.fake.advance(1000);
    assert!(power());
    let memory: Vec<_> = (0..5).map(|_| driver.device().memory_info().is_ok()).collect();
    assert_eq!(memory, [true, false, false, true, true]);
}

#[test]
fn a_star_meets_every_call_on_a_handle() {
    let driver = Driver::new("device 0 h100\nfault * * NOT_SUPPORTED");
    let device = driver.device();
    assert!(matches!(device.name(), Err(NvmlError::NotSupported)));
    assert!(matches!(device.power_usage(), Err(NvmlError::NotSupported)));
    assert_eq!(driver.device_count().unwrap(), 1);
}

#[test]
fn a_lost_device_answers_nothing_and_comes_back() {
    let driver = Driver::new("device 0 h100\ndevice 1 h100\nlost 0 from_ms=1000 to_ms=5000");
    let (lost, other) = (driver.device(), driver.device_by_index(1).unwrap());
    let set = driver.create_event_set().unwrap();
    let set = lost.register_events(EventTypes::CRITICAL_XID_ERROR, set).map_err(|e| e.error).unwrap();
    driver.fake.advance(1000);
    assert!(matches!(lost.power_usage(), Err(NvmlError::GpuLost)));
    assert!(matches!(driver.device_by_index(0), Err(NvmlError::GpuLost)));
    assert!(matches!(set.wait(0), Err(NvmlError::GpuLost)));
    assert!(other.power_usage().is_ok());
    driver.fake.advance(4000);
    assert!(lost.power_usage().is_ok());
    assert!(driver.device_by_index(0).is_ok());
}

#[test]
fn a_device_that_cannot_be_opened_still_counts() {
    let driver =
        Driver::new("device 0 h100\ndevice 1 h100\nfault 0 nvmlDeviceGetHandleByIndex_v2 NO_PERMISSION");
    assert_eq!(driver.device_count().unwrap(), 2);
    assert!(matches!(driver.device_by_index(0), Err(NvmlError::NoPermission)));
    assert!(driver.device_by_index(1).is_ok());
}

#[test]
fn a_slow_call_takes_time_off_the_clock() {
    let driver = Driver::new("device 0 h100\nslow * nvmlDeviceGetPowerUsage 3000");
    assert!(driver.device().power_usage().is_ok());
    assert_eq!(driver.fake.now(), 3000);
}

#[test]
fn with_the_real_clock_a_slow_call_takes_as_long_and_a_wait_ends_with_its_event() {
    let fake = FakeNvml::new("device 0 h100\nslow 0 nvmlDeviceGetPowerUsage 30").unwrap();
    let nvml = open(&fake);
    let device = nvml.device_by_index(0).unwrap();
    let before = fake.now();
    assert!(device.power_usage().is_ok());
    assert!(fake.now() >= before + 30);
    fake.change("xid 0 31 at_ms=100").unwrap();
    let set = nvml.create_event_set().unwrap();
    let set = device.register_events(EventTypes::CRITICAL_XID_ERROR, set).map_err(|e| e.error).unwrap();
    assert!(set.wait(600_000).is_ok());
    assert!(fake.now() >= before + 100);
    assert!(fake.now() < 600_000);
}

#[test]
fn a_call_hangs_until_it_is_released_while_others_go_on() {
    let driver = Driver::new("device 0 h100\nhang 0 nvmlDeviceGetPowerUsage");
    thread::scope(|scope| {
        let hung = scope.spawn(|| driver.device().power_usage());
        assert!(driver.fake.await_hung(1, 60_000));
        assert!(driver.device().memory_info().is_ok());
        assert!(!hung.is_finished());
        driver.fake.release();
        assert_eq!(hung.join().unwrap().unwrap(), 70_000);
    });
    assert!(driver.device().power_usage().is_ok(), "what was released hangs no more");
}

#[test]
fn an_older_library_lacks_functions() {
    let fake = FakeNvml::without(&["nvmlDeviceGetPowerUsage"], "device 0 h100").unwrap();
    let nvml = open(&fake);
    let device = nvml.device_by_index(0).unwrap();
    assert!(matches!(device.power_usage(), Err(NvmlError::FailedToLoadSymbol(_))));
    assert!(device.enforced_power_limit().is_ok());
    assert!(FakeNvml::without(&["nvmlDeviceGetPower"], "").is_err());
}

#[test]
fn each_fake_is_its_own() {
    let (one, other) =
        (Driver::new("device 0 h100"), Driver::new("device 0 h100\ndevice 1\nset 0 power.usage 5"));
    one.fake.advance(1000);
    assert_eq!((one.device_count().unwrap(), other.device_count().unwrap()), (1, 2));
    assert_eq!((one.device().power_usage().unwrap(), other.device().power_usage().unwrap()), (70_000, 5));
    assert_eq!((one.fake.now(), other.fake.now()), (1000, 0));
    assert_eq!(other.fake.calls("nvmlDeviceGetPowerUsage"), 1);
}

#[test]
fn a_script_anew_begins_with_time_and_counts() {
    let fake = FakeNvml::new("clock manual\ndevice 0 h100").unwrap();
    let nvml = open(&fake);
    fake.advance(5000);
    assert!(nvml.device_by_index(0).unwrap().power_usage().is_ok());
    assert!(fake.all_calls() > 2);
    fake.script("clock manual\ndevice 0\ndevice 1").unwrap();
    assert_eq!((fake.now(), fake.all_calls()), (0, 0));
    assert_eq!(nvml.device_count().unwrap(), 2);
}
