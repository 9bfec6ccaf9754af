//! Autologging, experiment tracking and system metrics for Rust machine learning, in MLflow's own formats.

pub use runlog_core::autolog::{AutologOptions, autolog, autolog_with};
pub use runlog_core::fluent::{
    active_run, end_run, get_run, last_active_run, log_artifact, log_dict, log_metric, log_metrics,
    log_param, log_params, log_text, run, run_handle, search_runs, set_experiment, set_tag, set_tags,
    set_tracking_uri, start_run, with_tracker,
};
pub use runlog_core::{
    ActiveRun, Config, Dataset, DatasetInput, Error, ErrorKind, Experiment, LifecycleStage, Logged,
    LoggedModel, Losses, Metric, MetricHandle, ModelOutput, ModelStatus, Param, Recovery, Result, Run,
    RunData, RunHandle, RunInfo, RunInputs, RunOptions, RunQuery, RunStatus, Step, Tag, Tracker, Value,
    ViewType,
};

/// Autologging for linfa: `use runlog::linfa::Fit;`.
#[cfg(feature = "linfa")]
pub use runlog_linfa as linfa;
/// System metrics, for those who write probes.
#[cfg(feature = "monitor")]
pub use runlog_monitor as monitor;

/// The code in README.md, so that it compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
