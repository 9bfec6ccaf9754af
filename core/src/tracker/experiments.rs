//! Experiments, through a tracker.

use super::Tracker;
use crate::clock;
use crate::entity::{Experiment, LifecycleStage, NewExperiment};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::lock;
use crate::validate;

impl Tracker {
    /// Makes the experiment `name` the active one, where new runs go; it is created if there is none.
    ///
    /// # Errors
    /// The name is empty or too long, or the experiment is deleted.
    pub fn set_experiment(&self, name: &str) -> Result<Experiment> {
        let experiment = self.find_or_create_experiment(name)?;
        if experiment.lifecycle_stage == LifecycleStage::Deleted {
            return Err(Error::invalid(
                "the experiment is deleted; restore it with MLflow, or choose another name",
            )
            .with("experiment", name));
        }
        *lock(&self.0.experiment) = Some(experiment.experiment_id.clone());
        Ok(experiment)
    }

    /// The id that `set_experiment` chose.
    pub(crate) fn active_experiment(&self) -> Option<String> {
        lock(&self.0.experiment).clone()
    }

    pub(crate) fn find_or_create_experiment(&self, name: &str) -> Result<Experiment> {
        validate::experiment_name(name)?;
        let store = self.store()?;
        if let Some(experiment) = store.get_experiment_by_name(name)? {
            return Ok(experiment);
        }
        let new = NewExperiment {
            name: name.to_owned(),
            creation_time: clock::now_ms(),
            ..NewExperiment::default()
        };
        match store.create_experiment(&new) {
            Ok(id) => store.get_experiment(&id),
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => store
                .get_experiment_by_name(name)?
                .ok_or_else(|| Error::not_found("the experiment came and went").with("experiment", name)),
            Err(error) => Err(error),
        }
    }

    /// The experiment with this id.
    ///
    /// # Errors
    /// There is none, or the store cannot be read.
    pub fn get_experiment(&self, experiment_id: &str) -> Result<Experiment> {
        self.store()?.get_experiment(experiment_id)
    }

    /// The experiment with this name; `None` if there is none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn get_experiment_by_name(&self, name: &str) -> Result<Option<Experiment>> {
        self.store()?.get_experiment_by_name(name)
    }
}
