//! MLflow's functions on logged models.

use super::tracker;
use crate::entity::LoggedModel;
use crate::error::Result;

/// The model with its params, tags and metrics; waits as [`get_run`](super::get_run).
///
/// # Errors
/// There is none, or the store cannot be read.
pub fn get_logged_model(model_id: &str) -> Result<LoggedModel> {
    tracker()?.get_logged_model(model_id)
}
