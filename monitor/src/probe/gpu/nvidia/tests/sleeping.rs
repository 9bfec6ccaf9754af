//! GPUs that the system has put to sleep.

use super::*;
use crate::probe::gpu::card::testing::{plug, set};

impl Rig {
    /// A GPU of NVIDIA's on the PCI bus, in this state of power.
    fn on_bus(self, address: &str, state: &str) -> Self {
        plug(&self.machine, "nvidia", address, &[]);
        self.turn(address, state);
        self
    }

    fn turn(&self, address: &str, state: &str) {
        set(&self.machine, address, "power/runtime_status", &format!("{state}\n"));
    }
}

const ADDRESS: &str = "0000:01:00.0";

#[test]
fn a_gpu_that_sleeps_is_not_touched_until_somebody_else_wakes_it() {
    let mut running = Rig::new("device 0 h100").on_bus(ADDRESS, "suspended").open();
    assert!(running.fact("gpu.0.state").unwrap().contains("asleep"));
    running.first();
    for _ in 0..100 {
        assert_eq!(running.after(5000), Values::new());
    }
    assert_eq!(running.fake().all_calls(), 0, "not even the library is initialised");
    running.rig.turn(ADDRESS, "active");
    running.after(1000);
    let values = running.after(1000);
    assert!(values.contains_key("gpu_0_utilization_percentage"), "{values:?}");
    assert!(!values.contains_key("gpu_0_lost"), "asleep is not lost");
}

#[test]
fn a_gpu_that_falls_asleep_is_left_alone_and_nothing_is_invented_for_its_sleep() {
    let mut running = Rig::new("device 0 h100\nrate 0 energy 300_000").on_bus(ADDRESS, "active").open();
    running.first();
    assert_close(&running.after(1000), "gpu_0_energy_joules", 300.0);
    running.rig.turn(ADDRESS, "suspended");
    let calls = |running: &Running| running.fake().all_calls() - running.fake().calls("nvmlGpmSampleFree");
    let before = calls(&running);
    assert_eq!(running.after(50_000), Values::from([("gpu_0_xid_events".to_owned(), 0.0)]));
    running.after(50_000);
    assert_eq!(calls(&running), before, "but for memory that is given back");
    assert_eq!(running.fake().gpm_samples(), 0);
    running.rig.turn(ADDRESS, "active");
    let values = running.after(1000);
    assert_close(&values, "gpu_0_energy_joules", 300.0);
    assert_eq!(values.get("gpu_0_utilization_percentage"), None);
    assert_close(&running.after(1000), "gpu_0_energy_joules", 600.0);
}

#[test]
fn a_gpu_that_was_lost_and_sleeps_is_neither_lost_nor_there() {
    let script = "device 0 h100\nlost 0 from_ms=500 to_ms=1500";
    let mut running = Rig::new(script).on_bus(ADDRESS, "active").open();
    running.first();
    assert_close(&running.after(1000), "gpu_0_lost", 1.0);
    assert_close(&running.after(31_000), "gpu_0_lost", 0.0);
    running.rig.turn(ADDRESS, "suspended");
    assert_eq!(running.after(1000), Values::from([("gpu_0_xid_events".to_owned(), 0.0)]));
}

#[test]
fn of_two_gpus_only_the_one_that_is_awake_is_opened() {
    let rig = Rig::new("device 0 h100\ndevice 1 h100")
        .on_bus(ADDRESS, "suspended")
        .on_bus("0000:02:00.0", "active");
    let mut running = rig.open();
    let values = running.first();
    assert!(
        values.contains_key("gpu_1_power_usage_watts") && !values.contains_key("gpu_0_power_usage_watts")
    );
    assert_eq!(running.fake().calls("nvmlDeviceGetHandleByIndex_v2@0"), 0);
}

#[test]
fn events_of_a_gpu_that_was_asleep_are_heard_again() {
    let script = "device 0 h100\ndevice 1 h100\nlost 1 from_ms=1500 to_ms=2500\nxid 0 13 at_ms=60000";
    let rig = Rig::new(script).on_bus(ADDRESS, "active").on_bus("0000:02:00.0", "active");
    let mut running = rig.open();
    running.first();
    running.after(2000);
    running.rig.turn(ADDRESS, "suspended");
    running.after(32_000); // the other is back, and the first sleeps
    running.rig.turn(ADDRESS, "active");
    running.after(1000);
    running.after(30_000);
    assert_close(&running.after(1000), "gpu_0_xid_events", 1.0);
}

#[test]
fn a_library_that_cannot_be_loaded_when_a_gpu_wakes_is_said_to_be_missing() {
    let mut rig = Rig::new("device 0 h100").on_bus(ADDRESS, "suspended");
    rig.machine.nvml = Some(rig.fake.dir().join("none.so"));
    let mut running = rig.open();
    running.first();
    running.rig.turn(ADDRESS, "active");
    assert!(matches!(running.bench.read(), Err(ProbeError::Absent(_))));
    running.after(1000);
    let sampled = running.bench.read_after(Some(Duration::from_secs(30)));
    assert!(matches!(sampled, Err(ProbeError::Absent(_))), "it is tried again, after a while");
}

#[test]
fn other_vendors_gpus_do_not_matter() {
    let rig = Rig::new("device 0 h100 pci=0000:09:00.0");
    plug(&rig.machine, "amdgpu", ADDRESS, &[("power/runtime_status", "suspended\n")]);
    assert!(rig.open().first().contains_key("gpu_0_power_usage_watts"));
}
