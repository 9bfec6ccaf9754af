//! What an adapter tells of a training, from any thread, and what becomes of it.
//!
//! Invariant: an error or panic in an adapter becomes one warning and silences the adapter for the rest of this training.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde::Serialize;

use super::integration::Integration;
use super::options::AutologOptions;
use super::registry::Configuration;
use crate::config::Config;
use crate::entity::{Dataset, LoggedModel, RunInfo};
use crate::error::{Error, ErrorKind, Result};
use crate::flatten::flatten_under;
use crate::model::ModelSpec;
use crate::run::{RunHandle, WeakRun};
use crate::sync::lock;
use crate::tracker::WeakTracker;
use crate::{clock, notice};

/// Reports one observed training; a clone reports the same one, from any thread.
///
/// It ends nothing: the [`Training`](super::Training) does.
#[derive(Clone)]
pub struct Recorder(Arc<Reported>);

struct Reported {
    integration: &'static Integration,
    configuration: Arc<Configuration>,
    run: RunHandle,
    part: usize,
    kept: Arc<Kept>,
}

/// What is known of the training as long as anybody reports it.
struct Kept {
    since_ms: i64,
    params: Mutex<Vec<(String, String)>>,
    /// An adapter failed: the rest of this training is not observed.
    failed: AtomicBool,
}

/// A [`Recorder`] for what may be told after the training: it keeps neither the run nor its tracker open.
#[derive(Clone)]
pub struct WeakRecorder {
    integration: &'static Integration,
    configuration: Arc<Configuration>,
    run: WeakRun,
    info: RunInfo,
    tracker: WeakTracker,
    part: usize,
    kept: Arc<Kept>,
}

impl WeakRecorder {
    /// The id of the run that is logged to.
    pub fn run_id(&self) -> &str {
        &self.info.run_id
    }

    /// The recorder; `None` if the run's tracker is closed.
    pub fn upgrade(&self) -> Option<Recorder> {
        let tracker = self.tracker.upgrade()?;
        let reopened =
            || RunHandle::new(&tracker, tracker.engine().ok()?, self.info.clone(), None, false).ok();
        Some(Recorder(Arc::new(Reported {
            integration: self.integration,
            configuration: Arc::clone(&self.configuration),
            run: self.run.upgrade().or_else(reopened)?,
            part: self.part,
            kept: Arc::clone(&self.kept),
        })))
    }
}

impl fmt::Debug for WeakRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakRecorder").field("run_id", &self.info.run_id).finish_non_exhaustive()
    }
}

impl Recorder {
    pub(super) fn new(
        integration: &'static Integration,
        configuration: Arc<Configuration>,
        run: RunHandle,
        part: usize,
    ) -> Self {
        let kept =
            Kept { since_ms: clock::now_ms(), params: Mutex::default(), failed: AtomicBool::new(false) };
        Self(Arc::new(Reported { integration, configuration, run, part, kept: Arc::new(kept) }))
    }

    /// The same, for what may be told after the training, without keeping the run or its tracker open.
    pub fn downgrade(&self) -> WeakRecorder {
        let Reported { integration, configuration, run, part, kept } = &*self.0;
        WeakRecorder {
            integration,
            configuration: Arc::clone(configuration),
            run: run.downgrade(),
            info: run.info().clone(),
            tracker: run.tracker().downgrade(),
            part: *part,
            kept: Arc::clone(kept),
        }
    }

    /// What the user wants logged.
    pub fn options(&self) -> &AutologOptions {
        &self.0.configuration.options
    }

    /// The options that only this integration has, as they were given to [`configure`](super::configure); `None` if it
    /// was switched on by the global call.
    pub fn own_options<O: Any>(&self) -> Option<&O> {
        self.0.configuration.own.as_deref().and_then(<dyn Any + Send + Sync>::downcast_ref)
    }

    /// The run that is logged to.
    pub fn run(&self) -> &RunHandle {
        &self.0.run
    }

    /// Which one of the trainings that share the run at the same time this is, from 1.
    pub fn part(&self) -> usize {
        self.0.part
    }

    /// Whether anything is still logged: no adapter has failed in this training.
    pub fn is_on(&self) -> bool {
        !self.0.kept.failed.load(Ordering::Relaxed)
    }

    /// Whether what belongs to this optimizer step, counted from 1, is logged (`every_n_steps`).
    pub fn wants_step(&self, step: usize) -> bool {
        self.is_on() && is_nth(step, self.options().every_n_steps)
    }

