//! A run of this process: the handles that log to it, and the guard that owns its life.

mod active;
mod artifacts;
mod child;
mod ending;
#[cfg(feature = "image")]
mod images;
mod inputs;
mod metric;
mod models;
mod provenance;

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use serde::Serialize;

use crate::autolog::Monitor;
use crate::clock;
use crate::engine::Engine;
use crate::entity::{Metric, RunInfo};
use crate::error::{Error, Losses, Result};
use crate::flatten::{flatten, flatten_under};
use crate::journal::RunDefinition;
use crate::journal::record::{Point, Text};
use crate::logged::Logged;
use crate::notice;
use crate::sync::lock;
use crate::tracker::Tracker;
use crate::validate;
use crate::value::{Step, Value};

pub use active::ActiveRun;
pub(crate) use ending::ENDED_BY;
pub use metric::MetricHandle;
use models::Models;
pub(crate) use models::is_of_the_machine;

/// A run, to log to from any thread. Cheap to clone; never ends the run.
///
/// Every log call returns at once with a [`Logged`] receipt. It never blocks on I/O, never panics, and returns no error
/// that must be handled: what is wrong is said once and counted for the run's end.
#[derive(Clone)]
pub struct RunHandle(Arc<Shared>);

/// A run that nobody may hold any more.
#[derive(Clone, Debug)]
pub(crate) struct WeakRun(Weak<Shared>);

