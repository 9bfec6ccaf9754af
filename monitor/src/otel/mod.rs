//! Every point of a run's system metrics for OpenTelemetry too, under its names.
//!
//! Points go to the meter `runlog` of the process's global `MeterProvider`, as it is when the run starts, and so wherever
//! the program has its metrics exported to; without a provider they go nowhere. Each has the attribute `runlog.run_id`,
//! and `runlog.node_id` where there is one.
//!
//! A metric without a name in the semantic conventions is `runlog.system.<name>`, one of a GPU `runlog.system.gpu.<name>`,
//! and the lowest and highest of a window end in `.min` and `.max`. Instruments have the metrics' descriptions. What the conventions count, such as bytes of disks,
//! and we have as a rate, is counted as the rate over the time since the last window's point: exact while nothing is
//! missing between two. When the run ends, what can be added up (memory in use, threads) goes back to 0, so that it does not
//! stand beside the next run's.
//!
//! Invariant: the run gets every point whatever becomes of it here.

mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter, UpDownCounter};
use runlog_core::Metric;
use runlog_core::autolog::{MonitorSink, Watch};

use crate::window;
use names::{Instrument, Named};

/// The scope of all instruments.
const SCOPE: &str = "runlog";

/// A sink that records every point for OpenTelemetry on its way.
pub(crate) struct Exported {
    sink: Box<dyn MonitorSink>,
    meter: Meter,
    /// What stands before every metric's name.
    prefix: String,
    /// The attributes of all points.
    of_run: Vec<KeyValue>,
    earlier: Vec<Metric>,
    /// The step of each key's first reading, which the first window has in it too.
    opening: i64,
    series: BTreeMap<Box<str>, Series>,
    /// The timestamp of the first point, which is when the run began.
    began_ms: Option<i64>,
}

struct Series {
    to: To,
    attributes: Vec<KeyValue>,
    scale: f64,
    /// What was recorded last, where that matters.
    last: f64,
    last_ms: i64,
}

enum To {
    Gauge(Gauge<f64>),
    UpDown(UpDownCounter<f64>),
    Counter(Counter<f64>),
    Flow(Counter<f64>),
}

/// Puts the export before `sink`.
pub(crate) fn exported(sink: Box<dyn MonitorSink>, watch: &Watch) -> Box<dyn MonitorSink> {
    Box::new(Exported::new(sink, watch, opentelemetry::global::meter(SCOPE)))
}

impl Exported {
    fn new(sink: Box<dyn MonitorSink>, watch: &Watch, meter: Meter) -> Self {
        let node_id = watch.settings.node_id.as_deref().filter(|node_id| !node_id.is_empty());
        let mut of_run = vec![KeyValue::new("runlog.run_id", watch.run_id.clone())];
        of_run.extend(node_id.map(|node_id| KeyValue::new("runlog.node_id", node_id.to_owned())));
        // A node id that cannot stand in a key is refused where the monitor starts.
        let prefix = window::prefix(node_id).unwrap_or_default();
        let opening = window::first_step(&watch.earlier, &prefix);
        let (earlier, series) = (watch.earlier.clone(), BTreeMap::new());
        Self { sink, meter, prefix, of_run, earlier, opening, series, began_ms: None }
    }

    fn record(&mut self, key: &str, value: f64, timestamp: i64, step: i64) {
        let began_ms = *self.began_ms.get_or_insert(timestamp);
        if !self.series.contains_key(key) {
            let series = self.open(key, began_ms);
            self.series.insert(Box::from(key), series);
        }
        if let Some(series) = self.series.get_mut(key)
            && !(step == self.opening && matches!(series.to, To::Flow(_)))
        {
            series.record(value, timestamp);
        }
    }

    fn open(&self, key: &str, began_ms: i64) -> Series {
        let named = Named::of(key.strip_prefix(self.prefix.as_str()).unwrap_or(key));
        let Named { name, description, unit, scale, instrument, mut attributes } = named;
        attributes.extend(self.of_run.iter().cloned());
        let meter = &self.meter;
        let gauge = |name| meter.f64_gauge(name).with_unit(unit);
        let up_down = |name| meter.f64_up_down_counter(name).with_unit(unit);
        let counter = |name| meter.f64_counter(name).with_unit(unit);
        let to = match instrument {
            Instrument::Gauge => To::Gauge(gauge(name).with_description(description).build()),
            Instrument::UpDown => To::UpDown(up_down(name).with_description(description).build()),
            Instrument::Counter => To::Counter(counter(name).with_description(description).build()),
            Instrument::Flow => To::Flow(counter(name).with_description(description).build()),
        };
        // A resumed run's total begins with what was counted before, in a process that told of it then.
        let earlier = self.earlier.iter().find(|metric| metric.key == key).map_or(0.0, |metric| metric.value);
        let last = if matches!(to, To::Counter(_)) { earlier } else { 0.0 };
        Series { to, attributes, scale, last, last_ms: began_ms }
    }
}

impl Series {
    fn record(&mut self, value: f64, timestamp: i64) {
        match &self.to {
            To::Gauge(gauge) => gauge.record(value * self.scale, &self.attributes),
            To::UpDown(counter) => counter.add((value - self.last) * self.scale, &self.attributes),
            To::Counter(counter) => counter.add((value - self.last).max(0.0) * self.scale, &self.attributes),
            To::Flow(counter) => {
                let since_last = u32::try_from(timestamp - self.last_ms).unwrap_or(0);
                counter.add((value * f64::from(since_last) / 1000.0).max(0.0) * self.scale, &self.attributes);
            }
        }
        (self.last, self.last_ms) = (value, timestamp);
    }
}

impl MonitorSink for Exported {
    fn log(&mut self, key: &str, value: f64, timestamp: i64, step: i64) {
        self.sink.log(key, value, timestamp, step);
        self.record(key, value, timestamp, step);
    }

    fn tag(&mut self, key: &str, value: &str) {
        self.sink.tag(key, value);
    }
}

impl Drop for Exported {
    fn drop(&mut self) {
        for series in self.series.values_mut() {
            if matches!(series.to, To::UpDown(_)) {
                series.record(0.0, series.last_ms);
            }
        }
    }
}
