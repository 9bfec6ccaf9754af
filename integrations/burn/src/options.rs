//! What autologging of burn can be told beyond the options that all frameworks share.

use runlog_core::autolog::AutologOptions;

/// How burn is autologged: the shared [`AutologOptions`], and what only burn's trainings have.
///
/// ```
/// use runlog_burn::BurnOptions;
///
/// runlog_burn::autolog_with(BurnOptions::new().log_models(false).every_n_steps(10));
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until they are passed to `autolog_with`"]
pub struct BurnOptions {
    pub(crate) common: AutologOptions,
    pub(crate) own: Settings,
}

impl Default for BurnOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl BurnOptions {
    /// MLflow's defaults.
    pub fn new() -> Self {
        Self { common: AutologOptions::new(), own: Settings::default() }
    }

    /// Whether the last and the best checkpoint that burn has left are stored as artifacts; they are, by default.
    pub fn log_checkpoints(mut self, log: bool) -> Self {
        self.own.log_checkpoints = log;
        self
    }
}

runlog_core::shared_autolog_options!(BurnOptions, common);

/// The options that are burn's alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) log_checkpoints: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { log_checkpoints: true }
    }
}
