//! MLflow's functions on experiments.

use serde::Serialize;

use super::tracker;
use crate::entity::Experiment;
use crate::error::Result;
use crate::options::ExperimentOptions;
use crate::tracker::Tracker;

/// Makes the experiment `name` the active one, where new runs go; it is created if there is none.
///
/// ```
/// # use runlog_core::{Tracker, fluent};
/// # fluent::with_tracker(&Tracker::open("memory:")?, || {
/// fluent::set_experiment("vision")?;
/// fluent::set_experiment_tag("team", "eyes")?;
/// assert_eq!(fluent::get_experiment_by_name("vision")?.unwrap().tags[0].value, "eyes");
/// # Ok::<(), runlog_core::Error>(())
/// # })?;
/// # Ok::<(), runlog_core::Error>(())
/// ```
///
/// # Errors
/// The name is empty or too long, the experiment is deleted, or the store cannot be written.
pub fn set_experiment(name: &str) -> Result<Experiment> {
    tracker()?.set_experiment(name)
}

/// Makes the experiment with this id the active one, where new runs go.
///
/// # Errors
/// There is none, it is deleted, or the store cannot be read.
pub fn set_experiment_by_id(experiment_id: &str) -> Result<Experiment> {
    tracker()?.set_experiment_by_id(experiment_id)
}

/// Creates an experiment and returns its id; it does not become the active one.
///
/// `options` is a name or [`ExperimentOptions`].
///
/// # Errors
/// `AlreadyExists` if an experiment has the name, a deleted one too; a name, a tag or a location that is wrong; or the
/// store cannot be written.
pub fn create_experiment(options: impl Into<ExperimentOptions>) -> Result<String> {
    tracker()?.create_experiment(options)
}

/// The experiment with this id, deleted ones too.
///
/// # Errors
/// There is none, or the store cannot be read.
pub fn get_experiment(experiment_id: &str) -> Result<Experiment> {
    tracker()?.get_experiment(experiment_id)
}

/// The experiment with this name, deleted ones too; `None` if there is none.
///
/// # Errors
/// The store cannot be read.
pub fn get_experiment_by_name(name: &str) -> Result<Option<Experiment>> {
    tracker()?.get_experiment_by_name(name)
}

/// Deletes an experiment and every run in it; [`restore_experiment`] undoes it. Its name stays taken.
///
/// # Errors
/// There is no active experiment of this id, or the store cannot be written.
pub fn delete_experiment(experiment_id: &str) -> Result<()> {
    tracker()?.delete_experiment(experiment_id)
}

/// Undoes the deletion of an experiment, and of every run in it.
///
/// # Errors
/// There is no deleted experiment of this id, or the store cannot be written.
pub fn restore_experiment(experiment_id: &str) -> Result<()> {
    tracker()?.restore_experiment(experiment_id)
}

/// Gives an experiment another name.
///
/// # Errors
/// The name is empty, too long or taken, there is no such experiment, it is deleted, or the store cannot be written.
pub fn rename_experiment(experiment_id: &str, name: &str) -> Result<()> {
    tracker()?.rename_experiment(experiment_id, name)
}

/// Sets a tag of the active experiment, which may be changed later; values become text as in
/// [`log_param`](super::log_param).
///
/// # Errors
/// The key is wrong, the text longer than 20,000 characters (nothing is cut here), the experiment is deleted, or the
/// store cannot be written.
pub fn set_experiment_tag(key: &str, value: impl Serialize) -> Result<()> {
    active(|tracker, id| tracker.set_experiment_tag(id, key, value))
}

/// Sets several tags of the active experiment; if one of them is wrong, none is set.
///
/// # Errors
/// As [`set_experiment_tag`].
pub fn set_experiment_tags<K: AsRef<str>, V: Serialize>(
    tags: impl IntoIterator<Item = (K, V)>,
) -> Result<()> {
    active(|tracker, id| tracker.set_experiment_tags(id, tags))
}

/// Removes a tag of the active experiment.
///
/// # Errors
/// `NotFound` if it has none of that key; the experiment is deleted, or the store cannot be written.
pub fn delete_experiment_tag(key: &str) -> Result<()> {
    active(|tracker, id| tracker.delete_experiment_tag(id, key))
}

/// Says which metric the runs of the active experiment are compared by, for tools that read MLflow's tags.
///
/// # Errors
/// The metric's name is wrong, the experiment is deleted, or the store cannot be written.
pub fn set_experiment_primary_metric(metric: &str, greater_is_better: bool) -> Result<()> {
    active(|tracker, id| tracker.set_experiment_primary_metric(id, metric, greater_is_better))
}

/// Acts on the experiment that new runs go to.
fn active(act: impl FnOnce(&Tracker, &str) -> Result<()>) -> Result<()> {
    let tracker = tracker()?;
    let experiment_id = tracker.experiment_of_new_runs()?;
    act(&tracker, &experiment_id)
}
