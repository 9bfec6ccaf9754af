//! Logged models, through a tracker.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::Tracker;
use crate::entity::{LoggedModel, ModelStatus};
use crate::error::{Error, Result};
use crate::model::{self, ModelFiles, ModelOptions, ModelSpec};
use crate::store::ModelQuery;
use crate::sync::lock;
use crate::{clock, notice, validate};

/// The models that a tracker remembers.
#[derive(Debug, Default)]
pub(super) struct Models {
    active: Mutex<Option<String>>,
    /// Whether there is an active one: what log calls look at.
    has_active: AtomicBool,
    last: Mutex<Option<String>>,
}

impl Models {
    pub(super) fn new(active: Option<String>) -> Self {
        let models = Self::default();
        models.set_active(active);
        models
    }

    fn set_active(&self, model_id: Option<String>) {
        let mut active = lock(&self.active);
        self.has_active.store(model_id.is_some(), Ordering::Relaxed);
        *active = model_id;
    }
}

impl Tracker {
    /// The model with its params, tags and metrics.
    ///
    /// # Errors
    /// There is none, or the store cannot be read.
    pub fn get_logged_model(&self, model_id: &str) -> Result<LoggedModel> {
        self.caught_up()?.store.get_logged_model(model_id)
    }

    /// Stores a fitted model that no run made, in the experiment that it names or where new runs go. A run's models are
    /// logged by [`RunHandle::log_model`](crate::RunHandle::log_model).
    ///
    /// # Errors
    /// The store or the artifacts cannot be written; the model is marked as failed then.
    pub fn log_model(&self, spec: ModelSpec) -> Result<LoggedModel> {
        model::log::log_model(self, None, spec)
    }

    /// Creates a model that is not ready yet: its files follow with [`log_model`](Self::log_model) and
    /// [`ModelSpec::model_id`], or by other ways and [`finalize_logged_model`](Self::finalize_logged_model). `options` is
    /// a name, `()` for a random one, or [`ModelOptions`].
    ///
    /// # Errors
    /// The name or a param is wrong, or the store cannot be written.
    pub fn initialize_logged_model(&self, options: impl Into<ModelOptions>) -> Result<LoggedModel> {
        let model = model::log::create(self, &options.into(), &[])?;
        self.remember_model(&model.model_id);
        Ok(model)
    }

    /// Says that a model is ready, or that it failed.
    ///
    /// # Errors
    /// There is no such model, `status` is no end, or the store cannot be written.
    pub fn finalize_logged_model(&self, model_id: &str, status: ModelStatus) -> Result<LoggedModel> {
        if status == ModelStatus::Pending {
            return Err(Error::invalid("a model is finalized as READY or FAILED"));
        }
        self.store()?.finalize_logged_model(model_id, status, clock::now_ms())
    }

    /// Creates a model whose files are elsewhere; it is ready at once.
    ///
    /// # Errors
    /// The name or a param is wrong, or the store or the artifacts cannot be written.
    pub fn create_external_model(&self, options: impl Into<ModelOptions>) -> Result<LoggedModel> {
        let model = model::log::create_external(self, options.into())?;
        self.remember_model(&model.model_id);
        Ok(model)
    }

    pub(crate) fn remember_model(&self, model_id: &str) {
        *lock(&self.0.models.last) = Some(model_id.to_owned());
    }

