//! What each reading is, in which unit, and what is asked of the driver for it.

use super::*;

#[test]
fn mlflows_five_are_what_pynvml_reads() {
    let script = "device 0 h100\nset 0 memory.total 80e9\nset 0 memory.reserved 1e9\nset 0 memory.used 19e9
        set 0 power.usage 350_000\nset 0 power.limit 700_000\nset 0 utilization.gpu 75";
    let mut running = Running::of(script);
    let values = running.after(1000);
    for (name, expected) in [
        ("gpu_0_memory_usage_megabytes", 20_000.0),
        ("gpu_0_memory_usage_percentage", 25.0),
        ("gpu_0_power_usage_watts", 350.0),
        ("gpu_0_power_usage_percentage", 50.0),
        ("gpu_0_utilization_percentage", 75.0),
    ] {
        assert_close(&values, name, expected);
    }
}

#[test]
fn the_first_sample_has_every_gauge_and_no_rate() {
    let mut running = Rig::new("device 0 h100").open_in(Tier::Compat);
    running.fake().advance(60_000);
    let names: Vec<_> = running.first().into_keys().collect();
    let gauges =
        ["memory_usage_megabytes", "memory_usage_percentage", "power_usage_percentage", "power_usage_watts"];
    assert_eq!(names, gauges.map(|name| format!("gpu_0_{name}")));
}

#[test]
fn every_other_gauge_has_its_unit() {
    let script = "device 0 h100\nset 0 temperature.gpu 61\nset 0 temperature.memory 72\nset 0 clock.sm 1410
        set 0 clock.memory 2619\nset 0 clock.graphics 1400\nset 0 utilization.encoder 3\nset 0 utilization.decoder 4
        set 0 fan.0 30\nset 0 fan.1 40\nset 0 pstate 2\nset 0 power.limit 500_000\nset 0 pcie.generation 4
        set 0 pcie.width 8\nset 0 utilization.memory 20\nset 0 throttle.reasons 36";
    let mut running = Running::of(script);
    let values = running.after(1000);
    for (name, expected) in [
        ("temperature_celsius", 61.0),
        ("memory_temperature_celsius", 72.0),
        ("sm_clock_megahertz", 1410.0),
        ("memory_clock_megahertz", 2619.0),
        ("graphics_clock_megahertz", 1400.0),
        ("encoder_utilization_percentage", 3.0),
        ("decoder_utilization_percentage", 4.0),
        ("fan_speed_percentage", 40.0),
        ("performance_state", 2.0),
        ("power_limit_watts", 500.0),
        ("pcie_link_generation", 4.0),
        ("pcie_link_width", 8.0),
        ("memory_utilization_percentage", 20.0),
        // 4 is the power limit, 32 heat as the driver sees it.
        ("power_limited_percentage", 100.0),
        ("thermal_limited_percentage", 100.0),
        ("hardware_slowdown_percentage", 0.0),
    ] {
        assert_close(&values, &format!("gpu_0_{name}"), expected);
    }
}

#[test]
fn each_reason_for_lowered_clocks_is_told_as_what_it_is() {
    // Idle, power limit, hardware, heat by the driver, heat by the hardware, another's hand on the power.
    for (reason, expected) in [
        (0x01, [false, false, false]),
        (0x04, [true, false, false]),
        (0x08, [false, false, true]),
        (0x20, [false, true, false]),
        (0x40, [false, true, false]),
        (0x80, [false, false, false]),
    ] {
        let values = Rig::new(&format!("device 0 h100\nset 0 throttle.reasons {reason}")).open().first();
        let told = ["power_limited", "thermal_limited", "hardware_slowdown"]
            .map(|name| value(&values, &format!("gpu_0_{name}_percentage")) > 0.0);
        assert_eq!(told, expected, "{reason:#x}");
    }
}

