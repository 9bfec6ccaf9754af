//! Runs that exist, through a tracker.

use super::Tracker;
use crate::entity::{Metric, Run, RunChange, RunStatus};
use crate::error::Result;
use crate::start::PARENT;
use crate::{clock, current, validate};

impl Tracker {
    /// The run with everything it logged.
    ///
    /// # Blocking
    /// First waits, for at most 5 s, until what this process logged is stored.
    ///
    /// # Errors
    /// There is no such run, or the store cannot be read.
    pub fn get_run(&self, run_id: &str) -> Result<Run> {
        validate::run_id(run_id)?;
        self.caught_up()?.store.get_run(run_id)
    }

    /// The parent of a run; `None` if it has none. Blocks as [`get_run`](Self::get_run).
    ///
    /// # Errors
    /// There is no such run, its parent is gone, or the store cannot be read.
    pub fn get_parent_run(&self, run_id: &str) -> Result<Option<Run>> {
        let run = self.get_run(run_id)?;
        run.tag(PARENT).map(|parent_id| self.caught_up()?.store.get_run(parent_id)).transpose()
    }

    /// Every point of a metric, sorted by time. Blocks as [`get_run`](Self::get_run).
    ///
    /// # Errors
    /// There is no such run, or the store cannot be read.
    pub fn metric_history(&self, run_id: &str, key: &str) -> Result<Vec<Metric>> {
        self.caught_up()?.store.metric_history(run_id, key)
    }

    /// Gives a run another status, another name, or both; `None` keeps what it has. Its end time stays, see
    /// [`set_terminated`](Self::set_terminated).
    ///
    /// ```
    /// # use runlog_core::Tracker;
    /// # let tracker = Tracker::open("memory:")?;
    /// let run = tracker.start_run("draft")?;
    /// tracker.update_run(run.run_id(), None, "final")?;
    /// assert_eq!(tracker.get_run(run.run_id())?.info.run_name, "final");
    /// # run.finish()?;
    /// # Ok::<(), runlog_core::Error>(())
    /// ```
    ///
    /// # Blocking
    /// First waits, for at most 10 s, until what this process logged is stored.
    ///
    /// # Errors
    /// There is no such run, it is deleted, or the store cannot be written.
    pub fn update_run<'a>(
        &self,
        run_id: &str,
        status: impl Into<Option<RunStatus>>,
        name: impl Into<Option<&'a str>>,
    ) -> Result<()> {
        let run_name = name.into().filter(|name| !name.is_empty()).map(str::to_owned);
        self.change(run_id, &RunChange { status: status.into(), end_time: None, run_name })
    }

    /// Ends a run that is not this process's to end; one that is ends as by `end`. Blocks as
    /// [`update_run`](Self::update_run).
    ///
    /// # Errors
    /// As [`update_run`](Self::update_run); also a status that is not an end.
    pub fn set_terminated(&self, run_id: &str, status: RunStatus) -> Result<()> {
        status.check_terminal()?;
        if let Some(active) = current::with_id(self, run_id) {
            return active.end_and_deliver(status, None);
        }
        let end_time = Some(clock::now_ms());
        self.change(run_id, &RunChange { status: Some(status), end_time, run_name: None })
    }

    fn change(&self, run_id: &str, change: &RunChange) -> Result<()> {
        validate::run_id(run_id)?;
        let engine = self.engine()?;
        engine.flush(engine.patience())?;
        engine.store.update_run(run_id, change)
    }

    /// Deletes a run, which [`restore_run`](Self::restore_run) undoes; one that is deleted already stays so.
    ///
    /// A run that is active in this process ends first, as `KILLED`: nobody could end it afterwards.
    ///
    /// # Blocking
    /// First waits, for at most 10 s, until what this process logged is stored.
    ///
    /// # Errors
    /// There is no such run, or the store cannot be written; also what an active run lost.
    pub fn delete_run(&self, run_id: &str) -> Result<()> {
        validate::run_id(run_id)?;
        let ended = current::with_id(self, run_id).map_or(Ok(()), |active| {
            active.end_and_deliver(RunStatus::Killed, Some("deleted while it was active"))
        });
        let engine = self.engine()?;
        engine.flush(engine.patience())?;
        engine.store.delete_run(run_id, clock::now_ms())?;
        ended
    }

    /// Undoes the deletion of a run; one that is active stays so. Blocks as [`delete_run`](Self::delete_run).
    ///
    /// # Errors
    /// There is no such run, or the store cannot be written.
    pub fn restore_run(&self, run_id: &str) -> Result<()> {
        validate::run_id(run_id)?;
        let engine = self.engine()?;
        engine.flush(engine.patience())?;
        engine.store.restore_run(run_id)
    }
}
