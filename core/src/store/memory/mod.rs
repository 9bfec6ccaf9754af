//! Runs in memory: what the other stores are compared with, and where runs go that nobody keeps.
//!
//! It does what the contract says in the plainest way, so that it can be read as the contract's second copy.

mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use super::{
    Batch, ExperimentQuery, Limits, ModelQuery, Page, PageRequest, RUN_NAME_TAG, RunQuery, Store, location,
    param_conflict,
};
use crate::clock;
use crate::entity::{
    DatasetInput, Experiment, LifecycleStage, LoggedModel, Metric, ModelOutput, ModelStatus, NewExperiment,
    NewLoggedModel, NewRun, Param, Run, RunChange, RunInfo, Tag,
};
use crate::error::{Error, Result};
use crate::id;
use crate::search;
use crate::sync::lock;
use state::{State, Stored, StoredModel};

/// No transaction gets too long here; a batch only has to fit in memory twice.
const LIMITS: Limits = Limits { metrics: 10_000, params: 1000, tags: 1000 };

/// A store that keeps everything in memory, and is gone when it is dropped.
///
/// ```
/// use runlog_core::store::{MemoryStore, Store};
///
/// let store = MemoryStore::new();
/// assert_eq!(store.get_experiment("0")?.artifact_location, "memory:/0");
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub struct MemoryStore {
    state: Mutex<State>,
    /// Whether a metric keeps every point or its latest one.
    forgetful: bool,
}

impl MemoryStore {
    /// An empty store with MLflow's experiment 0, "Default".
    pub fn new() -> Self {
        Self::with(false)
    }

    /// A store that keeps only the latest point of each metric, so that a training of any length needs no more memory
    /// than a short one.
    pub fn forgetful() -> Self {
        Self::with(true)
    }

