//! GPUs that do not answer any more, and those that come back.

use super::*;

const SCRIPT: &str =
    "device 0 h100\ndevice 1 h100\nrate * energy 300_000\nrate * nvlink.rx 1_024_000\nset * gpm.sm 50
    rate * throttled.power 100_000_000";

#[test]
fn a_lost_gpu_is_said_to_be_lost_and_the_other_goes_on() {
    let mut running = Running::of(&format!("{SCRIPT}\nlost 1 from_ms=2500"));
    let values = running.after(1000);
    assert!(!values.contains_key("gpu_1_lost"), "no point before it was lost");
    running.after(1000);
    let values = running.after(1000);
    assert_close(&values, "gpu_1_lost", 1.0);
    assert!(!values.contains_key("gpu_0_lost"));
    let of_lost: Vec<_> = values.keys().filter(|name| name.starts_with("gpu_1_")).collect();
    assert_eq!(of_lost, ["gpu_1_lost", "gpu_1_xid_events"]);
    let before = running.fake().calls("nvmlDeviceGetMemoryInfo_v2@1");
    for _ in 0..29 {
        let values = running.after(1000);
        assert_close(&values, "gpu_1_lost", 1.0);
        assert!(values.contains_key("gpu_0_utilization_percentage"));
    }
    assert_eq!(running.fake().calls("nvmlDeviceGetMemoryInfo_v2@1"), before, "it is left alone for 30 s");
}

#[test]
fn nothing_is_invented_for_the_time_in_which_a_gpu_was_lost() {
    let mut running = Running::of(&format!("{SCRIPT}\nlost 1 from_ms=2500 to_ms=40000"));
    running.after(1000);
    let last = value(&running.after(1000), "gpu_1_energy_joules");
    assert!((last - 600.0).abs() < 1e-6);
    let mut values = Values::new();
    let back = (0..100).find(|_| {
        values = running.after(1000);
        value(&values, "gpu_1_lost") == 0.0
    });
    // Lost at 3 s, in vain at 33 s, and back at 63 s.
    assert_eq!(back, Some(60));
    assert_close(&values, "gpu_1_energy_joules", 600.0);
    assert_close(&values, "gpu_1_power_throttled_seconds", 0.2);
    for rate in ["nvlink_receive_megabytes_per_second", "utilization_percentage", "sm_active_percentage"] {
        assert_eq!(values.get(&format!("gpu_1_{rate}")), None, "{rate}");
    }
    let values = running.after(1000);
    assert_close(&values, "gpu_1_energy_joules", 900.0);
    assert_close(&values, "gpu_1_nvlink_receive_megabytes_per_second", 1.024);
    assert_close(&values, "gpu_1_sm_active_percentage", 50.0);
    assert_close(&values, "gpu_1_lost", 0.0);
    assert_close(&values, "gpu_0_energy_joules", 64.0 * 300.0);
    assert_eq!(running.fake().gpm_samples(), 2);
}

#[test]
fn events_are_heard_of_a_gpu_that_came_back() {
    let mut running = Running::of("device 0 h100\nlost 0 from_ms=500 to_ms=10000\nxid 0 13 at_ms=50000");
    for _ in 0..60 {
        running.after(1000);
    }
    assert_close(&running.after(1000), "gpu_0_xid_events", 1.0);
    assert_eq!(running.fake().event_sets(), 1);
}

#[test]
fn events_are_heard_of_the_others_before_and_while_a_gpu_is_lost_and_of_what_it_was_lost_by() {
    let mut running = Running::of(
        "device 0 h100\ndevice 1 h100\nxid 1 13 at_ms=400\nxid 0 79 at_ms=500\nlost 0 from_ms=500\nxid 1 13 at_ms=5000",
    );
    let values = running.after(1000);
    assert_close(&values, "gpu_0_lost", 1.0);
    assert_close(&values, "gpu_0_xid_events", 1.0);
    assert_close(&values, "gpu_1_xid_events", 1.0);
    for _ in 0..4 {
        running.after(1000);
    }
    let values = running.after(1000);
    assert_close(&values, "gpu_0_xid_events", 1.0);
    assert_close(&values, "gpu_1_xid_events", 2.0);
}

#[test]
fn an_event_that_the_driver_held_back_while_a_gpu_was_lost_is_heard_when_it_is_back() {
    let mut running = Running::of(
        "device 0 h100\nlost 0 from_ms=500 to_ms=20000\nxid 0 79 at_ms=700
        fault * nvmlEventSetWait_v2 TIMEOUT to_ms=20000",
    );
    assert_close(&running.after(1000), "gpu_0_xid_events", 0.0);
    let values = running.after(31_000);
    assert_close(&values, "gpu_0_lost", 0.0);
    assert_close(&values, "gpu_0_xid_events", 1.0);
    assert_close(&running.after(1000), "gpu_0_xid_events", 1.0);
    assert_eq!(running.fake().event_sets(), 1);
}

#[test]
fn another_gpu_under_the_index_of_a_lost_one_is_not_taken_for_it() {
    let script = "device 0 h100\nlost 0 from_ms=500 to_ms=1500\nfault * nvmlDeviceGetHandleByUUID NOT_FOUND";
    let mut running = Running::of(script);
    for _ in 0..100 {
        let values = running.after(1000);
        assert_close(&values, "gpu_0_lost", 1.0);
        assert_eq!(values.get("gpu_0_power_usage_watts"), None);
    }
}

#[test]
fn the_sample_that_first_finds_a_gpu_lost_names_it_and_no_other_sample_does() {
    let mut running = Running::of(&format!("{SCRIPT}\nlost 1 from_ms=500 to_ms=50000\nlost 1 from_ms=90000"));
    for _ in 0..200 {
        running.after(1000);
    }
    let [loss] = &running.losses[..] else { panic!("{:?}", running.losses) };
    assert!(loss.contains("GPU 1 (GPU-") && loss.contains("asked again every 30 s"), "{loss}");
}

#[test]
fn a_reset_that_is_required_is_a_loss() {
    let mut running = Running::of("device 0 h100\nfault 0 * RESET_REQUIRED from_ms=500");
    assert_close(&running.after(1000), "gpu_0_lost", 1.0);
}

#[test]
fn a_gpu_that_is_lost_from_the_start_is_found_when_it_comes() {
    let mut running = Rig::new("device 0 h100\ndevice 1 h100\nlost 0 to_ms=20000").open();
    assert!(running.fact("gpu.0.state").is_some());
    let values = running.first();
    assert_close(&values, "gpu_0_lost", 1.0);
    assert!(values.contains_key("gpu_1_power_usage_watts"));
    let back = (0..100).find(|_| running.after(1000).contains_key("gpu_0_power_usage_watts"));
    assert_eq!(back, Some(29));
}
