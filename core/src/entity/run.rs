//! Runs: one execution of training code and what it logged.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DatasetInput, LifecycleStage, Metric, ModelOutput};
use crate::error::{Error, Result};

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum RunStatus {
    /// Created, not begun.
    Scheduled,
    /// Going on.
    Running,
    /// Ended well.
    Finished,
    /// Ended with an error or a panic, or its process died.
    Failed,
    /// Ended by a signal or an interrupt.
    Killed,
}

impl RunStatus {
    /// MLflow's text, in capitals.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Running => "RUNNING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }

    /// The status that MLflow writes as `text`.
    ///
    /// # Errors
    /// Any other text.
    pub fn from_text(text: &str) -> Result<Self> {
        [Self::Scheduled, Self::Running, Self::Finished, Self::Failed, Self::Killed]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| {
                Error::invalid("unknown run status; use SCHEDULED, RUNNING, FINISHED, FAILED or KILLED")
                    .with("status", text)
            })
    }

    /// Checks that a run can end with this status.
    ///
    /// # Errors
    /// `SCHEDULED` and `RUNNING`.
    pub(crate) fn check_terminal(self) -> Result<()> {
        if self.is_terminal() {
            return Ok(());
        }
        Err(Error::invalid("a run ends FINISHED, FAILED or KILLED").with("status", self))
    }

    /// Whether a run with this status has ended.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A key with its text: a param, write-once within a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Param {
    /// At most 250 characters: letters, digits, `_ - . / :` and spaces.
    pub key: String,
    /// At most 6000 characters.
    pub value: String,
}

impl Param {
    /// A param of these.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

/// A key with its text: a tag, which may be changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Tag {
    /// At most 250 characters: letters, digits, `_ - . / :` and spaces.
    pub key: String,
    /// At most 8000 characters.
    pub value: String,
}

impl Tag {
    /// A tag of these.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

/// What identifies a run and says how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RunInfo {
    /// 32 hex digits.
    pub run_id: String,
    /// The name people read, such as `brave-otter-317`.
    pub run_name: String,
    /// The experiment it belongs to.
    pub experiment_id: String,
    /// Who started it.
    pub user_id: String,
    /// How it stands.
    pub status: RunStatus,
    /// Milliseconds since the Unix epoch.
    pub start_time: i64,
    /// Milliseconds since the Unix epoch; `None` while it runs.
    pub end_time: Option<i64>,
    /// Where its files are: an absolute path or a URI.
    pub artifact_uri: String,
    /// In use or deleted.
    pub lifecycle_stage: LifecycleStage,
}

impl RunInfo {
    /// An active run that started at time 0 and is running.
    pub fn new(run_id: impl Into<String>, experiment_id: impl Into<String>) -> Self {
        Self {
            run_id: run_id.into(),
            run_name: String::new(),
            experiment_id: experiment_id.into(),
            user_id: String::new(),
            status: RunStatus::Running,
            start_time: 0,
            end_time: None,
            artifact_uri: String::new(),
            lifecycle_stage: LifecycleStage::Active,
        }
    }
}

/// What a run logged. Every list is sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunData {
    /// The latest point of each metric: greatest by step, then time, then value.
    pub metrics: Vec<Metric>,
    /// Write-once settings.
    pub params: Vec<Param>,
    /// Everything else that is text.
    pub tags: Vec<Tag>,
}

/// What a run read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RunInputs {
    /// The datasets, sorted by name and digest.
    pub datasets: Vec<DatasetInput>,
    /// The ids of the logged models that it used, sorted.
    pub models: Vec<String>,
}

/// One execution of training code.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Run {
    /// Identity and status.
    pub info: RunInfo,
    /// Metrics, params and tags.
    pub data: RunData,
    /// Datasets it read and models it used.
    pub inputs: RunInputs,
    /// Models it made, sorted by step and id.
    pub outputs: Vec<ModelOutput>,
}

impl Run {
    /// A run that has logged nothing.
    pub fn new(info: RunInfo) -> Self {
        Self { info, data: RunData::default(), inputs: RunInputs::default(), outputs: Vec::new() }
    }

    /// The text of a param.
    pub fn param(&self, key: &str) -> Option<&str> {
        self.data.params.iter().find(|param| param.key == key).map(|param| param.value.as_str())
    }

    /// The latest value of a metric.
    pub fn metric(&self, key: &str) -> Option<f64> {
        self.data.metrics.iter().find(|metric| metric.key == key).map(|metric| metric.value)
    }

    /// The text of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.data.tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str())
    }
}

/// What [`Store::create_run`](crate::store::Store::create_run) is told.
#[derive(Clone, Debug, Default)]
pub struct NewRun {
    /// The experiment, which must exist and be active.
    pub experiment_id: String,
    /// Not empty; also written as the tag `mlflow.runName`.
    pub run_name: String,
    /// Who starts it.
    pub user_id: String,
    /// Milliseconds since the Unix epoch.
    pub start_time: i64,
    /// Tags it starts with.
    pub tags: Vec<Tag>,
}

/// What [`Store::update_run`](crate::store::Store::update_run) changes; `None` keeps what is stored.
#[derive(Clone, Debug, Default)]
pub struct RunChange {
    /// The new status.
    pub status: Option<RunStatus>,
    /// Milliseconds since the Unix epoch.
    pub end_time: Option<i64>,
    /// The new name; also written as the tag `mlflow.runName`.
    pub run_name: Option<String>,
}