    fn with(forgetful: bool) -> Self {
        let mut default = Experiment::new("0", "Default", location::below("memory:", "0"));
        default.creation_time = clock::now_ms();
        default.last_update_time = default.creation_time;
        let state = State {
            experiments: BTreeMap::from([(0, default)]),
            runs: BTreeMap::new(),
            datasets: BTreeMap::new(),
            models: BTreeMap::new(),
        };
        Self { state: Mutex::new(state), forgetful }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("forgetful", &self.forgetful).finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn create_experiment(&self, new: &NewExperiment) -> Result<String> {
        let mut state = self.state();
        state.require_free(&new.name, None)?;
        let number = state.experiments.keys().next_back().map_or(0, |last| last + 1);
        let id = number.to_string();
        let place = new.artifact_location.clone().unwrap_or_else(|| location::below("memory:", &id));
        let mut experiment = Experiment::new(&id, &new.name, place);
        experiment.creation_time = new.creation_time;
        experiment.last_update_time = new.creation_time;
        put_tags(&mut experiment.tags, &new.tags);
        state.experiments.insert(number, experiment);
        Ok(id)
    }

    fn get_experiment(&self, experiment_id: &str) -> Result<Experiment> {
        self.state().experiment(experiment_id).cloned()
    }

    fn get_experiment_by_name(&self, name: &str) -> Result<Option<Experiment>> {
        Ok(self.state().experiments.values().find(|experiment| experiment.name == name).cloned())
    }

    fn create_run(&self, new: &NewRun) -> Result<Run> {
        let mut state = self.state();
        let home = state.home(&new.experiment_id)?;
        let mut info = RunInfo::new(id::hex32(), &home.experiment_id);
        info.user_id.clone_from(&new.user_id);
        info.start_time = new.start_time;
        info.artifact_uri = location::below(&home.artifact_location, &format!("{}/artifacts", info.run_id));
        let mut stored = Stored {
            info,
            metrics: BTreeMap::new(),
            params: BTreeMap::new(),
            tags: BTreeMap::new(),
            inputs: BTreeMap::new(),
            models: BTreeSet::new(),
            outputs: BTreeMap::new(),
        };
        for tag in &new.tags {
            stored.set_tag(tag);
        }
        stored.set_tag(&Tag::new(RUN_NAME_TAG, &new.run_name));
        let run = stored.get();
        state.runs.insert(run.info.run_id.clone(), stored);
        Ok(run)
    }

    fn get_run(&self, run_id: &str) -> Result<Run> {
        Ok(self.state().run(run_id)?.get())
    }

    fn update_run(&self, run_id: &str, change: &RunChange) -> Result<()> {
        let mut state = self.state();
        let run = state.active_run(run_id)?;
        run.info.status = change.status.unwrap_or(run.info.status);
        run.info.end_time = change.end_time.or(run.info.end_time);
        if let Some(name) = &change.run_name {
            run.set_tag(&Tag::new(RUN_NAME_TAG, name));
        }
        Ok(())
    }

    fn search_runs(&self, query: &RunQuery, page: &PageRequest) -> Result<Page<Run>> {
        search::runs(self.state().runs.values().map(Stored::get), query, page)
    }

    fn metric_history(&self, run_id: &str, key: &str) -> Result<Vec<Metric>> {
        let state = self.state();
        let series = state.run(run_id)?.metrics.get(key);
        Ok(series.map(|series| series.history(key)).unwrap_or_default())
    }

    fn log_batch(&self, run_id: &str, batch: &Batch) -> Result<()> {
        let mut state = self.state();
        // Everything that can be refused is refused before anything is changed.
        let run = state.active_run(run_id)?;
        for param in &batch.params {
            if let Some(stored) = run.params.get(&param.key)
                && *stored != param.value
            {
                return Err(param_conflict(&param.key, stored, &param.value).with("run", run_id));
            }
        }
        for metric in &batch.metrics {
            if let Some(model_id) = &metric.model_id {
                state.any_model(model_id)?;
            }
        }
        for metric in &batch.metrics {
            if let Some(model_id) = &metric.model_id {
                state.any_model(model_id)?.log_metric(run_id, metric, self.forgetful);
            }
        }
        let run = state.active_run(run_id)?;
        for metric in &batch.metrics {
            run.log_metric(metric, self.forgetful);
        }
        for param in &batch.params {
            run.params.insert(param.key.clone(), param.value.clone());
        }
        for tag in &batch.tags {
            run.set_tag(tag);
        }
        Ok(())
    }

    fn delete_tag(&self, run_id: &str, key: &str) -> Result<()> {
        match self.state().active_run(run_id)?.tags.remove(key) {
            Some(_) => Ok(()),
            None => {
                Err(Error::not_found("the run has no tag of this key").with("key", key).with("run", run_id))
            }
        }
    }

    fn log_inputs(&self, run_id: &str, datasets: &[DatasetInput], models: &[String]) -> Result<()> {
        let mut state = self.state();
        let experiment_id = state.active_run(run_id)?.info.experiment_id.clone();
        for input in datasets {
            let DatasetInput { dataset, tags } = input;
            let place = (experiment_id.clone(), dataset.name.clone(), dataset.digest.clone());
            let dataset = state.datasets.entry(place).or_insert_with(|| dataset.clone()).clone();
            let mut tags = tags.clone();
            tags.sort();
            state
                .active_run(run_id)?
                .inputs
                .entry((dataset.name.clone(), dataset.digest.clone()))
                .or_insert(DatasetInput { dataset, tags });
        }
        state.active_run(run_id)?.models.extend(models.iter().cloned());
        Ok(())
    }

    fn log_outputs(&self, run_id: &str, outputs: &[ModelOutput]) -> Result<()> {
        let mut state = self.state();
        let run = state.active_run(run_id)?;
        for output in outputs {
            run.outputs.entry(output.model_id.clone()).or_insert(output.step);
        }
        Ok(())
    }

    fn create_logged_model(&self, new: &NewLoggedModel) -> Result<LoggedModel> {
        let mut state = self.state();
        let home = state.home(&new.experiment_id)?;
        let mut model = LoggedModel::new(format!("m-{}", id::hex32()), &home.experiment_id, &new.name);
        model.artifact_location =
            location::below(&home.artifact_location, &format!("models/{}/artifacts", model.model_id));
        model.creation_timestamp = new.creation_timestamp;
        model.last_updated_timestamp = new.creation_timestamp;
        model.model_type.clone_from(&new.model_type);
        model.source_run_id.clone_from(&new.source_run_id);
        model.params.clone_from(&new.params);
        model.params.sort();
        put_tags(&mut model.tags, &new.tags);
        let stored = StoredModel { model: model.clone(), metrics: BTreeMap::new() };
        state.models.insert(model.model_id.clone(), stored);
        Ok(model)
    }

    fn finalize_logged_model(&self, model_id: &str, status: ModelStatus, now: i64) -> Result<LoggedModel> {
        let mut state = self.state();
        let stored = state.model(model_id)?;
        stored.model.status = status;
        stored.model.last_updated_timestamp = now;
        Ok(stored.get())
    }

    fn get_logged_model(&self, model_id: &str) -> Result<LoggedModel> {
        Ok(self.state().model(model_id)?.get())
    }

    fn search_experiments(&self, query: &ExperimentQuery, page: &PageRequest) -> Result<Page<Experiment>> {
        search::experiments(self.state().experiments.values().cloned(), query, page)
    }

    fn rename_experiment(&self, experiment_id: &str, name: &str, now: i64) -> Result<()> {
        let mut state = self.state();
        state.home(experiment_id)?;
        state.require_free(name, Some(experiment_id))?;
        let experiment = state.active_experiment(experiment_id)?;
        name.clone_into(&mut experiment.name);
        experiment.last_update_time = now;
        Ok(())
    }

    fn delete_experiment(&self, experiment_id: &str, now: i64) -> Result<()> {
        self.state().move_experiment(experiment_id, LifecycleStage::Deleted, now)
    }

    fn restore_experiment(&self, experiment_id: &str, now: i64) -> Result<()> {
        self.state().move_experiment(experiment_id, LifecycleStage::Active, now)
    }

    fn set_experiment_tag(&self, experiment_id: &str, tag: &Tag) -> Result<()> {
        put_tags(&mut self.state().active_experiment(experiment_id)?.tags, std::slice::from_ref(tag));
        Ok(())
    }

    fn delete_experiment_tag(&self, experiment_id: &str, key: &str) -> Result<()> {
        let mut state = self.state();
        let experiment = state.active_experiment(experiment_id)?;
        if take_tag(&mut experiment.tags, key) {
            return Ok(());
        }
        Err(Error::not_found("the experiment has no tag of this key")
            .with("key", key)
            .with("experiment", &experiment.name))
    }

    fn delete_run(&self, run_id: &str, _now: i64) -> Result<()> {
        self.state().any_run(run_id)?.info.lifecycle_stage = LifecycleStage::Deleted;
        Ok(())
    }

    fn restore_run(&self, run_id: &str) -> Result<()> {
        self.state().any_run(run_id)?.info.lifecycle_stage = LifecycleStage::Active;
        Ok(())
    }

    fn search_logged_models(&self, query: &ModelQuery, page: &PageRequest) -> Result<Page<LoggedModel>> {
        search::models(self.state().models.values().map(StoredModel::get), query, page)
    }

    fn log_logged_model_params(&self, model_id: &str, params: &[Param]) -> Result<()> {
        let mut state = self.state();
        let model = &mut state.model(model_id)?.model;
        let mut all = model.params.clone();
        for param in params {
            match all.binary_search_by(|known| known.key.cmp(&param.key)) {
                Ok(place) if all[place].value != param.value => {
                    let conflict = param_conflict(&param.key, &all[place].value, &param.value);
                    return Err(conflict.with("model", model_id));
                }
                Ok(_) => {}
                Err(place) => all.insert(place, param.clone()),
            }
        }
        model.params = all;
        Ok(())
    }

    fn set_logged_model_tags(&self, model_id: &str, tags: &[Tag]) -> Result<()> {
        put_tags(&mut self.state().model(model_id)?.model.tags, tags);
        Ok(())
    }

    fn delete_logged_model_tag(&self, model_id: &str, key: &str) -> Result<()> {
        if take_tag(&mut self.state().model(model_id)?.model.tags, key) {
            return Ok(());
        }
        Err(Error::not_found("the model has no tag of this key").with("key", key).with("model", model_id))
    }

    fn delete_logged_model(&self, model_id: &str, now: i64) -> Result<()> {
        let mut state = self.state();
        let model = &mut state.any_model(model_id)?.model;
        if model.lifecycle_stage == LifecycleStage::Active {
            model.lifecycle_stage = LifecycleStage::Deleted;
            model.last_updated_timestamp = now;
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// Sets tags in a list that is sorted by key.
fn put_tags(tags: &mut Vec<Tag>, new: &[Tag]) {
    for tag in new {
        match tags.binary_search_by(|known| known.key.cmp(&tag.key)) {
            Ok(place) => tags[place].value.clone_from(&tag.value),
            Err(place) => tags.insert(place, tag.clone()),
        }
    }
}

/// Removes a tag, and says whether it was there.
fn take_tag(tags: &mut Vec<Tag>, key: &str) -> bool {
    let before = tags.len();
    tags.retain(|tag| tag.key != key);
    tags.len() < before
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::conformance;

    #[test]
    fn it_keeps_the_contract() {
        conformance::check(&|| Arc::new(MemoryStore::new()));
    }

    #[test]
    fn a_forgetful_one_keeps_the_latest_points_only() {
        let store = MemoryStore::forgetful();
        let run = store.create_run(&NewRun { experiment_id: "0".to_owned(), ..NewRun::default() }).unwrap();
        let model = NewLoggedModel { experiment_id: "0".to_owned(), ..NewLoggedModel::default() };
        let model_id = store.create_logged_model(&model).unwrap().model_id;
        let run_id = &run.info.run_id;
        for step in [1, 3, 2] {
            let metric = Metric::new("loss", 0.5, step, step).for_model(&model_id);
            store.log_batch(run_id, &Batch { metrics: vec![metric], ..Batch::default() }).unwrap();
        }
        assert_eq!(store.metric_history(run_id, "loss").unwrap(), [Metric::new("loss", 0.5, 3, 3)]);
        assert_eq!(store.get_logged_model(&model_id).unwrap().metrics.len(), 1);
    }
}
