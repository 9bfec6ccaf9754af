//! What was asked for, made definite: MLflow's two parameters, or the defaults where neither is given.
//!
//! Invariant: a plan has MLflow's window. Its default window is 10 s long as MLflow's, but sampled every second, so the
//! same number of points estimates the time between them better.

use std::time::Duration;

use runlog_core::autolog::Watch;
use runlog_core::{Error, Result};

/// MLflow's default sampling interval, which is also its default window.
const MLFLOW_INTERVAL: Duration = Duration::from_secs(10);
/// How often the default window is sampled.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// Samples in the default window.
const DEFAULT_SAMPLES: u32 = 10;
/// How many of its samples have what may block once.
const DEFAULT_SLOW_EVERY: u32 = 5;
/// The windows of an adaptive run at its start, and for how long.
const FINE_WINDOW: Duration = Duration::from_secs(1);
const FINE_TIME: Duration = Duration::from_secs(30);
/// After so many windows those of an adaptive run are twice as long.
const WINDOWS_BEFORE_DOUBLING: i64 = 2000;
/// Its longest windows.
const WINDOW_MAX: Duration = Duration::from_mins(1);
/// The shortest interval; a shorter one would spend a core on reading the same counters.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// How one run is sampled.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// The time between two samples.
    pub(crate) interval: Duration,
    /// Samples that make one point.
    pub(crate) samples: u32,
    /// Of so many samples one has what may block too.
    pub(crate) slow_every: u32,
    /// Whether windows grow with the run, whatever `samples` says.
    pub(crate) adaptive: bool,
}

impl Plan {
    /// The plan for `watch`: as soon as one of MLflow's parameters is set, the other has MLflow's default.
    ///
    /// # Errors
    /// An interval of no time, windows of no samples, or a price below 0.
    pub(crate) fn new(watch: &Watch) -> Result<Self> {
        let asked = &watch.settings;
        let (interval, samples, slow_every) = match (asked.interval, asked.samples_before_logging) {
            (None, None) => (DEFAULT_INTERVAL, DEFAULT_SAMPLES, DEFAULT_SLOW_EVERY),
            // The windows of an adaptive run are not a number of samples.
            (None, Some(_)) if asked.adaptive => (DEFAULT_INTERVAL, DEFAULT_SAMPLES, DEFAULT_SLOW_EVERY),
            (interval, samples) => (interval.unwrap_or(MLFLOW_INTERVAL), samples.unwrap_or(1), 1),
        };
        if interval.is_zero() {
            return Err(Error::invalid(
                "the sampling interval of system metrics must be longer than no time",
            ));
        }
        for (what, amount) in [
            ("the price of a GPU-hour", asked.gpu_price_per_hour),
            ("CO₂ a kilowatt-hour", asked.co2_grams_per_kwh),
        ] {
            if amount.is_some_and(|amount| !amount.is_finite() || amount < 0.0) {
                return Err(Error::invalid(format!("{what} must be a number that is not below 0")));
            }
        }
        if samples == 0 {
            return Err(Error::invalid("system metrics need at least 1 sample before logging"));
        }
        Ok(Self { interval: interval.max(INTERVAL_MIN), samples, slow_every, adaptive: asked.adaptive })
    }

    /// The samples that make the next window whole, after `logged` windows and this much time of the run.
    pub(crate) fn samples_of_window(&self, logged: i64, elapsed: Duration) -> u32 {
        if !self.adaptive {
            return self.samples;
        }
        let window = if elapsed < FINE_TIME {
            FINE_WINDOW
        } else {
            // Past the sixth doubling it is the longest window anyway.
            let doublings = (logged / WINDOWS_BEFORE_DOUBLING).clamp(0, 6);
            (MLFLOW_INTERVAL * (1 << doublings)).min(WINDOW_MAX)
        };
        u32::try_from(window.as_nanos().div_ceil(self.interval.as_nanos())).unwrap_or(u32::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use runlog_core::autolog::SystemMetrics;
    use runlog_core::config::Config;

    use super::*;

    fn plan(interval_secs: Option<f64>, samples: Option<u32>) -> Result<(f64, u32)> {
        let mut asked = SystemMetrics::default();
        asked.interval = interval_secs.map(Duration::from_secs_f64);
        asked.samples_before_logging = samples;
        Plan::new(&Watch::new("", asked, Config::default()))
            .map(|plan| (plan.interval.as_secs_f64(), plan.samples))
    }

    #[test]
    fn one_parameter_of_mlflows_brings_mlflows_default_for_the_other() {
        assert_eq!(plan(None, None).unwrap(), (1.0, 10));
        assert_eq!(plan(Some(2.5), None).unwrap(), (2.5, 1));
        assert_eq!(plan(None, Some(3)).unwrap(), (10.0, 3));
        assert_eq!(plan(Some(0.5), Some(4)).unwrap(), (0.5, 4));
    }

    #[test]
    fn no_time_and_no_samples_are_refused_and_a_busy_loop_is_slowed() {
        assert!(plan(Some(0.0), None).is_err());
        assert!(plan(None, Some(0)).is_err());
        assert_eq!(plan(Some(1e-9), None).unwrap(), (0.001, 1));
    }

    #[test]
    fn a_price_below_nothing_is_refused() {
        let asked = SystemMetrics::new;
        for settings in [asked().gpu_price_per_hour(-1.0), asked().co2_grams_per_kwh(f64::NAN)] {
            assert!(Plan::new(&Watch::new("", settings, Config::default())).is_err());
        }
        Plan::new(&Watch::new("", asked().gpu_price_per_hour(0.0), Config::default())).unwrap();
    }

    #[test]
    fn adaptive_windows_are_fine_at_first_and_then_grow_to_a_minute() {
        let secs = |asked: SystemMetrics, logged, elapsed_secs| {
            let plan = Plan::new(&Watch::new("", asked.adaptive(true), Config::default())).unwrap();
            let samples = plan.samples_of_window(logged, Duration::from_secs(elapsed_secs));
            (plan.interval * samples).as_secs()
        };
        let asked = SystemMetrics::new;
        assert_eq!([0, 29].map(|elapsed| secs(asked(), 5, elapsed)), [1, 1]);
        let grown =
            [30, 1999, 2000, 3999, 4000, 5999, 6000, 1_000_000].map(|logged| secs(asked(), logged, 30));
        assert_eq!(grown, [10, 10, 20, 20, 40, 40, 60, 60]);
        assert_eq!(secs(asked(), i64::MAX, u64::MAX), 60);

        let every = |interval: f64| asked().interval(Duration::from_secs_f64(interval));
        assert_eq!([secs(every(0.25), 0, 0), secs(every(0.25), 30, 30)], [1, 10], "samples stay as asked");
        assert_eq!([secs(every(4.0), 0, 0), secs(every(4.0), 30, 30)], [4, 12], "no window without a sample");
        assert_eq!(secs(asked().samples_before_logging(7), 0, 30), 10);
    }
}
