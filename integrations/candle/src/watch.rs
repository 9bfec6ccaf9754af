//! What an optimizer carries to be recorded: nothing while autologging is off, else one shared [`Session`].
//!
//! Invariant: the session ends with the optimizer, whatever guards of epochs are still alive.

use std::collections::HashSet;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use candle_core::{Result, Tensor, TensorId};
use candle_nn::Optimizer;
use runlog_core::RunHandle;

use crate::INTEGRATION;
use crate::guard::guarded;
use crate::session::{Seen, Session};

/// `None` inside: not recorded.
pub(crate) struct Watch(Option<Arc<Mutex<Session>>>);

fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    pub(crate) fn new(source: &'static Location<'static>, vars: impl FnOnce() -> HashSet<TensorId>) -> Self {
        Self(INTEGRATION.is_on().then(|| Arc::new(Mutex::new(Session::new(source, vars())))))
    }

    #[inline]
    pub(crate) fn is_off(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn tell(&self, what: impl FnOnce(&mut Session)) {
        if let Some(session) = &self.0 {
            guarded(|| what(&mut lock(session)));
        }
    }

    pub(crate) fn run(&self) -> Option<RunHandle> {
        lock(self.0.as_ref()?).run()
    }

    pub(crate) fn epoch(&self) -> Epoch {
        let Some(session) = &self.0 else { return Epoch { session: Weak::new(), number: 0 } };
        let number = guarded(|| lock(session).begin_epoch()).unwrap_or_default();
        Epoch { number, session: Arc::downgrade(session) }
    }

    /// Before a step: the training is opened by the first one. `None` if it is not to be recorded.
    #[track_caller]
    pub(crate) fn before<O: Optimizer + 'static>(
        &mut self,
        optimizer: &O,
        loss: Option<&Tensor>,
    ) -> Option<Seen> {
        let session = self.0.as_ref()?;
        let seen = guarded(|| lock(session).before(optimizer, loss)).flatten();
        if seen.is_none() {
            self.end();
        }
        seen
    }

    fn end(&mut self) {
        if let Some(session) = self.0.take() {
            guarded(|| lock(&session).end());
        }
    }

    pub(crate) fn after(&self, seen: Option<Seen>, result: &Result<()>) {
        if let (Some(session), Some(seen)) = (&self.0, seen) {
            guarded(|| lock(session).after(seen, result));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

/// The guard of an epoch: it ends when this is dropped.
///
/// An epoch that is left because of a panic, or by an error that came through the optimizer or a loss function, is not
/// logged.
#[derive(Debug)]
#[must_use = "the epoch ends when this is dropped"]
pub struct Epoch {
    session: Weak<Mutex<Session>>,
    number: usize,
}

impl Epoch {
    /// Its number: the first of a training is 1. While autologging is off it is 0.
    pub fn number(&self) -> usize {
        self.number
    }
}

impl Drop for Epoch {
    fn drop(&mut self) {
        if let Some(session) = self.session.upgrade() {
            guarded(|| lock(&session).end_epoch(self.number));
        }
    }
}
