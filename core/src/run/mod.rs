//! A run of this process: the handles that log to it, and the guard that owns its life.

mod active;
mod metric;

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;

use crate::artifact::{self, Artifacts};
use crate::autolog::Monitor;
use crate::clock;
use crate::current;
use crate::engine::Engine;
use crate::entity::{DatasetInput, LoggedModel, RunInfo, RunStatus};
use crate::error::{Error, ErrorKind, Losses, Result};
use crate::flatten::{flatten, flatten_under};
use crate::journal::RunDefinition;
use crate::journal::record::{Point, Text};
use crate::logged::Logged;
use crate::model::{self, ModelSpec};
use crate::notice;
use crate::sync::lock;
use crate::tracker::Tracker;
use crate::validate;
use crate::value::{Step, Value};

pub use active::ActiveRun;
pub use metric::MetricHandle;

/// The tag that says why a run ended as it did, where that was not by `finish()`.
pub(crate) const ENDED_BY: &str = "runlog.ended_by";
/// How long the end of a run waits for the store; what is left then is safe in the journal.
pub(crate) const END_WAIT: Duration = Duration::from_secs(10);

/// A run, to log to from any thread. Cheap to clone; never ends the run.
///
/// Every log call returns at once with a [`Logged`] receipt. It never blocks on I/O, never panics, and returns no error
/// that must be handled: what is wrong is said once and counted for the run's end.
#[derive(Clone)]
pub struct RunHandle(Arc<Shared>);

struct Shared {
    tracker: Tracker,
    info: RunInfo,
    home: Binding,
    /// The run in a forked child, bound to the child's own engine.
    forked: Mutex<Option<Binding>>,
    parent: Option<RunHandle>,
    owned: bool,
    ended: AtomicBool,
    monitor: Mutex<Option<Box<dyn Monitor>>>,
}

/// A run as an engine's journal knows it.
#[derive(Clone)]
struct Binding {
    engine: Arc<Engine>,
    run: u32,
}

impl RunHandle {
    pub(crate) fn new(
        tracker: &Tracker,
        engine: Arc<Engine>,
        info: RunInfo,
        parent: Option<Self>,
        owned: bool,
    ) -> Result<Self> {
        let run = engine.journal.definitions().run(RunDefinition { run_id: info.run_id.clone(), owned })?;
        Ok(Self(Arc::new(Shared {
            tracker: tracker.clone(),
            info,
            home: Binding { engine, run },
            forked: Mutex::new(None),
            parent,
            owned,
            ended: AtomicBool::new(false),
            monitor: Mutex::new(None),
        })))
    }

    /// The run's id: 32 hex digits.
    pub fn run_id(&self) -> &str {
        &self.0.info.run_id
    }

    /// The run as it was when this handle was made; `tracker.get_run(run.run_id())` reads it anew.
    pub fn info(&self) -> &RunInfo {
        &self.0.info
    }

    /// The name people read.
    pub fn name(&self) -> &str {
        &self.0.info.run_name
    }

    /// The tracker that the run belongs to.
    pub fn tracker(&self) -> &Tracker {
        &self.0.tracker
    }

    /// What was logged to this run in this process and did not and will not reach the store, by reason.
    pub fn losses(&self) -> Losses {
        self.binding().map(|binding| binding.engine.losses(binding.run)).unwrap_or_default()
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn is_active(&self) -> bool {
        !self.0.ended.load(Ordering::Acquire) && self.0.home.engine.is_ours()
    }

    pub(crate) fn is_top_level(&self) -> bool {
        self.0.parent.as_ref().is_none_or(|parent| !parent.is_active())
    }

    /// The run in this process: its own binding, or after a fork one to the child's engine.
    fn binding(&self) -> Result<Cow<'_, Binding>> {
        if self.0.home.engine.is_ours() {
            return Ok(Cow::Borrowed(&self.0.home));
        }
        let mut forked = lock(&self.0.forked);
        if let Some(binding) = forked.as_ref().filter(|binding| binding.engine.is_ours()) {
            return Ok(Cow::Owned(binding.clone()));
        }
        let engine = self.0.tracker.engine()?;
        let definition = RunDefinition { run_id: self.run_id().to_owned(), owned: false };
        let run = engine.journal.definitions().run(definition)?;
        let binding = Binding { engine, run };
        *forked = Some(binding.clone());
        Ok(Cow::Owned(binding))
    }

