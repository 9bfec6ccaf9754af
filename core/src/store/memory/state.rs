//! What a store in memory holds, and how single things in it change.
//!
//! Nothing here is atomic: the store checks what may be refused before it changes anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::entity::{
    Dataset, DatasetInput, Experiment, LifecycleStage, LoggedModel, Metric, ModelOutput, Param, Run, RunInfo,
    Tag,
};
use crate::error::{Error, Result};
use crate::store::point::{self, Point};
use crate::store::{self, RUN_NAME_TAG};

pub(super) struct State {
    /// By id; the next id is one more than the greatest.
    pub(super) experiments: BTreeMap<u64, Experiment>,
    pub(super) runs: BTreeMap<String, Stored>,
    /// By experiment, name and digest: the first description of each.
    pub(super) datasets: BTreeMap<(String, String, String), Dataset>,
    pub(super) models: BTreeMap<String, StoredModel>,
}

pub(super) struct Stored {
    pub(super) info: RunInfo,
    pub(super) metrics: BTreeMap<String, Series>,
    pub(super) params: BTreeMap<String, String>,
    pub(super) tags: BTreeMap<String, String>,
    /// By name and digest.
    pub(super) inputs: BTreeMap<(String, String), DatasetInput>,
    /// The ids of the models that it used.
    pub(super) models: BTreeSet<String>,
    /// The step by model.
    pub(super) outputs: BTreeMap<String, i64>,
}

/// The points of one metric; never empty.
pub(super) struct Series {
    latest: Metric,
    points: BTreeSet<Point>,
}

pub(super) struct StoredModel {
    pub(super) model: LoggedModel,
    /// By name, time, step and run: the first of each stays, as in MLflow.
    pub(super) metrics: BTreeMap<(String, i64, i64, String), Metric>,
}

impl State {
    pub(super) fn experiment(&self, experiment_id: &str) -> Result<&Experiment> {
        let found = experiment_id.parse().ok().and_then(|id: u64| self.experiments.get(&id));
        found.ok_or_else(|| absent_experiment(experiment_id))
    }

    /// The experiment that something new is created in.
    pub(super) fn home(&self, experiment_id: &str) -> Result<&Experiment> {
        let experiment = self.experiment(experiment_id)?;
        match experiment.lifecycle_stage {
            LifecycleStage::Active => Ok(experiment),
            LifecycleStage::Deleted => Err(store::experiment_deleted(experiment)),
        }
    }

    /// The experiment, to be written to.
    pub(super) fn active_experiment(&mut self, experiment_id: &str) -> Result<&mut Experiment> {
        self.home(experiment_id)?;
        self.any_experiment(experiment_id)
    }

    fn any_experiment(&mut self, experiment_id: &str) -> Result<&mut Experiment> {
        let found = experiment_id.parse().ok().and_then(|id: u64| self.experiments.get_mut(&id));
        found.ok_or_else(|| absent_experiment(experiment_id))
    }

    /// Refuses a name that an experiment other than this one has.
    pub(super) fn require_free(&self, name: &str, experiment_id: Option<&str>) -> Result<()> {
        match self.experiments.values().find(|experiment| experiment.name == name) {
            Some(holder) if Some(holder.experiment_id.as_str()) != experiment_id => {
                Err(store::name_taken(holder))
            }
            _ => Ok(()),
        }
    }

    /// Moves an experiment and every run in it to a stage that it is not in.
    pub(super) fn move_experiment(
        &mut self,
        experiment_id: &str,
        stage: LifecycleStage,
        now: i64,
    ) -> Result<()> {
        let experiment = self.any_experiment(experiment_id)?;
        if experiment.lifecycle_stage == stage {
            return Err(store::experiment_is_already(experiment));
        }
        experiment.lifecycle_stage = stage;
        experiment.last_update_time = now;
        let id = experiment.experiment_id.clone();
        for run in self.runs.values_mut().filter(|run| run.info.experiment_id == id) {
            run.info.lifecycle_stage = stage;
        }
        Ok(())
    }

    pub(super) fn run(&self, run_id: &str) -> Result<&Stored> {
        self.runs.get(run_id).ok_or_else(|| absent_run(run_id))
    }

    /// The run, deleted or not, to be deleted or restored.
    pub(super) fn any_run(&mut self, run_id: &str) -> Result<&mut Stored> {
        self.runs.get_mut(run_id).ok_or_else(|| absent_run(run_id))
    }

