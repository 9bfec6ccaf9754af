//! Whole summaries of made-up readings: every quantity, the verdict, and what a resumed run makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use runlog_core::autolog::{SystemMetrics, Tier, Watch};
use runlog_core::config::Config;

use super::rules::Bottleneck;
use super::*;
use crate::metrics::{self, Metric};
use crate::registry::{Kind, Registry};

const HOST: usize = 0;
const GPUS: usize = 1;

/// A summary fed by hand, and what it told.
struct Bench {
    summary: Summary,
    registries: Vec<(Registry, Readings)>,
    now: Duration,
}

impl Bench {
    fn new(settings: SystemMetrics, groups: &[&[&str]]) -> Self {
        Self::resumed(settings, groups, &[])
    }

    fn resumed(settings: SystemMetrics, groups: &[&[&str]], earlier: &[(String, f64)]) -> Self {
        let mut watch = Watch::new("run", settings, Config::default());
        watch.earlier =
            earlier.iter().map(|(key, value)| runlog_core::Metric::new(key, *value, 0, 0)).collect();
        let mut summary = Summary::new(&watch);
        let mut registries = Vec::new();
        for (group, names) in groups.iter().enumerate() {
            let mut registry = Registry::new(Tier::Full);
            for name in *names {
                registry.key(name, Kind::Gauge).unwrap();
            }
            summary.register(group, registry.entries());
            let readings = Readings::new(&registry);
            registries.push((registry, readings));
        }
        Self { summary, registries, now: Duration::ZERO }
    }

    /// A sample `secs` after the one before, of these readings.
    fn sample(&mut self, group: usize, secs: f64, values: &[(&str, f64)]) -> &mut Self {
        self.sample_at(group, secs, Some(secs), values)
    }

    /// A sample `secs` later, which says that `since_last` went by since the one before.
    fn sample_at(
        &mut self,
        group: usize,
        secs: f64,
        since_last: Option<f64>,
        values: &[(&str, f64)],
    ) -> &mut Self {
        self.now += Duration::from_secs_f64(secs);
        self.put(group, since_last, values)
    }

    /// A sample of a group without time going by, of those readings that are the group's.
    fn put(&mut self, group: usize, since_last: Option<f64>, values: &[(&str, f64)]) -> &mut Self {
        let (registry, readings) = &mut self.registries[group];
        readings.begin(since_last.map(Duration::from_secs_f64));
        let known = |name: &str| registry.entries().iter().any(|entry| *entry.name == *name);
        let known: Vec<_> = values.iter().filter(|(name, _)| known(name)).collect();
        for (name, value) in known {
            let key = registry.key(name, Kind::Gauge).unwrap();
            readings.sink().put(key, *value);
        }
        self.summary.take(group, readings, self.now);
        self
    }

    fn told(&mut self) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
        let told = self.summary.finish(self.now);
        let metrics: BTreeMap<_, _> = told.metrics.iter().cloned().collect();
        assert_eq!(metrics.len(), told.metrics.len(), "no quantity stands twice");
        (metrics, told.tags.into_iter().collect())
    }

    fn metric(&mut self, name: &str) -> Option<f64> {
        let (metrics, _) = self.told();
        metrics.get(&format!("summary/{name}")).copied()
    }

    /// The verdict and its share.
    fn verdict(&mut self) -> Option<(String, f64)> {
        let (metrics, tags) = self.told();
        Some((tags.get("bottleneck")?.clone(), *metrics.get(q::EVIDENCE)?))
    }
}

fn standard() -> SystemMetrics {
    SystemMetrics::new()
}

fn close(value: Option<f64>, expected: f64) {
    let value = value.unwrap();
    assert!((value - expected).abs() <= expected.abs() * 1e-9, "{value} is not {expected}");
}

fn gpu(index: u32, metric: &Metric) -> String {
    metrics::of_device("gpu", index, metric.name)
}

#[test]
fn wall_time_runs_from_start_to_end_and_observed_is_what_samples_cover() {
    let cpu = metrics::CPU_UTILIZATION.name;
    let mut bench = Bench::new(standard(), &[&[cpu]]);
    bench.sample_at(HOST, 0.0, None, &[]).sample(HOST, 5.0, &[(cpu, 50.0)]);
    // The machine slept for ten seconds.
    bench.sample_at(HOST, 10.0, None, &[]).sample(HOST, 5.0, &[(cpu, 50.0)]);
    close(bench.metric("wall_seconds"), 20.0);
    close(bench.metric("observed_fraction"), 0.5);
    assert_eq!(bench.metric("gpu_observed_fraction"), None);
    assert_eq!(bench.metric("gpu_hours_allocated"), None);
}

