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
    lock(&OVERRIDES).wanted(config, options)
}

impl Overrides {
    fn wanted(&self, config: &Config, options: &LogSystemMetrics) -> Option<SystemMetrics> {
        let LogSystemMetrics { wanted, settings } = options.clone();
        wanted.or(self.enabled).unwrap_or(config.system_metrics).then(|| SystemMetrics {
            interval: settings.interval.or(self.interval).or(config.sampling_interval),
            samples_before_logging: settings
                .samples_before_logging
                .or(self.samples_before_logging)
                .or(config.samples_before_logging),
            node_id: settings.node_id.or_else(|| self.node_id.clone()).or_else(|| config.node_id.clone()),
            tier: settings.tier.or(config.system_metrics_tier),
            ..settings
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::autolog::Tier;

    const NOTHING: Overrides =
        Overrides { enabled: None, interval: None, samples_before_logging: None, node_id: None };

    fn environment(vars: &[(&str, &str)]) -> Config {
        let vars: HashMap<_, _> =
            vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::from_map(&vars).unwrap()
    }

    #[test]
    fn no_time_and_no_samples_are_refused() {
        set_system_metrics_sampling_interval(Duration::ZERO).unwrap_err();
        set_system_metrics_samples_before_logging(0).unwrap_err();
    }

    #[test]
    fn whether_a_run_is_sampled_its_options_say_then_the_process_then_the_environment() {
        let (unset, on, off) = (
            environment(&[]),
            environment(&[("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")]),
            environment(&[("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")]),
        );
        let sampled = |enabled, config: &Config, options: Option<bool>| {
            Overrides { enabled, ..NOTHING }.wanted(config, &options.into()).is_some()
        };
        assert_eq!([&unset, &on, &off].map(|config| sampled(None, config, None)), [false, true, false]);
        assert!(sampled(Some(true), &off, None) && !sampled(Some(false), &on, None));
        assert!(sampled(Some(false), &off, Some(true)) && !sampled(Some(true), &on, Some(false)));
        let settings = SystemMetrics::new();
        assert!(Overrides { enabled: Some(false), ..NOTHING }.wanted(&off, &settings.into()).is_some());
    }

    #[test]
    fn each_setting_is_the_runs_then_the_processs_then_the_environments_then_the_monitors() {
        let config = environment(&[
            ("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.5"),
            ("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "5"),
            ("MLFLOW_SYSTEM_METRICS_NODE_ID", "node_5"),
            ("RUNLOG_SYSTEM_METRICS_TIER", "full"),
        ]);
        let said = || Overrides {
            enabled: None,
            interval: Some(Duration::from_secs(3)),
            samples_before_logging: Some(3),
            node_id: Some("node_3".to_owned()),
        };
        let own = || {
            SystemMetrics::new()
                .interval(Duration::from_secs(1))
                .samples_before_logging(1)
                .node_id("node_1")
                .tier(Tier::Compat)
        };
        let wanted = |overrides: Overrides, config: &Config, options: SystemMetrics| {
            overrides.wanted(config, &options.into()).unwrap()
        };
        assert_eq!(wanted(said(), &config, own()), own());
        let over_environment = wanted(said(), &config, SystemMetrics::new());
        assert_eq!(over_environment.interval, Some(Duration::from_secs(3)));
        assert_eq!(over_environment.samples_before_logging, Some(3));
        assert_eq!(over_environment.node_id.as_deref(), Some("node_3"));
        let environments = wanted(NOTHING, &config, SystemMetrics::new());
        assert_eq!(environments.interval, Some(Duration::from_millis(500)));
        assert_eq!(environments.samples_before_logging, Some(5));
        assert_eq!(environments.node_id.as_deref(), Some("node_5"));
        assert_eq!(environments.tier, Some(Tier::Full));
        assert_eq!(wanted(NOTHING, &environment(&[]), SystemMetrics::new()), SystemMetrics::new());
    }

    #[test]
    fn one_setting_of_a_run_leaves_the_others_to_the_process() {
        let said = Overrides { interval: Some(Duration::from_secs(3)), ..NOTHING };
        let options = SystemMetrics::new().samples_before_logging(2).adaptive(true);
        let wanted = said.wanted(&environment(&[]), &options.clone().into()).unwrap();
        assert_eq!(wanted, options.interval(Duration::from_secs(3)));
    }
}