    /// The metric `key`, to log it many times: its key is checked and defined once, here.
    pub fn metric(&self, key: &str) -> MetricHandle {
        MetricHandle::new(self, key)
    }

    /// Logs `value` of metric `key` at `step`, now.
    ///
    /// A step is any integer, or `None`. NaN and infinities are kept.
    pub fn log_metric(&self, key: &str, value: impl Value, step: impl Step) -> Logged {
        self.log_point(key, value.value(), clock::now_ms(), step.step())
    }

    /// Logs several metrics at one step and time.
    ///
    /// ```
    /// # use runlog_core::Tracker;
    /// # let tracker = Tracker::open("memory:")?;
    /// # let run = tracker.start_run(())?;
    /// run.log_metrics([("loss", 0.3), ("accuracy", 0.9)], 12);
    /// # run.finish()?;
    /// # Ok::<(), runlog_core::Error>(())
    /// ```
    pub fn log_metrics<K: AsRef<str>, V: Value>(
        &self,
        metrics: impl IntoIterator<Item = (K, V)>,
        step: impl Step,
    ) -> Logged {
        let (step, now) = (step.step(), clock::now_ms());
        metrics.into_iter().fold(Logged::nothing(), |logged, (key, value)| {
            logged.and(self.log_point(key.as_ref(), value.value(), now, step))
        })
    }

    fn log_point(&self, key: &str, value: f64, timestamp: i64, step: i64) -> Logged {
        self.log_with(key, |Binding { engine, run }| {
            let definitions = engine.journal.definitions();
            let key = match definitions.find_key(key) {
                Some(id) => id,
                None => validate::key(key).and_then(|()| definitions.key(key))?,
            };
            Ok(engine.log_metric(Point { run: *run, key, value, timestamp, step }))
        })
    }

    /// Logs a param: a setting, which is written once. Its text is as Python would write it: `True`, `0.1`, `1e-05`.
    ///
    /// The same value again is no error; another value is refused, and counted for the run's end. Values longer than
    /// 6000 characters are cut (unless `MLFLOW_TRUNCATE_LONG_VALUES` is false: then they are refused).
    pub fn log_param(&self, key: &str, value: impl Serialize) -> Logged {
        match validate::key(key).and_then(|()| flatten_under(key, &value)) {
            Ok(pairs) => self.log_param_pairs(pairs),
            Err(error) => self.refuse(key, &error),
        }
    }

    /// Logs every field of `params` as a param, nested ones under dotted keys.
    ///
    /// ```
    /// # use runlog_core::Tracker;
    /// # let tracker = Tracker::open("memory:")?;
    /// # let run = tracker.start_run(())?;
    /// #[derive(serde::Serialize)]
    /// struct Config {
    ///     learning_rate: f64,
    ///     optimizer: Optimizer,
    /// }
    /// #[derive(serde::Serialize)]
    /// struct Optimizer {
    ///     name: &'static str,
    ///     momentum: Option<f64>,
    /// }
    /// let optimizer = Optimizer { name: "sgd", momentum: None };
    /// run.log_params(&Config { learning_rate: 0.1, optimizer }); // learning_rate, optimizer.name, optimizer.momentum
    /// # run.finish()?;
    /// # Ok::<(), runlog_core::Error>(())
    /// ```
    pub fn log_params(&self, params: &(impl Serialize + ?Sized)) -> Logged {
        match flatten(params) {
            Ok(pairs) => self.log_param_pairs(pairs),
            Err(error) => self.refuse("params", &error),
        }
    }