    /// The run, to be written to.
    pub(super) fn active_run(&mut self, run_id: &str) -> Result<&mut Stored> {
        let run = self.any_run(run_id)?;
        match run.info.lifecycle_stage {
            LifecycleStage::Active => Ok(run),
            LifecycleStage::Deleted => {
                Err(Error::invalid("the run is deleted; restore it with `restore_run` before writing to it")
                    .with("run", run_id))
            }
        }
    }

    /// The model, deleted or not.
    pub(super) fn any_model(&mut self, model_id: &str) -> Result<&mut StoredModel> {
        self.models.get_mut(model_id).ok_or_else(|| absent_model(model_id))
    }

    pub(super) fn model(&mut self, model_id: &str) -> Result<&mut StoredModel> {
        let model = self.any_model(model_id)?;
        match model.model.lifecycle_stage {
            LifecycleStage::Active => Ok(model),
            LifecycleStage::Deleted => Err(absent_model(model_id)),
        }
    }
}

fn absent_experiment(experiment_id: &str) -> Error {
    Error::not_found("no experiment has this id; look for it by its name")
        .with("experiment_id", experiment_id)
}

fn absent_run(run_id: &str) -> Error {
    Error::not_found("no run has this id; a store in memory has only the runs of its process")
        .with("run", run_id)
}

fn absent_model(model_id: &str) -> Error {
    Error::not_found("no logged model has this id here; `search_logged_models` finds those that there are")
        .with("model", model_id)
}

impl Stored {
    pub(super) fn get(&self) -> Run {
        let mut run = Run::new(self.info.clone());
        run.data.metrics = self.metrics.values().map(|series| series.latest.clone()).collect();
        run.data.params = self.params.iter().map(|(key, value)| Param::new(key, value)).collect();
        run.data.tags = self.tags.iter().map(|(key, value)| Tag::new(key, value)).collect();
        run.inputs.datasets = self.inputs.values().cloned().collect();
        run.inputs.models = self.models.iter().cloned().collect();
        run.outputs = self.outputs.iter().map(|(model_id, step)| ModelOutput::new(model_id, *step)).collect();
        run.outputs.sort();
        run
    }

    pub(super) fn log_metric(&mut self, metric: &Metric, forgetful: bool) {
        // What a point says of a model is kept with the model.
        let point = Metric::new(&metric.key, metric.value, metric.timestamp, metric.step);
        match self.metrics.get_mut(&metric.key) {
            Some(series) => series.add(point, forgetful),
            None => {
                self.metrics.insert(metric.key.clone(), Series::of(point));
            }
        }
    }

    pub(super) fn set_tag(&mut self, tag: &Tag) {
        if tag.key == RUN_NAME_TAG {
            self.info.run_name.clone_from(&tag.value);
        }
        self.tags.insert(tag.key.clone(), tag.value.clone());
    }
}

impl Series {
    fn of(metric: Metric) -> Self {
        Self { points: BTreeSet::from([Point::of(&metric)]), latest: metric }
    }

    fn add(&mut self, metric: Metric, forgetful: bool) {
        let is_later = point::compare(&metric, &self.latest).is_gt();
        if forgetful && !is_later {
            return;
        }
        if forgetful {
            self.points.clear();
        }
        self.points.insert(Point::of(&metric));
        if is_later {
            self.latest = metric;
        }
    }

    /// Every point, sorted by time, step and value.
    pub(super) fn history(&self, key: &str) -> Vec<Metric> {
        self.points.iter().map(|point| point.metric(key)).collect()
    }
}

impl StoredModel {
    pub(super) fn get(&self) -> LoggedModel {
        let mut model = self.model.clone();
        model.metrics = self.metrics.values().cloned().collect();
        model
    }

    pub(super) fn log_metric(&mut self, run_id: &str, metric: &Metric, forgetful: bool) {
        if forgetful {
            self.metrics.retain(|(key, _, _, run), _| *key != metric.key || run != run_id);
        }
        let place = (metric.key.clone(), metric.timestamp, metric.step, run_id.to_owned());
        self.metrics
            .entry(place)
            .or_insert_with(|| Metric { run_id: Some(run_id.to_owned()), ..metric.clone() });
    }
}
