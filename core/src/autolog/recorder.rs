//! One observed training, and the one place where autologging policy lives.
//!
//! Invariants: the user's training is called exactly once and its result is the user's, whatever happens here; an error
//! or panic in an adapter becomes one warning and silences the adapter for the rest of this training; a run that the
//! user started is logged to and never ended.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::options::AutologOptions;
use super::registry::Integration;
use crate::current;
use crate::entity::RunStatus;
use crate::error::{Error, ErrorKind, Result};
use crate::fluent;
use crate::notice;
use crate::options::RunOptions;
use crate::run::{ActiveRun, RunHandle};

/// The tag of a run that autologging started by itself: the integration's name.
const AUTOLOGGING: &str = "mlflow.autologging";

thread_local! {
    /// Whether an observed training is going on in this thread: one inside another is part of it.
    static IN_SESSION: Cell<bool> = const { Cell::new(false) };
}

/// One observed training: an adapter starts it before the framework trains and tells it what it sees.
///
/// Dropped without [`finish`](Self::finish) or [`fail`](Self::fail), a run that it started ends `FAILED` while the
/// thread panics, and `FINISHED` otherwise.
#[must_use = "a training is observed as long as its recorder lives"]
pub struct Recorder {
    integration: &'static Integration,
    options: Arc<AutologOptions>,
    run: RunHandle,
    /// The run, if it is ours to end.
    managed: Option<ActiveRun>,
    /// An adapter failed: the rest of this training is not observed.
    failed: AtomicBool,
}

impl Recorder {
    /// Starts to observe a training, or says that it is not to be observed: the integration is off, the user has a run
    /// and the integration is `exclusive`, the training is part of another one, or no run could be started.
    ///
    /// The training joins the user's current run, or gets one of its own that is tagged `mlflow.autologging`.
    #[track_caller]
    pub fn start(integration: &'static Integration) -> Option<Self> {
        if !integration.is_on() || IN_SESSION.get() {
            return None;
        }
        let options = integration.options();
        let started_at = Location::caller();
        match guarded(|| Self::join_or_start(integration, &options, started_at)) {
            Ok(recorder) => {
                IN_SESSION.set(recorder.is_some());
                recorder
            }
            Err(error) => {
                warn(integration, &options, "starting", &error);
                None
            }
        }
    }

    fn join_or_start(
        integration: &'static Integration,
        options: &Arc<AutologOptions>,
        started_at: &'static Location<'static>,
    ) -> Result<Option<Self>> {
        let (run, managed) = match current::find()? {
            Some(_) if options.exclusive => return Ok(None),
            Some(users) => (users, None),
            None => {
                let mut start = RunOptions::new().silent(options.silent).tag(AUTOLOGGING, integration.name);
                for (key, value) in options.extra_tags.iter().filter(|(key, _)| key != AUTOLOGGING) {
                    start = start.tag(key, value);
                }
                let managed = crate::start::start_run(&fluent::tracker()?, &start, started_at)?;
                (managed.handle(), Some(managed))
            }
        };
        let options = Arc::clone(options);
        Ok(Some(Self { integration, options, run, managed, failed: AtomicBool::new(false) }))
    }

    /// What the user wants logged.
    pub fn options(&self) -> &AutologOptions {
        &self.options
    }

    /// The run that is logged to.
    pub fn run(&self) -> &RunHandle {
        &self.run
    }

    /// Logs something about the training: `what` names it in the warning, should `log` fail or panic.
    ///
    /// After a failure nothing more of this training is logged.
    pub fn record(&self, what: &'static str, log: impl FnOnce(&RunHandle) -> Result<()>) {
        if self.failed.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = guarded(|| log(&self.run)) {
            self.failed.store(true, Ordering::Relaxed);
            warn(self.integration, &self.options, what, &error);
            if crate::config::Config::from_env().is_ok_and(|config| config.autologging_testing) {
                raise(&error);
            }
        }
    }

    /// The training went well: a run that the recorder started ends `FINISHED`.
    pub fn finish(mut self) {
        self.end(RunStatus::Finished, None);
    }

    /// The training returned an error: a run that the recorder started ends `FAILED`, with the error's text.
    pub fn fail(mut self, error: &dyn std::error::Error) {
        self.end(RunStatus::Failed, Some(&error.to_string()));
    }

    fn end(&mut self, status: RunStatus, why: Option<&str>) {
        IN_SESSION.set(false);
        let Some(managed) = self.managed.take() else { return };
        if let Err(error) = guarded(|| managed.handle().end_and_deliver(status, why)) {
            warn(self.integration, &self.options, "ending", &error);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = crate::exit::last_panic();
            self.end(RunStatus::Failed, Some(why.as_deref().unwrap_or("a panic")));
        } else {
            self.end(RunStatus::Finished, None);
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("integration", &self.integration.name)
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

/// Runs our own code so that a panic in it is an error like any other.
fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(Error::new(ErrorKind::Unexpected, format!("the adapter panicked: {text}")))
    })
}

fn warn(integration: &Integration, options: &AutologOptions, what: &str, error: &Error) {
    if !options.silent {
        let name = integration.name;
        notice::warn(
            &format!("autolog {name} {what}"),
            format_args!(
                "{name} autologging stopped for this training ({what}); the training is not affected: {error}"
            ),
        );
    }
}

/// MLflow's switch for those who test adapters.
#[expect(clippy::panic, reason = "MLFLOW_AUTOLOGGING_TESTING asks for it")]
fn raise(error: &Error) {
    panic!("autologging failed, and MLFLOW_AUTOLOGGING_TESTING is set: {error}");
}
