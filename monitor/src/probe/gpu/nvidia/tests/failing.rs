//! Calls that fail, one by one.

use super::*;

#[test]
fn what_a_device_does_not_support_is_asked_for_once() {
    let mut running = Rig::new("device 0").open();
    running.first();
    let before = running.fake().all_calls();
    for _ in 0..100 {
        let values = running.after(5000);
        assert_eq!(values.into_keys().collect::<Vec<_>>(), ["gpu_0_xid_events"]);
    }
    let once = running.fake().all_calls() - before;
    // The events and the processes, of which there are none, are looked for each time; the moment's utilization is asked
    // for from the second sample on, once for each kind.
    assert_eq!(once, 2 * 100 + 2);
}

#[test]
fn every_call_unsupported_leaves_no_points_and_no_questions() {
    let mut running = Rig::new("device 0 h100\nfault 0 * NOT_SUPPORTED").open();
    running.first();
    running.after(1000);
    let before = running.fake().all_calls();
    assert_eq!(running.after(1000), Values::new());
    assert_eq!(running.fake().all_calls(), before);
}

#[test]
fn a_call_that_fails_for_the_moment_is_made_again_ever_more_seldom_and_the_others_go_on() {
    let mut running = Running::of("device 0 h100\nfault 0 nvmlDeviceGetPowerUsage UNKNOWN to_ms=600000");
    let mut answered = 0;
    for _ in 0..590 {
        let values = running.after(1000);
        answered += usize::from(values.contains_key("gpu_0_memory_usage_megabytes"));
        assert!(!values.contains_key("gpu_0_power_usage_watts"));
    }
    assert_eq!(answered, 590);
    // After 0, 1, 3, 7, 15, 31, 63, 127, 255 and 511 s.
    assert_eq!(running.fake().calls("nvmlDeviceGetPowerUsage"), 10);
    let again = (0..400).find(|_| running.after(1000).contains_key("gpu_0_power_usage_watts"));
    assert!(again.is_some(), "it is never given up");
    assert!(running.after(1000).contains_key("gpu_0_power_usage_watts"), "and at once as often as before");
}

#[test]
fn errors_that_have_no_name_in_the_wrapper_are_told_apart_by_their_number() {
    // 25: of another version of a structure; 27: not ready.
    let script =
        "device 0 h100\nfault 0 nvmlDeviceGetPowerUsage 25\nfault 0 nvmlDeviceGetClockInfo 27 to_ms=500";
    let mut running = Running::of(script);
    for _ in 0..3 {
        running.after(10_000);
    }
    assert_eq!(running.fake().calls("nvmlDeviceGetPowerUsage"), 1);
    assert!(running.after(1000).contains_key("gpu_0_sm_clock_megahertz"));
}

#[test]
fn one_field_that_is_unknown_takes_nothing_from_the_others() {
    let script = "device 0 h100\nfault 0 nvmlDeviceGetFieldValues/82 NOT_SUPPORTED";
    let mut running = Running::of(script);
    for _ in 0..3 {
        let values = running.after(1000);
        assert!(!values.contains_key("gpu_0_memory_temperature_celsius"));
        assert!(values.contains_key("gpu_0_energy_joules"));
    }
    assert_eq!(running.fake().calls("nvmlDeviceGetFieldValues/82"), 1);
}

#[test]
fn a_rate_over_samples_without_a_reading_is_over_their_time_too() {
    let script = "device 0 h100\nrate 0 nvlink.rx 1e6\nfault 0 nvmlDeviceGetFieldValues TIMEOUT from_ms=500 to_ms=2500";
    let mut running = Running::of(script);
    let rates = [1000; 5]
        .map(|millis| running.after(millis).get("gpu_0_nvlink_receive_megabytes_per_second").copied());
    let there: Vec<_> = rates.into_iter().flatten().collect();
    assert!(there.len() >= 2 && there.len() < 5, "{rates:?}");
    assert!(there.iter().all(|rate| (rate - 1.0).abs() < 0.01), "{rates:?}");
}
