//! What OpenTelemetry's own SDK exports of a run's points.

use std::collections::BTreeMap;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use runlog_core::Metric;
use runlog_core::autolog::SystemMetrics;
use runlog_core::config::Config;

use super::*;
use crate::testing::Kept;

/// A program that has set up an exporter, and a run in it.
struct Bench {
    exporter: InMemoryMetricExporter,
    provider: SdkMeterProvider,
    kept: Kept,
    sink: Option<Exported>,
}

impl Bench {
    fn new(node_id: Option<&str>, earlier: &[(&str, f64)]) -> Self {
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder()
            .with_reader(PeriodicReader::builder(exporter.clone()).build())
            .build();
        let mut settings = SystemMetrics::new();
        settings.node_id = node_id.map(str::to_owned);
        let mut watch = Watch::new("abc", settings, Config::default());
        watch.earlier = earlier.iter().map(|(key, value)| Metric::new(*key, *value, 0, 0)).collect();
        let kept = Kept::default();
        let sink = Exported::new(Box::new(kept.clone()), &watch, provider.meter(SCOPE));
        Self { exporter, provider, kept, sink: Some(sink) }
    }

    fn log(&mut self, key: &str, value: f64, secs: i64) {
        self.log_at(key, value, secs, 1);
    }

    fn log_at(&mut self, key: &str, value: f64, secs: i64, step: i64) {
        self.sink.as_mut().unwrap().log(key, value, 1_700_000_000_000 + secs * 1000, step);
    }

    /// What is exported now: `name unit{attributes}`, without the run's own attributes.
    fn exported(&self) -> BTreeMap<String, f64> {
        self.exporter.reset();
        self.provider.force_flush().unwrap();
        let mut found = BTreeMap::new();
        for resource in self.exporter.get_finished_metrics().unwrap() {
            for metric in resource.scope_metrics().flat_map(ScopeMetrics::metrics) {
                let AggregatedMetrics::F64(data) = metric.data() else {
                    panic!("{} is no f64", metric.name())
                };
                let points: Vec<(Vec<&KeyValue>, f64)> = match data {
                    MetricData::Gauge(gauge) => gauge
                        .data_points()
                        .map(|point| (point.attributes().collect(), point.value()))
                        .collect(),
                    MetricData::Sum(sum) => {
                        sum.data_points().map(|point| (point.attributes().collect(), point.value())).collect()
                    }
                    _ => panic!("{} is a histogram", metric.name()),
                };
                for (attributes, value) in points {
                    let mut attributes: Vec<_> =
                        attributes.iter().map(|of| format!("{}={}", of.key, of.value)).collect();
                    attributes.sort();
                    assert!(attributes.contains(&"runlog.run_id=abc".to_owned()));
                    attributes.retain(|of| of != "runlog.run_id=abc");
                    found.insert(
                        format!("{} {}{{{}}}", metric.name(), metric.unit(), attributes.join(",")),
                        value,
                    );
                }
            }
        }
        found
    }
}

fn check(bench: &Bench, expected: &[(&str, f64)]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    assert_eq!(bench.exported(), expected);
}

#[test]
fn every_point_is_the_runs_and_opentelemetrys() {
    let mut bench = Bench::new(None, &[]);
    bench.log("system/cpu_utilization_percentage", 50.0, 0);
    bench.log("system/gpu_1_memory_usage_megabytes", 3.0, 0);
    bench.log("system/gpu_1_sm_active_percentage", 25.0, 0);
    bench.log("system/batches_waiting", 7.0, 0);
    bench.sink.as_mut().unwrap().tag("runlog.cpu", "a");
    let keys: Vec<_> = bench.kept.points().into_iter().map(|point| (point.key, point.value)).collect();
    assert_eq!(keys.len(), 4);
    assert_eq!(keys[1], ("system/gpu_1_memory_usage_megabytes".to_owned(), 3.0));
    assert_eq!(bench.kept.tags().len(), 1);
    check(
        &bench,
        &[
            ("system.cpu.utilization 1{}", 0.5),
            ("hw.gpu.memory.usage By{hw.id=1,hw.type=gpu}", 3e6),
            ("runlog.system.gpu.sm_active 1{hw.id=1,hw.type=gpu}", 0.25),
            ("runlog.system.batches_waiting {}", 7.0),
        ],
    );
}

