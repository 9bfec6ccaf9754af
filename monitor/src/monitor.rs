//! The handle of one run's watching.
//!
//! Invariants: once a stop has returned nothing more is logged; a stop waits at most [`PATIENCE`], whatever hangs; in a
//! forked child, which has no sampling thread, the handle does nothing.

use std::cell::Cell;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use runlog_core::autolog::Monitor;
use runlog_core::{Error, ErrorKind, Result};

use crate::ending::Fate;
use crate::inbox::Inbox;

/// How long a stop waits for the last window. A healthy host answers within a millisecond and a probe that hangs has a
/// thread of its own; this is for a machine so busy that the sampling thread is not scheduled, and bounds what a hung
/// file system costs at the end of a run.
const PATIENCE: Duration = Duration::from_millis(200);

/// The watching of one run. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct SystemMonitor {
    id: u64,
    inbox: Arc<Inbox>,
    fate: Arc<Fate>,
    stopped: bool,
    /// The process that the sampling thread lives in.
    owner: u32,
    patience: Duration,
}

impl SystemMonitor {
    pub(crate) fn new(id: u64, inbox: Arc<Inbox>, fate: Arc<Fate>) -> Self {
        Self { id, inbox, fate, stopped: false, owner: process::id(), patience: PATIENCE }
    }

    fn end(&mut self) -> Result<()> {
        if self.stopped || self.owner != process::id() {
            return Ok(());
        }
        self.stopped = true;
        self.inbox.leave(self.id);
        if SAMPLES.get() {
            // A sink held the last handle of a run: the thread cannot wait for itself.
            return Ok(());
        }
        let incomplete = |why: String| Error::new(ErrorKind::Unavailable, why);
        match self.fate.wait(self.patience) {
            Some(outcome) => outcome.map_err(incomplete),
            None => {
                // Runs that start later are not to wait for it too.
                self.inbox.close();
                Err(incomplete("a reading of the host hangs, and was not waited for".to_owned()))
            }
        }
    }
}

impl Monitor for SystemMonitor {
    fn stop(mut self: Box<Self>) -> Result<()> {
        self.end()
    }
}

impl Drop for SystemMonitor {
    fn drop(&mut self) {
        // Whoever drops it does not ask what is missing.
        self.end().ok();
    }
}

thread_local! {
    /// Whether this is a thread that samples. Without a destructor, so that it can be asked while the process exits.
    static SAMPLES: Cell<bool> = const { Cell::new(false) };
}

/// Says that this thread is one that samples.
pub(crate) fn on_sampling_thread() {
    SAMPLES.set(true);
}

#[cfg(test)]
mod tests;
