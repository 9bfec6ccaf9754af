//! A store that fails by script: the test double for whatever has to outlive a store's trouble.
//!
//! It passes every call on to another store. A script is asked before each call, and says whether the call fails before
//! it took effect, fails after it took effect, as when an answer is lost, or waits at a gate. Nothing here sleeps.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::{Batch, ExperimentQuery, Limits, ModelQuery, Page, PageRequest, RunQuery, Store};
use crate::entity::{
    DatasetInput, Experiment, LoggedModel, Metric, ModelOutput, ModelStatus, NewExperiment, NewLoggedModel,
    NewRun, Param, Run, RunChange, Tag,
};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{lock, wait};

/// A store that passes calls on to another one, unless its script says otherwise.
///
/// ```
/// use runlog_core::ErrorKind;
/// use runlog_core::store::faulty::{Call, Fault, Faulty, Method};
/// use runlog_core::store::{MemoryStore, Store};
/// use std::sync::Arc;
///
/// let store = Faulty::scripted(Arc::new(MemoryStore::new()), |call| match call {
///     Call { method: Method::GetExperiment, number: ..2, .. } => Fault::Fails(ErrorKind::Unavailable),
///     _ => Fault::None,
/// });
/// assert!(store.get_experiment("0").unwrap_err().is_temporary());
/// assert!(store.get_experiment("0").unwrap_err().is_temporary());
/// assert_eq!(store.get_experiment("0")?.name, "Default");
/// assert_eq!(store.calls(Method::GetExperiment), 3);
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub struct Faulty {
    inner: Arc<dyn Store>,
    script: Box<Script>,
    calls: Mutex<BTreeMap<Method, u64>>,
}

type Script = dyn Fn(&Call<'_>) -> Fault + Send + Sync;

/// A call that is about to be passed on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Call<'a> {
    /// Which one.
    pub method: Method,
    /// How many calls of this method came before.
    pub number: u64,
    /// How many calls of any method came before.
    pub total: u64,
    /// What [`log_batch`](Store::log_batch) is to store.
    pub batch: Option<&'a Batch>,
}

/// What becomes of a call.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is passed on.
    None,
    /// It fails so, and nothing took effect. [`ErrorKind::Unavailable`] is a temporary failure.
    Fails(ErrorKind),
    /// It takes effect and fails so all the same: the answer is lost. What the store itself refuses stays refused.
    Torn(ErrorKind),
    /// It waits until the gate opens, and is passed on.
    Waits(Gate),
}

impl Faulty {
    /// A store that passes everything on to `inner`.
    pub fn inert(inner: Arc<dyn Store>) -> Self {
        Self::scripted(inner, |_| Fault::None)
    }

