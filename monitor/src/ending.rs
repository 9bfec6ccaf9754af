//! How the end of a run's watching is told to whoever stops it, and kept from being told twice.
//!
//! Invariants: who waits is told, also when the thread that should tell panics; a run whose end was not waited for is
//! logged into no more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runlog_core::autolog::MonitorSink;

/// What both sides see of a run's end.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    outcome: Mutex<Option<Result<(), String>>>,
    told: Condvar,
    abandoned: AtomicBool,
}

impl Fate {
    /// Waits for the end: `None` if it does not come within `patience`, and then nothing more is logged.
    pub(crate) fn wait(&self, patience: Duration) -> Option<Result<(), String>> {
        let waited = self.told.wait_timeout_while(self.lock(), patience, |outcome| outcome.is_none());
        let outcome = waited.unwrap_or_else(PoisonError::into_inner).0.take();
        if outcome.is_none() {
            self.abandoned.store(true, Ordering::Release);
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Option<Result<(), String>>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sampling thread's duty to tell the end.
#[derive(Debug, Default)]
pub(crate) struct Ending(Arc<Fate>);

impl Ending {
    pub(crate) fn fate(&self) -> &Arc<Fate> {
        &self.0
    }

    /// Tells that it is over, and what is missing.
    pub(crate) fn tell(self, outcome: Result<(), String>) {
        self.0.lock().get_or_insert(outcome);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.lock().get_or_insert_with(|| Err("the monitor's thread panicked".to_owned()));
        self.0.told.notify_all();
    }
}

/// Keeps a thread that comes back late from logging into a run that is over.
pub(crate) struct UntilAbandoned {
    sink: Box<dyn MonitorSink>,
    fate: Arc<Fate>,
}

impl UntilAbandoned {
    pub(crate) fn new(sink: Box<dyn MonitorSink>, fate: Arc<Fate>) -> Self {
        Self { sink, fate }
    }
}

impl MonitorSink for UntilAbandoned {
    fn log(&mut self, key: &str, value: f64, timestamp: i64, step: i64) {
        if !self.fate.abandoned.load(Ordering::Acquire) {
            self.sink.log(key, value, timestamp, step);
        }
    }

    fn tag(&mut self, key: &str, value: &str) {
        if !self.fate.abandoned.load(Ordering::Acquire) {
            self.sink.tag(key, value);
        }
    }
}
