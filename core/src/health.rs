//! How logging itself does: what waits, what was lost, and how far the store is behind.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How logging of one [`Tracker`](crate::Tracker) does in this process.
///
/// Reading it takes a short lock and no I/O: it may be looked at in every training step.
///
/// ```
/// # use runlog_core::Tracker;
/// let tracker = Tracker::open("memory:")?;
/// let run = tracker.start_run("health")?;
/// run.log_metric("loss", 0.25, 1).wait()?;
/// let health = tracker.health();
/// assert_eq!((health.waiting_records, health.dropped_records), (0, 0));
/// assert!(!health.is_store_in_trouble);
/// # run.finish()?;
/// # Ok::<(), runlog_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Records that are logged and not stored yet: how long the queue is.
    pub waiting_records: u64,
    /// The part of the journal that they take, in bytes.
    pub waiting_bytes: u64,
    /// The most that may wait, in bytes (`RUNLOG_JOURNAL_MAX_MIB`). When it is reached metrics are dropped; the last 1 %
    /// is kept for everything else. What is stored makes room in pieces of 4 MiB.
    pub waiting_bytes_max: u64,
    /// Records that were not taken, since the journal had no room for them or the process was ending.
    pub dropped_records: u64,
    /// Records that were refused: by the store, or at once, for what is wrong with them.
    pub refused_records: u64,
    /// How long ago the oldest record was logged that waits; zero if none does. A second more is possible, since nobody
    /// writes down when a record was logged.
    pub lag: Duration,
    /// What the store said last when it did not take something.
    pub last_error: Option<LastError>,
    /// Whether what waits is on disk, where it survives the process.
    pub is_durable: bool,
    /// Whether the store fails: a call is being made again, has not been answered for ten seconds, or no call will be made
    /// any more. What is logged waits in the journal meanwhile.
    pub is_store_in_trouble: bool,
}

/// What a store said when it did not take something, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastError {
    /// The error, in one line.
    pub message: Arc<str>,
    /// When it was said last, in milliseconds since the Unix epoch.
    pub time_ms: i64,
}

/// How many looks are remembered.
const LOOKS_MAX: usize = 64;

/// How long the journal was at each of some times: bounds how long ago a record was logged.
///
/// Invariant: both times and sequences rise.
#[derive(Debug, Default)]
pub(crate) struct Looks(VecDeque<(u64, Instant)>);

impl Looks {
    /// Notes that every record below `tail` was logged before `now`; records below `oldest` are asked for no more.
    pub(crate) fn note(&mut self, tail: u64, now: Instant, oldest: u64) {
        while self.0.get(1).is_some_and(|(tail, _)| *tail <= oldest) {
            self.0.pop_front();
        }
        match self.0.back_mut() {
            Some((last, time)) if *last >= tail => *time = now,
            _ => self.0.push_back((tail, now)),
        }
        if self.0.len() > LOOKS_MAX {
            let mut place = 0;
            self.0.retain(|_| {
                place += 1;
                place % 2 == 1
            });
        }
    }

    /// How long before `now` the record at `sequence` was logged, at most.
    pub(crate) fn age(&self, sequence: u64, now: Instant) -> Duration {
        let before = self.0.iter().rev().find(|(tail, _)| *tail <= sequence).or(self.0.front());
        before.map_or(Duration::ZERO, |(_, time)| now.saturating_duration_since(*time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_record_is_as_old_as_the_last_look_before_it() {
        let (start, mut looks) = (clock::instant(), Looks::default());
        looks.note(0, start, 0);
        // Nothing was logged in the first second.
        looks.note(0, start + SECOND, 0);
        looks.note(100, start + 2 * SECOND, 0);
        looks.note(200, start + 3 * SECOND, 0);
        let now = start + 10 * SECOND;
        for (sequence, seconds) in [(0, 9), (99, 9), (100, 8), (199, 8), (200, 7), (500, 7)] {
            assert_eq!(looks.age(sequence, now), seconds * SECOND, "{sequence}");
        }
        // The first hundred are stored.
        looks.note(300, now, 150);
        assert_eq!((looks.age(150, now), looks.0.len()), (8 * SECOND, 3));
    }

    #[test]
    fn looks_without_end_stay_bounded_and_make_no_record_younger() {
        let (start, mut looks) = (clock::instant(), Looks::default());
        for second in 0..10_000 {
            looks.note(u64::from(second), start + second * SECOND, 0);
        }
        assert!(looks.0.len() <= LOOKS_MAX);
        let now = start + 10_000 * SECOND;
        for sequence in 0..10_000 {
            assert!(looks.age(u64::from(sequence), now) >= (10_000 - sequence) * SECOND);
        }
        assert_eq!(looks.age(0, now), 10_000 * SECOND, "the oldest to the second");
    }
}
