//! The hot path: one metric, logged many times.

use std::sync::Arc;

use super::{RunHandle, is_of_the_machine};
use crate::clock;
use crate::journal::record::Point;
use crate::logged::Logged;
use crate::validate;
use crate::value::{Step, Value};

/// A metric's key, validated and defined once: the hot path.
///
/// Points are the run's alone, unless a model was active when the handle was made: the models that the run made are not
/// looked up for every point. Use [`log_metric`](RunHandle::log_metric) or [`log_points`](RunHandle::log_points) where
/// points measure a model.
///
/// ```
/// # use runlog_core::Tracker;
/// # let tracker = Tracker::open("memory:")?;
/// # let run = tracker.start_run("hot")?;
/// let loss = run.metric("loss");
/// for step in 0..1000 {
///     loss.log(1.0 / f64::from(step + 1), step);
/// }
/// # run.finish()?;
/// # Ok::<(), runlog_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MetricHandle {
    run: RunHandle,
    key: Arc<str>,
    /// The key's number in the run's own journal, if it can be logged there.
    id: Option<u32>,
}

impl MetricHandle {
    pub(super) fn new(run: &RunHandle, key: &str) -> Self {
        let engine = &run.0.home.engine;
        // While a model is active, points go the way that finds it.
        let measures_model = run.tracker().has_active_model() && !is_of_the_machine(key);
        let is_plain = engine.is_ours() && !measures_model;
        let define = || validate::key(key).and_then(|()| engine.journal.definitions().key(key)).ok();
        Self { run: run.clone(), key: key.into(), id: is_plain.then(define).flatten() }
    }

    /// Logs `value` at `step`, now.
    #[inline]
    pub fn log(&self, value: impl Value, step: impl Step) -> Logged {
        self.log_at(value, step, clock::now_ms())
    }

    /// Logs `value` at `step` and `timestamp`, in milliseconds since the Unix epoch; a negative one is refused.
    #[inline]
    pub fn log_at(&self, value: impl Value, step: impl Step, timestamp: i64) -> Logged {
        let home = &self.run.0.home;
        match self.id {
            Some(key) if home.engine.is_ours() && timestamp >= 0 => home.engine.log_metric(Point {
                run: home.run,
                key,
                value: value.value(),
                timestamp,
                step: step.step(),
            }),
            _ => self.run.log_point(&self.key, value.value(), timestamp, step.step()),
        }
    }

    /// The metric's key.
    pub fn key(&self) -> &str {
        &self.key
    }
}
