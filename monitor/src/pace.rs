//! The time of the sampling thread and its waiting, behind a trait: the sampler's tests have a clock of their own.
//!
//! Invariant: a wait ends at its deadline or as soon as there is something to hear, whichever comes first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use runlog_core::clock;

use crate::inbox::Inbox;

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The deadline has come.
    Due,
    /// Somebody rang; this wins over a deadline that has come too.
    Rung,
}

/// Tells the time and waits.
pub(crate) trait Pace {
    /// The time since the start, by a clock that never goes back.
    fn elapsed(&self) -> Duration;
    /// The time of day in milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;
    /// Waits until `deadline`, counted from the start.
    fn wait_until(&mut self, deadline: Duration) -> Wake;
}

/// The machine's clock, and waits that the inbox's bell ends.
#[derive(Debug)]
pub(crate) struct RealPace {
    start: Instant,
    inbox: Arc<Inbox>,
}

impl RealPace {
    pub(crate) fn new(start: Instant, inbox: Arc<Inbox>) -> Self {
        Self { start, inbox }
    }
}

impl Pace for RealPace {
    fn elapsed(&self) -> Duration {
        since(self.start)
    }

    fn now_ms(&self) -> i64 {
        clock::now_ms()
    }

    fn wait_until(&mut self, deadline: Duration) -> Wake {
        if self.inbox.wait(|| deadline.saturating_sub(self.elapsed())) { Wake::Rung } else { Wake::Due }
    }
}

/// The time since `start`.
pub(crate) fn since(start: Instant) -> Duration {
    clock::instant().saturating_duration_since(start)
}
