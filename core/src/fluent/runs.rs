//! MLflow's functions that start, end and read runs.

use std::fmt;
use std::panic::Location;

use super::{opened_by_a_log_call, tracker};
use crate::current;
use crate::entity::{Run, RunStatus};
use crate::error::{Error, Result};
use crate::options::RunOptions;
use crate::run::{ActiveRun, RunHandle};
#[cfg(doc)]
use crate::tracker::Tracker;

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

/// Ends the current run of this thread or task with `status`; without one it does nothing.
///
/// # Errors
/// What the run lost, or a status that is not an end.
pub fn end_run(status: RunStatus) -> Result<()> {
    status.check_terminal()?;
    let run = current::of_this_scope().or_else(|| opened_by_a_log_call().filter(RunHandle::is_active));
    run.map_or(Ok(()), |run| run.end_and_deliver(status, None))
}

/// The current run: the task's or thread's innermost one, else the process's only one; `None` if it has none or
/// several.
pub fn active_run() -> Option<RunHandle> {
    current::find().ok().flatten().filter(RunHandle::is_active)
}

/// The current run, else the one that was active last in this process, as the store has it now; `None` if there was
/// none, or its tracker is closed.
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

/// The parent of a run; `None` if it has none. Waits as [`get_run`].
///
/// # Errors
/// There is no such run, its parent is gone, or the store cannot be read.
pub fn get_parent_run(run_id: &str) -> Result<Option<Run>> {
    tracker()?.get_parent_run(run_id)
}

/// Deletes a run, which [`restore_run`] undoes; see [`Tracker::delete_run`].
///
/// # Errors
/// There is no such run, or the store cannot be written; also what an active run lost.
pub fn delete_run(run_id: &str) -> Result<()> {
    tracker()?.delete_run(run_id)
}

/// Undoes the deletion of a run.
///
/// # Errors
/// There is no such run, or the store cannot be written.
pub fn restore_run(run_id: &str) -> Result<()> {
    tracker()?.restore_run(run_id)
}

/// The environment of a child process that works on the current run; see [`RunHandle::child_env`]. Without a run, the
/// child is told of the store and the active experiment.
///
/// ```no_run
/// use std::process::Command;
///
/// let run = runlog_core::fluent::start_run("both")?;
/// Command::new("python").arg("evaluate.py").envs(runlog_core::fluent::child_env()?).status()?;
/// run.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// It is not clear which run is meant, or the store cannot be opened or read.
pub fn child_env() -> Result<Vec<(&'static str, String)>> {
    if let Some(run) = current::find()? {
        return run.child_env();
    }
    let tracker = tracker()?;
    tracker.child_env_of(tracker.active_experiment().as_deref(), None)
}