    /// The model that was created last through this tracker, as the store has it now; `None` if there is none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn last_logged_model(&self) -> Result<Option<LoggedModel>> {
        let last = lock(&self.0.models.last).clone();
        last.map(|model_id| self.get_logged_model(&model_id)).transpose()
    }

    /// Adds every field of `params` to a model's params, nested ones under dotted keys; to the active model's, if
    /// `model_id` is `None`.
    ///
    /// # Errors
    /// There is no such model and none is active, a param is wrong or has another value, or the store cannot be written.
    pub fn log_model_params<'m>(
        &self,
        params: &(impl Serialize + ?Sized),
        model_id: impl Into<Option<&'m str>>,
    ) -> Result<()> {
        let params = model::params_of(params, self.config())?;
        let active = || {
            self.get_active_model_id().ok_or_else(|| {
                Error::invalid("no model is active; pass the id of one, or call `set_active_model`")
            })
        };
        let model_id = model_id.into().map_or_else(active, |model_id| Ok(model_id.to_owned()))?;
        self.store()?.log_logged_model_params(&model_id, &params)
    }

    /// Sets tags of a model; a later value replaces an earlier one.
    ///
    /// # Errors
    /// There is no such model, a tag is wrong, or the store cannot be written.
    pub fn set_logged_model_tags<K: AsRef<str>, V: Serialize>(
        &self,
        model_id: &str,
        tags: impl IntoIterator<Item = (K, V)>,
    ) -> Result<()> {
        self.store()?.set_logged_model_tags(model_id, &model::tags_of(tags, self.config())?)
    }

    /// Removes a tag of a model.
    ///
    /// # Errors
    /// There is no such model or tag, or the store cannot be written.
    pub fn delete_logged_model_tag(&self, model_id: &str, key: &str) -> Result<()> {
        self.store()?.delete_logged_model_tag(model_id, key)
    }

    /// Marks a model as deleted: reads and searches do not find it any more.
    ///
    /// # Errors
    /// There is no such model, or the store cannot be written.
    pub fn delete_logged_model(&self, model_id: &str) -> Result<()> {
        self.store()?.delete_logged_model(model_id, clock::now_ms())
    }

    /// Makes the newest model of this name in the active experiment the active one, which metrics measure from now on;
    /// without one it is created as an external model.
    ///
    /// # Errors
    /// The name is wrong, or the store cannot be read or written.
    pub fn set_active_model(&self, name: &str) -> Result<LoggedModel> {
        self.set_active_model_or(name, || self.create_external_model(name))
    }

    pub(crate) fn set_active_model_or(
        &self,
        name: &str,
        create: impl FnOnce() -> Result<LoggedModel>,
    ) -> Result<LoggedModel> {
        validate::model_name(name)?;
        let mut query = ModelQuery::new().filter(format!("name = '{name}'")).max_results(2);
        query.experiment_ids = vec![self.experiment_of_new_runs()?];
        let mut found = self.search_logged_models(query)?;
        if found.len() > 1 {
            notice::warn(
                &format!("active model: {name}"),
                format_args!("several models are called {name:?}; the newest one is active now"),
            );
        }
        let model = if found.is_empty() { create()? } else { found.swap_remove(0) };
        self.0.models.set_active(Some(model.model_id.clone()));
        Ok(model)
    }

    /// Makes a model the active one, which metrics measure from now on.
    ///
    /// # Errors
    /// There is no such model, or the store cannot be read.
    pub fn set_active_model_by_id(&self, model_id: &str) -> Result<LoggedModel> {
        let model = self.get_logged_model(model_id)?;
        self.0.models.set_active(Some(model.model_id.clone()));
        Ok(model)
    }

    /// The id of the active model: the one that was set, else the one that `MLFLOW_ACTIVE_MODEL_ID` names.
    pub fn get_active_model_id(&self) -> Option<String> {
        if self.has_active_model() { lock(&self.0.models.active).clone() } else { None }
    }

    /// Lets no model be active.
    pub fn clear_active_model(&self) {
        self.0.models.set_active(None);
    }

    #[inline]
    pub(crate) fn has_active_model(&self) -> bool {
        self.0.models.has_active.load(Ordering::Relaxed)
    }

    /// Opens the folder of a model to read it: `models:/m-<id>`, `runs:/<run id>/<name>`, or the address or path of a
    /// folder, whoever wrote it.
    ///
    /// # Errors
    /// There is no such model, its file `MLmodel` is missing or wrong, or its files cannot be read.
    pub fn load_model(&self, model_uri: &str) -> Result<ModelFiles> {
        let (artifacts, path) = self.artifacts_of_uri(model_uri)?;
        ModelFiles::open(artifacts, path).map_err(|error| error.with("model", model_uri))
    }
}

#[cfg(test)]
mod tests;
