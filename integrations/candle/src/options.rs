//! What autologging of candle can be told beyond the options that all frameworks share.

use runlog_core::autolog::AutologOptions;

use crate::checkpoints::Checkpoints;

/// How candle is autologged: the shared [`AutologOptions`], and what only training loops have.
///
/// ```
/// use runlog_candle::{CandleOptions, Checkpoints};
///
/// let best = Checkpoints::every_epochs(1).lowest("val_loss");
/// runlog_candle::autolog_with(CandleOptions::new().checkpoints(best).every_n_steps(10));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until they are passed to `autolog_with`"]
pub struct CandleOptions {
    pub(crate) common: AutologOptions,
    pub(crate) own: Settings,
}

impl CandleOptions {
    /// MLflow's defaults, and no checkpoints.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores the weights during training as well, not only at its end.
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.own.checkpoints = Some(checkpoints);
        self
    }
}

runlog_core::shared_autolog_options!(CandleOptions, common);

/// The options that are candle's alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) checkpoints: Option<Checkpoints>,
}