#[test]
fn a_sample_that_looks_back_beyond_the_runs_start_counts_only_from_there() {
    let cpu = metrics::CPU_UTILIZATION.name;
    let mut bench = Bench::new(standard(), &[&[cpu]]);
    bench.sample_at(HOST, 0.25, Some(1.0), &[(cpu, 80.0)]).sample(HOST, 0.75, &[(cpu, 40.0)]);
    close(bench.metric("observed_fraction"), 1.0);
    close(bench.metric("cpu_utilization_mean_percentage"), 50.0);
}

#[test]
fn utilization_is_weighted_by_time() {
    let cpu = metrics::CPU_UTILIZATION.name;
    let mut bench = Bench::new(standard(), &[&[cpu]]);
    bench.sample_at(HOST, 0.0, None, &[]);
    bench.sample(HOST, 9.0, &[(cpu, 10.0)]).sample(HOST, 1.0, &[(cpu, 100.0)]);
    close(bench.metric("cpu_utilization_mean_percentage"), 19.0);
    close(bench.metric("cpu_utilization_p50_percentage"), 10.0);
    close(bench.metric("cpu_utilization_p95_percentage"), 100.0);
}

#[test]
fn hours_are_allocated_by_the_clock_and_active_by_utilization() {
    let names = [gpu(0, &metrics::GPU_UTILIZATION), gpu(1, &metrics::GPU_UTILIZATION)];
    let names = names.each_ref().map(String::as_str);
    let mut bench = Bench::new(standard().gpu_price_per_hour(3.0), &[&[], &names]);
    bench.sample_at(GPUS, 0.0, None, &[]);
    bench.sample(GPUS, 1800.0, &[(names[0], 100.0), (names[1], 0.0)]);
    bench.sample(GPUS, 1800.0, &[(names[0], 50.0), (names[1], 4.0)]);
    close(bench.metric("gpu_hours_allocated"), 2.0);
    close(bench.metric("gpu_hours_active"), 0.5 + 0.25 + 0.02);
    close(bench.metric("idle_gpu_fraction"), 0.5);
    close(bench.metric("gpu_utilization_mean_percentage"), 38.5);
    close(bench.metric("gpu_utilization_p50_percentage"), 4.0);
    close(bench.metric("gpu_utilization_p95_percentage"), 100.0);
    close(bench.metric("gpu_observed_fraction"), 1.0);
    close(bench.metric("gpu_cost"), 6.0);
}

#[test]
fn a_lost_gpu_is_counted_each_time_and_is_not_observed_meanwhile() {
    let [used, lost, errors] = [&metrics::GPU_UTILIZATION, &metrics::GPU_LOST, &metrics::GPU_XID_EVENTS]
        .map(|metric| gpu(0, metric));
    let mut bench = Bench::new(standard(), &[&[], &[&used, &lost, &errors]]);
    let (there, gone) = ([(&*used, 50.0), (&lost, 0.0), (&errors, 1.0)], [(&*lost, 1.0), (&errors, 1.0)]);
    bench.sample_at(GPUS, 0.0, None, &[]).sample(GPUS, 1.0, &[(&used, 50.0)]);
    bench.sample(GPUS, 1.0, &gone).sample(GPUS, 1.0, &gone);
    bench.sample(GPUS, 1.0, &there).sample(GPUS, 1.0, &gone);
    close(bench.metric("gpu_losses"), 2.0);
    close(bench.metric("gpu_observed_fraction"), 0.4);
}

#[test]
fn energy_is_the_counters_and_power_over_time_stands_beside_it() {
    let [counter, power] = [&metrics::GPU_ENERGY, &metrics::GPU_POWER].map(|metric| gpu(0, metric));
    let mut bench = Bench::new(standard(), &[&[], &[&counter, &power]]);
    bench.summary.facts(&[("gpu.0.energy_source".to_owned(), "counter".to_owned())]);
    bench.sample_at(GPUS, 0.0, None, &[(&counter, 0.0), (&power, 100.0)]);
    bench.sample(GPUS, 36.0, &[(&counter, 3600.0), (&power, 100.0)]);
    let (metrics, tags) = bench.told();
    close(metrics.get(q::GPU_ENERGY).copied(), 1.0);
    close(metrics.get(q::GPU_ENERGY_BY_POWER).copied(), 1.0);
    assert_eq!(tags.get("energy_source").map(String::as_str), Some("counter"));
    assert_eq!(tags.get("energy_note"), None);

    bench.sample(GPUS, 36.0, &[(&counter, 14_400.0), (&power, 100.0)]);
    let (metrics, tags) = bench.told();
    close(metrics.get(q::GPU_ENERGY).copied(), 4.0);
    close(metrics.get(q::GPU_ENERGY_BY_POWER).copied(), 2.0);
    let note = "4.000 Wh by counter, 2.000 Wh by power over time: 50 % apart";
    assert_eq!(tags.get("energy_note").map(String::as_str), Some(note));
}

