//! What is said where there is no driver, and that nothing panics then.

use super::*;

#[test]
fn a_machine_without_a_driver_says_which_part_is_missing() {
    for (init, expected) in [
        ("init DRIVER_NOT_LOADED", "its driver is not loaded"),
        ("init LIB_RM_VERSION_MISMATCH", "of different versions"),
        ("init NO_PERMISSION", "does not let this user"),
        ("init UNKNOWN", "cannot be initialised"),
        ("driver 570.1", "has no GPU"),
    ] {
        let reason = Rig::new(init).absence();
        assert!(reason.contains(expected), "{init}: {reason}");
    }
    let mut rig = Rig::new("device 0 h100");
    rig.machine.nvml = Some(rig.fake.dir().join("none.so"));
    assert!(rig.absence().contains("not installed"), "{}", rig.absence());
}

#[test]
fn an_absent_driver_registers_nothing() {
    let rig = Rig::new("init DRIVER_NOT_LOADED");
    let mut registry = crate::registry::Registry::new(Tier::Full);
    assert!(DRIVER.open(&rig.machine, &mut registry).is_err());
    assert!(registry.entries().is_empty() && registry.facts().is_empty());
}

#[test]
fn a_driver_that_does_not_say_how_many_gpus_it_has_has_failed() {
    let rig = Rig::new("device 0 h100\nfault * nvmlDeviceGetCount_v2 UNKNOWN");
    let error = Bench::open(&DRIVER, &rig.machine).err().unwrap();
    assert!(matches!(error, ProbeError::Failed(_)), "{error}");
}

#[test]
fn one_library_is_initialised_once_however_many_runs_read_it() {
    let rig = Rig::new("device 0 h100");
    let benches = [0; 3].map(|_| Bench::open(&DRIVER, &rig.machine).unwrap());
    assert_eq!(rig.fake.calls("nvmlInit_v2"), 1);
    drop(benches);
    assert_eq!(rig.fake.users(), 1, "and it stays");
}

#[test]
fn a_library_that_cannot_give_back_what_it_gave_is_not_asked_for_it() {
    let functions = ["nvmlShutdown", "nvmlGpmSampleFree", "nvmlEventSetFree"];
    let mut running = Rig::without(&functions, "device 0 h100").open();
    running.first();
    let values = running.after(1000);
    assert!(values.contains_key("gpu_0_power_usage_watts"));
    assert!(!values.contains_key("gpu_0_sm_active_percentage") && !values.contains_key("gpu_0_xid_events"));
    assert_eq!((running.fake().gpm_samples(), running.fake().event_sets()), (0, 0));
}

#[test]
fn a_library_that_has_nothing_but_its_beginning_is_one_without_gpus() {
    let rig = Rig::without(&["nvmlDeviceGetCount_v2"], "device 0 h100");
    assert!(Bench::open(&DRIVER, &rig.machine).is_err());
    let rig = Rig::without(&["nvmlInit_v2"], "device 0 h100");
    assert!(rig.absence().contains("another one"), "{}", rig.absence());
}

#[test]
fn a_gpu_is_described_once_in_words() {
    let script = "cuda 12.8\ndriver 570.86.15\ndevice 0 h100 uuid=GPU-1\ndevice 1 gtx1080";
    let running = Rig::new(script).open();
    for (name, expected) in [
        ("gpu.count", "2"),
        ("gpu.driver", "570.86.15"),
        ("gpu.cuda", "12.8"),
        ("gpu.0.name", "NVIDIA H100 80GB HBM3"),
        ("gpu.0.uuid", "GPU-1"),
        ("gpu.0.memory_megabytes", "85521"),
        ("gpu.0.architecture", "Hopper"),
        ("gpu.0.compute_capability", "9.0"),
        ("gpu.0.energy_source", "counter"),
        ("gpu.1.energy_source", "power"),
    ] {
        assert_eq!(running.fact(name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(running.fact("gpu.2.name"), None);
}
