//! Every metric of the machine on the files of a bare host: all of them, with some missing, and with garbage in them.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use runlog_core::autolog::Tier;
use runlog_monitor::readers::Readers;

#[cfg(test)]
mod fixture;

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

/// What belongs to the process, its container or a GPU is read elsewhere.
fn of_host(mut values: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    values.retain(|name, _| {
        !["process_", "container_", "gpu_", "disk_usage", "disk_available"]
            .iter()
            .any(|it| name.starts_with(it))
    });
    values
}

/// The values at each of the seconds, beginning with the first reading.
fn read(root: &Path, readers: &mut Readers, second: u64) -> BTreeMap<String, f64> {
    fixture::tick(root, second);
    readers.read(if second == 0 { None } else { SECOND });
    of_host(readers.values())
}

/// What the host has in its second `second`, whichever it is.
fn expected(second: u32) -> BTreeMap<String, f64> {
    let so_far = f64::from(second);
    let all = [
        ("cpu_0_utilization_percentage", 45.0),
        ("cpu_1_utilization_percentage", 45.0),
        ("cpu_2_utilization_percentage", 45.0),
        ("cpu_3_utilization_percentage", 45.0),
        ("cpu_energy_joules", 100.0 * so_far),
        ("cpu_frequency_megahertz", 2500.0),
        ("cpu_iowait_percentage", 5.0),
        ("cpu_power_watts", 100.0),
        ("cpu_pressure_percentage", 20.0),
        ("cpu_steal_percentage", 5.0),
        ("cpu_temperature_celsius", 51.0),
        ("cpu_utilization_percentage", 45.0),
        ("disk_busy_percentage", 50.0),
        ("disk_read_megabytes_per_second", 48.0),
        ("disk_read_operations_per_second", 30.0),
        ("disk_write_megabytes_per_second", 96.0),
        ("disk_write_operations_per_second", 60.0),
        ("infiniband_receive_megabytes_per_second", 100.0),
        ("infiniband_transmit_megabytes_per_second", 20.0),
        ("io_full_pressure_percentage", 30.0),
        ("io_pressure_percentage", 40.0),
        ("load_average_1m", 1.25),
        ("memory_full_pressure_percentage", 5.0),
        ("memory_pressure_percentage", 10.0),
        ("network_drops", 4.0 * so_far),
        ("network_errors", 2.0 * so_far),
        ("network_receive_megabytes", 18.0 * so_far),
        ("network_receive_megabytes_per_second", 3.0),
        ("network_transmit_megabytes", 6.0 * so_far),
        ("network_transmit_megabytes_per_second", 1.0),
        ("swap_usage_megabytes", 1024.0),
        ("swap_usage_percentage", 12.5),
        ("system_memory_usage_megabytes", 8192.0),
        ("system_memory_usage_percentage", 25.0),
    ];
    all.map(|(name, value)| (name.to_owned(), value)).into()
}

fn assert_close(values: &BTreeMap<String, f64>, expected: &BTreeMap<String, f64>, context: &str) {
    assert!(values.keys().eq(expected.keys()), "{context}: {values:#?}");
    for ((name, value), expected) in values.iter().zip(expected.values()) {
        assert!((value - expected).abs() < 1e-9, "{context}: {name} is {value}, not {expected}");
    }
}

/// What has no value before there are two readings.
fn is_rate(name: &str) -> bool {
    let of_a_moment =
        ["load_average", "cpu_frequency", "cpu_temperature", "swap_", "system_memory_", "cpu_energy"];
    let total =
        ["network_drops", "network_errors", "network_receive_megabytes", "network_transmit_megabytes"];
    !of_a_moment.iter().any(|start| name.starts_with(start)) && !total.contains(&name)
}