#[test]
fn drivers_before_the_newer_calls_are_read_by_the_older_ones() {
    let functions =
        ["nvmlDeviceGetTemperatureV", "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetMemoryInfo_v2"];
    let script = "device 0 h100\nset 0 temperature.gpu 61\nset 0 throttle.reasons 4
        set 0 memory.reserved 1e9\nset 0 memory.used 19e9";
    let refused = functions.map(|function| format!("\nfault 0 {function} FUNCTION_NOT_FOUND")).concat();
    for rig in [Rig::without(&functions, script), Rig::new(&format!("{script}{refused}"))] {
        let mut running = rig.open();
        running.first();
        let values = running.after(1000);
        assert_close(&values, "gpu_0_temperature_celsius", 61.0);
        assert_close(&values, "gpu_0_power_limited_percentage", 100.0);
        assert_close(&values, "gpu_0_memory_usage_megabytes", 20_000.0);
    }
}

#[test]
fn compat_asks_for_nothing_that_it_does_not_log() {
    let mut running = Rig::new("device 0 h100\nset 0 utilization.gpu 10").open_in(Tier::Compat);
    running.first();
    let before = running.fake().all_calls();
    let values = running.after(5000);
    assert_eq!(values.len(), 5);
    // Two of the ring buffer (how many, and which), memory, power.
    assert_eq!(running.fake().all_calls() - before, 4);
}

#[test]
fn a_standard_sample_makes_few_calls_however_much_the_device_knows() {
    let script = "device 0 h100\ndevice 1 h100\nset * utilization.gpu 10\nprocess 0 self memory=1e9 sm=5
        process 1 self memory=1e9 sm=5\nset * pcie.rx 5e9\nset * pcie.tx 5e9";
    let mut running = Rig::new(script).open_in(Tier::Standard);
    running.first();
    running.after(5000);
    let memory = ["nvmlGpmSampleAlloc", "nvmlGpmSampleFree"];
    let count = |running: &Running| {
        let freed: u64 = memory.iter().map(|call| running.fake().calls(call)).sum();
        running.fake().all_calls() - freed
    };
    let before = count(&running);
    let values = running.after(5000);
    assert!(values.contains_key("gpu_1_process_sm_percentage"), "{values:?}");
    assert!(values.contains_key("gpu_1_sm_active_percentage"), "{values:?}");
    assert_eq!(count(&running) - before, 2 * 17);
}

#[test]
fn mlflows_five_of_every_device_are_read_before_anything_else() {
    let running =
        Rig::new("device 0 h100\ndevice 1 h100\nhang 0 nvmlDeviceGetTemperatureV").open_in(Tier::Standard);
    let Running { rig, mut bench, .. } = running;
    std::thread::scope(|scope| {
        let sampling = scope.spawn(move || bench.read_after(None).unwrap());
        let hung = rig.fake.await_hung(1, 60_000);
        let calls = |call| rig.fake.calls(call);
        let seen = (hung, calls("nvmlDeviceGetPowerUsage@1"), calls("nvmlDeviceGetClockInfo"));
        rig.fake.release();
        let values = sampling.join().unwrap();
        assert_eq!(seen, (true, 1, 0));
        assert!(values.contains_key("gpu_1_power_usage_watts"));
    });
}

#[test]
fn mlflows_five_of_every_device_are_handed_over_before_the_rest_is_read() {
    let mut running = Rig::new("device 0 h100\ndevice 1 h100").open_in(Tier::Standard);
    let [handed] = &running.bench.handed_over()[..] else { panic!("not once") };
    assert!(handed.contains_key("gpu_1_power_usage_watts"), "{handed:?}");
    assert!(!handed.contains_key("gpu_0_temperature_celsius"), "{handed:?}");
}

#[test]
fn the_limit_of_power_is_looked_at_once_a_minute() {
    let mut running = Running::of("device 0 h100\nstep 0 power.limit 0=700_000 10000=350_000");
    let mut last = 0.0;
    for _ in 0..13 {
        last = value(&running.after(5000), "gpu_0_power_limit_watts");
    }
    assert_eq!((last, running.fake().calls("nvmlDeviceGetEnforcedPowerLimit")), (350.0, 2));
}