    /// Logs params that are pairs of text already.
    pub fn log_param_pairs<K, V>(&self, pairs: impl IntoIterator<Item = (K, V)>) -> Logged
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        pairs.into_iter().fold(Logged::nothing(), |logged, (key, value)| {
            logged.and(self.log_param_text(key.as_ref(), value.as_ref()))
        })
    }

    fn log_param_text(&self, key: &str, value: &str) -> Logged {
        self.log_with(key, |Binding { engine, run }| {
            validate::key(key)?;
            let value = self.fit(key, value, validate::PARAM_CHARS_MAX)?;
            Ok(engine.log(*run, &Text::Param { run: *run, key: key.to_owned(), value }))
        })
    }

    /// Sets a tag, which may be changed later.
    pub fn set_tag(&self, key: &str, value: impl fmt::Display) -> Logged {
        self.log_with(key, |Binding { engine, run }| {
            validate::key(key)?;
            let value = self.fit(key, &value.to_string(), validate::TAG_CHARS_MAX)?;
            Ok(engine.log(*run, &Text::Tag { run: *run, key: key.to_owned(), value }))
        })
    }

    /// Sets several tags.
    pub fn set_tags<K: AsRef<str>, V: fmt::Display>(&self, tags: impl IntoIterator<Item = (K, V)>) -> Logged {
        tags.into_iter()
            .fold(Logged::nothing(), |logged, (key, value)| logged.and(self.set_tag(key.as_ref(), value)))
    }

    /// Removes a tag; removing one that is not there is no error.
    pub fn delete_tag(&self, key: &str) -> Logged {
        self.log_with(key, |Binding { engine, run }| {
            validate::key(key)?;
            Ok(engine.log(*run, &Text::DeleteTag { run: *run, key: key.to_owned() }))
        })
    }

    /// Notes that the run reads a dataset.
    pub fn log_input(&self, input: DatasetInput) -> Logged {
        self.log_with("dataset", |Binding { engine, run }| {
            Ok(engine.log(*run, &Text::Input { run: *run, input: Box::new(input) }))
        })
    }

    fn fit(&self, key: &str, value: &str, chars_max: usize) -> Result<String> {
        let fitted = validate::fit(value, chars_max, self.0.tracker.config().truncate_long_values)?;
        if fitted.len() < value.len() {
            notice::warn(
                &format!("truncated: {key}"),
                format_args!(
                    "the value of {key:?} was cut to {chars_max} characters, the most that MLflow stores"
                ),
            );
        }
        Ok(fitted.into_owned())
    }

    /// Logs through the run's engine, or refuses.
    fn log_with(&self, key: &str, log: impl FnOnce(&Binding) -> Result<Logged>) -> Logged {
        match self.binding().and_then(|binding| log(&binding)) {
            Ok(logged) => logged,
            Err(error) => self.refuse(key, &error),
        }
    }

    #[cold]
    fn refuse(&self, key: &str, error: &Error) -> Logged {
        notice::error(&format!("refused: {key}"), format_args!("{error}"));
        self.binding().map_or(Logged::nowhere(), |binding| binding.engine.refuse(binding.run, error))
    }

    /// Copies a file or a directory into the run's artifacts, under `artifact_path` if given.
    ///
    /// # Errors
    /// The file cannot be read, the path leaves the artifacts, or they cannot be written.
    pub fn log_artifact<'p>(
        &self,
        path: impl AsRef<Path>,
        artifact_path: impl Into<Option<&'p str>>,
    ) -> Result<()> {
        artifact::upload(&*self.artifacts()?, path.as_ref(), artifact_path.into().unwrap_or_default())
    }

    /// Writes `text` as the artifact `artifact_file`, such as `notes/summary.txt`.
    ///
    /// # Errors
    /// The path leaves the artifacts, or they cannot be written.
    pub fn log_text(&self, text: &str, artifact_file: &str) -> Result<()> {
        self.artifacts()?.write(artifact_file, &mut text.as_bytes())
    }

    /// Writes `dict` as the artifact `artifact_file`: YAML if it ends in `.yml` or `.yaml`, JSON otherwise.
    ///
    /// # Errors
    /// `dict` cannot be serialised, the path leaves the artifacts, or they cannot be written.
    pub fn log_dict(&self, dict: &(impl Serialize + ?Sized), artifact_file: &str) -> Result<()> {
        self.log_text(&artifact::dict_text(dict, artifact_file)?, artifact_file)
    }

    fn artifacts(&self) -> Result<Box<dyn Artifacts>> {
        self.0.tracker.artifacts_at(&self.0.info.artifact_uri)
    }

    /// Stores a fitted model: its files, its signature, and the link from this run.
    ///
    /// # Errors
    /// The store or the artifacts cannot be written; the model is marked as failed then.
    pub fn log_model(&self, spec: ModelSpec) -> Result<LoggedModel> {
        let binding = self.binding()?;
        model::log::log_model(&self.0.tracker, &binding.engine, &self.0.info, spec)
    }

    /// Waits until everything logged so far is in the store.
    ///
    /// # Blocking
    /// For at most a minute.
    ///
    /// # Errors
    /// The store did not take it in that time; it is still in the journal.
    pub fn flush(&self) -> Result<()> {
        self.binding()?.engine.flush(Duration::from_mins(1))
    }

    pub(crate) fn watch(&self, monitor: Box<dyn Monitor>) {
        *lock(&self.0.monitor) = Some(monitor);
    }

    /// Ends the run once: `None` if it had ended, or is another process's to end; else what the monitor said.
    ///
    /// Touches no thread-local and says nothing, so that it can be called while the process exits.
    pub(crate) fn end_now(&self, status: RunStatus, ended_by: Option<&str>) -> Option<Result<()>> {
        if !self.0.owned || !self.0.home.engine.is_ours() || self.0.ended.swap(true, Ordering::AcqRel) {
            return None;
        }
        // Before the end, so that the last window belongs to the run.
        let watched = lock(&self.0.monitor).take().map_or(Ok(()), |monitor| {
            catch_unwind(AssertUnwindSafe(|| monitor.stop()))
                .unwrap_or_else(|_panic| Err(Error::new(ErrorKind::Unexpected, "the monitor panicked")))
        });
        // Into the journal itself: a synchronous log call would wait, and the last one percent is kept for this.
        let Binding { engine, run } = &self.0.home;
        if let Some(why) = ended_by {
            let value: String = why.chars().take(validate::TAG_CHARS_MAX).collect();
            engine.journal.text(&Text::Tag { run: *run, key: ENDED_BY.to_owned(), value }).ok();
        }
        engine.journal.text(&Text::End { run: *run, status, time: clock::now_ms() }).ok();
        current::remove(self);
        Some(watched)
    }

    /// Ends the run, delivers what is left, and says what was lost.
    pub(crate) fn end_and_deliver(&self, status: RunStatus, ended_by: Option<&str>) -> Result<()> {
        let Some(watched) = self.end_now(status, ended_by) else { return Ok(()) };
        current::forget_ended();
        if let Err(error) = watched {
            notice::warn("monitor-end", format_args!("the last system metrics are missing: {error}"));
        }
        let Binding { engine, .. } = &self.0.home;
        if let Err(waiting) = engine.flush(END_WAIT) {
            if !engine.journal.is_durable() {
                return Err(waiting.with("run", self.run_id()));
            }
            notice::warn(
                "end-waits",
                format_args!(
                    "run {} has ended, but the store has not taken everything yet; the rest is safe in the journal and \
                     is delivered by the next process that uses this store: {waiting}",
                    self.run_id()
                ),
            );
        }
        let losses = self.losses();
        if losses.is_empty() { Ok(()) } else { Err(Error::lost(losses).with("run", self.run_id())) }
    }
}

impl fmt::Debug for RunHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunHandle")
            .field("run_id", &self.run_id())
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binding").field("run", &self.run).finish_non_exhaustive()
    }
}
