//! MLflow's functions on experiments.

use super::tracker;
use crate::entity::Experiment;
use crate::error::Result;

/// Makes the experiment `name` the active one, where new runs go; it is created if there is none.
///
/// # Errors
/// The name is empty or too long, the experiment is deleted, or the store cannot be written.
pub fn set_experiment(name: &str) -> Result<Experiment> {
    tracker()?.set_experiment(name)
}
