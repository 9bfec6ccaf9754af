//! How a run starts: whose it is, what it starts with, and what watches it.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;

use crate::autolog::{self, MonitorDriver, MonitorSink, SystemMetrics, Watch};
use crate::context;
use crate::current;
use crate::engine::{Engine, HEALTH_PREFIX};
use crate::entity::{LifecycleStage, Metric, NewRun, Run, RunChange, RunStatus, Tag};
use crate::error::{Error, ErrorKind, Result};
use crate::fluent::system_metrics;
use crate::journal::RunDefinition;
use crate::options::RunOptions;
use crate::provenance;
use crate::recover::OWNER;
use crate::run::{ActiveRun, ENDED_BY, MetricHandle, RunHandle};
use crate::store::{Batch, RUN_NAME_TAG};
use crate::tracker::Tracker;
use crate::{clock, exit, names, notice, validate};

const SYSTEM_PREFIX: &str = "system/";
const NOTE: &str = "mlflow.note.content";
pub(crate) const PARENT: &str = "mlflow.parentRunId";

/// Starts or resumes a run and makes it the innermost one of this thread or task.
pub(crate) fn start_run(
    tracker: &Tracker,
    options: &RunOptions,
    started_at: &'static Location<'static>,
) -> Result<ActiveRun> {
    let mine = current::of_this_scope_with(tracker);
    if let (false, Some(active)) = (options.nested, mine.first()) {
        return Err(Error::new(
            ErrorKind::Conflict,
            "this thread has an active run already; end it first, or start this one with \
             `RunOptions::new().nested(true)`",
        )
        .with("active_run", active.run_id()));
    }
    let monitoring = system_metrics::wanted(tracker.config(), &options.log_system_metrics)
        .map(|settings| Ok::<_, Error>((autolog::monitor_driver()?, settings)))
        .transpose()?;

    let by_environment = tracker.take_run_to_resume();
    let resumed = options.run_id.as_ref().or(by_environment.as_ref());
    let (handle, mut earlier) = open(tracker, options, resumed, mine.last())
        .inspect_err(|_| tracker.resume_next(by_environment.clone()))?;
    exit::watch(tracker.config());
    current::push(&handle, options.origin);
    if options.log_health.unwrap_or(tracker.config().log_health) {
        log_health(&handle, &earlier);
    }
    let active = ActiveRun::new(handle, started_at);

    if let Some((driver, settings)) = monitoring {
        earlier.retain(|metric| metric.key.starts_with(SYSTEM_PREFIX));
        watch_machine(driver, settings, earlier, tracker, &active);
    }
    if !options.silent {
        say_where(tracker, &active, resumed.is_some());
    }
    Ok(active)
}

/// The run in the store and in the journal, and what it has already of the metrics that go on where it is resumed.
fn open(
    tracker: &Tracker,
    options: &RunOptions,
    resumed: Option<&String>,
    innermost: Option<&RunHandle>,
) -> Result<(RunHandle, Vec<Metric>)> {
    let engine = tracker.engine()?;
    if engine.journal.is_sealed() {
        return Err(Error::new(ErrorKind::Unavailable, "the process is ending; no run can start any more"));
    }
    let (run, parent) = if let Some(run_id) = resumed {
        (resume(tracker, &engine, run_id, options)?, innermost.cloned())
    } else {
        let parent_id = parent_of_new_run(&engine, options, innermost)?;
        let elsewhere = || current::with_id(tracker, parent_id.as_deref()?);
        let parent = innermost.cloned().or_else(elsewhere);
        (create(tracker, &engine, parent_id, options)?, parent)
    };
    let (run_id, store) = (run.info.run_id.clone(), Arc::clone(&engine.store));
    let (inputs, outputs, tags) = (run.inputs, run.outputs, run.data.tags);
    let mut earlier = run.data.metrics;
    earlier.retain(|metric| metric.key.starts_with(SYSTEM_PREFIX) || metric.key.starts_with(HEALTH_PREFIX));
    let handle = RunHandle::new(tracker, engine, run.info, parent, true).inspect_err(|_unwritten| {
        // Nobody else would end it. If this fails too, the error at hand says what is wrong.
        let change =
            RunChange { status: Some(RunStatus::Failed), end_time: Some(clock::now_ms()), run_name: None };
        store.update_run(&run_id, &change).ok();
    })?;
    handle.remember_models(&inputs, &outputs);
    if resumed.is_none() {
        let told = handle.tell_provenance(options, &tags);
        if let Err(error) = told {
            notice::warn(
                "provenance",
                format_args!("a run does not tell all of where it comes from: {error}"),
            );
        }
    }
    Ok((handle, earlier))
}