#[test]
fn what_passes_over_pcie_comes_from_gpm_without_the_counters() {
    let mut running = Running::of("device 0 h100\nset 0 pcie.rx 5e9\nrate 0 pcie.rx 2e9\nrate 0 pcie.tx 1e9");
    running.after(5000);
    let values = running.after(5000);
    assert_close(&values, "gpu_0_pcie_receive_megabytes_per_second", 2000.0);
    assert_close(&values, "gpu_0_pcie_transmit_megabytes_per_second", 1000.0);
    assert_eq!(running.fake().calls("nvmlDeviceGetPcieThroughput"), 0);
}

#[test]
fn what_passes_over_pcie_comes_from_the_counters_where_gpm_is_there_and_not_allowed() {
    for refused in ["nvmlGpmSampleGet NO_PERMISSION", "nvmlGpmMetricsGet NO_PERMISSION"] {
        let script = format!(
            "device 0 h100\nset 0 pcie.rx 5e9\nrate 0 pcie.rx 2e9\nset 0 pcie.tx 5e9\nfault 0 {refused}"
        );
        let mut running = Running::of(&script);
        running.after(1000);
        let values = running.after(1000);
        assert_close(&values, "gpu_0_pcie_receive_megabytes_per_second", 2000.0);
        assert_eq!(running.fake().calls("nvmlDeviceGetPcieThroughput"), 0, "{refused}");
    }
}

#[test]
fn a_call_that_blocks_is_not_made_before_it_is_known_whether_gpm_tells() {
    let script = "device 0 h100\nrate 0 pcie.rx 2e9\nfault 0 nvmlDeviceGetFieldValues/197 NOT_SUPPORTED
        fault 0 nvmlDeviceGetFieldValues/198 NOT_SUPPORTED";
    let mut running = Running::of(script);
    assert_close(&running.after(1000), "gpu_0_pcie_receive_megabytes_per_second", 2000.0);
    assert_eq!(running.fake().calls("nvmlDeviceGetPcieThroughput"), 0);
}

#[test]
fn pcie_counters_are_believed_only_where_they_are_wide() {
    let rates = |bits, tier| {
        let script = format!(
            "device 0 gtx1080\nset 0 pcie.counter_bits {bits}\nset 0 pcie.rx 3e9\nset 0 pcie.tx 5e9
            rate 0 pcie.rx 1e9\nrate 0 pcie.tx 1e9"
        );
        let mut running = Rig::new(&script).open_in(tier);
        running.first();
        let rates: Vec<_> = [1000; 4]
            .map(|millis| running.after(millis).get("gpu_0_pcie_receive_megabytes_per_second").copied())
            .to_vec();
        (rates, running.fake().calls("nvmlDeviceGetPcieThroughput"))
    };
    // 3, 4, 5, 6 and 7 billion: the first above 2³² is the third, and the first difference the fourth.
    assert_eq!(rates(64, Tier::Standard), (vec![None, None, Some(1000.0), Some(1000.0)], 0));
    assert_eq!(rates(32, Tier::Standard), (vec![None; 4], 0), "nothing is invented, and nothing blocks");
    let (full, blocking) = rates(32, Tier::Full);
    assert!(blocking > 0 && full.iter().all(Option::is_some), "{full:?}");
}

#[test]
fn nvlink_is_the_sum_of_all_links() {
    let mut running = Running::of("device 0 h100\nrate 0 nvlink.rx 36_864_000\nrate 0 nvlink.tx 18_432_000");
    let values = running.after(1000);
    assert_close(&values, "gpu_0_nvlink_receive_megabytes_per_second", 36.864);
    assert_close(&values, "gpu_0_nvlink_transmit_megabytes_per_second", 18.432);
}

#[test]
fn nvlink_comes_from_gpm_where_there_are_no_counters() {
    let script = "device 0 h100\nrate 0 nvlink.rx 36_864_000
        fault 0 nvmlDeviceGetFieldValues/138 NOT_SUPPORTED\nfault 0 nvmlDeviceGetFieldValues/139 NOT_SUPPORTED";
    let values = Running::of(script).after(1000);
    assert_close(&values, "gpu_0_nvlink_receive_megabytes_per_second", 36.864);
}
