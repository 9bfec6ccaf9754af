//! Logged models: the fitted models that runs made.

use std::fmt;

use serde::Serialize;

use super::{LifecycleStage, Metric, Param, Tag};

/// How a logged model stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum ModelStatus {
    /// Created, its files are not all there.
    Pending,
    /// Its files are all there.
    Ready,
    /// Writing its files failed.
    Failed,
}

impl ModelStatus {
    /// The number that MLflow's SQL stores hold.
    pub fn code(self) -> i64 {
        match self {
            Self::Pending => 1,
            Self::Ready => 2,
            Self::Failed => 3,
        }
    }

    /// The status of MLflow's number; unknown numbers are pending, as MLflow's "unspecified".
    pub fn from_code(code: i64) -> Self {
        match code {
            2 => Self::Ready,
            3 => Self::Failed,
            _ => Self::Pending,
        }
    }
}

impl fmt::Display for ModelStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "PENDING",
            Self::Ready => "READY",
            Self::Failed => "FAILED",
        })
    }
}

/// A fitted model with its own files, params and metrics.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LoggedModel {
    /// `m-` and 32 hex digits.
    pub model_id: String,
    /// The experiment it belongs to.
    pub experiment_id: String,
    /// The name people read.
    pub name: String,
    /// Where its files are: an absolute path or a URI.
    pub artifact_location: String,
    /// Milliseconds since the Unix epoch.
    pub creation_timestamp: i64,
    /// Milliseconds since the Unix epoch.
    pub last_updated_timestamp: i64,
    /// How it stands.
    pub status: ModelStatus,
    /// Free text, such as the algorithm.
    pub model_type: Option<String>,
    /// The run that made it.
    pub source_run_id: Option<String>,
    /// In use or deleted.
    pub lifecycle_stage: LifecycleStage,
    /// Sorted by key.
    pub params: Vec<Param>,
    /// Sorted by key.
    pub tags: Vec<Tag>,
    /// Points that measure it, sorted by key, time and step.
    pub metrics: Vec<Metric>,
}

impl LoggedModel {
    /// A pending model without type, params, tags and metrics.
    pub fn new(
        model_id: impl Into<String>,
        experiment_id: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self {
            model_id: model_id.into(),
            experiment_id: experiment_id.into(),
            name: name.into(),
            artifact_location: String::new(),
            creation_timestamp: 0,
            last_updated_timestamp: 0,
            status: ModelStatus::Pending,
            model_type: None,
            source_run_id: None,
            lifecycle_stage: LifecycleStage::Active,
            params: Vec::new(),
            tags: Vec::new(),
            metrics: Vec::new(),
        }
    }
}

/// What [`Store::create_logged_model`](crate::store::Store::create_logged_model) is told.
#[derive(Clone, Debug, Default)]
pub struct NewLoggedModel {
    /// The experiment, which must exist and be active.
    pub experiment_id: String,
    /// Not empty, none of `/ : . % " '`.
    pub name: String,
    /// Free text, such as the algorithm.
    pub model_type: Option<String>,
    /// The run that makes it.
    pub source_run_id: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub creation_timestamp: i64,
    /// Its settings.
    pub params: Vec<Param>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// A model that a run made, and at which step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct ModelOutput {
    /// The training step it was made at.
    pub step: i64,
    /// `m-` and 32 hex digits.
    pub model_id: String,
}

impl ModelOutput {
    /// The model `model_id`, made at `step`.
    pub fn new(model_id: impl Into<String>, step: i64) -> Self {
        Self { step, model_id: model_id.into() }
    }
}
