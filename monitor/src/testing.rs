//! Doubles for tests: a sink that keeps points, a clock that follows a script, probes made of closures, and an ear for
//! warnings.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runlog_core::autolog::MonitorSink;

use crate::inbox::Inbox;
use crate::pace::{Pace, Wake};
use crate::probe::{Probe, ProbeError, Sink};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) key: String,
    pub(crate) value: f64,
    pub(crate) timestamp: i64,
    pub(crate) step: i64,
}

/// A sink whose points stay readable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<Point>>>, Arc<Mutex<BTreeMap<String, String>>>);

impl Kept {
    pub(crate) fn points(&self) -> Vec<Point> {
        self.0.lock().unwrap().clone()
    }

    /// The tags.
    pub(crate) fn tags(&self) -> BTreeMap<String, String> {
        self.1.lock().unwrap().clone()
    }

    /// The steps and values of one metric, named without `system/`.
    pub(crate) fn of(&self, name: &str) -> Vec<(i64, f64)> {
        let key = format!("system/{name}");
        let of_key = |point: &Point| (point.key == key).then_some((point.step, point.value));
        self.points().iter().filter_map(of_key).collect()
    }
}

impl MonitorSink for Kept {
    fn log(&mut self, key: &str, value: f64, timestamp: i64, step: i64) {
        self.0.lock().unwrap().push(Point { key: key.to_owned(), value, timestamp, step });
    }

    fn tag(&mut self, key: &str, value: &str) {
        self.1.lock().unwrap().insert(key.to_owned(), value.to_owned());
    }
}

/// The time of day at which every script starts.
pub(crate) const START_MS: i64 = 1_700_000_000_000;

/// What happens in the waits of the sampling thread, one after another; after the last one every run is stopped at once.
pub(crate) enum Scene {
    /// The deadline comes, and the thread wakes so much later.
    Due(Duration),
    /// Every run is stopped so much time into the wait.
    Stop(Duration),
    /// So much time into the wait something happens that rings, or not; it is told the time.
    After(Duration, Box<dyn FnMut(Duration)>),
    /// The wall clock is set to so many milliseconds after the start; then the next scene.
    SetClock(i64),
}

pub(crate) struct ScriptedPace {
    now: Duration,
    clock_ms: Option<i64>,
    script: VecDeque<Scene>,
    inbox: Arc<Inbox>,
    over: bool,
}

impl ScriptedPace {
    pub(crate) fn new(script: impl IntoIterator<Item = Scene>, inbox: Arc<Inbox>) -> Self {
        Self { now: Duration::ZERO, clock_ms: None, script: script.into_iter().collect(), inbox, over: false }
    }

    fn stop_all(&mut self) -> Wake {
        (0..RUNS_MAX).for_each(|id| self.inbox.leave(id));
        Wake::Rung
    }
}

/// More runs than any script has, numbered from 0.
const RUNS_MAX: u64 = 10;

impl Pace for ScriptedPace {
    fn elapsed(&self) -> Duration {
        self.now
    }

    fn now_ms(&self) -> i64 {
        START_MS + self.clock_ms.unwrap_or_else(|| i64::try_from(self.now.as_millis()).unwrap())
    }

    fn wait_until(&mut self, deadline: Duration) -> Wake {
        loop {
            match self.script.pop_front() {
                Some(Scene::Due(late)) => {
                    self.now = deadline + late;
                    return Wake::Due;
                }
                Some(Scene::Stop(after)) => {
                    self.now += after;
                    return self.stop_all();
                }
                Some(Scene::After(after, mut act)) => {
                    self.now += after;
                    act(self.now);
                    return Wake::Rung;
                }
                Some(Scene::SetClock(ms)) => self.clock_ms = Some(ms),
                None if !self.over => {
                    self.over = true;
                    return self.stop_all();
                }
                None => {
                    self.now = deadline;
                    return Wake::Due;
                }
            }
        }
    }
}

type Read = dyn FnMut(&mut Sink<'_>) -> Result<(), ProbeError> + Send;

struct ClosureProbe(Box<Read>);

impl Probe for ClosureProbe {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        (self.0)(sink)
    }
}

/// A probe that reads by `read`.
pub(crate) fn probe(
    read: impl FnMut(&mut Sink<'_>) -> Result<(), ProbeError> + Send + 'static,
) -> Box<dyn Probe> {
    Box::new(ClosureProbe(Box::new(read)))
}

/// How many warnings of runlog's `act` gives on this thread; each is said once in a process.
pub(crate) fn warnings(act: impl FnOnce()) -> u64 {
    let ear = Ear::default();
    let heard = Arc::clone(&ear.0);
    tracing::subscriber::with_default(ear, act);
    heard.load(Ordering::Relaxed)
}

#[derive(Default)]
struct Ear(Arc<AtomicU64>);

impl tracing::Subscriber for Ear {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let metadata = event.metadata();
        if *metadata.level() == tracing::Level::WARN && metadata.target().starts_with("runlog") {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
