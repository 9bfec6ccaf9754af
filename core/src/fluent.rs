//! The fluent functions: MLflow's own names, over the process's current run.
//!
//! They use one tracker for the process: the one that [`set_tracking_uri`] names, else `MLFLOW_TRACKING_URI`, else
//! `sqlite:///mlflow.db` in the working directory.

use std::cell::RefCell;
use std::fmt;
use std::panic::Location;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::clock;
use crate::config::Config;
use crate::current;
use crate::entity::{Experiment, Run, RunStatus};
use crate::error::{Error, ErrorKind, Result};
use crate::logged::Logged;
use crate::notice;
use crate::options::RunOptions;
use crate::run::{ActiveRun, RunHandle};
use crate::store::RunQuery;
use crate::sync::lock;
use crate::tracker::Tracker;
use crate::value::{Step, Value};

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
/// use runlog_core::{RunQuery, Tracker, fluent};
///
/// let tracker = Tracker::open("memory:")?;
/// fluent::with_tracker(&tracker, || fluent::run("inside", |run| {
///     run.log_metric("loss", 0.5, 1);
///     Ok::<(), runlog_core::Error>(())
/// }))?;
/// assert_eq!(tracker.search_runs(&RunQuery::new())?[0].info.run_name, "inside");
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

/// Makes the experiment `name` the active one, where new runs go; it is created if there is none.
///
/// # Errors
/// The name is empty or too long, the experiment is deleted, or the store cannot be written.
pub fn set_experiment(name: &str) -> Result<Experiment> {
    tracker()?.set_experiment(name)
}

/// Starts a run and makes it this thread's current one. `options` is a name, `()` for a random name, or [`RunOptions`].
///
/// The first run of a process resumes the run that `MLFLOW_RUN_ID` names, if it is set.
///
/// # Errors
/// This thread has an active run and `nested` is not set; the experiment is deleted or does not exist; a tag is wrong;
/// the store cannot be written.
#[track_caller]
pub fn start_run(options: impl Into<RunOptions>) -> Result<ActiveRun> {
    crate::start::start_run(&tracker()?, &options.into(), Location::caller())
}

/// Runs `body` in a run: `Ok` ends it `FINISHED`, `Err` and a panic end it `FAILED` with the reason.
///
/// # Errors
/// What `body` returns; or the run could not be started or lost something, turned into `body`'s error.
///
/// ```
/// # use runlog_core::{Error, Tracker, fluent};
/// # fluent::with_tracker(&Tracker::open("memory:")?, || {
/// fluent::run("baseline", |run| {
///     run.log_param("learning_rate", 0.1);
///     for step in 0..10 {
///         run.log_metric("loss", 1.0 / f64::from(step + 1), step);
///     }
///     Ok::<(), Error>(())
/// })?;
/// # Ok::<(), Error>(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn run<T, E>(
    options: impl Into<RunOptions>,
    body: impl FnOnce(&RunHandle) -> std::result::Result<T, E>,
) -> std::result::Result<T, E>
where
    E: From<Error> + fmt::Display,
{
    let run = start_run(options)?;
    match body(&run) {
        Ok(value) => {
            run.finish()?;
            Ok(value)
        }
        Err(error) => {
            // The body's error is the one to return; what was lost besides was said already.
            run.fail(&error).ok();
            Err(error)
        }
    }
}

/// Ends this thread's current run with `status`; without one it does nothing.
///
/// # Errors
/// What the run lost, or a status that is not an end.
pub fn end_run(status: RunStatus) -> Result<()> {
    status.check_terminal()?;
    let run = current::of_this_thread().or_else(|| opened_by_a_log_call().filter(RunHandle::is_active));
    run.map_or(Ok(()), |run| run.end_and_deliver(status, None))
}

/// The current run: this thread's innermost one, else the process's only one; `None` if it has none or several.
pub fn active_run() -> Option<RunHandle> {
    current::find().ok().flatten()
}

/// The run that this process started last, as the store has it now; `None` if it started none, or closed its tracker.
///
/// # Errors
/// The store cannot be read.
pub fn last_active_run() -> Result<Option<Run>> {
    current::last().map(|(tracker, run_id)| tracker.get_run(&run_id)).transpose()
}

/// A handle to a run that this process did not start: it logs to it and never ends it.
///
/// # Errors
/// There is no such run.
pub fn run_handle(run_id: &str) -> Result<RunHandle> {
    tracker()?.run_handle(run_id)
}

/// The run with everything it logged; waits, for at most 5 s, until what this process logged is stored.
///
/// # Errors
/// There is no such run, or the store cannot be read.
pub fn get_run(run_id: &str) -> Result<Run> {
    tracker()?.get_run(run_id)
}

/// The runs that `query` selects, newest start first; waits as [`get_run`].
///
/// # Errors
/// The store cannot be read.
pub fn search_runs(query: &RunQuery) -> Result<Vec<Run>> {
    tracker()?.search_runs(query)
}

/// Logs `value` of metric `key` at `step` to the current run; starts one if the process has none.
pub fn log_metric(key: &str, value: impl Value, step: impl Step) -> Logged {
    logged(|run| run.log_metric(key, value, step))
}

/// Logs several metrics at one step and time to the current run.
pub fn log_metrics<K: AsRef<str>, V: Value>(
    metrics: impl IntoIterator<Item = (K, V)>,
    step: impl Step,
) -> Logged {
    logged(|run| run.log_metrics(metrics, step))
}

/// Logs a param, which is written once, to the current run.
pub fn log_param(key: &str, value: impl Serialize) -> Logged {
    logged(|run| run.log_param(key, value))
}

/// Logs every field of `params` as a param of the current run, nested ones under dotted keys.
pub fn log_params(params: &(impl Serialize + ?Sized)) -> Logged {
    logged(|run| run.log_params(params))
}

/// Sets a tag of the current run.
pub fn set_tag(key: &str, value: impl fmt::Display) -> Logged {
    logged(|run| run.set_tag(key, value))
}

/// Sets several tags of the current run.
pub fn set_tags<K: AsRef<str>, V: fmt::Display>(tags: impl IntoIterator<Item = (K, V)>) -> Logged {
    logged(|run| run.set_tags(tags))
}

/// Copies a file or a directory into the current run's artifacts, under `artifact_path` if given.
///
/// # Errors
/// There is no run and none can be started; the file cannot be read; the artifacts cannot be written.
pub fn log_artifact<'p>(path: impl AsRef<Path>, artifact_path: impl Into<Option<&'p str>>) -> Result<()> {
    current_or_new()?.log_artifact(path, artifact_path)
}

/// Writes `text` as an artifact of the current run.
///
/// # Errors
/// As [`log_artifact`].
pub fn log_text(text: &str, artifact_file: &str) -> Result<()> {
    current_or_new()?.log_text(text, artifact_file)
}

/// Writes `dict` as an artifact of the current run: YAML if the name ends in `.yml` or `.yaml`, JSON otherwise.
///
/// # Errors
/// As [`log_artifact`]; also a `dict` that cannot be serialised.
pub fn log_dict(dict: &(impl Serialize + ?Sized), artifact_file: &str) -> Result<()> {
    current_or_new()?.log_dict(dict, artifact_file)
}

fn logged(log: impl FnOnce(&RunHandle) -> Logged) -> Logged {
    match current_or_new() {
        Ok(run) => log(&run),
        Err(error) => {
            notice::error("no-run", format_args!("nothing is logged: {error}"));
            Logged::nowhere()
        }
    }
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
