//! Experiments, through a tracker.

use serde::Serialize;

use super::Tracker;
use crate::clock;
use crate::entity::{Experiment, LifecycleStage, NewExperiment, Tag};
use crate::error::{Error, ErrorKind, Result};
use crate::flatten::flatten_under;
use crate::options::ExperimentOptions;
use crate::store::{absolute_location, experiment_deleted};
use crate::sync::lock;
use crate::validate;

/// MLflow's default experiment, "Default".
const DEFAULT_EXPERIMENT: &str = "0";
/// The tags by which MLflow's UI knows what the runs of an experiment are compared by.
const PRIMARY_METRIC: &str = "mlflow.experiment.primaryMetric.name";
const GREATER_IS_BETTER: &str = "mlflow.experiment.primaryMetric.greaterIsBetter";

impl Tracker {
    /// Makes the experiment `name` the active one, where new runs go; it is created if there is none.
    ///
    /// # Errors
    /// The name is empty or too long, the experiment is deleted, or the store cannot be written.
    pub fn set_experiment(&self, name: &str) -> Result<Experiment> {
        self.activate(self.find_or_create_experiment(name)?)
    }

    /// Makes the experiment with this id the active one, where new runs go.
    ///
    /// # Errors
    /// There is none, it is deleted, or the store cannot be read.
    pub fn set_experiment_by_id(&self, experiment_id: &str) -> Result<Experiment> {
        self.activate(self.get_experiment(experiment_id)?)
    }

    fn activate(&self, experiment: Experiment) -> Result<Experiment> {
        if experiment.lifecycle_stage == LifecycleStage::Deleted {
            return Err(experiment_deleted(&experiment));
        }
        *lock(&self.0.experiment) = Some(experiment.experiment_id.clone());
        Ok(experiment)
    }

    /// The id that `set_experiment` chose.
    pub(crate) fn active_experiment(&self) -> Option<String> {
        lock(&self.0.experiment).clone()
    }

    /// The experiment that new runs go to, unless they say another: what `set_experiment` chose, else the environment's
    /// name (created if there is none) or id, else MLflow's default.
    pub(crate) fn experiment_of_new_runs(&self) -> Result<String> {
        if let Some(id) = self.active_experiment() {
            return Ok(id);
        }
        let config = self.config();
        let by_id = config.experiment_id.as_deref().map(|id| self.get_experiment(id)).transpose().map_err(
            |error| {
                Error::invalid("MLFLOW_EXPERIMENT_ID names no experiment of this store; unset or correct it")
                    .because(error)
            },
        )?;
        let Some(name) = config.experiment_name.as_deref() else {
            return Ok(
                by_id.map_or_else(|| DEFAULT_EXPERIMENT.to_owned(), |experiment| experiment.experiment_id)
            );
        };
        let by_name = self.find_or_create_experiment(name)?;
        if by_id.is_some_and(|by_id| by_id.experiment_id != by_name.experiment_id) {
            return Err(Error::invalid(
                "MLFLOW_EXPERIMENT_NAME and MLFLOW_EXPERIMENT_ID name different experiments; unset one of them",
            ));
        }
        Ok(by_name.experiment_id)
    }

    pub(crate) fn find_or_create_experiment(&self, name: &str) -> Result<Experiment> {
        validate::experiment_name(name)?;
        let store = self.store()?;
        if let Some(experiment) = store.get_experiment_by_name(name)? {
            return Ok(experiment);
        }
        match self.create_experiment(name) {
            Ok(id) => store.get_experiment(&id),
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => store
                .get_experiment_by_name(name)?
                .ok_or_else(|| Error::not_found("the experiment came and went").with("experiment", name)),
            Err(error) => Err(error),
        }
    }

    /// Creates an experiment and returns its id; it does not become the active one.
    ///
    /// `options` is a name or [`ExperimentOptions`].
    ///
    /// ```
    /// # use runlog_core::{ExperimentOptions, Tracker};
    /// # let tracker = Tracker::open("memory:")?;
    /// let id = tracker.create_experiment(ExperimentOptions::new("vision").tag("team", "eyes"))?;
    /// assert_eq!(tracker.get_experiment(&id)?.name, "vision");
    /// # Ok::<(), runlog_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `AlreadyExists` if an experiment has the name, a deleted one too; a name, a tag or a location that is wrong; or
    /// the store cannot be written.
    pub fn create_experiment(&self, options: impl Into<ExperimentOptions>) -> Result<String> {
        let ExperimentOptions { name, artifact_location, tags } = options.into();
        validate::experiment_name(&name)?;
        for tag in &tags {
            validate::experiment_tag(tag)?;
        }
        let config = self.config();
        let chars_max = config.artifact_location_chars_max.unwrap_or(validate::ARTIFACT_LOCATION_CHARS_MAX);
        let artifact_location = artifact_location
            .filter(|location| !location.is_empty())
            .map(|location| absolute_location(&location, &config.working_dir, chars_max))
            .transpose()?;
        let new = NewExperiment { name, artifact_location, creation_time: clock::now_ms(), tags };
        self.store()?.create_experiment(&new)
    }

