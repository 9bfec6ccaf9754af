//! What is said about a model when it is created.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::Config;
use crate::entity::{NewLoggedModel, Param, RunInfo, Tag};
use crate::error::{Error, Result};
use crate::flatten::{flatten, flatten_under};
use crate::{clock, context, names, validate};

/// What is said about a model when it is created. A plain name will do where nothing else is wanted.
///
/// ```
/// use runlog_core::model::ModelOptions;
///
/// let options = ModelOptions::new().name("ranker").model_type("gbdt").param("depth", 6).tag("team", "search");
/// let by_name: ModelOptions = "ranker".into();
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "options create nothing; give them to a function that does"]
pub struct ModelOptions {
    pub(crate) name: Option<String>,
    pub(crate) model_type: Option<String>,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) source_run_id: Option<String>,
    pub(crate) experiment_id: Option<String>,
    /// What was wrong with a param; said when the model is created.
    wrong: Option<String>,
}

impl ModelOptions {
    /// A model with a random name, in the active experiment.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name people read; not empty, none of `/ : . % " '`. Names need not be unique.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Free text that says what kind of model it is, such as the algorithm.
    pub fn model_type(mut self, model_type: impl Into<String>) -> Self {
        self.model_type = Some(model_type.into());
        self
    }

    /// A setting of the model, as [`log_param`](crate::RunHandle::log_param) writes one of a run; at most 6000
    /// characters.
    pub fn param(mut self, key: &str, value: impl Serialize) -> Self {
        match flatten_under(key, &value) {
            Ok(params) => self.params.extend(params),
            Err(error) => self.wrong = Some(error.to_string()),
        }
        self
    }

    /// A tag, which may be changed later; at most 8000 characters.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// The run that makes the model; functions that know a current run take it by themselves.
    pub fn source_run_id(mut self, run_id: impl Into<String>) -> Self {
        self.source_run_id = Some(run_id.into());
        self
    }

    /// The experiment that the model belongs to; otherwise that of its run, or the one where new runs go.
    pub fn experiment_id(mut self, experiment_id: impl Into<String>) -> Self {
        self.experiment_id = Some(experiment_id.into());
        self
    }

    /// Of this run, unless they say otherwise.
    pub(crate) fn of_run(mut self, run: &RunInfo) -> Self {
        if self.source_run_id.is_none() {
            self.source_run_id = Some(run.run_id.clone());
            self.experiment_id.get_or_insert_with(|| run.experiment_id.clone());
        }
        self
    }

    /// What a store is told, when the experiment is known. As in MLflow, params that the run has win.
    pub(crate) fn to_new(
        &self,
        experiment_id: String,
        params_of_run: &[Param],
        config: &Config,
    ) -> Result<NewLoggedModel> {
        if let Some(wrong) = &self.wrong {
            return Err(Error::invalid(wrong));
        }
        if let Some(name) = &self.name {
            validate::model_name(name)?;
        }
        let own = fitting_params(self.params.clone(), config)?;
        let params: BTreeMap<&str, &Param> =
            own.iter().chain(params_of_run).map(|param| (&*param.key, param)).collect();
        let given = tags_of(self.tags.iter().map(|(key, value)| (key, value)), config)?;
        let tags: BTreeMap<String, Tag> = context::default_tags(config)
            .into_iter()
            .chain(given)
            .map(|tag| (tag.key.clone(), tag))
            .collect();
        Ok(NewLoggedModel {
            experiment_id,
            name: self.name.clone().unwrap_or_else(names::run_name),
            model_type: self.model_type.clone(),
            source_run_id: self.source_run_id.clone(),
            creation_timestamp: clock::now_ms(),
            params: params.into_values().cloned().collect(),
            tags: tags.into_values().collect(),
        })
    }
}

/// Every field of `params`, as for a run's params: nested ones under dotted keys, values as Python writes them.
pub(crate) fn params_of(params: &(impl Serialize + ?Sized), config: &Config) -> Result<Vec<Param>> {
    fitting_params(flatten(params)?, config)
}

fn fitting_params(params: Vec<(String, String)>, config: &Config) -> Result<Vec<Param>> {
    let fitting = |(key, value): (String, String)| {
        validate::key(&key)?;
        let value = validate::fit(&value, validate::PARAM_CHARS_MAX, config.truncate_long_values)?;
        Ok(Param::new(key, value))
    };
    params.into_iter().map(fitting).collect()
}

/// Tags of a model, with values as Python writes them.
pub(crate) fn tags_of<K: AsRef<str>, V: Serialize>(
    tags: impl IntoIterator<Item = (K, V)>,
    config: &Config,
) -> Result<Vec<Tag>> {
    let mut pairs = Vec::new();
    for (key, value) in tags {
        pairs.extend(flatten_under(key.as_ref(), &value)?);
    }
    let fitting = |(key, value): (String, String)| {
        validate::key(&key)?;
        let value = validate::fit(&value, validate::TAG_CHARS_MAX, config.truncate_long_values)?;
        Ok(Tag::new(key, value))
    };
    pairs.into_iter().map(fitting).collect()
}

impl From<&str> for ModelOptions {
    fn from(name: &str) -> Self {
        Self::new().name(name)
    }
}

impl From<String> for ModelOptions {
    fn from(name: String) -> Self {
        Self::new().name(name)
    }
}

impl From<()> for ModelOptions {
    fn from((): ()) -> Self {
        Self::new()
    }
}
