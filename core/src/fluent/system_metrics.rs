//! MLflow's functions that say how the machine is sampled.
//!
//! They override the environment for this process and never write to it; runs that are active stay as they are.

use std::sync::Mutex;
use std::time::Duration;

use crate::autolog::{LogSystemMetrics, SystemMetrics};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::sync::lock;

/// What was said in this process; `None` leaves it to the environment.
struct Overrides {
    enabled: Option<bool>,
    interval: Option<Duration>,
    samples_before_logging: Option<u32>,
    node_id: Option<String>,
}

static OVERRIDES: Mutex<Overrides> =
    Mutex::new(Overrides { enabled: None, interval: None, samples_before_logging: None, node_id: None });

/// Gives system metrics to every run that starts after this, unless its options say otherwise.
pub fn enable_system_metrics_logging() {
    lock(&OVERRIDES).enabled = Some(true);
}

/// Gives no system metrics to runs that start after this, unless their options say otherwise.
pub fn disable_system_metrics_logging() {
    lock(&OVERRIDES).enabled = Some(false);
}

/// The time between two samples, for runs that start after this; `None` leaves it to the environment, then to the
/// monitor.
///
/// # Errors
/// The interval is zero.
pub fn set_system_metrics_sampling_interval(interval: impl Into<Option<Duration>>) -> Result<()> {
    let interval = interval.into();
    if interval == Some(Duration::ZERO) {
        return Err(Error::invalid("the time between two samples must be above zero"));
    }
    lock(&OVERRIDES).interval = interval;
    Ok(())
}

/// How many samples make one logged point, for runs that start after this; `None` leaves it to the environment, then
/// to the monitor.
///
/// # Errors
/// The number is zero.
pub fn set_system_metrics_samples_before_logging(samples: impl Into<Option<u32>>) -> Result<()> {
    let samples = samples.into();
    if samples == Some(0) {
        return Err(Error::invalid("a logged point needs one sample at least"));
    }
    lock(&OVERRIDES).samples_before_logging = samples;
    Ok(())
}

/// What stands between `system/` and the name of a metric, for runs that start after this; MLflow's UI expects
/// `node_<number>`. `None` leaves it to the environment.
pub fn set_system_metrics_node_id<'a>(node_id: impl Into<Option<&'a str>>) {
    lock(&OVERRIDES).node_id = node_id.into().map(str::to_owned);
}

/// How a run that starts now is sampled; `None` if it is not. Its own options come first, then what was said in this
/// process, then the environment.
pub(crate) fn wanted(config: &Config, options: &LogSystemMetrics) -> Option<SystemMetrics> {
    let overrides = lock(&OVERRIDES);
    let LogSystemMetrics { wanted, settings } = options.clone();
    wanted.or(overrides.enabled).unwrap_or(config.system_metrics).then(|| SystemMetrics {
        interval: settings.interval.or(overrides.interval).or(config.sampling_interval),
        samples_before_logging: settings
            .samples_before_logging
            .or(overrides.samples_before_logging)
            .or(config.samples_before_logging),
        node_id: settings.node_id.or_else(|| overrides.node_id.clone()).or_else(|| config.node_id.clone()),
        tier: settings.tier.or(config.system_metrics_tier),
        ..settings
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_and_no_samples_are_refused() {
        set_system_metrics_sampling_interval(Duration::ZERO).unwrap_err();
        set_system_metrics_samples_before_logging(0).unwrap_err();
    }
}
