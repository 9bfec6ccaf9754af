//! How an engine does, and its metrics `runlog/…` of the runs that want them.
//!
//! Invariant: where no run wants them nothing is logged, and nobody is woken for them.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Engine, Progress};
use crate::clock;
use crate::error::Result;
use crate::health::Health;
use crate::journal::SLOT_BYTES;
use crate::journal::record::Point;
use crate::sync::lock;

/// How often the metrics are logged.
pub(super) const LOG_EVERY: Duration = Duration::from_secs(10);
/// How long the store may be at one call.
const CALL_MAX: Duration = Duration::from_secs(10);

/// What the metrics of all runs that log their tracker's health begin with.
pub(crate) const PREFIX: &str = "runlog/";
pub(super) const KEYS: [&str; 5] = [
    "runlog/waiting_records",
    "runlog/waiting_bytes",
    "runlog/dropped_records",
    "runlog/refused_records",
    "runlog/lag_seconds",
];

/// The runs that log their tracker's health.
#[derive(Debug, Default)]
pub(super) struct Logs(pub(super) Mutex<Vec<Log>>);

#[derive(Debug)]
pub(super) struct Log {
    run: u32,
    keys: [u32; KEYS.len()],
    step: i64,
    pub(super) due: Instant,
}

impl Engine {
    /// How logging does.
    pub(crate) fn health(&self) -> Health {
        let now = clock::instant();
        let mut progress = self.progress();
        let tail = self.journal.tail();
        let oldest = progress.read_below;
        progress.looks.note(tail, now, oldest);
        let waiting_slots = tail.saturating_sub(oldest);
        Health {
            waiting_records: self.waiting(&progress),
            waiting_bytes: waiting_slots * SLOT_BYTES,
            waiting_bytes_max: self.journal.slots_max() * SLOT_BYTES,
            dropped_records: self.drops.total(),
            refused_records: self.refused.load(Ordering::Relaxed),
            lag: if waiting_slots == 0 { Duration::ZERO } else { progress.looks.age(oldest, now) },
            last_error: progress.last_error.clone(),
            is_durable: self.journal.is_durable(),
            is_store_in_trouble: progress.trouble.is_some()
                || progress.delivering_since.is_some_and(|since| now.duration_since(since) >= CALL_MAX),
        }
    }

    /// How many records are logged and not stored yet.
    pub(super) fn waiting(&self, progress: &Progress) -> u64 {
        let slots = self.journal.tail().saturating_sub(progress.read_below);
        slots.saturating_sub(self.journal.uncounted())
    }

    /// Logs the tracker's health as metrics of `run`, from `step` on, until the run ends.
    ///
    /// # Errors
    /// The keys could not be written down.
    pub(crate) fn log_health(&self, run: u32, step: i64) -> Result<()> {
        let mut keys = [0; KEYS.len()];
        for (id, key) in keys.iter_mut().zip(KEYS) {
            *id = self.journal.definitions().key(key)?;
        }
        lock(&self.health_logs.0).push(Log { run, keys, step, due: clock::instant() + LOG_EVERY });
        Ok(())
    }

    /// Logs it where it is due, and says in how long it is next.
    pub(crate) fn log_health_when_due(&self) -> Option<Duration> {
        let now = clock::instant();
        let mut logs = lock(&self.health_logs.0);
        if self.journal.is_sealed() {
            return None;
        }
        for log in logs.iter_mut().filter(|log| log.due <= now) {
            self.log_health_to(log);
            log.due = now + LOG_EVERY;
        }
        logs.iter().map(|log| log.due.saturating_duration_since(now)).min()
    }

    /// Logs it for the last time, as `run` ends. Says nothing, so that it can be called while the process exits.
    pub(crate) fn log_last_health(&self, run: u32) {
        let mut logs = lock(&self.health_logs.0);
        if let Some(place) = logs.iter().position(|log| log.run == run) {
            let mut log = logs.swap_remove(place);
            self.log_health_to(&mut log);
        }
    }

    fn log_health_to(&self, log: &mut Log) {
        #[expect(clippy::cast_precision_loss, reason = "metrics are numbers of double precision")]
        let values = {
            let Health { waiting_records, waiting_bytes, dropped_records, refused_records, lag, .. } =
                self.health();
            [
                waiting_records as f64,
                waiting_bytes as f64,
                dropped_records as f64,
                refused_records as f64,
                lag.as_secs_f64(),
            ]
        };
        let (run, step, timestamp) = (log.run, log.step, clock::now_ms());
        log.step += 1;
        for (key, value) in log.keys.into_iter().zip(values) {
            if self.journal.metric(Point { run, key, value, timestamp, step }).is_err() {
                self.drops.count(run, self.why_full());
            }
        }
    }
}