    /// Whether what belongs to this epoch, counted from 1, is logged (`every_n_epochs`).
    pub fn wants_epoch(&self, epoch: usize) -> bool {
        self.is_on() && is_nth(epoch, self.options().every_n_epochs)
    }

    /// Logs something about the training: `what` names it in the warning, should `log` fail or panic.
    ///
    /// After a failure nothing more of this training is logged.
    pub fn record(&self, what: &'static str, log: impl FnOnce(&RunHandle) -> Result<()>) {
        self.get(what, log);
    }

    /// Logs one setting of the training, as [`log_params`](Self::log_params) does.
    pub fn log_param(&self, key: &str, value: impl Serialize) {
        match flatten_under(key, &value) {
            Ok(pairs) => self.log_params(pairs),
            Err(error) => self.0.run.miss(&error),
        }
    }

    /// Logs the settings of the training. Where the run has another value of one already, such as of a training before,
    /// that one stays, with a warning; the model that is logged has the training's own.
    pub fn log_params<K: Into<String>, V: Into<String>>(&self, pairs: impl IntoIterator<Item = (K, V)>) {
        let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        lock(&self.0.kept.params).extend(pairs.iter().cloned());
        self.0.run.log_observed_params(pairs);
    }

    /// Notes what is trained on, if data is to be logged. `context` is MLflow's: `train`, `eval`, …
    pub fn log_dataset(&self, context: &str, describe: impl FnOnce() -> Result<Dataset>) {
        if self.options().log_datasets {
            self.record("the dataset", |run| {
                run.log_input((describe()?, context));
                Ok(())
            });
        }
    }

    /// Stores the model, if models are to be logged; `None` if they are not, or it failed.
    pub fn log_model(
        &self,
        describe: impl FnOnce(&AutologOptions) -> Result<ModelSpec>,
    ) -> Option<LoggedModel> {
        if !self.options().log_models {
            return None;
        }
        self.get("the model", |run| {
            let mut spec = describe(self.options())?;
            spec.observed.clone_from(&lock(&self.0.kept.params));
            spec.since_ms = Some(self.0.kept.since_ms);
            run.log_model(spec)
        })
    }

    fn get<T>(&self, what: &'static str, log: impl FnOnce(&RunHandle) -> Result<T>) -> Option<T> {
        if !self.is_on() {
            return None;
        }
        let log = || {
            #[cfg(any(test, feature = "testing"))]
            super::testing::strike(self.0.run.tracker())?;
            log(&self.0.run)
        };
        let logged = guarded(self.options(), log);
        logged.inspect_err(|error| self.failed(what, error)).ok()
    }

    /// Ends the records of this training.
    pub(super) fn failed(&self, what: &str, error: &Error) {
        self.0.kept.failed.store(true, Ordering::Relaxed);
        failed(self.0.integration, self.options(), what, error);
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("integration", &self.0.integration.name())
            .field("run", &self.0.run)
            .finish_non_exhaustive()
    }
}

/// Whether this one, counted from 1, is an `n`-th one; none is a zeroth.
fn is_nth(count: usize, n: usize) -> bool {
    n != 0 && count.is_multiple_of(n)
}

/// Runs our own code so that a panic in it is an error like any other, and that it says nothing if it is to be silent.
pub(super) fn guarded<T>(options: &AutologOptions, call: impl FnOnce() -> Result<T>) -> Result<T> {
    let call = || catch_unwind(AssertUnwindSafe(call));
    notice::silenced(options.silent, call).unwrap_or_else(|payload| {
        Err(Error::new(ErrorKind::Unexpected, format!("the adapter panicked: {}", text_of(&*payload))))
    })
}

/// What a panic said; nothing if that is no text.
pub(super) fn text_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default()
}

/// Says that autologging failed, unless it is to be silent; for those who test adapters it fails aloud.
pub(super) fn failed(integration: &Integration, options: &AutologOptions, what: &str, error: &Error) {
    if !options.silent {
        let name = integration.name();
        notice::warn(
            &format!("autolog {name} {what}"),
            format_args!(
                "{name} autologging stopped for this training ({what}); the training is not affected: {error}"
            ),
        );
    }
    let testing = Config::from_env().is_ok_and(|config| config.autologging_testing);
    if testing && !std::thread::panicking() {
        raise(error);
    }
}

/// MLflow's switch for those who test adapters.
#[expect(clippy::panic, reason = "MLFLOW_AUTOLOGGING_TESTING asks for it")]
fn raise(error: &Error) {
    panic!("autologging failed, and MLFLOW_AUTOLOGGING_TESTING is set: {error}");
}
