//! Means over the whole time between two samples.

use super::*;

#[test]
fn a_gpu_that_is_busy_between_samples_is_seen_to_be_busy() {
    // Every sample falls into the idle second.
    let mut running = Running::of("device 0 h100\ncycle 0 utilization.gpu 10000 0=100 9000=0");
    running.after(9500);
    let means: Vec<_> =
        (0..6).map(|_| value(&running.after(10_000), "gpu_0_utilization_percentage")).collect();
    assert_eq!(running.fake().calls("nvmlDeviceGetUtilizationRates"), 0);
    let mean = means.iter().sum::<f64>() / 6.0;
    assert!((mean - 90.0).abs() < 1.0, "{means:?}");
}

#[test]
fn what_the_ring_buffer_holds_from_before_the_run_is_not_of_the_run() {
    let mut running = Rig::new("device 0 h100\nstep 0 utilization.gpu 0=100 10020=0").open();
    running.fake().advance(10_020); // 60 entries of the ring
    running.first();
    assert_close(&running.after(1000), "gpu_0_utilization_percentage", 0.0);
}

#[test]
fn after_a_gap_nothing_is_averaged_over_it() {
    let mut running =
        Running::of("device 0 h100\nstep 0 utilization.gpu 0=0 5000=100 15030=0\nrate 0 nvlink.rx 1_024_000");
    running.after(5000);
    running.fake().advance(10_030);
    let values = running.first();
    for rate in ["utilization_percentage", "nvlink_receive_megabytes_per_second", "sm_active_percentage"] {
        assert_eq!(values.get(&format!("gpu_0_{rate}")), None, "{rate}");
    }
    let values = running.after(5000);
    assert_close(&values, "gpu_0_utilization_percentage", 0.0);
    assert_close(&values, "gpu_0_nvlink_receive_megabytes_per_second", 1.024);
}

#[test]
fn the_moment_stands_in_where_the_ring_buffer_has_nothing_new_or_is_not_there() {
    let mut running = Running::of("device 0 h100\nset 0 utilization.gpu 40");
    assert_close(&running.after(50), "gpu_0_utilization_percentage", 40.0);
    let mut running =
        Running::of("device 0 h100\nset 0 utilization.gpu 40\nfault 0 nvmlDeviceGetSamples NOT_SUPPORTED");
    assert_close(&running.after(1000), "gpu_0_utilization_percentage", 40.0);
    running.after(1000);
    // Once for each of the two kinds of time.
    assert_eq!(running.fake().calls("nvmlDeviceGetSamples"), 2);
}

#[test]
fn gpm_is_the_mean_since_the_last_sample_and_leaves_no_sample_behind() {
    let script = "device 0 h100\ncycle 0 gpm.sm 5000 0=100 4000=0\nset 0 gpm.tensor 30\nset 0 gpm.dram 20
        set 0 gpm.occupancy 10\nset 0 gpm.fp16 3";
    let mut running = Running::of(script);
    for _ in 0..20 {
        let values = running.after(5000);
        assert_close(&values, "gpu_0_sm_active_percentage", 80.0);
        assert_close(&values, "gpu_0_tensor_active_percentage", 30.0);
        assert_close(&values, "gpu_0_dram_active_percentage", 20.0);
        assert_close(&values, "gpu_0_sm_occupancy_percentage", 10.0);
        assert_close(&values, "gpu_0_fp16_active_percentage", 3.0);
        assert_eq!(running.fake().gpm_samples(), 1, "the one to compare with");
    }
    assert_eq!(running.fake().calls("nvmlGpmSampleGet"), 21);
    let Running { rig, bench, .. } = running;
    drop(bench);
    assert_eq!(rig.fake.gpm_samples(), 0);
}

#[test]
fn gpm_samples_that_are_too_close_are_not_compared() {
    let mut running = Running::of("device 0 h100\nset 0 gpm.sm 50");
    assert_eq!(running.after(60).get("gpu_0_sm_active_percentage"), None);
    assert_close(&running.after(60), "gpu_0_sm_active_percentage", 50.0);
    assert_eq!(running.fake().calls("nvmlGpmSampleGet"), 2);
}

#[test]
fn gpm_samples_that_the_driver_finds_too_close_do_not_end_gpm() {
    let mut running = Running::of("device 0 h100\nset 0 gpm.sm 50");
    running.fake().advance(60);
    assert_eq!(running.bench.read().unwrap().get("gpu_0_sm_active_percentage"), None);
    running.after(1000);
    assert_close(&running.after(1000), "gpu_0_sm_active_percentage", 50.0);
}

#[test]
fn older_chips_are_asked_for_gpm_once() {
    let mut running = Running::of("device 0 gtx1080");
    running.after(1000);
    running.after(1000);
    assert_eq!(running.fake().calls("nvmlGpmQueryDeviceSupport"), 1);
    assert_eq!(running.fake().calls("nvmlGpmSampleGet"), 0);
}

#[test]
fn our_processes_part_is_told_and_that_of_others_is_not() {
    let script =
        "device 0 h100\ndevice 1 h100\nprocess 0 self memory=3e9 sm=40\nprocess 0 4000000 memory=9e9 sm=50
        process 1 4000000 memory=9e9 sm=50";
    let mut running = Running::of(script);
    let values = running.after(1000);
    assert_close(&values, "gpu_0_process_memory_megabytes", 3000.0);
    assert_close(&values, "gpu_0_process_sm_percentage", 40.0);
    assert_eq!(values.keys().filter(|name| name.starts_with("gpu_1_process")).count(), 0, "{values:?}");
    assert_eq!(running.fake().calls("nvmlDeviceGetProcessUtilization@1"), 0);
}
