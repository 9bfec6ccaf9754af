//! The guard that owns a run's life.

use std::fmt;
use std::ops::Deref;
use std::panic::Location;

use super::RunHandle;
use crate::entity::RunStatus;
use crate::error::Result;
use crate::{exit, notice};

/// The guard of a run that this process started: who holds it owns the run's life.
///
/// [`finish`](Self::finish) ends the run `FINISHED`. Dropped without it, the run ends `FAILED` with the place of its start or
/// the panic's message in the tag `runlog.ended_by`, as a transaction that was not committed.
///
/// It derefs to [`RunHandle`], which has all log calls.
#[must_use = "dropping the guard ends the run as FAILED; keep it and call `finish()`"]
pub struct ActiveRun {
    handle: RunHandle,
    started_at: &'static Location<'static>,
}

impl ActiveRun {
    pub(crate) fn new(handle: RunHandle, started_at: &'static Location<'static>) -> Self {
        Self { handle, started_at }
    }

    /// A handle for other threads; it does not end the run.
    pub fn handle(&self) -> RunHandle {
        self.handle.clone()
    }

    /// Ends the run `FINISHED`, when everything is delivered and its uploads in the background have ended.
    ///
    /// # Durability
    /// `Ok` means that nothing was lost: everything is in the store, or (if the store did not answer for 10 s) in the
    /// journal, from where the next process that opens the store delivers it.
    ///
    /// # Errors
    /// What was lost, by reason ([`Error::losses`](crate::Error::losses)). The run has ended all the same.
    pub fn finish(self) -> Result<()> {
        self.end(RunStatus::Finished)
    }

    /// Ends the run `FAILED`, with the reason in the tag `runlog.ended_by`.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn fail(self, reason: impl fmt::Display) -> Result<()> {
        self.handle.end_and_deliver(RunStatus::Failed, Some(&reason.to_string()))
    }

    /// Ends the run with `status`.
    ///
    /// # Errors
    /// As [`finish`](Self::finish); also a status that is not an end: the run then ends as one that was dropped.
    pub fn end(self, status: RunStatus) -> Result<()> {
        status.check_terminal()?;
        self.handle.end_and_deliver(status, None)
    }
}

impl Deref for ActiveRun {
    type Target = RunHandle;

    fn deref(&self) -> &RunHandle {
        &self.handle
    }
}

/// Only does something if the run was not ended.
impl Drop for ActiveRun {
    fn drop(&mut self) {
        if !self.handle.is_active() {
            return;
        }
        let (status, why) = if std::thread::panicking() {
            (RunStatus::Failed, exit::last_panic().unwrap_or_else(|| "a panic".to_owned()))
        } else if let Some(signal) = exit::signal_seen() {
            (RunStatus::Killed, signal.to_owned())
        } else {
            let name = self.handle.name();
            notice::warn(
                &format!("dropped {}", self.started_at),
                format_args!("run {name} ends FAILED, as it is dropped without finish()"),
            );
            (RunStatus::Failed, format!("dropped without finish(), started at {}", self.started_at))
        };
        if let Err(error) = self.handle.end_and_deliver(status, Some(&why)) {
            notice::error("dropped-run", format_args!("{error}"));
        }
    }
}

impl fmt::Debug for ActiveRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ActiveRun").field(&self.handle).finish()
    }
}
