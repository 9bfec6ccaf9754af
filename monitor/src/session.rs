//! One run that is watched: its windows, its steps, and where its points go.
//!
//! Invariants: no key has two points at one step; steps rise by one a window and timestamps never fall; no rate reaches
//! back to before the run was watched; what panics in the sink ends this run's metrics and no other's.
//!
//! The steps of a run whose first step is `s`:
//!
//! ```text
//!  step s      the opening: every key's first reading, at once. Gauges at the start, rates at the first sample after
//!              it (unless that sample closes a window, which then is their first point)
//!  step s + 1  the first whole window (MLflow's step s, whose sample is taken at its start)
//!  step s + k  the k-th window; the last one is logged at the end however short it is
//! ```

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use runlog_core::autolog::{MonitorSink, Tier, Watch};
use runlog_core::{Metric, Result};

use crate::ending::{Ending, UntilAbandoned};
use crate::group::Found;
use crate::plan::Plan;
use crate::readings::Readings;
use crate::registry::Kind;
use crate::schedule::Schedule;
use crate::summary::{Summary, Told};
use crate::window::{self, Window};

/// A last window with nothing but this much time in it repeats the window before and is left out, unless a key may have
/// no point at all without it: over a few ticks of the kernel's clock a rate is mostly noise.
const SLIVER: Duration = Duration::from_millis(100);

/// What every tag of ours begins with.
const TAGS: &str = "runlog.";

/// The watching of one run.
pub(crate) struct Session {
    pub(crate) id: u64,
    plan: Plan,
    /// What its keys begin with.
    prefix: String,
    /// The step of its first point.
    first_step: i64,
    /// What its tags begin with; `None` in the tier that has none.
    tags: Option<String>,
    /// The latest values of a resumed run, by key.
    earlier: Vec<Metric>,
    sink: UntilAbandoned,
    /// By group; `None` for one whose hardware is still being looked for.
    windows: Vec<Option<Window>>,
    /// Counted from `start`.
    schedule: Schedule,
    start: Duration,
    /// When the window under way began.
    began: Duration,
    /// The samples in the window under way.
    taken: u32,
    /// The samples that make it whole.
    whole: u32,
    /// The number of whole windows logged.
    logged: i64,
    last_timestamp: i64,
    told: bool,
    summary: Summary,
    broken: bool,
    ending: Ending,
}

/// What a deadline asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Due {
    /// More time has passed than a rate should be averaged over.
    pub(crate) gap: bool,
    /// The sample is to have what blocks too.
    pub(crate) slow: bool,
    /// The sample closes the window.
    pub(crate) closes: bool,
}

impl Session {
    /// The run of `watch`, to be sampled from when it is admitted.
    ///
    /// # Errors
    /// Parameters that mean nothing, or a node id that cannot stand in a key.
    pub(crate) fn new(id: u64, watch: &Watch, sink: Box<dyn MonitorSink>, ending: Ending) -> Result<Self> {
        let plan = Plan::new(watch)?;
        let node = watch.settings.node_id.as_deref();
        let of_node = |node: &str| if node.is_empty() { TAGS.to_owned() } else { format!("{TAGS}{node}.") };
        let prefix = window::prefix(node)?;
        Ok(Self {
            id,
            first_step: window::first_step(&watch.earlier, &prefix),
            prefix,
            tags: (watch.settings.tier.unwrap_or_default() > Tier::Compat)
                .then(|| of_node(node.unwrap_or_default())),
            earlier: watch.earlier.clone(),
            sink: UntilAbandoned::new(sink, Arc::clone(ending.fate())),
            windows: Vec::new(),
            schedule: Schedule::new(plan.interval),
            start: Duration::ZERO,
            began: Duration::ZERO,
            taken: 0,
            whole: plan.samples_of_window(0, Duration::ZERO),
            logged: 0,
            last_timestamp: 0,
            told: false,
            summary: Summary::new(watch),
            broken: false,
            ending,
            plan,
        })
    }

    /// Begins: from now on the time counts.
    pub(crate) fn begin(&mut self, now: Duration) {
        (self.start, self.began) = (now, now);
    }

    /// When the next sample is due.
    pub(crate) fn deadline(&self) -> Duration {
        self.start.saturating_add(self.schedule.deadline())
    }

    /// Whether so many deadlines were missed that it is a gap.
    pub(crate) fn is_far_behind(&self, now: Duration) -> bool {
        self.schedule.is_gap(now.saturating_sub(self.start))
    }

    /// What is due now, if anything.
    pub(crate) fn arrive(&mut self, now: Duration) -> Option<Due> {
        if now < self.deadline() {
            return None;
        }
        let gap = self.schedule.arrive(now.saturating_sub(self.start));
        self.taken += 1;
        let closes = self.taken >= self.whole;
        Some(Due { gap, closes, slow: closes || self.taken.is_multiple_of(self.plan.slow_every) })
    }

