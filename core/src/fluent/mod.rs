//! The fluent functions: MLflow's own names, over the process's current run.
//!
//! They use one tracker for the process: the one that [`set_tracking_uri`] names, else `MLFLOW_TRACKING_URI`, else
//! `sqlite:///mlflow.db` in the working directory.

mod artifacts;
mod experiments;
mod logging;
mod models;
mod runs;
mod search;
pub(crate) mod system_metrics;

use std::cell::RefCell;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::clock;
use crate::config::Config;
use crate::current;
use crate::error::{Error, ErrorKind, Result};
use crate::health::Health;
use crate::run::{ActiveRun, RunHandle};
use crate::sync::lock;
use crate::tracker::Tracker;

pub use artifacts::{
    download_artifacts, flush_artifact_async_logging, get_artifact_uri, list_artifacts, load_dict,
    load_table, load_text, log_artifact, log_artifact_async, log_artifacts, log_dict, log_figure, log_stream,
    log_table, log_text,
};
#[cfg(feature = "image")]
pub use artifacts::{load_image, log_image, log_image_at, log_image_step};
pub use experiments::{
    create_experiment, delete_experiment, delete_experiment_tag, get_experiment, get_experiment_by_name,
    rename_experiment, restore_experiment, set_experiment, set_experiment_by_id,
    set_experiment_primary_metric, set_experiment_tag, set_experiment_tags,
};
pub use logging::{
    delete_tag, flush_async_logging, log_input, log_inputs, log_metric, log_metric_at, log_metrics,
    log_metrics_at, log_param, log_params, log_points, set_tag, set_tags,
};
pub use models::{
    clear_active_model, create_external_model, delete_logged_model_tag, finalize_logged_model,
    get_active_model_id, get_logged_model, initialize_logged_model, last_logged_model, load_model, log_model,
    log_model_params, log_outputs, set_active_model, set_active_model_by_id, set_logged_model_tags,
};
pub use runs::{
    active_run, child_env, delete_run, end_run, get_parent_run, get_run, last_active_run, restore_run, run,
    run_handle, start_run,
};
pub use search::{search_experiments, search_logged_models, search_runs};
pub use system_metrics::{
    disable_system_metrics_logging, enable_system_metrics_logging, set_system_metrics_node_id,
    set_system_metrics_samples_before_logging, set_system_metrics_sampling_interval,
};

/// The tracker of the process, and the runs that the fluent functions keep alive.
struct Process {
    uri: Option<String>,
    tracker: Option<Tracker>,
    /// `MLFLOW_RUN_ID` is for the first run of the process, which a tracker before this one has started.
    resumed: bool,
    /// When a tracker could last not be opened, or a run not be started for a log call.
    failed_at: Option<Instant>,
}

static PROCESS: Mutex<Process> =
    Mutex::new(Process { uri: None, tracker: None, resumed: false, failed_at: None });

/// How long log calls leave a store alone that could not be opened: each try may take seconds.
const REOPEN_AFTER: Duration = Duration::from_secs(30);

thread_local! {
    static LOCAL: RefCell<Vec<Tracker>> = const { RefCell::new(Vec::new()) };
}

/// The tracker that the fluent functions use on this thread.
pub(crate) fn tracker() -> Result<Tracker> {
    if let Some(local) = local_tracker() {
        return Ok(local);
    }
    let mut process = lock(&PROCESS);
    if let Some(tracker) = &process.tracker {
        return Ok(tracker.clone());
    }
    process.failed_at = Some(clock::instant());
    let mut config = Config::from_env()?;
    if process.resumed {
        config.run_id = None;
    }
    let tracker = Tracker::with_config(process.uri.as_deref(), config)?;
    process.failed_at = None;
    process.tracker = Some(tracker.clone());
    Ok(tracker)
}

/// Whether a log call may try to start a run.
fn may_open() -> bool {
    local_tracker().is_some()
        || lock(&PROCESS).failed_at.is_none_or(|failed_at| failed_at.elapsed() >= REOPEN_AFTER)
}

/// The tracker that [`with_tracker`] chose on this thread.
pub(crate) fn local_tracker() -> Option<Tracker> {
    LOCAL.try_with(|local| local.borrow().last().cloned()).ok().flatten()
}

