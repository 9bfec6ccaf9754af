//! MLflow's functions on logged models. Those that create one make it a model of the current run, if there is one.

use serde::Serialize;

use super::tracker;
use crate::current;
use crate::entity::{LoggedModel, ModelOutput, ModelStatus};
use crate::error::Result;
use crate::logged::Logged;
use crate::model::{ModelFiles, ModelOptions, ModelSpec};

/// Stores a fitted model, of the current run if there is one.
///
/// # Errors
/// As [`RunHandle::log_model`](crate::RunHandle::log_model); or it is not clear which run is meant.
pub fn log_model(spec: ModelSpec) -> Result<LoggedModel> {
    match current::find()? {
        Some(run) => run.log_model(spec),
        None => tracker()?.log_model(spec),
    }
}

/// Creates a model that is not ready yet, of the current run if there is one. `options` is a name, `()` for a random one,
/// or [`ModelOptions`].
///
/// # Errors
/// As [`Tracker::initialize_logged_model`](crate::Tracker::initialize_logged_model).
pub fn initialize_logged_model(options: impl Into<ModelOptions>) -> Result<LoggedModel> {
    match current::find()? {
        Some(run) => run.initialize_logged_model(options),
        None => tracker()?.initialize_logged_model(options),
    }
}

/// Says that a model is ready, or that it failed.
///
/// # Errors
/// There is no such model, `status` is no end, or the store cannot be written.
pub fn finalize_logged_model(model_id: &str, status: ModelStatus) -> Result<LoggedModel> {
    tracker()?.finalize_logged_model(model_id, status)
}

/// Creates a model whose files are elsewhere, of the current run if there is one; it is ready at once.
///
/// # Errors
/// As [`Tracker::create_external_model`](crate::Tracker::create_external_model).
pub fn create_external_model(options: impl Into<ModelOptions>) -> Result<LoggedModel> {
    match current::find()? {
        Some(run) => run.create_external_model(options),
        None => tracker()?.create_external_model(options),
    }
}

/// The model with its params, tags and metrics; waits as [`get_run`](super::get_run).
///
/// # Errors
/// There is none, or the store cannot be read.
pub fn get_logged_model(model_id: &str) -> Result<LoggedModel> {
    tracker()?.get_logged_model(model_id)
}

/// The model that this process created last, as the store has it now; `None` if it created none.
///
/// # Errors
/// The store cannot be read.
pub fn last_logged_model() -> Result<Option<LoggedModel>> {
    tracker()?.last_logged_model()
}

/// Adds every field of `params` to a model's params; to the active model's, if `model_id` is `None`.
///
/// # Errors
/// As [`Tracker::log_model_params`](crate::Tracker::log_model_params).
pub fn log_model_params<'m>(
    params: &(impl Serialize + ?Sized),
    model_id: impl Into<Option<&'m str>>,
) -> Result<()> {
    tracker()?.log_model_params(params, model_id)
}

/// Sets tags of a model.
///
/// # Errors
/// There is no such model, a tag is wrong, or the store cannot be written.
pub fn set_logged_model_tags<K: AsRef<str>, V: Serialize>(
    model_id: &str,
    tags: impl IntoIterator<Item = (K, V)>,
) -> Result<()> {
    tracker()?.set_logged_model_tags(model_id, tags)
}

/// Removes a tag of a model.
///
/// # Errors
/// There is no such model or tag, or the store cannot be written.
pub fn delete_logged_model_tag(model_id: &str, key: &str) -> Result<()> {
    tracker()?.delete_logged_model_tag(model_id, key)
}

/// Notes that the current run made these models; [`log_model`] does it for its own.
pub fn log_outputs(outputs: impl IntoIterator<Item = ModelOutput>) -> Logged {
    super::logging::logged(|run| run.log_outputs(outputs))
}

/// Makes the newest model of this name in the active experiment the active one, which metrics measure from now on;
/// without one it is created as an external model, of the current run if there is one.
///
/// # Errors
/// The name is wrong, or the store cannot be read or written.
pub fn set_active_model(name: &str) -> Result<LoggedModel> {
    tracker()?.set_active_model_or(name, || create_external_model(name))
}

/// Makes a model the active one, which metrics measure from now on.
///
/// # Errors
/// There is no such model, or the store cannot be read.
pub fn set_active_model_by_id(model_id: &str) -> Result<LoggedModel> {
    tracker()?.set_active_model_by_id(model_id)
}

/// The id of the active model: the one that was set, else the one that `MLFLOW_ACTIVE_MODEL_ID` names.
pub fn get_active_model_id() -> Option<String> {
    tracker().ok()?.get_active_model_id()
}

/// Lets no model be active.
///
/// # Errors
/// The store cannot be opened.
pub fn clear_active_model() -> Result<()> {
    tracker()?.clear_active_model();
    Ok(())
}

/// Opens the folder of a model to read it: `models:/m-<id>`, `runs:/<run id>/<name>`, or the address or path of a
/// folder, whoever wrote it.
///
/// # Errors
/// There is no such model, its file `MLmodel` is missing or wrong, or its files cannot be read.
pub fn load_model(model_uri: &str) -> Result<ModelFiles> {
    tracker()?.load_model(model_uri)
}