    /// The experiment with this id, deleted ones too.
    ///
    /// # Errors
    /// There is none, or the store cannot be read.
    pub fn get_experiment(&self, experiment_id: &str) -> Result<Experiment> {
        self.store()?.get_experiment(experiment_id)
    }

    /// The experiment with this name, deleted ones too; `None` if there is none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn get_experiment_by_name(&self, name: &str) -> Result<Option<Experiment>> {
        self.store()?.get_experiment_by_name(name)
    }

    /// Deletes an experiment and every run in it; [`restore_experiment`](Self::restore_experiment) undoes it.
    ///
    /// Its name stays taken. First waits, for at most 5 s, until what this process logged is stored.
    ///
    /// # Errors
    /// There is no active experiment of this id, or the store cannot be written.
    pub fn delete_experiment(&self, experiment_id: &str) -> Result<()> {
        self.caught_up()?.store.delete_experiment(experiment_id, clock::now_ms())
    }

    /// Undoes the deletion of an experiment, and of every run in it.
    ///
    /// # Errors
    /// There is no deleted experiment of this id, or the store cannot be written.
    pub fn restore_experiment(&self, experiment_id: &str) -> Result<()> {
        self.store()?.restore_experiment(experiment_id, clock::now_ms())
    }

    /// Gives an experiment another name.
    ///
    /// # Errors
    /// The name is empty, too long or taken, there is no such experiment, it is deleted, or the store cannot be written.
    pub fn rename_experiment(&self, experiment_id: &str, name: &str) -> Result<()> {
        validate::experiment_name(name)?;
        self.store()?.rename_experiment(experiment_id, name, clock::now_ms())
    }

    /// Sets a tag of an experiment, which may be changed later; values become text as in
    /// [`log_param`](crate::RunHandle::log_param).
    ///
    /// # Errors
    /// The key is wrong or the text longer than 20,000 characters (nothing is cut here), there is no such experiment, it
    /// is deleted, or the store cannot be written.
    pub fn set_experiment_tag(&self, experiment_id: &str, key: &str, value: impl Serialize) -> Result<()> {
        self.set_experiment_tags(experiment_id, [(key, value)])
    }

    /// Sets several tags of an experiment; if one of them is wrong, none is set.
    ///
    /// # Errors
    /// As [`set_experiment_tag`](Self::set_experiment_tag).
    pub fn set_experiment_tags<K: AsRef<str>, V: Serialize>(
        &self,
        experiment_id: &str,
        tags: impl IntoIterator<Item = (K, V)>,
    ) -> Result<()> {
        let mut texts = Vec::new();
        for (key, value) in tags {
            validate::key(key.as_ref())?;
            for (key, text) in flatten_under(key.as_ref(), &value)? {
                texts.push(Tag::new(key, text));
            }
        }
        texts.iter().try_for_each(validate::experiment_tag)?;
        let store = self.store()?;
        texts.iter().try_for_each(|tag| store.set_experiment_tag(experiment_id, tag))
    }

    /// Removes a tag of an experiment.
    ///
    /// # Errors
    /// `NotFound` if it has none of that key or there is no such experiment; it is deleted, or the store cannot be
    /// written.
    pub fn delete_experiment_tag(&self, experiment_id: &str, key: &str) -> Result<()> {
        self.store()?.delete_experiment_tag(experiment_id, key)
    }

    /// Says which metric the runs of an experiment are compared by, for tools that read MLflow's tags.
    ///
    /// # Errors
    /// The metric's name is wrong, there is no such experiment, it is deleted, or the store cannot be written.
    pub fn set_experiment_primary_metric(
        &self,
        experiment_id: &str,
        metric: &str,
        greater_is_better: bool,
    ) -> Result<()> {
        validate::key(metric)?;
        self.set_experiment_tag(experiment_id, PRIMARY_METRIC, metric)?;
        self.set_experiment_tag(experiment_id, GREATER_IS_BETTER, greater_is_better)
    }
}
