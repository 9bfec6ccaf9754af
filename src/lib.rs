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
//! run of its program, if there is just one. Where a program has several, pass a [`RunHandle`] to the thread.
//!
//! # Durability
//!
//! When a log call has returned, its record is in the journal, a file that is mapped into memory: it survives the death
//! of the process by any signal, and is delivered by the next process that uses the same store. A power cut may lose the
//! last second. [`ActiveRun::finish`] returns `Ok` when everything is in the store or safe in the journal, and otherwise
//! says what was lost.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `sqlite` | yes | the store in a SQLite file |
//! | `monitor` | yes | system metrics |
//! | `image` | no | `log_image`, and images in tables |
//! | `linfa` | no | autologging of linfa |
//! | `cli` | no | the command `runlog` |
//! | `testing` | no | the suite that a store must pass |

pub use runlog_core::autolog::{AutologOptions, autolog, autolog_with};
pub use runlog_core::fluent::{
    active_run, end_run, get_logged_model, get_run, last_active_run, log_artifact, log_dict, log_metric,
    log_metrics, log_param, log_params, log_text, run, run_handle, search_experiments, search_logged_models,
    search_runs, set_experiment, set_tag, set_tags, set_tracking_uri, start_run, with_tracker,
};
pub use runlog_core::fluent::{
    download_artifacts, flush_artifact_async_logging, get_artifact_uri, list_artifacts, load_dict,
    load_table, load_text, log_artifact_async, log_artifacts, log_figure, log_stream, log_table,
};
#[cfg(feature = "image")]
pub use runlog_core::fluent::{load_image, log_image, log_image_at, log_image_step};
pub use runlog_core::{
    ActiveRun, Config, Dataset, DatasetInput, Error, ErrorKind, Experiment, ExperimentQuery, LifecycleStage,
    Logged, LoggedModel, Losses, Metric, MetricHandle, ModelOutput, ModelQuery, ModelStatus, Param, Recovery,
    Result, Run, RunData, RunHandle, RunInfo, RunInputs, RunOptions, RunQuery, RunStatus, Step, Tag, Tracker,
    Value, ViewType,
};
pub use runlog_core::{Figure, FileInfo, Html, LoadTable, Png, Progress, Svg, Table, Upload};
#[cfg(feature = "image")]
pub use runlog_core::{ImageArray, Pixel, ToImage};

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

/// For who writes an integration or a monitor: what registers, and the recorder that adapters report to.
pub use runlog_core::autolog as integration;
/// For who writes a store: the trait and its contract.
pub use runlog_core::store;