    /// Whether the end needs one more sample, of groups that `answer`.
    pub(crate) fn wants_last(&self, now: Duration, answer: impl Fn(usize) -> bool) -> bool {
        let sliver = now.saturating_sub(self.began) < SLIVER.min(self.plan.interval);
        let unlogged = |(group, window): (usize, &Option<Window>)| {
            window.as_ref().is_some_and(Window::has_unlogged) && answer(group)
        };
        // What a whole window has not brought will not come, but for what came too late for it.
        let is_short = self.logged == 0;
        let is_new = self.windows.iter().flatten().any(Window::has_first_reading);
        self.taken > 0 || !sliver || is_new || is_short && self.windows.iter().enumerate().any(unlogged)
    }

    /// Takes note of what a group has found, and tells its facts. Metrics in `taken` are another group's.
    pub(crate) fn know(&mut self, group: usize, found: &Found, taken: &[bool]) {
        if self.windows.len() <= group {
            self.windows.resize_with(group + 1, || None);
        }
        let earlier =
            |key: &str| self.earlier.iter().find(|metric| metric.key == key).map(|metric| metric.value);
        self.windows[group] = Some(Window::new(&found.registry, taken, &self.prefix, earlier));
        self.summary.register(group, found.registry.entries());
        self.summary.facts(found.registry.facts());
        self.guarded(|session| {
            for (name, value) in found.registry.facts() {
                session.tag(name, value);
            }
        });
    }

    /// Says once what was looked for and found.
    pub(crate) fn tell(&mut self, report: impl FnOnce() -> String) {
        if !self.told && self.tags.is_some() {
            self.told = true;
            self.guarded(|session| session.tag("monitor", &report()));
        }
    }

    /// Takes a sample of a group, taken `at` this time.
    pub(crate) fn take(&mut self, group: usize, kinds: &[Kind], readings: &Readings, at: Duration) {
        let Some(Some(window)) = self.windows.get_mut(group) else { return };
        // The group was sampled for other runs before, and looks back to where this one was not watched.
        let looks_back = window.is_new() && readings.since_last().is_some();
        let fresh = looks_back.then(|| {
            let mut fresh = readings.clone();
            fresh.forget_past(kinds);
            fresh
        });
        let readings = fresh.as_ref().unwrap_or(readings);
        window.take(readings, self.plan.interval);
        self.summary.take(group, readings, at.saturating_sub(self.start));
    }

    /// Logs what has its first reading, unless that is the first window's to do.
    pub(crate) fn log_opening(&mut self, now_ms: i64) {
        if self.logged == 0 {
            let timestamp = self.timestamp(now_ms);
            self.guarded(|Self { windows, sink, first_step, .. }| {
                for window in windows.iter_mut().flatten() {
                    window.open(|key, value| sink.log(key, value, timestamp, *first_step));
                }
            });
        }
    }

    /// Logs the window, and begins the next one.
    pub(crate) fn log_window(&mut self, now: Duration, now_ms: i64) {
        self.logged = self.logged.saturating_add(1);
        (self.taken, self.began) = (0, now);
        self.whole = self.plan.samples_of_window(self.logged, now.saturating_sub(self.start));
        let (step, timestamp) = (self.step(), self.timestamp(now_ms));
        self.guarded(|Self { windows, sink, .. }| {
            for window in windows.iter_mut().flatten() {
                window.drain(|key, value| sink.log(key, value, timestamp, step));
            }
        });
    }

    /// Logs what the whole run was, at the last window's step.
    pub(crate) fn log_summary(&mut self, now: Duration, now_ms: i64) {
        let Told { metrics, tags } = self.summary.finish(now.saturating_sub(self.start));
        let (step, timestamp) = (self.step(), self.timestamp(now_ms));
        self.guarded(|session| {
            for (name, value) in metrics {
                session.sink.log(&format!("{}{name}", session.prefix), value, timestamp, step);
            }
            for (name, value) in tags {
                session.tag(&name, &value);
            }
        });
    }

    /// Whether the window under way has a reading of the group.
    pub(crate) fn has_reading(&self, group: usize) -> bool {
        self.windows.get(group).is_some_and(|window| window.as_ref().is_some_and(Window::has_reading))
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Lets go of the run, with what its last window lacks.
    pub(crate) fn end(self: Box<Self>, lacks: Option<String>) {
        let outcome = match lacks {
            _ if self.broken => Err("the run's own part of the monitor panicked".to_owned()),
            Some(lacks) => Err(lacks),
            None => Ok(()),
        };
        let Self { ending, sink, .. } = *self;
        // Before it is told: then nothing of the run is held here any more.
        drop(sink);
        ending.tell(outcome);
    }

    fn step(&self) -> i64 {
        self.first_step.saturating_add(self.logged)
    }

    fn tag(&mut self, name: &str, value: &str) {
        if let Some(tags) = &self.tags {
            self.sink.tag(&format!("{tags}{name}"), value);
        }
    }

    /// Calls into the sink, which is not ours.
    fn guarded(&mut self, call: impl FnOnce(&mut Self)) {
        if !self.broken {
            self.broken = catch_unwind(AssertUnwindSafe(|| call(self))).is_err();
        }
    }

    /// The wall clock may be set back during a run; the points of a metric must not be.
    fn timestamp(&mut self, now_ms: i64) -> i64 {
        self.last_timestamp = self.last_timestamp.max(now_ms);
        self.last_timestamp
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id).finish_non_exhaustive()
    }
}