    /// A store that asks `script` about every call, except for [`limits`](Store::limits), before it is passed on to
    /// `inner`.
    pub fn scripted(
        inner: Arc<dyn Store>,
        script: impl Fn(&Call<'_>) -> Fault + Send + Sync + 'static,
    ) -> Self {
        Self { inner, script: Box::new(script), calls: Mutex::default() }
    }

    /// How often `method` was called, whatever became of it.
    pub fn calls(&self, method: Method) -> u64 {
        lock(&self.calls).get(&method).copied().unwrap_or_default()
    }

    /// How often any method was called.
    pub fn total_calls(&self) -> u64 {
        lock(&self.calls).values().sum()
    }

    fn pass<T>(&self, method: Method, call: impl FnOnce(&dyn Store) -> Result<T>) -> Result<T> {
        self.pass_batch(method, None, call)
    }

    fn pass_batch<T>(
        &self,
        method: Method,
        batch: Option<&Batch>,
        call: impl FnOnce(&dyn Store) -> Result<T>,
    ) -> Result<T> {
        let (number, total) = {
            let mut calls = lock(&self.calls);
            let total = calls.values().sum();
            let count = calls.entry(method).or_default();
            *count += 1;
            (*count - 1, total)
        };
        let failure = |kind| {
            Error::new(kind, "this failure is in the script").with("call", format!("{method:?} {number}"))
        };
        match (self.script)(&Call { method, number, total, batch }) {
            Fault::None => call(&*self.inner),
            Fault::Fails(kind) => Err(failure(kind)),
            Fault::Torn(kind) => call(&*self.inner).and_then(|_answer| Err(failure(kind))),
            Fault::Waits(gate) => {
                gate.pass();
                call(&*self.inner)
            }
        }
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// Where calls wait until it is opened; a clone is the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<Passage>, Condvar)>);

#[derive(Debug, Default)]
struct Passage {
    is_open: bool,
    arrived: u64,
}

/// How long a wait lasts before what is waited for is looked at again.
const LOOK_EVERY: Duration = Duration::from_mins(1);

impl Gate {
    /// A gate that is shut.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everybody through, from now on.
    pub fn open(&self) {
        let (passage, bell) = &*self.0;
        lock(passage).is_open = true;
        bell.notify_all();
    }

    /// Waits until `count` calls have come to the gate.
    pub fn wait_for_arrivals(&self, count: u64) {
        self.wait_until(|passage| passage.arrived >= count);
    }

    fn pass(&self) {
        let (passage, bell) = &*self.0;
        lock(passage).arrived += 1;
        bell.notify_all();
        self.wait_until(|passage| passage.is_open);
    }

    fn wait_until(&self, is_so: impl Fn(&Passage) -> bool) {
        let (passage, bell) = &*self.0;
        let mut passage = lock(passage);
        while !is_so(&passage) {
            passage = wait(bell, passage, LOOK_EVERY);
        }
    }
}

/// A method of [`Store`] that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Method {
    /// [`Store::create_experiment`].
    CreateExperiment,
    /// [`Store::get_experiment`].
    GetExperiment,
    /// [`Store::get_experiment_by_name`].
    GetExperimentByName,
    /// [`Store::search_experiments`].
    SearchExperiments,
    /// [`Store::rename_experiment`].
    RenameExperiment,
    /// [`Store::delete_experiment`].
    DeleteExperiment,
    /// [`Store::restore_experiment`].
    RestoreExperiment,
    /// [`Store::set_experiment_tag`].
    SetExperimentTag,
    /// [`Store::delete_experiment_tag`].
    DeleteExperimentTag,
    /// [`Store::create_run`].
    CreateRun,
    /// [`Store::get_run`].
    GetRun,
    /// [`Store::update_run`].
    UpdateRun,
    /// [`Store::delete_run`].
    DeleteRun,
    /// [`Store::restore_run`].
    RestoreRun,
    /// [`Store::search_runs`].
    SearchRuns,
    /// [`Store::metric_history`].
    MetricHistory,
    /// [`Store::log_batch`].
    LogBatch,
    /// [`Store::delete_tag`].
    DeleteTag,
    /// [`Store::log_inputs`].
    LogInputs,
    /// [`Store::log_outputs`].
    LogOutputs,
    /// [`Store::create_logged_model`].
    CreateLoggedModel,
    /// [`Store::finalize_logged_model`].
    FinalizeLoggedModel,
    /// [`Store::get_logged_model`].
    GetLoggedModel,
    /// [`Store::search_logged_models`].
    SearchLoggedModels,
    /// [`Store::log_logged_model_params`].
    LogLoggedModelParams,
    /// [`Store::set_logged_model_tags`].
    SetLoggedModelTags,
    /// [`Store::delete_logged_model_tag`].
    DeleteLoggedModelTag,
    /// [`Store::delete_logged_model`].
    DeleteLoggedModel,
    /// [`Store::sync`].
    Sync,
    /// [`Store::close`].
    Close,
}

impl Store for Faulty {
    fn create_experiment(&self, new: &NewExperiment) -> Result<String> {
        self.pass(Method::CreateExperiment, |store| store.create_experiment(new))
    }

    fn get_experiment(&self, experiment_id: &str) -> Result<Experiment> {
        self.pass(Method::GetExperiment, |store| store.get_experiment(experiment_id))
    }

    fn get_experiment_by_name(&self, name: &str) -> Result<Option<Experiment>> {
        self.pass(Method::GetExperimentByName, |store| store.get_experiment_by_name(name))
    }

    fn search_experiments(&self, query: &ExperimentQuery, page: &PageRequest) -> Result<Page<Experiment>> {
        self.pass(Method::SearchExperiments, |store| store.search_experiments(query, page))
    }

    fn rename_experiment(&self, experiment_id: &str, name: &str, now: i64) -> Result<()> {
        self.pass(Method::RenameExperiment, |store| store.rename_experiment(experiment_id, name, now))
    }

    fn delete_experiment(&self, experiment_id: &str, now: i64) -> Result<()> {
        self.pass(Method::DeleteExperiment, |store| store.delete_experiment(experiment_id, now))
    }

    fn restore_experiment(&self, experiment_id: &str, now: i64) -> Result<()> {
        self.pass(Method::RestoreExperiment, |store| store.restore_experiment(experiment_id, now))
    }

    fn set_experiment_tag(&self, experiment_id: &str, tag: &Tag) -> Result<()> {
        self.pass(Method::SetExperimentTag, |store| store.set_experiment_tag(experiment_id, tag))
    }

    fn delete_experiment_tag(&self, experiment_id: &str, key: &str) -> Result<()> {
        self.pass(Method::DeleteExperimentTag, |store| store.delete_experiment_tag(experiment_id, key))
    }

    fn create_run(&self, new: &NewRun) -> Result<Run> {
        self.pass(Method::CreateRun, |store| store.create_run(new))
    }

    fn get_run(&self, run_id: &str) -> Result<Run> {
        self.pass(Method::GetRun, |store| store.get_run(run_id))
    }

    fn update_run(&self, run_id: &str, change: &RunChange) -> Result<()> {
        self.pass(Method::UpdateRun, |store| store.update_run(run_id, change))
    }

    fn delete_run(&self, run_id: &str, now: i64) -> Result<()> {
        self.pass(Method::DeleteRun, |store| store.delete_run(run_id, now))
    }

    fn restore_run(&self, run_id: &str) -> Result<()> {
        self.pass(Method::RestoreRun, |store| store.restore_run(run_id))
    }

    fn search_runs(&self, query: &RunQuery, page: &PageRequest) -> Result<Page<Run>> {
        self.pass(Method::SearchRuns, |store| store.search_runs(query, page))
    }

    fn metric_history(&self, run_id: &str, key: &str) -> Result<Vec<Metric>> {
        self.pass(Method::MetricHistory, |store| store.metric_history(run_id, key))
    }

    fn log_batch(&self, run_id: &str, batch: &Batch) -> Result<()> {
        self.pass_batch(Method::LogBatch, Some(batch), |store| store.log_batch(run_id, batch))
    }

    fn delete_tag(&self, run_id: &str, key: &str) -> Result<()> {
        self.pass(Method::DeleteTag, |store| store.delete_tag(run_id, key))
    }

    fn log_inputs(&self, run_id: &str, datasets: &[DatasetInput], models: &[String]) -> Result<()> {
        self.pass(Method::LogInputs, |store| store.log_inputs(run_id, datasets, models))
    }

    fn log_outputs(&self, run_id: &str, outputs: &[ModelOutput]) -> Result<()> {
        self.pass(Method::LogOutputs, |store| store.log_outputs(run_id, outputs))
    }

    fn create_logged_model(&self, new: &NewLoggedModel) -> Result<LoggedModel> {
        self.pass(Method::CreateLoggedModel, |store| store.create_logged_model(new))
    }

    fn finalize_logged_model(&self, model_id: &str, status: ModelStatus, now: i64) -> Result<LoggedModel> {
        self.pass(Method::FinalizeLoggedModel, |store| store.finalize_logged_model(model_id, status, now))
    }

    fn get_logged_model(&self, model_id: &str) -> Result<LoggedModel> {
        self.pass(Method::GetLoggedModel, |store| store.get_logged_model(model_id))
    }

    fn search_logged_models(&self, query: &ModelQuery, page: &PageRequest) -> Result<Page<LoggedModel>> {
        self.pass(Method::SearchLoggedModels, |store| store.search_logged_models(query, page))
    }

    fn log_logged_model_params(&self, model_id: &str, params: &[Param]) -> Result<()> {
        self.pass(Method::LogLoggedModelParams, |store| store.log_logged_model_params(model_id, params))
    }

    fn set_logged_model_tags(&self, model_id: &str, tags: &[Tag]) -> Result<()> {
        self.pass(Method::SetLoggedModelTags, |store| store.set_logged_model_tags(model_id, tags))
    }

    fn delete_logged_model_tag(&self, model_id: &str, key: &str) -> Result<()> {
        self.pass(Method::DeleteLoggedModelTag, |store| store.delete_logged_model_tag(model_id, key))
    }

    fn delete_logged_model(&self, model_id: &str, now: i64) -> Result<()> {
        self.pass(Method::DeleteLoggedModel, |store| store.delete_logged_model(model_id, now))
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn sync(&self) -> Result<()> {
        self.pass(Method::Sync, |store| store.sync())
    }

    fn close(&self) -> Result<()> {
        self.pass(Method::Close, |store| store.close())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn faulty(script: impl Fn(&Call<'_>) -> Fault + Send + Sync + 'static) -> Faulty {
        Faulty::scripted(Arc::new(MemoryStore::new()), script)
    }

    #[test]
    fn a_torn_call_took_effect_and_a_failed_one_did_not() {
        let new = NewExperiment { name: "x".to_owned(), ..NewExperiment::default() };
        let fails = faulty(|call| match call.method {
            Method::CreateExperiment => Fault::Fails(ErrorKind::Unavailable),
            _ => Fault::None,
        });
        assert!(fails.create_experiment(&new).unwrap_err().is_temporary());
        assert_eq!(fails.get_experiment_by_name("x").unwrap(), None);
        let torn = faulty(|call| match call.method {
            Method::CreateExperiment => Fault::Torn(ErrorKind::Unavailable),
            _ => Fault::None,
        });
        assert!(torn.create_experiment(&new).unwrap_err().is_temporary());
        assert!(torn.get_experiment_by_name("x").unwrap().is_some());
        let again = torn.create_experiment(&new).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists, "what the store refuses stays refused");
    }
}