#[test]
fn a_node_is_an_attribute_and_not_in_the_name() {
    let mut bench = Bench::new(Some("node_1"), &[]);
    bench.log("system/node_1/process_threads", 4.0, 0);
    check(&bench, &[("process.thread.count {thread}{runlog.node_id=node_1}", 4.0)]);
}

#[test]
fn a_gauge_has_its_last_value_and_one_that_can_be_added_up_too() {
    let mut bench = Bench::new(None, &[]);
    for value in [10.0, 30.0, 20.0] {
        bench.log("system/cpu_power_watts", value, 0);
        bench.log("system/process_memory_rss_megabytes", value, 0);
    }
    check(&bench, &[("hw.power W{hw.id=cpu,hw.type=cpu}", 20.0), ("process.memory.usage By{}", 20e6)]);
}

#[test]
fn a_total_is_a_counter_and_a_resumed_runs_begins_where_it_stopped() {
    let mut bench = Bench::new(None, &[("system/network_receive_megabytes", 100.0)]);
    for value in [100.0, 101.0, 104.0] {
        bench.log("system/network_receive_megabytes", value, 0);
    }
    bench.log("system/network_transmit_megabytes", 2.0, 0);
    check(
        &bench,
        &[
            ("system.network.io By{network.io.direction=receive}", 4e6),
            ("system.network.io By{network.io.direction=transmit}", 2e6),
        ],
    );
}

#[test]
fn a_rate_that_the_conventions_count_is_counted_over_its_time() {
    let mut bench = Bench::new(None, &[]);
    bench.log("system/cpu_utilization_percentage", 50.0, 0);
    for (rate, secs) in [(1.0, 1), (2.0, 11), (0.5, 21)] {
        bench.log("system/disk_read_megabytes_per_second", rate, secs);
    }
    // A clock that was set back adds nothing.
    bench.log("system/disk_read_megabytes_per_second", 9.0, 20);
    check(
        &bench,
        &[("system.cpu.utilization 1{}", 0.5), ("system.disk.io By{disk.io.direction=read}", 26e6)],
    );
}

#[test]
fn a_rates_first_reading_is_counted_once_with_the_window_that_it_is_in() {
    let mut bench = Bench::new(None, &[]);
    bench.log_at("system/cpu_utilization_percentage", 50.0, 0, 0);
    bench.log_at("system/disk_read_megabytes_per_second", 100.0, 1, 0);
    bench.log("system/disk_read_megabytes_per_second", 10.0, 10);
    check(
        &bench,
        &[("system.cpu.utilization 1{}", 0.5), ("system.disk.io By{disk.io.direction=read}", 100e6)],
    );
}

#[test]
fn what_can_be_added_up_is_0_once_the_run_is_over() {
    let mut bench = Bench::new(None, &[]);
    bench.log("system/process_threads", 4.0, 0);
    bench.log("system/cpu_power_watts", 10.0, 0);
    bench.sink = None;
    check(&bench, &[("process.thread.count {thread}{}", 0.0), ("hw.power W{hw.id=cpu,hw.type=cpu}", 10.0)]);
}

#[test]
fn an_instrument_says_what_it_measures() {
    let mut bench = Bench::new(None, &[]);
    for key in [
        "process_threads",
        "disk_read_megabytes_per_second",
        "disk_write_megabytes_per_second",
        "gpu_0_utilization_percentage_max",
        "batches_waiting",
    ] {
        bench.log(&format!("system/{key}"), 1.0, 10);
    }
    bench.provider.force_flush().unwrap();
    let exported = bench.exporter.get_finished_metrics().unwrap();
    let instruments = exported.iter().flat_map(ResourceMetrics::scope_metrics);
    let mut said: Vec<_> = instruments
        .flat_map(ScopeMetrics::metrics)
        .map(|metric| (metric.name().to_owned(), metric.description().to_owned()))
        .collect();
    let what = |name: &str| crate::describe(name).unwrap().to_owned();
    let [read, write] = ["read", "write"].map(|way| what(&format!("disk_{way}_megabytes_per_second")));
    let expected = [
        ("process.thread.count", what("process_threads")),
        ("system.disk.io", format!("{read}; {write}")),
        (
            "runlog.system.gpu.utilization.max",
            format!("{}; the highest of a window", what("gpu_0_utilization_percentage")),
        ),
        ("runlog.system.batches_waiting", String::new()),
    ];
    let mut expected: Vec<_> = expected.into_iter().map(|(name, what)| (name.to_owned(), what)).collect();
    said.sort();
    expected.sort();
    assert_eq!(said, expected);
}
