//! The receipt of a log call.

use std::fmt;

use crate::engine::{self, Dropped};
use crate::error::{Error, Result};

/// What a log call returns: a receipt that may be ignored, or waited on.
///
/// Ignoring it is asynchronous logging: the record is in the journal, safe from a kill, and reaches the store in the
/// background. [`wait`](Self::wait) is MLflow's `synchronous=True`.
///
/// ```
/// # use runlog_core::Tracker;
/// let tracker = Tracker::open("memory:")?;
/// let run = tracker.start_run("receipts")?;
/// run.log_metric("loss", 0.25, 1); // goes on at once
/// run.log_metric("loss", 0.20, 2).wait()?; // until it is stored
/// assert!(run.log_metric("loss*", 0.2, 3).wait().is_err());
/// # run.end(runlog_core::RunStatus::Finished).ok();
/// # Ok::<(), runlog_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Logged {
    pub(crate) engine: u32,
    pub(crate) run: u32,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There was nothing to log.
    Nothing,
    /// There is no run that it could be logged to.
    Nowhere,
    /// In the journal, with these sequences among others.
    Journalled { first: u64, end: u64 },
    /// Refused at once; the reason is kept under this number.
    Refused { ticket: u64 },
    /// Not taken.
    Dropped(Dropped),
}

impl Logged {
    /// Nothing had to be logged.
    pub(crate) const fn nothing() -> Self {
        Self { engine: u32::MAX, run: 0, outcome: Outcome::Nothing }
    }

    /// There was no run to log to.
    pub(crate) const fn nowhere() -> Self {
        Self { engine: u32::MAX, run: 0, outcome: Outcome::Nowhere }
    }

    /// One receipt for both.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        use Outcome::{Dropped, Journalled, Nothing, Nowhere, Refused};
        let outcome = match (self.outcome, other.outcome) {
            (Nothing, _) => return other,
            (_, Nothing) | (Refused { .. } | Dropped(_) | Nowhere, _) => return self,
            (_, Refused { .. } | Dropped(_) | Nowhere) => return other,
            (Journalled { first, .. }, Journalled { end, .. }) => Journalled { first, end },
        };
        Self { outcome, ..self }
    }

    /// Whether the record was refused at once, because its key or value cannot be stored or the journal is full.
    pub fn is_refused(self) -> bool {
        matches!(self.outcome, Outcome::Refused { .. } | Outcome::Dropped(_) | Outcome::Nowhere)
    }

    /// Blocks until the record is in the store.
    ///
    /// # Blocking
    /// As long as the store takes, for at most a minute.
    ///
    /// # Errors
    /// The key or value was refused, the store refused the record, or it could not be reached within a minute (the
    /// record is still in the journal then, and will be delivered when it can be).
    pub fn wait(self) -> Result<()> {
        match (self.outcome, engine::find(self.engine)) {
            (Outcome::Nothing, _) => Ok(()),
            (Outcome::Dropped(why), _) => Err(why.error()),
            (Outcome::Nowhere, _) => {
                Err(Error::invalid("nothing was logged, since there was no run to log to; it was said why"))
            }
            (_, Some(engine)) => engine.outcome(self),
            (_, None) => {
                Err(Error::invalid("the tracker of this receipt is closed; wait before it is dropped"))
            }
        }
    }
}

impl fmt::Debug for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Logged").field(&self.outcome).finish()
    }
}
