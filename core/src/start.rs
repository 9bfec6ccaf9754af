//! How a run starts: whose it is, what it starts with, and what watches it.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;

use crate::autolog::{self, MetricSink, MonitorDriver, SystemMetrics};
use crate::config::Config;
use crate::context;
use crate::current;
use crate::engine::Engine;
use crate::entity::{LifecycleStage, NewRun, Run, RunChange, RunStatus, Tag};
use crate::error::{Error, ErrorKind, Result};
use crate::options::RunOptions;
use crate::recover::OWNER;
use crate::run::{ActiveRun, ENDED_BY, MetricHandle, RunHandle};
use crate::store::Batch;
use crate::tracker::Tracker;
use crate::{clock, exit, names, notice, validate};

const NOTE: &str = "mlflow.note.content";
const PARENT: &str = "mlflow.parentRunId";
/// MLflow's default experiment, "Default".
const DEFAULT_EXPERIMENT: &str = "0";

/// Starts or resumes a run and makes it the innermost one of this thread.
pub(crate) fn start_run(
    tracker: &Tracker,
    options: &RunOptions,
    started_at: &'static Location<'static>,
) -> Result<ActiveRun> {
    let mine = current::of_this_thread_with(tracker);
    if let (false, Some(active)) = (options.nested, mine.first()) {
        return Err(Error::new(
            ErrorKind::Conflict,
            "this thread has an active run already; end it first, or start this one with \
             `RunOptions::new().nested(true)`",
        )
        .with("active_run", active.run_id()));
    }
    let wants_system_metrics = options.log_system_metrics.unwrap_or(tracker.config().system_metrics);
    let monitor = wants_system_metrics.then(autolog::monitor_driver).transpose()?;

    let engine = tracker.engine()?;
    let resumed = options.run_id.clone().or_else(|| tracker.run_to_resume());
    let parent = mine.last().cloned();
    let run = match &resumed {
        Some(run_id) => resume(tracker, &engine, run_id, options)?,
        None => create(tracker, &engine, parent.as_ref(), options)?,
    };
    let first_step = next_window(&run);
    tracker.forget_run_to_resume();
    let (run_id, store) = (run.info.run_id.clone(), Arc::clone(&engine.store));
    let handle = RunHandle::new(tracker, engine, run.info, parent, true).inspect_err(|_unwritten| {
        // Nobody else would end it. If this fails too, the error at hand says what is wrong.
        let change =
            RunChange { status: Some(RunStatus::Failed), end_time: Some(clock::now_ms()), run_name: None };
        store.update_run(&run_id, &change).ok();
    })?;
    exit::watch(tracker.config());
    current::push(&handle, options.origin);
    let active = ActiveRun::new(handle, started_at);

    if let Some(driver) = monitor {
        watch_machine(driver, tracker.config(), &active, first_step);
    }
    if !options.silent {
        say_where(tracker, &active, resumed.is_some());
    }
    Ok(active)
}

fn watch_machine(driver: &MonitorDriver, config: &Config, run: &RunHandle, first_step: i64) {
    let settings = SystemMetrics {
        interval: config.sampling_interval,
        samples_before_logging: config.samples_before_logging,
        node_id: config.node_id.clone(),
        first_step,
    };
    match (driver.start)(&settings, Box::new(Sink::new(run))) {
        Ok(monitor) => run.watch(monitor),
        Err(error) => notice::warn("monitor", format_args!("there will be no system metrics: {error}")),
    }
}

fn create(
    tracker: &Tracker,
    engine: &Engine,
    parent: Option<&RunHandle>,
    options: &RunOptions,
) -> Result<Run> {
    let name = match options.name.as_deref() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => names::run_name(),
    };
    if name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        notice::warn(
            "name-like-id",
            format_args!(
                "the run's *name* looks like an id; to resume that run, use `RunOptions::new().run_id(…)`"
            ),
        );
    }
    let mut tags: BTreeMap<String, String> =
        context::default_tags(tracker.config()).into_iter().map(|tag| (tag.key, tag.value)).collect();
    tags.extend(given_tags(tracker, options)?);
    tags.extend(engine.journal.owner_name().map(|owner| (OWNER.to_owned(), owner.to_owned())));
    tags.extend(parent.map(|parent| (PARENT.to_owned(), parent.run_id().to_owned())));
    let user_id = tags.get("mlflow.user").cloned().unwrap_or_else(|| "unknown".to_owned());
    engine.store.create_run(&NewRun {
        experiment_id: experiment_of_new_run(tracker, options)?,
        run_name: name,
        user_id,
        start_time: clock::now_ms(),
        tags: tags.into_iter().map(|(key, value)| Tag::new(key, value)).collect(),
    })
}