#[test]
fn energy_without_a_counter_is_power_over_the_time_that_was_read() {
    let power = gpu(0, &metrics::GPU_POWER);
    let mut bench = Bench::new(standard(), &[&[], &[&power]]);
    bench.sample_at(GPUS, 0.0, None, &[(&power, 0.0)]).sample(GPUS, 10.0, &[(&power, 720.0)]);
    // Lost for a sample, then a gap: neither has a trapezoid.
    bench.sample(GPUS, 10.0, &[]).sample(GPUS, 10.0, &[(&power, 720.0)]);
    bench.sample_at(GPUS, 1000.0, None, &[(&power, 720.0)]);
    let (metrics, tags) = bench.told();
    close(metrics.get(q::GPU_ENERGY).copied(), 1.0);
    assert_eq!(metrics.get(q::GPU_ENERGY_BY_POWER), None, "there is nothing to compare it with");
    assert_eq!(tags.get("energy_source").map(String::as_str), Some("power"));
}

#[test]
fn gpus_whose_energy_is_from_different_sources_are_summed_and_both_are_named() {
    let (counter, power) = (gpu(0, &metrics::GPU_ENERGY), gpu(1, &metrics::GPU_POWER));
    let mut bench = Bench::new(standard(), &[&[], &[&counter, &power]]);
    bench.sample_at(GPUS, 0.0, None, &[(&counter, 0.0), (&power, 360.0)]);
    bench.sample(GPUS, 10.0, &[(&counter, 3600.0), (&power, 360.0)]);
    let (metrics, tags) = bench.told();
    close(metrics.get(q::GPU_ENERGY).copied(), 2.0);
    assert_eq!(
        metrics.get(q::GPU_ENERGY_BY_POWER),
        None,
        "power is known of one GPU only beside its counter"
    );
    assert_eq!(tags.get("energy_source").map(String::as_str), Some("energy_joules, power"));
}

#[test]
fn energy_and_power_that_are_made_of_each_other_are_not_compared() {
    let [energy, power] = [&metrics::GPU_ENERGY, &metrics::GPU_POWER].map(|metric| gpu(0, metric));
    for source in ["power", "counter of power"] {
        let mut bench = Bench::new(standard(), &[&[], &[&energy, &power]]);
        bench.summary.facts(&[("gpu.0.energy_source".to_owned(), source.to_owned())]);
        bench.sample_at(GPUS, 0.0, None, &[(&energy, 0.0), (&power, 360.0)]);
        bench.sample(GPUS, 10.0, &[(&energy, 3600.0), (&power, 36.0)]);
        let (metrics, tags) = bench.told();
        close(metrics.get(q::GPU_ENERGY).copied(), 1.0);
        assert_eq!(metrics.get(q::GPU_ENERGY_BY_POWER), None);
        assert_eq!(tags.get("energy_note"), None);
        assert_eq!(tags.get("energy_source").map(String::as_str), Some(source));
    }
}

#[test]
fn parts_of_a_gpu_are_no_gpus_beside_it() {
    let names = [0, 1, 2].map(|index| gpu(index, &metrics::GPU_UTILIZATION));
    let names = names.each_ref().map(String::as_str);
    let part = |index: u32| (format!("gpu.{index}.instance_of"), "0".to_owned());
    let told = |names: &[&str]| {
        let mut bench = Bench::new(standard(), &[&[], names]);
        bench.summary.facts(&[part(1), part(2)]);
        bench.sample_at(GPUS, 0.0, None, &[]);
        let values: Vec<_> = names.iter().skip(1).map(|name| (*name, 100.0)).collect();
        bench.sample(GPUS, 3600.0, &values);
        ["gpu_hours_allocated", "gpu_hours_active"].map(|name| bench.metric(name))
    };
    assert_eq!(told(&names), [Some(1.0), None], "the parts say nothing of the whole");
    assert_eq!(told(&names[1..]), [Some(2.0), Some(1.0)], "without their GPU they are all there is");
}

#[test]
fn what_befalls_a_gpu_befalls_it_once_with_all_its_parts() {
    let lost = [0, 1, 2].map(|index| gpu(index, &metrics::GPU_LOST));
    let energy = [0, 1].map(|index| gpu(index, &metrics::GPU_ENERGY));
    let names: Vec<_> = lost.iter().chain(&energy).map(String::as_str).collect();
    let mut bench = Bench::new(standard(), &[&[], &names]);
    let part = |index: u32| (format!("gpu.{index}.instance_of"), "0".to_owned());
    bench.summary.facts(&[part(1), part(2)]);
    for value in [0.0, 3600.0] {
        let values: Vec<_> = names.iter().map(|name| (*name, value)).collect();
        bench.sample(GPUS, 1.0, &values);
    }
    close(bench.metric("gpu_losses"), 1.0);
    close(bench.metric("gpu_energy_wh"), 1.0);
}

#[test]
fn a_metric_of_two_groups_is_the_firsts() {
    let cpu = metrics::CPU_UTILIZATION.name;
    let mut bench = Bench::new(standard(), &[&[cpu], &[cpu]]);
    bench.sample(0, 1.0, &[(cpu, 10.0)]).put(1, Some(1.0), &[(cpu, 90.0)]);
    close(bench.metric("cpu_utilization_mean_percentage"), 10.0);
}