#[test]
fn a_bare_host_has_every_metric() {
    let dir = tempfile::tempdir().unwrap();
    fixture::bare_host(dir.path());
    let mut readers = Readers::open(dir.path(), Tier::Full);
    let mut first = expected(0);
    first.retain(|name, _| !is_rate(name));
    assert_close(&read(dir.path(), &mut readers, 0), &first, "at first");
    for second in 1..4 {
        assert_close(&read(dir.path(), &mut readers, second.into()), &expected(second), "later");
    }
    let disk: Vec<_> = readers.values().into_keys().filter(|name| name.starts_with("disk_usage")).collect();
    assert_eq!(disk, ["disk_usage_megabytes", "disk_usage_percentage"]);
    let facts = readers.facts();
    assert_eq!((&*facts["host.cpu"], &*facts["host.cpu_cores"]), ("Intel(R) Xeon(R) Gold 6430", "4"));
}

#[test]
fn a_file_that_is_missing_costs_what_it_tells_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let files = fixture::bare_host(dir.path());
    let mut whole = Vec::new();
    for missing in files {
        let path = dir.path().join(missing);
        fs::remove_file(&path).unwrap();
        let mut readers = Readers::open(dir.path(), Tier::Full);
        let half_a_meter = missing.ends_with("max_energy_range_uj");
        assert_eq!(
            readers.failures().len(),
            usize::from(half_a_meter),
            "{missing}: {:?}",
            readers.failures()
        );
        // Readers keep files open, so a file that comes back now is not theirs.
        read(dir.path(), &mut readers, 0);
        let values = read(dir.path(), &mut readers, 1);
        let expected = expected(1);
        let gone: Vec<_> = expected.keys().filter(|name| !values.contains_key(*name)).cloned().collect();
        for (name, value) in &values {
            let partial = missing.starts_with("sys/");
            assert!(partial || (value - expected[name]).abs() < 1e-9, "{missing}: {name} is {value}");
        }
        if gone.is_empty() {
            whole.push(missing);
        }
        if let Some(file) = missing.strip_prefix("proc/") {
            let expected = match file {
                "stat" => 7,
                "meminfo" => 4,
                "diskstats" => 5,
                "self/net/dev" => 6,
                "loadavg" | "pressure/cpu" => 1,
                "pressure/memory" | "pressure/io" => 2,
                _ => 0,
            };
            assert_eq!(gone.len(), expected, "{missing}: {gone:?}");
        }
        fixture::bare_host(dir.path());
    }
    assert!(whole.len() > 10, "most files of /sys only say more: {whole:?}");
}

#[test]
fn a_file_that_turns_to_garbage_has_holes_and_never_a_wrong_number() {
    let garbage = ["", "garbage\n", "\u{0}\u{1}\u{fffd}", "cpu\nsome\n8 0 sda\neth0:\nMemTotal:\n"];
    let dir = tempfile::tempdir().unwrap();
    fixture::bare_host(dir.path());
    let mut readers = Readers::open(dir.path(), Tier::Full);
    read(dir.path(), &mut readers, 0);
    let mut second = 0;
    for (path, _) in fixture::changing(0).into_iter().filter(|(path, _)| *path != fixture::PSUTILS) {
        for bad in garbage {
            for since in 0..3 {
                second += 1;
                fixture::tick(dir.path(), second.into());
                if since == 0 {
                    fs::write(dir.path().join(path), bad).unwrap();
                }
                readers.read(SECOND);
                let context = format!("{since} seconds after {bad:?} in {path}");
                let (values, expected) = (of_host(readers.values()), expected(second));
                for (name, value) in &values {
                    // What was used while nobody could look is not in the sum.
                    let lost = name == "cpu_energy_joules" && *value < expected[name];
                    let right = (value - expected[name]).abs() < 1e-9;
                    assert!(right || lost, "{context}: {name} is {value}");
                }
                let whole = values.len() == expected.len();
                assert!(!whole || since > 0, "{context}: it must show");
                assert!(whole || since < 2, "{context}: {values:?}");
            }
        }
    }
}
