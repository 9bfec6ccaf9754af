//! What the thread that samples is told: which runs come and go, and that there is something to hear.
//!
//! Invariants: a run that was taken in is looked at by the thread before it ends; what is told ends the thread's wait at
//! once; no lock is held while anything else is called.

use std::fmt;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::session::Session;

/// How long one wait for the bell may last; a longer one is several.
const WAIT_MAX: Duration = Duration::from_hours(1);

/// The inbox of one sampling thread.
#[derive(Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    rung: bool,
    coming: Vec<Box<Session>>,
    going: Vec<u64>,
    closed: bool,
}

impl Inbox {
    /// Has the thread sample for one more run. Gives the run back if the thread is at its end.
    pub(crate) fn join(&self, session: Box<Session>) -> Result<(), Box<Session>> {
        let mut state = self.lock();
        if state.closed {
            return Err(session);
        }
        state.coming.push(session);
        self.wake(state);
        Ok(())
    }

    /// Has the thread log the last window of the run `id` and let go of it.
    pub(crate) fn leave(&self, id: u64) {
        let mut state = self.lock();
        state.going.push(id);
        self.wake(state);
    }

    /// Ends the thread's wait: a probe of another thread has something to tell.
    pub(crate) fn ring(&self) {
        self.wake(self.lock());
    }

    /// Takes in no more runs, because the thread does not answer any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    /// Closes the inbox if nobody waits in it, and says whether it is the end.
    pub(crate) fn close_if_empty(&self) -> bool {
        let mut state = self.lock();
        let empty = state.coming.is_empty() && state.going.is_empty();
        state.closed |= empty;
        empty
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Whether some run comes or goes.
    pub(crate) fn has_news(&self) -> bool {
        let state = self.lock();
        !state.coming.is_empty() || !state.going.is_empty()
    }

    /// Whether some run waits for its end.
    pub(crate) fn someone_goes(&self) -> bool {
        !self.lock().going.is_empty()
    }

    /// The runs that come, and the numbers of those that go.
    pub(crate) fn take(&self) -> (Vec<Box<Session>>, Vec<u64>) {
        let mut state = self.lock();
        (mem::take(&mut state.coming), mem::take(&mut state.going))
    }

    /// Waits until the bell rings or `left` says that no time is left, and says whether it rang.
    pub(crate) fn wait(&self, left: impl Fn() -> Duration) -> bool {
        let mut state = self.lock();
        loop {
            if mem::take(&mut state.rung) {
                return true;
            }
            let left = left();
            if left.is_zero() {
                return false;
            }
            state =
                self.bell.wait_timeout(state, left.min(WAIT_MAX)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        state.rung = true;
        drop(state);
        self.bell.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}
