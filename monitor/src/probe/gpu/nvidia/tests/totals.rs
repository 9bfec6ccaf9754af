//! What comes together over a run.

use super::*;

#[test]
fn energy_is_the_drivers_counter_where_there_is_one() {
    // The counter and the power disagree, so that one can see which it is.
    let mut running =
        Rig::new("device 0 h100\nset 0 energy 5e9\nrate 0 energy 300_000\nset 0 power.usage 100_000").open();
    running.fake().advance(3000);
    assert_close(&running.first(), "gpu_0_energy_joules", 0.0);
    running.after(5000);
    assert_close(&running.after(5000), "gpu_0_energy_joules", 3000.0);
}

#[test]
fn energy_is_power_over_time_where_there_is_no_counter() {
    let mut running =
        Running::of("device 0 gtx1080\nstep 0 power.usage 0=100_000 1000=200_000 2000=200_000 3000=100_000");
    let energies: Vec<_> =
        [1000; 3].map(|millis| value(&running.after(millis), "gpu_0_energy_joules")).to_vec();
    assert_eq!(energies, [150.0, 350.0, 500.0]);
    running.fake().advance(3_600_000);
    assert_close(&running.first(), "gpu_0_energy_joules", 500.0);
    assert_close(&running.after(1000), "gpu_0_energy_joules", 600.0);
}

#[test]
fn no_power_is_assumed_for_a_time_in_which_it_was_not_read() {
    let mut running = Running::of(
        "device 0 gtx1080\nset 0 power.usage 100_000\nfault 0 nvmlDeviceGetPowerUsage TIMEOUT from_ms=1500 to_ms=2500",
    );
    let energies = [1000; 4].map(|millis| running.after(millis).get("gpu_0_energy_joules").copied());
    assert_eq!(energies, [Some(100.0), None, Some(100.0), Some(200.0)]);
}

#[test]
fn a_counter_that_fails_for_the_moment_is_not_replaced_by_power() {
    let script = "device 0 h100\nset 0 energy 0\nrate 0 energy 300_000\nset 0 power.usage 100_000
        fault 0 nvmlDeviceGetFieldValues/83 TIMEOUT from_ms=500 to_ms=1500";
    let mut running = Running::of(script);
    assert_eq!(running.after(1000).get("gpu_0_energy_joules"), None);
    assert_close(&running.after(1000), "gpu_0_energy_joules", 600.0);
}

#[test]
fn seconds_of_lowered_clocks_are_exact_whatever_the_interval() {
    let script = "device 0 h100\nset 0 throttled.power 7e9\nrate 0 throttled.power 0=250_000_000 8000=0
        rate 0 throttled.sw_thermal 50_000_000\nrate 0 throttled.hw_thermal 100_000_000
        rate 0 throttled.thermal 20_000_000";
    for driver in ["driver 570.86.15", "driver 580.95.05"] {
        let mut running = Running::of(&format!("{driver}\n{script}"));
        running.after(3000);
        let values = running.after(7000);
        assert_close(&values, "gpu_0_power_throttled_seconds", 2.0);
        assert_close(&values, "gpu_0_thermal_throttled_seconds", 1.0);
    }
}

#[test]
fn older_drivers_count_heat_in_one_field() {
    let mut running = Running::of("device 0 gtx1080\nrate 0 throttled.thermal 100_000_000");
    assert_close(&running.after(5000), "gpu_0_thermal_throttled_seconds", 0.5);
}

#[test]
fn errors_are_counted_from_when_the_run_began() {
    let script = "device 0 h100\nset 0 ecc.corrected 1000\nset 0 ecc.uncorrected 3\nset 0 rows.corrected 8
        set 0 rows.uncorrected 1\nset 0 pcie.replays 50";
    let mut running = Running::of(script);
    running
        .fake()
        .change(
            "set 0 ecc.corrected 1007\nset 0 ecc.uncorrected 4\nset 0 rows.corrected 10\nset 0 rows.uncorrected 2
        set 0 rows.pending 1\nset 0 pcie.replays 53",
        )
        .unwrap();
    let values = running.after(1000);
    for (name, expected) in [
        ("ecc_corrected_errors", 7.0),
        ("ecc_uncorrected_errors", 1.0),
        ("remapped_rows_corrected", 2.0),
        ("remapped_rows_uncorrected", 1.0),
        ("row_remap_pending", 1.0),
        ("pcie_replays", 3.0),
    ] {
        assert_close(&values, &format!("gpu_0_{name}"), expected);
    }
}

#[test]
fn counters_that_run_backwards_take_nothing_away() {
    let mut running = Running::of(
        "device 0 h100\nset 0 energy 9e6\nset 0 ecc.corrected 100\nset 0 throttled.power 9e9
        set 0 nvlink.rx 9e9",
    );
    running.fake().change("set 0 energy 10e6\nset 0 ecc.corrected 110\nset 0 throttled.power 10e9").unwrap();
    running.after(1000);
    // The driver was loaded anew.
    running
        .fake()
        .change("set 0 energy 1e6\nset 0 ecc.corrected 2\nset 0 throttled.power 1e9\nset 0 nvlink.rx 1e9")
        .unwrap();
    let values = running.after(1000);
    assert_close(&values, "gpu_0_energy_joules", 1000.0);
    assert_close(&values, "gpu_0_ecc_corrected_errors", 10.0);
    assert_close(&values, "gpu_0_power_throttled_seconds", 1.0);
    assert_eq!(values.get("gpu_0_nvlink_receive_megabytes_per_second"), None);
    running.fake().change("set 0 energy 3e6").unwrap();
    assert_close(&running.after(1000), "gpu_0_energy_joules", 3000.0);
}

#[test]
fn events_are_counted_for_the_gpu_that_they_are_of_without_waiting() {
    let script = "device 0 h100\ndevice 1 h100\ndevice 2 h100\nfault 1 nvmlDeviceRegisterEvents NOT_SUPPORTED
        xid 2 79 at_ms=1500\nxid 2 31 at_ms=1600\nxid 0 13 at_ms=2500";
    let mut running = Running::of(script);
    let count = |values: &Values, gpu| values.get(&format!("gpu_{gpu}_xid_events")).copied();
    let counts = |values: Values| [count(&values, 0), count(&values, 1), count(&values, 2)];
    assert_eq!(counts(running.after(1000)), [Some(0.0), None, Some(0.0)]);
    assert_eq!(counts(running.after(1000)), [Some(0.0), None, Some(2.0)]);
    assert_eq!(counts(running.after(1000)), [Some(1.0), None, Some(2.0)]);
    assert_eq!(running.fake().event_sets(), 2);
    let Running { rig, bench, .. } = running;
    drop(bench);
    assert_eq!(rig.fake.event_sets(), 0);
}
