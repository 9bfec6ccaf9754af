//! What autologging of linfa can be told beyond the options that all frameworks share.

use runlog_core::autolog::AutologOptions;

use crate::kinds::Limits;

/// Rows that are predicted for the training metrics, unless [`LinfaOptions::max_rows_for_metrics`] says otherwise.
///
/// A prediction of as many rows takes well under a second with every linear model and tree.
pub const ROWS_FOR_METRICS_MAX: usize = 100_000;

/// Rows of which the silhouette is taken, unless [`LinfaOptions::max_rows_for_silhouette`] says otherwise.
///
/// The cost grows with the square: 2 000 rows are 4 million distances, some 50 ms.
pub const SILHOUETTE_ROWS_MAX: usize = 2_000;

/// Candidates of a cross-validation that get a run of their own; MLflow's own number.
const TUNING_RUNS_MAX: usize = 5;

/// How linfa is autologged: the shared [`AutologOptions`], and what only fitted estimators have.
///
/// ```
/// use runlog_linfa::LinfaOptions;
///
/// runlog_linfa::autolog_with(LinfaOptions::new().log_models(false).max_rows_for_metrics(10_000));
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until they are passed to `autolog_with`"]
pub struct LinfaOptions {
    pub(crate) common: AutologOptions,
    pub(crate) own: Settings,
}

impl Default for LinfaOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl LinfaOptions {
    /// MLflow's defaults.
    pub fn new() -> Self {
        Self { common: AutologOptions::new(), own: Settings::default() }
    }

    /// Whether to measure each model on its own training data; it is, by default.
    pub fn training_metrics(mut self, measure: bool) -> Self {
        self.own.training_metrics = measure;
        self
    }

    /// Whether to log the metrics that you take of a recorded model's predictions; they are, by default, as by MLflow's
    /// option of this name. Without them a `predict` costs nothing.
    pub fn log_post_training_metrics(mut self, log: bool) -> Self {
        self.own.post_training_metrics = log;
        self
    }

    /// Whether to draw a classifier's confusion matrix and curves; they are, by default.
    ///
    /// The confusion matrix is there as JSON as well.
    pub fn pictures(mut self, draw: bool) -> Self {
        self.own.pictures = draw;
        self
    }

    /// The most candidates of a recorded cross-validation that get a child run, the best first; `None` for all.
    ///
    /// 5 by default, as MLflow's `max_tuning_runs`.
    pub fn max_tuning_runs(mut self, runs: impl Into<Option<usize>>) -> Self {
        self.own.tuning_runs_max = runs.into();
        self
    }

    /// The most rows to predict for the training metrics; more are sampled evenly.
    ///
    /// [`ROWS_FOR_METRICS_MAX`] by default.
    pub fn max_rows_for_metrics(mut self, rows: usize) -> Self {
        self.own.limits.rows_max = rows;
        self
    }

    /// The most rows to take the silhouette of; more are sampled evenly.
    ///
    /// [`SILHOUETTE_ROWS_MAX`] by default.
    pub fn max_rows_for_silhouette(mut self, rows: usize) -> Self {
        self.own.limits.silhouette_rows_max = rows;
        self
    }
}

runlog_core::shared_autolog_options!(LinfaOptions, common);

/// The options that are linfa's alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) training_metrics: bool,
    pub(crate) post_training_metrics: bool,
    pub(crate) pictures: bool,
    pub(crate) tuning_runs_max: Option<usize>,
    pub(crate) limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            training_metrics: true,
            post_training_metrics: true,
            pictures: true,
            tuning_runs_max: Some(TUNING_RUNS_MAX),
            limits: Limits { rows_max: ROWS_FOR_METRICS_MAX, silhouette_rows_max: SILHOUETTE_ROWS_MAX },
        }
    }
}