#[test]
fn emissions_are_of_the_energy_that_was_measured() {
    let counter = gpu(0, &metrics::GPU_ENERGY);
    let cpu = metrics::CPU_ENERGY.name;
    let settings = standard().co2_grams_per_kwh(500.0);
    let mut bench = Bench::new(settings.clone(), &[&[cpu], &[&counter]]);
    assert_eq!(bench.metric("co2_grams"), None, "nothing was measured");
    bench.put(HOST, None, &[(cpu, 0.0)]).put(GPUS, None, &[(&counter, 0.0)]);
    bench.sample(HOST, 10.0, &[(cpu, 3600.0)]).put(GPUS, Some(10.0), &[(&counter, 7200.0)]);
    close(bench.metric("cpu_energy_wh"), 1.0);
    close(bench.metric("co2_grams"), 1.5);
    let mut bench = Bench::new(settings, &[&[cpu]]);
    bench.put(HOST, None, &[(cpu, 0.0)]).sample(HOST, 10.0, &[(cpu, 3600.0)]);
    close(bench.metric("co2_grams"), 0.5);
    let mut bench = Bench::new(standard(), &[&[cpu]]);
    bench.put(HOST, None, &[(cpu, 0.0)]).sample(HOST, 10.0, &[(cpu, 3600.0)]);
    assert_eq!(bench.metric("co2_grams"), None, "without a factor there is no figure");
}

#[test]
fn a_peak_is_the_highest_reading() {
    let of = [
        (metrics::MEMORY_USED.name, "system_memory_peak_megabytes"),
        (metrics::PROCESS_RSS.name, "process_memory_peak_megabytes"),
        (metrics::TREE_RSS.name, "process_tree_memory_peak_megabytes"),
        (metrics::CONTAINER_MEMORY.name, "container_memory_working_set_peak_megabytes"),
        ("container_memory_peak_megabytes", "container_memory_peak_megabytes"),
    ];
    for (metric, quantity) in of {
        let mut bench = Bench::new(standard(), &[&[metric]]);
        assert_eq!(bench.metric(quantity), None);
        bench.sample_at(HOST, 0.0, None, &[(metric, 10.0)]);
        bench.sample(HOST, 1.0, &[(metric, 30.0)]).sample(HOST, 1.0, &[(metric, 20.0)]);
        close(bench.metric(quantity), 30.0);
    }
}

#[test]
fn the_kernels_own_peak_is_taken_before_the_highest_reading() {
    let (kernels, rss) = ("process_memory_peak_megabytes", metrics::PROCESS_RSS.name);
    let mut bench = Bench::new(standard(), &[&[rss, kernels]]);
    bench.sample_at(HOST, 0.0, None, &[(rss, 10.0), (kernels, 70.0)]);
    close(bench.metric("process_memory_peak_megabytes"), 70.0);
}

#[test]
fn the_peak_of_gpus_memory_is_that_of_the_fullest() {
    let names = [gpu(0, &metrics::GPU_MEMORY_USED), gpu(7, &metrics::GPU_MEMORY_USED)];
    let names = names.each_ref().map(String::as_str);
    let mut bench = Bench::new(standard(), &[&[], &names]);
    bench.sample_at(GPUS, 0.0, None, &[(names[0], 10.0), (names[1], 40.0)]);
    bench.sample(GPUS, 1.0, &[(names[0], 20.0), (names[1], 30.0)]);
    close(bench.metric("gpu_memory_peak_megabytes"), 40.0);
}

#[test]
fn misfortunes_that_did_not_happen_are_told_in_the_tier_full_only() {
    let of_gpu: Vec<_> = metrics::GPU.iter().map(|metric| gpu(0, metric)).collect();
    let of_gpu: Vec<_> = of_gpu.iter().map(String::as_str).collect();
    let host = [metrics::CONTAINER_THROTTLED.name, metrics::CONTAINER_OOM_KILLS.name];
    let told = |tier, later: f64| {
        let mut bench = Bench::new(standard().tier(tier), &[&host, &of_gpu]);
        for value in [0.0, later] {
            let values: Vec<_> = host.iter().chain(&of_gpu).map(|name| (*name, value)).collect();
            bench.sample(HOST, 1.0, &values).put(GPUS, Some(1.0), &values);
        }
        let (told, _) = bench.told();
        q::MISFORTUNES.map(|name| told.get(name).copied())
    };
    assert_eq!(told(Tier::Standard, 0.0), [None; 9]);
    assert_eq!(told(Tier::Full, 0.0), [Some(0.0); 9]);
    assert!(told(Tier::Standard, 1.0).iter().all(Option::is_some));
}

