//! Autologging, experiment tracking and system metrics for Rust machine learning, in MLflow's own formats.
//!
//! Read this if you train models. Who writes a store, an adapter or a monitor reads [`store`] and [`integration`].
//!
//! # Concepts
//!
//! A **run** is one execution of training code; it belongs to an **experiment** and holds **params** (settings, written
//! once), **metrics** (numbers over steps), **tags**, **datasets** it read, **models** it made, and files. Runs are kept
//! in a **store**, by default the file `mlflow.db` in the working directory, which MLflow opens as its own.
//!
//! [`autolog`] lets the frameworks that are linked by a feature record their trainings by themselves. Everything else is
//! logged through the free functions ([`start_run`], [`log_metric`], …), through the [`ActiveRun`] that [`start_run`]
//! returns, or through a [`RunHandle`] of it.
//!
//! ```
//! # use runlog::Tracker;
//! # runlog::with_tracker(&Tracker::open("memory:")?, || {
//! let best = runlog::run("baseline", |run| {
//!     run.log_param("learning_rate", 0.1);
//!     let loss = run.metric("loss");
//!     for step in 0..100 {
//!         loss.log(1.0 / f64::from(step + 1), step);
//!     }
//!     Ok::<f64, runlog::Error>(0.01) // `Ok` ends the run FINISHED, an error or a panic FAILED
//! })?;
//! # Ok::<(), runlog::Error>(())
//! # })?;
//! # Ok::<(), runlog::Error>(())
//! ```
//!
//! # Threads and async
//!
//! Every log call may be made from any thread, inside or outside of an async runtime, and returns at once with a
//! [`Logged`] receipt. A free function means the run that its thread started last; a thread that started none means the
//! run of its program, if it is clear which one. Where a program has several, pass a [`RunHandle`] to the thread.
//!
//! In an async runtime a thread says nothing about the task: put a task into its run with
//! [`future.in_run(&run)`](InRun::in_run), or, if it starts runs itself, into a scope of its own with
//! [`in_own_scope`](InRun::in_own_scope). In a pool that moves work between threads, such as rayon's, log through handles.
//!
//! # Durability
//!
//! When a log call has returned, its record is in the journal, a file that is mapped into memory: it survives the death
//! of the process by any signal, and is delivered by the next process that uses the same store. A power cut may lose the
//! last second. [`ActiveRun::finish`] returns `Ok` when everything is in the store or safe in the journal, and otherwise
//! says what was lost.
//!
//! # Endings
//!
#![doc = include_str!("../docs/endings.md")]
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `sqlite` | yes | the store in a SQLite file |
//! | `file` | yes | MLflow's file store |
//! | `monitor` | yes | system metrics |
//! | `nvidia` | yes | NVIDIA's GPUs among them |
//! | `apple` | no | Apple's GPUs and power among them |
//! | `openmetrics` | no | a probe that scrapes what other programs expose for Prometheus |
//! | `otel` | no | system metrics for the program's OpenTelemetry too |
//! | `image` | no | `log_image`, and images in tables |
//! | `burn` | no | autologging of burn |
//! | `candle` | no | autologging of candle |
//! | `linfa` | no | autologging of linfa |
//! | `polars` | no | runs as a data frame of polars |
//! | `cli` | no | the command `runlog` |
//! | `testing` | no | the suite that a store must pass |

pub use runlog_core::autolog::{
    AutologOptions, Gpus, LogSystemMetrics, SystemMetrics, Tier, autolog, autolog_with, register,
};
pub use runlog_core::fluent::{
    active_run, child_env, clear_active_model, create_experiment, create_external_model, delete_experiment,
    delete_experiment_tag, delete_logged_model_tag, delete_run, delete_tag, disable_system_metrics_logging,
    enable_system_metrics_logging, end_run, finalize_logged_model, flush_async_logging, get_active_model_id,
    get_experiment, get_experiment_by_name, get_logged_model, get_parent_run, get_run, get_tracking_uri,
    health, initialize_logged_model, is_tracking_uri_set, last_active_run, last_logged_model, load_model,
    log_artifact, log_dict, log_input, log_inputs, log_metric, log_metric_at, log_metrics, log_metrics_at,
    log_model, log_model_params, log_outputs, log_param, log_params, log_points, log_text, rename_experiment,
    restore_experiment, restore_run, run, run_handle, search_experiments, search_logged_models, search_runs,
    set_active_model, set_active_model_by_id, set_experiment, set_experiment_by_id,
    set_experiment_primary_metric, set_experiment_tag, set_experiment_tags, set_logged_model_tags,
    set_system_metrics_node_id, set_system_metrics_samples_before_logging,
    set_system_metrics_sampling_interval, set_tag, set_tags, set_tracking_uri, start_run, with_tracker,
};
pub use runlog_core::fluent::{
    download_artifacts, flush_artifact_async_logging, get_artifact_uri, list_artifacts, load_dict,
    load_table, load_text, log_artifact_async, log_artifacts, log_figure, log_stream, log_table,
};
#[cfg(feature = "image")]
pub use runlog_core::fluent::{load_image, log_image, log_image_at, log_image_step};
pub use runlog_core::{
    ActiveRun, Config, Dataset, DatasetInput, EndedRun, Error, ErrorKind, Experiment, ExperimentOptions,
    ExperimentQuery, Health, InRun, InScope, LastError, Launch, Launcher, LifecycleStage, Logged,
    LoggedModel, Losses, Metric, MetricHandle, ModelOutput, ModelQuery, ModelStatus, Param, Recovery, Result,
    Run, RunData, RunHandle, RunInfo, RunInputs, RunOptions, RunQuery, RunStatus, RunTable, Step, Tag,
    Tracker, Value, ViewType,
};
pub use runlog_core::{Figure, FileInfo, Html, LoadTable, Png, Progress, Svg, Table, Upload};
#[cfg(feature = "image")]
pub use runlog_core::{ImageArray, Pixel, ToImage};

/// Autologging for burn: `use runlog::burn::Autolog;`.
#[cfg(feature = "burn")]
pub use runlog_burn as burn;
/// Autologging for candle: `use runlog::candle::{AdamW, VarMap, loss};`.
#[cfg(feature = "candle")]
pub use runlog_candle as candle;
/// What this program was built with: compiler, target, profile, `Cargo.lock`.
pub use runlog_core::build;
/// Describing data: arrays, tables, sources.
pub use runlog_core::data;
/// Logged models: what goes into one, and reading it back.
pub use runlog_core::model;
/// What waits in journals for its store, of every store: listed, and delivered, as `runlog sync` does.
pub use runlog_core::waiting;
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

#[doc = include_str!("../docs/mlflow.md")]
pub mod mlflow {}

#[cfg(feature = "monitor")]
#[doc = include_str!("../docs/system-metrics.md")]
pub mod system_metrics {}

/// For who writes an integration or a monitor: what registers, and the recorder that adapters report to.
pub use runlog_core::autolog as integration;
/// For who writes a store: the trait, its contract, and what a store is told.
pub mod store {
    pub use runlog_core::store::*;
    pub use runlog_core::{NewExperiment, NewLoggedModel, NewRun, RunChange};
}
