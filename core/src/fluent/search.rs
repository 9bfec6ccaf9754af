//! MLflow's functions that search.

use super::tracker;
use crate::entity::{Experiment, LoggedModel, Run};
use crate::error::Result;
use crate::store::{ExperimentQuery, ModelQuery, RunQuery};

/// The runs that `query` selects, newest start first unless it says otherwise; waits as [`get_run`](super::get_run).
///
/// `query` is a filter, `()` for all, or a [`RunQuery`]. Without a choice of experiments the active one is searched.
///
/// # Errors
/// The filter or the order is wrong, or the store cannot be read.
pub fn search_runs(query: impl Into<RunQuery>) -> Result<Vec<Run>> {
    tracker()?.search_runs(query)
}

/// The experiments that `query` selects, newest first unless it says otherwise.
///
/// # Errors
/// The filter or the order is wrong, or the store cannot be read.
pub fn search_experiments(query: impl Into<ExperimentQuery>) -> Result<Vec<Experiment>> {
    tracker()?.search_experiments(query)
}

/// The logged models that `query` selects, newest first unless it says otherwise; waits as
/// [`get_run`](super::get_run).
///
/// # Errors
/// The filter or the order is wrong, or the store cannot be read.
pub fn search_logged_models(query: impl Into<ModelQuery>) -> Result<Vec<LoggedModel>> {
    tracker()?.search_logged_models(query)
}