#[test]
fn counters_of_all_gpus_come_together() {
    let of = [
        (&metrics::GPU_POWER_THROTTLED, "gpu_power_throttled_seconds"),
        (&metrics::GPU_THERMAL_THROTTLED, "gpu_thermal_throttled_seconds"),
        (&metrics::GPU_XID_EVENTS, "gpu_xid_events"),
        (&metrics::GPU_ECC_CORRECTED, "gpu_ecc_corrected_errors"),
        (&metrics::GPU_ECC_UNCORRECTED, "gpu_ecc_uncorrected_errors"),
        (&metrics::GPU_ROWS_REMAPPED_CORRECTED, "gpu_remapped_rows"),
        (&metrics::GPU_ROWS_REMAPPED_UNCORRECTED, "gpu_remapped_rows"),
    ];
    for (metric, quantity) in of {
        let names = [gpu(0, metric), gpu(1, metric)];
        let names = names.each_ref().map(String::as_str);
        let mut bench = Bench::new(standard(), &[&[], &names]);
        assert_eq!(bench.metric(quantity), None);
        bench.sample_at(GPUS, 0.0, None, &[(names[0], 100.0), (names[1], 5.0)]);
        bench.sample(GPUS, 1.0, &[(names[0], 103.0), (names[1], 9.0)]);
        close(bench.metric(quantity), 7.0);
    }
    let [corrected, uncorrected] =
        [&metrics::GPU_ROWS_REMAPPED_CORRECTED, &metrics::GPU_ROWS_REMAPPED_UNCORRECTED].map(|of| gpu(0, of));
    let mut bench = Bench::new(standard(), &[&[], &[&corrected, &uncorrected]]);
    bench.sample_at(GPUS, 0.0, None, &[(&corrected, 0.0), (&uncorrected, 0.0)]);
    bench.sample(GPUS, 1.0, &[(&corrected, 2.0), (&uncorrected, 1.0)]);
    close(bench.metric("gpu_remapped_rows"), 3.0);
}

#[test]
fn counters_of_the_container_are_what_they_grew_by() {
    for (metric, quantity) in [
        (&metrics::CONTAINER_THROTTLED, "container_cpu_throttled_seconds"),
        (&metrics::CONTAINER_OOM_KILLS, "container_oom_kills"),
    ] {
        let mut bench = Bench::new(standard(), &[&[metric.name]]);
        bench.sample_at(HOST, 0.0, None, &[(metric.name, 4.0)]).sample(HOST, 1.0, &[(metric.name, 6.0)]);
        close(bench.metric(quantity), 2.0);
    }
}

#[test]
fn bytes_are_rates_over_the_time_they_stand_for() {
    for (metric, quantity) in [
        (&metrics::NETWORK_RECEIVE_RATE, "network_received_megabytes"),
        (&metrics::NETWORK_TRANSMIT_RATE, "network_sent_megabytes"),
        (&metrics::INFINIBAND_RECEIVE_RATE, "infiniband_received_megabytes"),
        (&metrics::INFINIBAND_TRANSMIT_RATE, "infiniband_sent_megabytes"),
        (&metrics::DISK_READ_RATE, "disk_read_megabytes"),
        (&metrics::DISK_WRITE_RATE, "disk_written_megabytes"),
    ] {
        let mut bench = Bench::new(standard(), &[&[metric.name]]);
        bench.sample_at(HOST, 0.0, None, &[]);
        assert_eq!(bench.metric(quantity), None);
        bench.sample(HOST, 2.0, &[(metric.name, 3.0)]).sample(HOST, 4.0, &[(metric.name, 0.5)]);
        close(bench.metric(quantity), 8.0);
    }
}

#[test]
fn a_resumed_run_goes_on_from_its_summary() {
    let cpu = metrics::CPU_UTILIZATION.name;
    let [used, memory, xids] =
        [&metrics::GPU_UTILIZATION, &metrics::GPU_MEMORY_USED, &metrics::GPU_XID_EVENTS].map(|of| gpu(0, of));
    let groups: [&[&str]; 2] = [&[cpu, metrics::DISK_READ_RATE.name], &[&used, &memory, &xids]];
    let session = |earlier: &[(String, f64)], load: f64| {
        let settings = standard().node_id("node_2").gpu_price_per_hour(1.0);
        let mut bench = Bench::resumed(settings, &groups, earlier);
        bench.put(HOST, None, &[]).put(GPUS, None, &[(&memory, 100.0), (&xids, 0.0)]);
        bench.sample(HOST, 10.0, &[(cpu, load), (metrics::DISK_READ_RATE.name, 1.0)]);
        bench.put(GPUS, Some(10.0), &[(&used, load), (&memory, load), (&xids, 1.0)]);
        bench.told().0
    };
    let first = session(&[], 100.0);
    let earlier: Vec<_> = first.iter().map(|(name, v)| (format!("system/node_2/{name}"), *v)).collect();
    let both = session(&earlier, 0.0);
    let get = |name: &str| both.get(&format!("summary/{name}")).copied();
    close(get("wall_seconds"), 20.0);
    close(get("observed_fraction"), 1.0);
    close(get("gpu_observed_fraction"), 1.0);
    close(get("cpu_utilization_mean_percentage"), 50.0);
    close(get("gpu_utilization_mean_percentage"), 50.0);
    close(get("idle_gpu_fraction"), 0.5);
    close(get("gpu_hours_allocated"), 20.0 / 3600.0);
    close(get("gpu_hours_active"), 10.0 / 3600.0);
    close(get("gpu_cost"), 20.0 / 3600.0);
    close(get("disk_read_megabytes"), 20.0);
    close(get("gpu_xid_events"), 2.0);
    close(get("gpu_memory_peak_megabytes"), 100.0);
    close(get("cpu_utilization_p50_percentage"), 0.0);
    let elsewhere =
        session(&first.into_iter().map(|(name, v)| (format!("system/{name}"), v)).collect::<Vec<_>>(), 0.0);
    close(elsewhere.get(q::WALL).copied(), 10.0);
}

