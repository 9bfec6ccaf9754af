//! Logged models, through a tracker.

use super::Tracker;
use crate::entity::LoggedModel;
use crate::error::Result;

impl Tracker {
    /// The model with its params, tags and metrics.
    ///
    /// # Errors
    /// There is none, or the store cannot be read.
    pub fn get_logged_model(&self, model_id: &str) -> Result<LoggedModel> {
        self.caught_up()?.store.get_logged_model(model_id)
    }
}
