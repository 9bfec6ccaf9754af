//! Runs that exist, through a tracker.

use super::Tracker;
use crate::entity::{Metric, Run};
use crate::error::Result;
use crate::validate;

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

    /// Every point of a metric, sorted by time. Blocks as [`get_run`](Self::get_run).
    ///
    /// # Errors
    /// There is no such run, or the store cannot be read.
    pub fn metric_history(&self, run_id: &str, key: &str) -> Result<Vec<Metric>> {
        self.caught_up()?.store.metric_history(run_id, key)
    }
}