const MEMORY: &str = metrics::MEMORY_PRESSURE.name;
const IO: &str = metrics::IO_PRESSURE.name;
const TREE: &str = metrics::TREE_CPU.name;
const THREAD: &str = metrics::BUSIEST_THREAD.name;
const OOM: &str = metrics::CONTAINER_OOM_KILLS.name;
const SIGNALS: [&str; 5] = [MEMORY, IO, TREE, THREAD, OOM];
const USED: &str = "gpu_0_utilization_percentage";
const USED_1: &str = "gpu_1_utilization_percentage";
const SM: &str = "gpu_0_sm_active_percentage";
const POWER_THROTTLED: &str = "gpu_0_power_throttled_seconds";

/// The verdict on a run of `secs` at a sample a second, with these metrics of GPUs and the readings that `at` gives.
fn verdict(
    gpu_names: &[&str],
    secs: u32,
    at: impl Fn(u32) -> Vec<(&'static str, f64)>,
) -> Option<(String, f64)> {
    let mut bench = Bench::new(standard(), &[&SIGNALS, gpu_names]);
    bench.put(HOST, None, &[(OOM, 0.0)]).put(GPUS, None, &[(POWER_THROTTLED, 0.0)]);
    for second in 0..secs {
        let values = at(second);
        bench.sample(HOST, 1.0, &values).put(GPUS, Some(1.0), &values);
    }
    bench.verdict()
}

#[expect(clippy::unnecessary_wraps, reason = "to be compared with what may be none")]
fn found(bottleneck: &str, evidence: f64) -> Option<(String, f64)> {
    Some((bottleneck.to_owned(), evidence))
}

#[test]
fn every_bottleneck_is_found_in_its_readings() {
    let steady = |names: &[&str], values: &[(&'static str, f64)]| verdict(names, 60, |_| values.to_vec());
    assert_eq!(steady(&[USED], &[(USED, 95.0), (MEMORY, 15.0)]), found("memory_pressure", 1.0));
    assert_eq!(steady(&[USED], &[(USED, 95.0), (IO, 50.0), (TREE, 100.0)]), found("gpu_bound", 1.0));
    assert_eq!(steady(&[USED], &[(USED, 30.0), (IO, 50.0), (TREE, 100.0)]), found("input_bound_io", 1.0));
    assert_eq!(steady(&[USED], &[(USED, 30.0), (IO, 5.0), (TREE, 85.0)]), found("input_bound_cpu", 1.0));
    assert_eq!(steady(&[USED], &[(USED, 30.0), (IO, 5.0), (THREAD, 99.0)]), found("input_bound_cpu", 1.0));
    assert_eq!(steady(&[USED], &[(USED, 1.0), (IO, 5.0), (TREE, 5.0)]), found("gpu_idle", 1.0));
    assert_eq!(steady(&[USED], &[(USED, 75.0), (IO, 50.0)]), found("unclear", 0.0));

    let names = [USED, POWER_THROTTLED];
    let throttled =
        verdict(&names, 60, |second| vec![(USED, 90.0), (POWER_THROTTLED, f64::from(second) * 0.3)]);
    assert_eq!(throttled, found("throttled", 1.0));
    let hardly = verdict(&names, 60, |second| vec![(USED, 90.0), (POWER_THROTTLED, f64::from(second) * 0.2)]);
    assert_eq!(hardly, found("gpu_bound", 1.0));
    let kills = |second| if second < 15 { 0.0 } else { 1.0 };
    let killed = |secs| verdict(&[USED], secs, |second| vec![(USED, 90.0), (OOM, kills(second))]);
    assert_eq!(killed(20), found("memory_pressure", 0.5), "the window of the kill");
    assert_eq!(killed(40), found("gpu_bound", 0.75), "and none before or after");
}

#[test]
fn a_verdict_needs_half_of_the_time() {
    let mixed =
        |bound: u32| verdict(&[USED], 100, |second| vec![(USED, if second < bound { 90.0 } else { 75.0 })]);
    assert_eq!(mixed(50), found("gpu_bound", 0.5));
    assert_eq!(mixed(40), found("unclear", 0.4));
}

#[test]
fn a_run_shorter_than_a_window_is_judged_as_one() {
    assert_eq!(verdict(&[USED], 2, |_| vec![(USED, 90.0)]), found("gpu_bound", 1.0));
}

#[test]
fn activity_of_the_multiprocessors_stands_in_utilizations_place_and_the_note_says_so() {
    let note = |names: &[&str]| {
        let mut bench = Bench::new(standard(), &[&SIGNALS, names]);
        bench.put(GPUS, None, &[]).sample(GPUS, 10.0, &[(USED, 100.0), (SM, 20.0), (USED_1, 100.0)]);
        let (metrics, tags) = bench.told();
        (tags["bottleneck"].clone(), tags["bottleneck_note"].clone(), metrics[q::EVIDENCE])
    };
    let (bottleneck, words, _) = note(&[USED]);
    assert_eq!(bottleneck, "gpu_bound");
    assert_eq!(words, "for 100 % of the time the GPU had work (measured by utilization: some kernel ran)");
    let (bottleneck, words, evidence) = note(&[USED, SM]);
    assert_eq!((bottleneck.as_str(), evidence), ("unclear", 0.0));
    assert_eq!(words, "nothing stood out at any time (measured by active multiprocessors)");
    let (_, words, _) = note(&[USED, SM, USED_1]);
    assert!(words.ends_with("where a GPU tells, else by utilization)"), "{words}");
}

#[test]
fn multiprocessors_that_are_never_active_beside_kernels_that_ran_are_not_believed() {
    let told = |used| {
        let mut bench = Bench::new(standard(), &[&SIGNALS, &[USED, SM]]);
        bench.put(GPUS, None, &[]).sample(GPUS, 10.0, &[(USED, used), (SM, 0.0)]);
        let (_, tags) = bench.told();
        (tags["bottleneck"].clone(), tags["bottleneck_note"].contains("utilization"))
    };
    assert_eq!(told(95.0), ("gpu_bound".to_owned(), true));
    assert_eq!(told(4.0), ("gpu_idle".to_owned(), false));
}

#[test]
fn gpus_that_do_nothing_are_left_out_while_another_works() {
    let one_of_two = verdict(&[USED, USED_1], 60, |_| vec![(USED, 90.0), (USED_1, 0.0)]);
    assert_eq!(one_of_two, found("gpu_bound", 1.0));
    let none_of_two = verdict(&[USED, USED_1], 60, |_| vec![(USED, 4.0), (USED_1, 0.0)]);
    assert_eq!(none_of_two, found("gpu_idle", 1.0));
}

#[test]
fn without_a_gpu_there_is_a_verdict_on_memory_or_none() {
    let full = [(IO, 90.0), (TREE, 100.0), (THREAD, 100.0)];
    assert_eq!(verdict(&[], 60, |_| full.to_vec()), None);
    assert_eq!(verdict(&[], 60, |_| [full.as_slice(), &[(MEMORY, 3.0)]].concat()), None);
    assert_eq!(verdict(&[], 60, |_| vec![(MEMORY, 30.0)]), found("memory_pressure", 1.0));
}

#[test]
fn pressure_is_the_cgroups_where_it_has_its_own() {
    let of_group = metrics::CONTAINER_MEMORY_PRESSURE.name;
    let mut bench = Bench::new(standard(), &[&[MEMORY, of_group], &[USED]]);
    bench.put(HOST, None, &[]).put(GPUS, None, &[]);
    let values = [(MEMORY, 90.0), (of_group, 0.0), (USED, 90.0)];
    bench.sample(HOST, 10.0, &values).put(GPUS, Some(10.0), &values);
    assert_eq!(bench.verdict(), found("gpu_bound", 1.0));
}

#[test]
fn what_the_host_saw_while_the_gpus_probe_hung_is_in_no_window() {
    let mut bench = Bench::new(standard(), &[&[MEMORY], &[USED]]);
    bench.put(HOST, None, &[]).put(GPUS, None, &[]);
    bench.sample(HOST, 10.0, &[(MEMORY, 0.0)]).put(GPUS, Some(10.0), &[(USED, 90.0)]);
    for _ in 0..60 {
        bench.sample(HOST, 10.0, &[(MEMORY, 90.0)]);
    }
    bench.put(GPUS, None, &[(USED, 90.0)]);
    bench.sample(HOST, 10.0, &[(MEMORY, 0.0)]).put(GPUS, Some(10.0), &[(USED, 90.0)]);
    assert_eq!(bench.verdict(), found("gpu_bound", 1.0));
}

#[test]
fn mlflows_tier_has_no_summary() {
    let mut bench = Bench::new(standard().tier(Tier::Compat), &[&[metrics::CPU_UTILIZATION.name]]);
    bench.sample(HOST, 1.0, &[(metrics::CPU_UTILIZATION.name, 50.0)]);
    let (metrics, tags) = bench.told();
    assert!(metrics.is_empty() && tags.is_empty());
}

#[test]
fn what_was_not_read_is_not_told() {
    let all: Vec<_> = [metrics::HOST, metrics::PROCESS, metrics::CONTAINER].concat();
    let host: Vec<_> = all.iter().map(|metric| metric.name).collect();
    let of_gpu: Vec<_> = metrics::GPU.iter().map(|metric| gpu(0, metric)).collect();
    let of_gpu: Vec<_> = of_gpu.iter().map(String::as_str).collect();
    let mut bench = Bench::new(standard(), &[&host, &of_gpu]);
    bench.sample(HOST, 1.0, &[]).put(GPUS, Some(1.0), &[]);
    let (metrics, tags) = bench.told();
    let told: Vec<_> = metrics.keys().map(String::as_str).collect();
    assert_eq!(told, [q::GPU_HOURS, q::GPU_OBSERVED, q::OBSERVED, q::WALL]);
    assert!(tags.is_empty());
}

#[test]
fn every_quantity_is_on_the_page_and_every_one_there_is_told() {
    let host: Vec<_> = [metrics::HOST, metrics::PROCESS, metrics::CONTAINER].concat();
    let kernels = ["process_memory_peak_megabytes", "container_memory_peak_megabytes"];
    let host: Vec<_> = host.iter().map(|metric| metric.name).chain(kernels).collect();
    let of_gpu: Vec<_> = metrics::GPU.iter().map(|metric| gpu(0, metric)).collect();
    let of_gpu: Vec<_> = of_gpu.iter().map(String::as_str).collect();
    let settings = standard().tier(Tier::Full).gpu_price_per_hour(1.0).co2_grams_per_kwh(1.0);
    let mut bench = Bench::new(settings, &[&host, &of_gpu]);
    let values: Vec<_> = host.iter().chain(&of_gpu).map(|name| (*name, 90.0)).collect();
    for _ in 0..2 {
        bench.sample(HOST, 1.0, &values).put(GPUS, Some(1.0), &values);
    }
    let told: BTreeSet<_> = bench.told().0.into_keys().collect();
    let on_page: BTreeSet<_> =
        rows("# The whole run").into_iter().map(|name| format!("summary/{name}")).collect();
    assert_eq!(told, on_page);
}

#[test]
fn every_verdict_is_on_the_page_in_the_order_of_the_rules() {
    let names = Bottleneck::ALL.map(Bottleneck::name).into_iter().chain([Bottleneck::UNCLEAR]);
    assert_eq!(rows("# What held it up"), names.collect::<Vec<_>>());
}

/// The names that begin the rows of the page's table below `heading`, without `summary/`.
fn rows(heading: &str) -> Vec<&'static str> {
    let page = include_str!("../../../docs/system-metrics.md");
    let lines = page.lines().skip_while(|line| *line != heading).skip(1);
    let lines = lines.take_while(|line| !line.starts_with("# "));
    let name = |line: &'static str| {
        let name = line.strip_prefix("| `")?.split_once('`')?.0;
        Some(name.strip_prefix("summary/").unwrap_or(name))
    };
    lines.filter_map(name).collect()
}

proptest! {
    #[test]
    fn fractions_are_fractions_whatever_is_read(
        samples in proptest::collection::vec(
            (0_usize..2, 0.0..100.0_f64, proptest::option::of(0.0..200.0_f64), -1e3..1e4_f64, 0_usize..40),
            1..60,
        ),
    ) {
        let host: Vec<_> = [metrics::HOST, metrics::PROCESS, metrics::CONTAINER].concat();
        let host: Vec<_> = host.iter().map(|metric| metric.name).collect();
        let of_gpu: Vec<_> = metrics::GPU.iter().map(|metric| gpu(0, metric)).collect();
        let of_gpu: Vec<_> = of_gpu.iter().map(String::as_str).collect();
        let mut bench = Bench::new(standard(), &[&host, &of_gpu]);
        for (group, secs, since_last, value, left_out) in samples {
            let names = [&host, &of_gpu][group];
            let values = names.iter().enumerate().filter(|(place, _)| *place != left_out);
            let values: Vec<_> = values.map(|(_, name)| (*name, value)).collect();
            bench.sample_at(group, secs, since_last, &values);
        }
        let (told, _) = bench.told();
        for (name, value) in told {
            prop_assert!(value.is_finite(), "{name} {value}");
            if name.ends_with("fraction") || name == q::EVIDENCE {
                prop_assert!((0.0..=1.0).contains(&value), "{name} {value}");
            }
            if name.contains("utilization") {
                prop_assert!((0.0..=100.0).contains(&value), "{name} {value}");
            }
        }
    }
}