/// The run that a new one is a child of.
fn parent_of_new_run(
    engine: &Engine,
    options: &RunOptions,
    innermost: Option<&RunHandle>,
) -> Result<Option<String>> {
    let Some(wanted) = &options.parent_run_id else {
        return Ok(innermost.map(|run| run.run_id().to_owned()));
    };
    validate::run_id(wanted)?;
    if let Some(active) = innermost.filter(|active| active.run_id() != wanted) {
        return Err(Error::invalid(
            "the parent is another run than the active one; start the child outside of that run, or as its child",
        )
        .with("parent_run_id", wanted)
        .with("active_run", active.run_id()));
    }
    let parent = engine.store.get_run(wanted)?;
    if parent.info.lifecycle_stage == LifecycleStage::Deleted {
        return Err(Error::invalid("the parent run is deleted; restore it before you start a child of it")
            .with("parent_run_id", wanted));
    }
    Ok(Some(parent.info.run_id))
}

/// Starts to log how logging does; where a resumed run did so `earlier`, the steps go on.
fn log_health(run: &RunHandle, earlier: &[Metric]) {
    let last =
        earlier.iter().filter(|metric| metric.key.starts_with(HEALTH_PREFIX)).map(|metric| metric.step);
    if let Err(error) = run.log_health(last.max().map_or(0, |last| last.saturating_add(1))) {
        notice::warn("log-health", format_args!("there will be no metrics `runlog/…`: {error}"));
    }
}

/// Starts to sample the machine; where a resumed run has system metrics `earlier`, their steps go on.
fn watch_machine(
    driver: &MonitorDriver,
    settings: SystemMetrics,
    earlier: Vec<Metric>,
    tracker: &Tracker,
    run: &RunHandle,
) {
    let mut watch = Watch::new(run.run_id(), settings, tracker.config().clone());
    watch.earlier = earlier;
    match (driver.start)(&watch, Box::new(Sink::new(run))) {
        Ok(monitor) => run.watch(monitor),
        // Each reason once, not only the first.
        Err(error) => {
            let warning = format!("there will be no system metrics: {error}");
            notice::warn(&warning, format_args!("{warning}"));
        }
    }
}

fn create(
    tracker: &Tracker,
    engine: &Engine,
    parent_id: Option<String>,
    options: &RunOptions,
) -> Result<Run> {
    let given = given_tags(tracker, options)?;
    let said = [options.name.as_ref(), given.get(RUN_NAME_TAG)];
    let name = said.into_iter().flatten().find(|name| !name.is_empty());
    let name = name.cloned().unwrap_or_else(names::run_name);
    if name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        notice::warn(
            "name-like-id",
            format_args!(
                "the run's *name* looks like an id; to resume that run, use `RunOptions::new().run_id(…)`"
            ),
        );
    }
    let mut tags: BTreeMap<String, String> = provenance::build_tags().collect();
    tags.extend(context::default_tags(tracker.config()).into_iter().map(|tag| (tag.key, tag.value)));
    tags.extend(given);
    tags.extend(engine.journal.owner_name().map(|owner| (OWNER.to_owned(), owner.to_owned())));
    tags.extend(parent_id.map(|parent_id| (PARENT.to_owned(), parent_id)));
    tags.insert(RUN_NAME_TAG.to_owned(), name.clone());
    let user_id = tags.get("mlflow.user").cloned().unwrap_or_else(|| "unknown".to_owned());
    let experiment_id = match &options.experiment_id {
        Some(experiment_id) => experiment_id.clone(),
        None => tracker.experiment_of_new_runs()?,
    };
    // Before the run is there: a kill right after its creation must not leave it `RUNNING` for ever.
    engine.journal.definitions().creates_run_in(&experiment_id)?;
    engine.store.create_run(&NewRun {
        experiment_id,
        run_name: name,
        user_id,
        start_time: clock::now_ms(),
        tags: tags.into_iter().map(|(key, value)| Tag::new(key, value)).collect(),
    })
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
        return Err(Error::invalid("the run is deleted; restore it (`restore_run`) before you resume it")
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
    // Before the run is `RUNNING` and this process's: a kill in between must not leave it so for ever.
    engine.journal.definitions().run(RunDefinition { run_id: run_id.to_owned(), owned: true })?;
    tags.extend(engine.journal.owner_name().map(|owner| (OWNER.to_owned(), owner.to_owned())));
    let tags = tags.into_iter().map(|(key, value)| Tag::new(key, value)).collect();
    let run_name = options.name.clone().filter(|name| !name.is_empty());
    let change = RunChange { status: Some(RunStatus::Running), end_time: None, run_name };
    // The owner first, for the same reason.
    engine.store.log_batch(run_id, &Batch { tags, ..Batch::default() })?;
    engine.store.update_run(run_id, &change)?;
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

/// Where what a monitor learns goes: the run's metrics and tags.
struct Sink {
    run: RunHandle,
    metrics: BTreeMap<Arc<str>, MetricHandle>,
}

impl Sink {
    fn new(run: &RunHandle) -> Self {
        Self { run: run.clone(), metrics: BTreeMap::new() }
    }
}

impl MonitorSink for Sink {
    fn log(&mut self, key: &str, value: f64, timestamp: i64, step: i64) {
        let metric = match self.metrics.get(key) {
            Some(metric) => metric,
            None => self.metrics.entry(key.into()).or_insert_with(|| self.run.metric(key)),
        };
        metric.log_at(value, step, timestamp);
    }

    fn tag(&mut self, key: &str, value: &str) {
        self.run.set_tag(key, value);
    }
}