/// The first that is said: the option, `set_experiment`, the environment's name, its id, MLflow's default.
fn experiment_of_new_run(tracker: &Tracker, options: &RunOptions) -> Result<String> {
    let config = tracker.config();
    if let Some(id) = options.experiment_id.clone().or_else(|| tracker.active_experiment()) {
        return Ok(id);
    }
    let by_id = config.experiment_id.as_deref().map(|id| tracker.get_experiment(id)).transpose().map_err(
        |error| {
            Error::invalid("MLFLOW_EXPERIMENT_ID names no experiment of this store; unset or correct it")
                .because(error)
        },
    )?;
    let Some(name) = config.experiment_name.as_deref() else {
        return Ok(by_id.map_or_else(|| DEFAULT_EXPERIMENT.to_owned(), |experiment| experiment.experiment_id));
    };
    let by_name = tracker.find_or_create_experiment(name)?;
    if by_id.is_some_and(|by_id| by_id.experiment_id != by_name.experiment_id) {
        return Err(Error::invalid(
            "MLFLOW_EXPERIMENT_NAME and MLFLOW_EXPERIMENT_ID name different experiments; unset one of them",
        ));
    }
    Ok(by_name.experiment_id)
}

fn resume(tracker: &Tracker, engine: &Engine, run_id: &str, options: &RunOptions) -> Result<Run> {
    validate::run_id(run_id)?;
    // What this process and a dead one logged to it comes first: their ends and tags must not come over ours.
    tracker.caught_up()?;
    if let Err(error) = tracker.recover() {
        notice::warn("recovery", format_args!("a dead process's journal is not delivered yet: {error}"));
    }
    let run = engine.store.get_run(run_id)?;
    if run.info.lifecycle_stage == LifecycleStage::Deleted {
        return Err(Error::invalid("the run is deleted; restore it with MLflow before you resume it")
            .with("run", run_id));
    }
    if let Some(active) = tracker.active_experiment()
        && active != run.info.experiment_id
    {
        return Err(Error::invalid(
            "the run belongs to another experiment than the active one; do not call `set_experiment` before resuming it",
        )
        .with("run", run_id)
        .with("its_experiment", run.info.experiment_id)
        .with("active_experiment", active));
    }
    let mut tags = given_tags(tracker, options)?;
    tags.extend(engine.journal.owner_name().map(|owner| (OWNER.to_owned(), owner.to_owned())));
    let tags = tags.into_iter().map(|(key, value)| Tag::new(key, value)).collect();
    let change =
        RunChange { status: Some(RunStatus::Running), end_time: None, run_name: options.name.clone() };
    engine.store.update_run(run_id, &change)?;
    engine.store.log_batch(run_id, &Batch { tags, ..Batch::default() })?;
    match engine.store.delete_tag(run_id, ENDED_BY) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    engine.store.get_run(run_id)
}

/// The user's tags and description, checked.
fn given_tags(tracker: &Tracker, options: &RunOptions) -> Result<BTreeMap<String, String>> {
    let truncate = tracker.config().truncate_long_values;
    let mut tags = BTreeMap::new();
    for Tag { key, value } in &options.tags {
        validate::key(key)?;
        tags.insert(key.clone(), validate::fit(value, validate::TAG_CHARS_MAX, truncate)?.into_owned());
    }
    if let Some(description) = &options.description {
        let fitted = validate::fit(description, validate::TAG_CHARS_MAX, truncate)?.into_owned();
        if tags.insert(NOTE.to_owned(), fitted).is_some() {
            return Err(Error::invalid(format!("give the description or the tag `{NOTE}`, not both")));
        }
    }
    Ok(tags)
}

/// The number of the next window of system metrics: they go on where a resumed run stopped.
fn next_window(run: &Run) -> i64 {
    let system = run.data.metrics.iter().filter(|metric| metric.key.starts_with("system/"));
    system.map(|metric| metric.step + 1).max().unwrap_or(0)
}

fn say_where(tracker: &Tracker, run: &RunHandle, resumed: bool) {
    let config = tracker.config();
    if config.quiet || config.disabled || crate::store::is_in_memory(tracker.tracking_uri()) {
        return;
    }
    let verb = if resumed { "resumed" } else { "run" };
    // The command finds the store by itself, unless this program named another one.
    let elsewhere = if Tracker::default_uri(config) == tracker.tracking_uri() {
        String::new()
    } else {
        format!(" --tracking-uri {}", tracker.tracking_uri())
    };
    notice::tell(format_args!(
        "{verb} {} ({id}), see `runlog show {id}{elsewhere}`",
        run.name(),
        id = run.run_id()
    ));
}

/// Where a monitor's points go: the run's metrics.
struct Sink {
    run: RunHandle,
    metrics: BTreeMap<Arc<str>, MetricHandle>,
}

impl Sink {
    fn new(run: &RunHandle) -> Self {
        Self { run: run.clone(), metrics: BTreeMap::new() }
    }
}

impl MetricSink for Sink {
    fn log(&mut self, key: &str, value: f64, timestamp: i64, step: i64) {
        let metric = match self.metrics.get(key) {
            Some(metric) => metric,
            None => self.metrics.entry(key.into()).or_insert_with(|| self.run.metric(key)),
        };
        metric.log_at(value, step, timestamp);
    }
}
