//! `power_usage_watts`, `power_usage_percentage`, `power_limit_watts` and `energy_joules`.
//!
//! Invariant: energy is the driver's counter where there is one, else power over time by the trapezoid rule; never a
//! mixture of both.

use std::time::Duration;

use nvml_wrapper::Device;

use super::fate::Ask;
use super::fields::{Fields, What};
use super::line::Line;
use crate::counter::{Integral, Sum};
use crate::metrics;
use crate::probe::{Key, Registry, Sink, float};

/// The limit is set by hand, so it is looked at seldom.
const LIMIT_EVERY: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Power {
    watts: Option<Key>,
    percentage: Option<Key>,
    limit_watts: Option<Key>,
    usage: Ask,
    limit: Ask,
    /// The enforced limit in watts, and when it was read.
    enforced: Option<(f64, Duration)>,
    /// The power of this sample.
    read: Option<f64>,
}

impl Power {
    pub(super) fn register(registry: &mut Registry, number: u32) -> Self {
        let mut key = |metric| registry.metric_of("gpu", number, metric);
        Self {
            watts: key(&metrics::GPU_POWER),
            percentage: key(&metrics::GPU_POWER_PERCENTAGE),
            limit_watts: key(&metrics::GPU_POWER_LIMIT),
            usage: Ask::default(),
            limit: Ask::default(),
            enforced: None,
            read: None,
        }
    }

    pub(super) fn rebase(&mut self) {
        self.enforced = None;
    }

    pub(super) fn read(&mut self, line: &mut Line, sink: &mut Sink<'_>) {
        let watts = |milliwatts: u32| f64::from(milliwatts) / 1000.0;
        self.read = line.ask(&mut self.usage, Device::power_usage).map(watts);
        if self.enforced.is_none_or(|(_, at)| line.now() >= at + LIMIT_EVERY)
            && let Some(limit) = line.ask(&mut self.limit, Device::enforced_power_limit)
        {
            self.enforced = Some((watts(limit), line.now()));
        }
        if let Some(read) = self.read {
            sink.put(self.watts, read);
        }
        if let Some((limit, _)) = self.enforced.filter(|_| line.is_connected()) {
            sink.put(self.limit_watts, limit);
            if let Some(read) = self.read {
                sink.put(self.percentage, read / limit * 100.0);
            }
        }
    }

    /// Whether the device tells its power, asked now.
    pub(super) fn is_readable(&mut self, line: &mut Line) -> bool {
        line.ask(&mut self.usage, Device::power_usage).is_some()
    }

    /// The power that this sample read, in watts.
    pub(super) fn of_this_sample(&self) -> Option<f64> {
        self.read
    }
}

/// The energy of one device since the probe was opened.
#[derive(Debug)]
pub(super) struct Energy {
    key: Option<Key>,
    source: Option<Source>,
}

#[derive(Debug)]
enum Source {
    /// Millijoules since the driver was loaded.
    Counter(Sum),
    Power(Integral),
}

impl Energy {
    pub(super) fn register(registry: &mut Registry, number: u32, fields: &mut Fields) -> Self {
        let key = registry.metric_of("gpu", number, &metrics::GPU_ENERGY);
        if key.is_some() {
            fields.want(What::Energy);
        }
        Self { key, source: None }
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.key.is_some()
    }

    /// Nothing is counted for a time in which the device was not there.
    pub(super) fn rebase(&mut self) {
        if let Some(Source::Counter(millijoules)) = &mut self.source {
            millijoules.rebase();
        }
        self.gap();
    }

    /// No power is assumed for a time in which nobody looked. The counter did look.
    pub(super) fn gap(&mut self) {
        if let Some(Source::Power(joules)) = &mut self.source {
            joules.rebase();
        }
    }

    /// Takes the counter's reading, or where there is none the power of this sample in watts.
    pub(super) fn put(&mut self, fields: &Fields, watts: Option<f64>, sink: &mut Sink<'_>) {
        if self.source.is_none() {
            self.source = match (fields.get(What::Energy), watts) {
                (Some(_), _) => Some(Source::Counter(Sum::default())),
                (None, Some(_)) if !fields.is_possible(What::Energy) => {
                    Some(Source::Power(Integral::default()))
                }
                _ => None,
            };
        }
        match &mut self.source {
            Some(Source::Counter(sum)) => {
                if let Some(millijoules) = fields.get(What::Energy) {
                    sink.put(self.key, float(sum.advance(millijoules)) / 1000.0);
                }
            }
            Some(Source::Power(joules)) => match watts {
                Some(watts) => {
                    let secs = sink.since_last().map(|time| time.as_secs_f64());
                    sink.put(self.key, joules.advance(watts, secs));
                }
                None => joules.rebase(),
            },
            None => {}
        }
    }
}
