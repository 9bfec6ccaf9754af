//! The time of a run and the waiting in it, behind a trait: the sampler's tests have a clock of their own.
//!
//! Invariant: a wait ends at its deadline or as soon as the monitor is told to stop, whichever comes first.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use runlog_core::clock;

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The deadline has come.
    Due,
    /// The monitor is to stop; this wins over a deadline that has come too.
    Stop,
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

/// What the sampling thread and its owner tell each other.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stop: bool,
    done: bool,
}

impl Bell {
    /// Tells the thread to stop, and waits until it is done, but for at most `patience`. Says whether it is.
    pub(crate) fn stop(&self, patience: Duration) -> bool {
        self.ask_to_stop();
        let waited = self.rung.wait_timeout_while(self.lock(), patience, |state| !state.done);
        waited.unwrap_or_else(PoisonError::into_inner).0.done
    }

    /// Tells the thread to stop.
    pub(crate) fn ask_to_stop(&self) {
        self.lock().stop = true;
        self.rung.notify_all();
    }

    /// Tells the owner that the thread has logged its last point.
    pub(crate) fn done(&self) {
        self.lock().done = true;
        self.rung.notify_all();
    }

    #[cfg(test)]
    pub(crate) fn is_told_to_stop(&self) -> bool {
        self.lock().stop
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The machine's clock, and waits that the bell ends.
#[derive(Debug)]
pub(crate) struct RealPace {
    start: Instant,
    bell: Arc<Bell>,
}

impl RealPace {
    /// A pace that starts now.
    pub(crate) fn new(bell: Arc<Bell>) -> Self {
        Self { start: clock::instant(), bell }
    }
}

impl Pace for RealPace {
    fn elapsed(&self) -> Duration {
        clock::instant().saturating_duration_since(self.start)
    }

    fn now_ms(&self) -> i64 {
        clock::now_ms()
    }

    fn wait_until(&mut self, deadline: Duration) -> Wake {
        let mut state = self.bell.lock();
        loop {
            if state.stop {
                return Wake::Stop;
            }
            let left = deadline.saturating_sub(self.elapsed());
            if left.is_zero() {
                return Wake::Due;
            }
            state = self.bell.rung.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
