//! How a monitor plugs in: it registers a [`MonitorDriver`] and is switched on by `log_system_metrics`.

use std::fmt;
use std::time::Duration;

use crate::config::Config;
use crate::entity::Metric;
use crate::error::{Error, ErrorKind, Result};

/// How the machine is sampled during a run. What is not set follows the functions `set_system_metrics_*`, then the
/// environment, then the monitor's defaults.
///
/// ```
/// use std::time::Duration;
///
/// use runlog_core::RunOptions;
/// use runlog_core::autolog::{SystemMetrics, Tier};
///
/// let machine = SystemMetrics::new().interval(Duration::from_secs(2)).tier(Tier::Full);
/// let options = RunOptions::new().log_system_metrics(machine);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
#[must_use = "settings sample nothing; give them to `RunOptions::log_system_metrics`"]
pub struct SystemMetrics {
    /// See [`SystemMetrics::interval`].
    pub interval: Option<Duration>,
    /// See [`SystemMetrics::samples_before_logging`].
    pub samples_before_logging: Option<u32>,
    /// See [`SystemMetrics::node_id`].
    pub node_id: Option<String>,
    /// See [`SystemMetrics::tier`].
    pub tier: Option<Tier>,
    /// See [`SystemMetrics::adaptive`].
    pub adaptive: bool,
    /// See [`SystemMetrics::gpus`].
    pub gpus: Gpus,
    /// See [`SystemMetrics::gpu_price_per_hour`].
    pub gpu_price_per_hour: Option<f64>,
    /// See [`SystemMetrics::co2_grams_per_kwh`].
    pub co2_grams_per_kwh: Option<f64>,
}

impl SystemMetrics {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The time between two samples, MLflow's `sampling_interval`, of which each makes a point then unless
    /// [`samples_before_logging`](Self::samples_before_logging) says otherwise. Unset it is 1 s, with a point every 10.
    ///
    /// With zero the run has no system metrics, which a warning says. Below 1 ms it is taken as 1 ms.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// Samples that make one logged point, MLflow's `samples_before_logging`, one every 10 s then unless
    /// [`interval`](Self::interval) says otherwise. With [`adaptive`](Self::adaptive) windows it means nothing.
    ///
    /// With zero the run has no system metrics, which a warning says.
    pub fn samples_before_logging(mut self, samples: u32) -> Self {
        self.samples_before_logging = Some(samples);
        self
    }

    /// What stands between `system/` and a metric's name; MLflow's UI expects `node_<number>`. In a job of several
    /// nodes that its launcher numbers it is set by itself.
    pub fn node_id(mut self, node_id: impl Into<String>) -> Self {
        self.node_id = Some(node_id.into());
        self
    }

    /// How much is read.
    pub fn tier(mut self, tier: Tier) -> Self {
        self.tier = Some(tier);
        self
    }

    /// Windows of 1 s for the first 30 s and of 10 s after that, twice as long for every 2000 windows up to 60 s: short
    /// runs in detail, long ones in few points. The time between samples, if it is set, stays.
    pub fn adaptive(mut self, adaptive: bool) -> Self {
        self.adaptive = adaptive;
        self
    }

    /// Which GPUs are read.
    pub fn gpus(mut self, gpus: Gpus) -> Self {
        self.gpus = gpus;
        self
    }

    /// What an hour of one GPU costs, in any currency: the run's summary then has its cost. There is no built-in price.
    pub fn gpu_price_per_hour(mut self, price: f64) -> Self {
        self.gpu_price_per_hour = Some(price);
        self
    }

    /// The grams of CO₂ for a kilowatt-hour where the machine stands: the run's summary then has its emissions. There is
    /// no built-in figure.
    pub fn co2_grams_per_kwh(mut self, grams: f64) -> Self {
        self.co2_grams_per_kwh = Some(grams);
        self
    }
}

/// How much of the machine is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Tier {
    /// MLflow's metrics and nothing else, without summary.
    Compat,
    /// What most people ask for.
    #[default]
    Standard,
    /// All that is there.
    Full,
}

impl Tier {
    /// The tier named `compat`, `standard` or `full`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "compat" => Some(Self::Compat),
            "standard" => Some(Self::Standard),
            "full" => Some(Self::Full),
            _ => None,
        }
    }

    /// `compat`, `standard` or `full`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compat => "compat",
            Self::Standard => "standard",
            Self::Full => "full",
        }
    }
}

/// Which of the machine's GPUs are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gpus {
    /// Every one, as MLflow does: one process samples for all on its machine.
    #[default]
    All,
    /// Those that this process may use, by `CUDA_VISIBLE_DEVICES` and its like.
    Visible,
}

/// Whether a run has system metrics, and which.
///
/// Made from `true`, `false`, `None` (ask the environment) or [`SystemMetrics`] (yes, and so).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LogSystemMetrics {
    /// `None` leaves it to the process's setting and the environment.
    pub(crate) wanted: Option<bool>,
    pub(crate) settings: SystemMetrics,
}

impl From<bool> for LogSystemMetrics {
    fn from(wanted: bool) -> Self {
        Some(wanted).into()
    }
}

impl From<Option<bool>> for LogSystemMetrics {
    fn from(wanted: Option<bool>) -> Self {
        Self { wanted, settings: SystemMetrics::default() }
    }
}

impl From<SystemMetrics> for LogSystemMetrics {
    fn from(settings: SystemMetrics) -> Self {
        Self { wanted: Some(true), settings }
    }
}

/// The run that a monitor is to watch, and how.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Watch {
    /// The run's id.
    pub run_id: String,
    /// How to sample: the run's settings over the process's over the environment's.
    pub settings: SystemMetrics,
    /// The latest point of each `system/` metric of a resumed run.
    pub earlier: Vec<Metric>,
    /// The environment of the process.
    pub config: Config,
}

impl Watch {
    /// To watch the run `run_id` as `settings` say, from the beginning.
    pub fn new(run_id: impl Into<String>, settings: SystemMetrics, config: Config) -> Self {
        Self { run_id: run_id.into(), settings, config, ..Self::default() }
    }
}

/// Where a monitor puts what it learns.
pub trait MonitorSink: Send {
    /// Logs one point: the full key, its value, milliseconds since the Unix epoch, and the window's number.
    fn log(&mut self, key: &str, value: f64, timestamp: i64, step: i64);

    /// Says something of the machine or of the whole run in a tag.
    fn tag(&mut self, key: &str, value: &str);
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

/// Starts to watch a run.
pub type StartMonitor = fn(&Watch, Box<dyn MonitorSink>) -> Result<Box<dyn Monitor>>;

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
