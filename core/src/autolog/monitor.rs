//! How a monitor plugs in: it registers a [`MonitorDriver`] and is switched on by `log_system_metrics`.

use std::fmt;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// How to sample the machine during a run. Unset fields follow the environment, then the monitor's defaults.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SystemMetrics {
    /// The time between two samples, MLflow's `sampling_interval`.
    pub interval: Option<Duration>,
    /// Samples that make one logged point, MLflow's `samples_before_logging`.
    pub samples_before_logging: Option<u32>,
    /// Put between `system/` and the metric's name; MLflow's UI expects `node_<number>`.
    pub node_id: Option<String>,
    /// The step of the first point: 0, or one more than the last of a resumed run.
    pub first_step: i64,
}

/// Where a monitor puts its points.
pub trait MetricSink: Send {
    /// Logs one point: the full key, its value, milliseconds since the Unix epoch, and the window's number.
    fn log(&mut self, key: &str, value: f64, timestamp: i64, step: i64);
}

/// A monitor at work.
pub trait Monitor: fmt::Debug + Send {
    /// Logs the last, partial window and ends; must return within a fraction of a second even if a driver hangs.
    ///
    /// It may be called while the process exits: it must touch no thread-local with a destructor and log no event.
    ///
    /// # Errors
    /// What is missing of the last window.
    fn stop(self: Box<Self>) -> Result<()>;
}

/// Starts to sample into a sink.
pub type StartMonitor = fn(&SystemMetrics, Box<dyn MetricSink>) -> Result<Box<dyn Monitor>>;

/// What a monitor crate registers with [`inventory::submit!`].
#[derive(Clone, Copy, Debug)]
pub struct MonitorDriver {
    /// For messages.
    pub name: &'static str,
    /// Starts sampling into the sink.
    pub start: StartMonitor,
}

inventory::collect!(MonitorDriver);

/// The monitor that is linked into this program.
pub(crate) fn monitor_driver() -> Result<&'static MonitorDriver> {
    inventory::iter::<MonitorDriver>().min_by_key(|driver| driver.name).ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            "system metrics are wanted but no monitor is linked; enable the feature `monitor` of runlog, or leave \
             `log_system_metrics` and MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING unset",
        )
    })
}