impl WeakRun {
    pub(crate) fn upgrade(&self) -> Option<RunHandle> {
        self.0.upgrade().map(RunHandle)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.0.strong_count() > 0
    }
}

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
    models: Models,
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
            models: Models::default(),
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

    /// Whether `other` is the run's parent, or that one's parent, and so on.
    pub(crate) fn is_below(&self, other: &Self) -> bool {
        std::iter::successors(self.0.parent.as_ref(), |run| run.0.parent.as_ref())
            .any(|parent| parent.is_same(other))
    }

    pub(crate) fn downgrade(&self) -> WeakRun {
        WeakRun(Arc::downgrade(&self.0))
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
    /// A step is any integer, or `None`. NaN and infinities are kept. As in MLflow the point also measures the active
    /// model, or else the models that this run made at that step, if there are any.
    pub fn log_metric(&self, key: &str, value: impl Value, step: impl Step) -> Logged {
        self.log_point(key, value.value(), clock::now_ms(), step.step())
    }

    /// Logs `value` of metric `key` at `step` and `timestamp`, in milliseconds since the Unix epoch.
    ///
    /// Zero is 1970, not now; what is negative is refused.
    pub fn log_metric_at(&self, key: &str, value: impl Value, step: impl Step, timestamp: i64) -> Logged {
        self.log_point(key, value.value(), timestamp, step.step())
    }

    /// Logs several metrics at one step, now.
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
        self.log_metrics_at(metrics, step, clock::now_ms())
    }

    /// Logs several metrics at one step and `timestamp`, in milliseconds since the Unix epoch.
    pub fn log_metrics_at<K: AsRef<str>, V: Value>(
        &self,
        metrics: impl IntoIterator<Item = (K, V)>,
        step: impl Step,
        timestamp: i64,
    ) -> Logged {
        let step = step.step();
        metrics.into_iter().fold(Logged::nothing(), |logged, (key, value)| {
            logged.and(self.log_point(key.as_ref(), value.value(), timestamp, step))
        })
    }

    fn log_point(&self, key: &str, value: f64, timestamp: i64, step: i64) -> Logged {
        let Binding { engine, run } = &self.0.home;
        if engine.is_ours()
            && timestamp >= 0
            && !self.may_measure_models()
            && let Some(key) = engine.journal.definitions().find_key(key)
        {
            return engine.log_metric(Point { run: *run, key, value, timestamp, step });
        }
        self.log_uncommon_point(key, value, timestamp, step)
    }

    /// Logs a point whose key is new, that may measure a model, from a forked child, or that is refused.
    #[cold]
    fn log_uncommon_point(&self, key: &str, value: f64, timestamp: i64, step: i64) -> Logged {
        if self.may_measure_models()
            && let Some(logged) = self.log_for_models(&Metric::new(key, value, timestamp, step))
        {
            return logged;
        }
        self.log_with(key, |Binding { engine, run }| {
            validate::timestamp(timestamp).map_err(|error| error.with("key", key))?;
            let key = validate::key(key).and_then(|()| engine.journal.definitions().key(key))?;
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

    /// Logs every field of `params` as a param, nested ones under dotted keys; [`flatten`] has the table of what becomes
    /// what. Each is written once, as by [`log_param`](Self::log_param): one that is refused keeps no other back.
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

    /// Logs params that autologging saw: where the run has another value already, that is a warning and no loss.
    pub(crate) fn log_observed_params(&self, pairs: impl IntoIterator<Item = (String, String)>) {
        for (key, value) in pairs {
            self.log_with(&key, |Binding { engine, run }| {
                validate::key(&key)?;
                let value = self.fit(&key, &value, validate::PARAM_CHARS_MAX)?;
                Ok(engine.log_observed(*run, &key, value))
            });
        }
    }

    fn log_param_text(&self, key: &str, value: &str) -> Logged {
        self.log_with(key, |Binding { engine, run }| {
            validate::key(key)?;
            let value = self.fit(key, value, validate::PARAM_CHARS_MAX)?;
            Ok(engine.log(*run, &Text::Param { run: *run, key: key.to_owned(), value }))
        })
    }

    /// Sets a tag, which may be changed later. Its text is as that of a param: `True`, `0.1`, `None`.
    ///
    /// Values longer than 8000 characters are cut (unless `MLFLOW_TRUNCATE_LONG_VALUES` is false: then they are refused).
    /// A value that only displays, such as an error, is set as its text: `run.set_tag("cause", error.to_string())`.
    pub fn set_tag(&self, key: &str, value: impl Serialize) -> Logged {
        match validate::key(key).and_then(|()| flatten_under(key, &value)) {
            Ok(pairs) => pairs
                .iter()
                .fold(Logged::nothing(), |logged, (key, value)| logged.and(self.set_tag_text(key, value))),
            Err(error) => self.refuse(key, &error),
        }
    }

    fn set_tag_text(&self, key: &str, value: &str) -> Logged {
        self.log_with(key, |Binding { engine, run }| {
            validate::key(key)?;
            let value = self.fit(key, value, validate::TAG_CHARS_MAX)?;
            Ok(engine.log(*run, &Text::Tag { run: *run, key: key.to_owned(), value }))
        })
    }

    /// Sets several tags, each as [`set_tag`](Self::set_tag).
    pub fn set_tags<K: AsRef<str>, V: Serialize>(&self, tags: impl IntoIterator<Item = (K, V)>) -> Logged {
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

    fn fit(&self, key: &str, value: &str, chars_max: usize) -> Result<String> {
        let truncate = self.0.tracker.config().truncate_long_values;
        let fitted = validate::fit(value, chars_max, truncate).map_err(|error| error.with("key", key))?;
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

    /// Counts a record that may have been meant for this run.
    pub(crate) fn miss(&self, error: &Error) {
        if let Ok(binding) = self.binding() {
            binding.engine.lose(binding.run, &error.to_string(), 1);
        }
    }

    #[cold]
    fn refuse(&self, key: &str, error: &Error) -> Logged {
        notice::error(&format!("refused: {key}"), format_args!("{error}"));
        self.binding().map_or(Logged::nowhere(), |binding| binding.engine.refuse(binding.run, error))
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

    /// Logs the tracker's health as metrics of this run, from `step` on.
    pub(crate) fn log_health(&self, step: i64) -> Result<()> {
        let Binding { engine, run } = &*self.binding()?;
        engine.log_health(*run, step)
    }

    pub(crate) fn watch(&self, monitor: Box<dyn Monitor>) {
        *lock(&self.0.monitor) = Some(monitor);
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
