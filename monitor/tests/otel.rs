//! The registered monitor in a program that has set up OpenTelemetry for all its metrics.

#![cfg(feature = "otel")]

use std::sync::mpsc::{SyncSender, sync_channel};

use opentelemetry_sdk::metrics::data::{ResourceMetrics, ScopeMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use runlog_core::autolog::{MonitorSink, SystemMetrics, Watch};
use runlog_core::config::Config;

/// A sink that says when it has a point.
struct Heard(SyncSender<()>);

impl MonitorSink for Heard {
    fn log(&mut self, _: &str, _: f64, _: i64, _: i64) {
        // The test has heard enough after the first.
        self.0.try_send(()).ok();
    }

    fn tag(&mut self, _: &str, _: &str) {}
}

#[test]
fn points_go_wherever_the_programs_own_provider_sends_them() {
    let exporter = InMemoryMetricExporter::default();
    let provider =
        SdkMeterProvider::builder().with_reader(PeriodicReader::builder(exporter.clone()).build()).build();
    opentelemetry::global::set_meter_provider(provider.clone());

    let (sender, heard) = sync_channel(1);
    let watch = Watch::new("abc", SystemMetrics::new(), Config::default());
    let monitor = (runlog_monitor::DRIVER.start)(&watch, Box::new(Heard(sender))).unwrap();
    heard.recv().unwrap();
    // On a busy machine a probe with a thread of its own may not answer in time.
    monitor.stop().ok();

    provider.force_flush().unwrap();
    let finished = exporter.get_finished_metrics().unwrap();
    let scopes = finished.iter().flat_map(ResourceMetrics::scope_metrics);
    let runlogs = scopes.filter(|scope| scope.scope().name() == "runlog");
    let names: Vec<_> =
        runlogs.flat_map(ScopeMetrics::metrics).map(|metric| metric.name().to_owned()).collect();
    assert!(names.iter().any(|name| name == "system.memory.usage"), "{names:?}");
}