/// Lets the fluent functions and autologging use `tracker` on this thread while `body` runs.
///
/// Nothing of the process changes, so tests that run side by side need not know of each other.
///
/// ```
/// use runlog_core::{Tracker, fluent};
///
/// let tracker = Tracker::open("memory:")?;
/// fluent::with_tracker(&tracker, || fluent::run("inside", |run| {
///     run.log_metric("loss", 0.5, 1);
///     Ok::<(), runlog_core::Error>(())
/// }))?;
/// assert_eq!(tracker.search_runs(())?[0].info.run_name, "inside");
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn with_tracker<T>(tracker: &Tracker, body: impl FnOnce() -> T) -> T {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            LOCAL.with_borrow_mut(Vec::pop);
        }
    }
    LOCAL.with_borrow_mut(|local| local.push(tracker.clone()));
    let _restore = Restore;
    body()
}

/// Names the store for everything after this call, such as `sqlite:///mlflow.db`. Runs that are active stay where they are.
///
/// # Errors
/// The URI is wrong, or the store cannot be opened or created.
pub fn set_tracking_uri(uri: impl Into<String>) -> Result<()> {
    let uri = uri.into();
    let previous = {
        let mut process = lock(&PROCESS);
        process.uri = Some(uri);
        process.resumed |= process.tracker.as_ref().is_some_and(|tracker| tracker.run_to_resume().is_none());
        process.tracker.take()
    };
    // Outside the lock: closing waits for the store.
    drop(previous);
    tracker().map(drop)
}

/// The tracker that the fluent functions use on this thread, if there is one already.
fn open_tracker() -> Option<Tracker> {
    local_tracker().or_else(|| lock(&PROCESS).tracker.clone())
}

/// How logging does: what waits, what was lost, whether the store takes it. Nothing is opened; before there is something
/// to log to, everything is zero.
///
/// ```
/// # use runlog_core::{Tracker, fluent};
/// # let tracker = Tracker::open("memory:")?;
/// # fluent::with_tracker(&tracker, || {
/// let health = fluent::health();
/// if health.dropped_records > 0 {
///     eprintln!("{} records are lost; the oldest that waits is {:?} old", health.dropped_records, health.lag);
/// }
/// # });
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn health() -> Health {
    open_tracker().map(|tracker| tracker.health()).unwrap_or_default()
}

/// The store that this process uses: what [`set_tracking_uri`] said, else `MLFLOW_TRACKING_URI`, else MLflow's default.
/// Nothing is opened.
///
/// # Errors
/// A variable is wrong, or there is no default here because of an old file store.
pub fn get_tracking_uri() -> Result<String> {
    if let Some(tracker) = open_tracker() {
        return Ok(tracker.tracking_uri().to_owned());
    }
    let said = lock(&PROCESS).uri.clone();
    said.map_or_else(|| Ok(Tracker::uri_of(None, &Config::from_env()?)), Ok)
}

/// Whether [`set_tracking_uri`] or `MLFLOW_TRACKING_URI` says which store this process uses.
///
/// # Errors
/// A variable is wrong.
pub fn is_tracking_uri_set() -> Result<bool> {
    let said = local_tracker().is_some() || lock(&PROCESS).uri.is_some();
    Ok(said || Config::from_env()?.tracking_uri.is_some())
}

/// The run that a log call opened because the process had none; it ends with the process, by its exit status.
static OPENED: Mutex<Option<ActiveRun>> = Mutex::new(None);

fn opened_by_a_log_call() -> Option<RunHandle> {
    lock(&OPENED).as_ref().map(ActiveRun::handle)
}

/// The current run, or a new one if the process has none.
#[track_caller]
fn current_or_new() -> Result<RunHandle> {
    if let Some(run) = current::find()? {
        return Ok(run);
    }
    let mut opened = lock(&OPENED);
    // Another thread may have been faster.
    if let Some(run) = current::find()? {
        return Ok(run);
    }
    if !may_open() {
        return Err(Error::new(
            ErrorKind::Unavailable,
            "no run could be started a moment ago; it is tried again in half a minute, or by `start_run`",
        ));
    }
    let run = start_run(()).inspect_err(|_| lock(&PROCESS).failed_at = Some(clock::instant()))?;
    let handle = run.handle();
    *opened = Some(run);
    Ok(handle)
}
