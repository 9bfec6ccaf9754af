//! Metrics: numbers over steps and time.

use serde::Serialize;

use super::Dataset;
use crate::clock;
use crate::value::{Step, Value};

/// One point of a metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Metric {
    /// At most 250 characters: letters, digits, `_ - . / :` and spaces.
    pub key: String,
    /// Any `f64`; SQL stores turn ±∞ into ±`f64::MAX`, as MLflow does.
    pub value: f64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// The training step; may be negative.
    pub step: i64,
    /// The logged model that this point measures, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The name of the dataset that the model was measured on; stores keep it with the model's metric alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    /// The digest of that dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<String>,
    /// The run that logged it; stores say it of a model's metrics, which may come from several runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
}

impl Metric {
    /// A point that belongs to the run alone.
    pub fn new(key: impl Into<String>, value: f64, timestamp: i64, step: i64) -> Self {
        Self {
            key: key.into(),
            value,
            timestamp,
            step,
            model_id: None,
            dataset_name: None,
            dataset_digest: None,
            run_id: None,
        }
    }

    /// A point of this moment.
    pub fn now(key: impl Into<String>, value: impl Value, step: impl Step) -> Self {
        Self::new(key, value.value(), clock::now_ms(), step.step())
    }

    /// The same point, attributed to a logged model as well.
    #[must_use]
    pub fn for_model(mut self, model_id: impl Into<String>) -> Self {
        self.model_id = Some(model_id.into());
        self
    }

    /// The same point, measured on this dataset, which the run should have as an input
    /// ([`log_input`](crate::RunHandle::log_input)).
    #[must_use]
    pub fn on(self, dataset: &Dataset) -> Self {
        self.on_dataset(&dataset.name, &dataset.digest)
    }

    /// The same point, measured on the dataset of this name and digest.
    #[must_use]
    pub fn on_dataset(mut self, name: impl Into<String>, digest: impl Into<String>) -> Self {
        self.dataset_name = Some(name.into());
        self.dataset_digest = Some(digest.into());
        self
    }
}
