//! The end of a run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use super::{Binding, RunHandle};
use crate::autolog;
use crate::clock;
use crate::current;
use crate::entity::RunStatus;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::record::Text;
use crate::notice;
use crate::sync::lock;
use crate::validate;

/// The tag that says why a run ended as it did, where that was not by `finish()`.
pub(crate) const ENDED_BY: &str = "runlog.ended_by";

impl RunHandle {
    /// Ends the run once: `None` if it had ended, or is another process's to end; else what the monitor said.
    ///
    /// Touches no thread-local and says nothing, so that it can be called while the process exits.
    pub(crate) fn end_now(&self, status: RunStatus, ended_by: Option<&str>) -> Option<Result<()>> {
        if !self.0.owned || !self.0.home.engine.is_ours() || self.0.ended.swap(true, Ordering::AcqRel) {
            return None;
        }
        // Before the end, so that the last window belongs to the run.
        let watched = lock(&self.0.monitor).take().map_or(Ok(()), |monitor| {
            catch_unwind(AssertUnwindSafe(|| monitor.stop()))
                .unwrap_or_else(|_panic| Err(Error::new(ErrorKind::Unexpected, "the monitor panicked")))
        });
        // Into the journal itself: a synchronous log call would wait, and the last one percent is kept for this.
        let Binding { engine, run } = &self.0.home;
        engine.log_last_health(*run);
        if let Some(why) = ended_by {
            let value: String = why.chars().take(validate::TAG_CHARS_MAX).collect();
            engine.journal.text(&Text::Tag { run: *run, key: ENDED_BY.to_owned(), value }).ok();
        }
        engine.journal.text(&Text::End { run: *run, status, time: clock::now_ms() }).ok();
        current::remove(self);
        Some(watched)
    }

    /// Ends the run, delivers what is left, and says what was lost.
    ///
    /// First waits for the run's uploads, so that what they lost is told too.
    pub(crate) fn end_and_deliver(&self, status: RunStatus, ended_by: Option<&str>) -> Result<()> {
        if self.0.owned && self.is_active() {
            self.0.tracker.uploads().wait_for(Some(self.run_id()), None);
        }
        let Some(watched) = self.end_now(status, ended_by) else { return Ok(()) };
        if let Err(error) = watched {
            notice::warn("monitor-end", format_args!("some of the last system metrics are missing: {error}"));
        }
        let engine = &self.0.home.engine;
        let flushed = engine.flush_at_end();
        if let Err(waiting) = &flushed {
            engine.tell_what_waits(waiting, "by this program while it goes on, ");
        }
        // A run below another one, or one that failed, may have ended before the training began.
        let inside = self.0.parent.as_ref().is_some_and(Self::is_active);
        if status == RunStatus::Finished && !inside && !engine.journal.is_sealed() {
            autolog::tell_if_nothing_was_seen();
        }
        let losses = self.losses();
        let lost = (!losses.is_empty()).then(|| Error::lost(losses));
        let unsafe_rest = flushed.err().filter(|_waiting| !engine.journal.is_durable());
        let error = match (lost, unsafe_rest) {
            (Some(lost), Some(waiting)) => Some(lost.with("besides", waiting)),
            (lost, waiting) => lost.or(waiting),
        };
        error.map_or(Ok(()), |error| Err(error.with("run", self.run_id())))
    }
}
