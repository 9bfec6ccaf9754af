//! Datasets: what a run read, identified by a digest of the content.

use serde::{Deserialize, Serialize};

use crate::data::UNKNOWN;

/// A dataset as MLflow keeps it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Dataset {
    /// At most 500 characters.
    pub name: String,
    /// At most 36 characters; the same content has the same digest.
    pub digest: String,
    /// What kind of place `source` names, such as `local`, `http` or `code`.
    pub source_type: String,
    /// Where it came from, as JSON text.
    pub source: String,
    /// Columns or tensors, as JSON text.
    pub schema: Option<String>,
    /// Sizes, as JSON text.
    pub profile: Option<String>,
}

impl Dataset {
    /// A dataset without schema and profile, made by the code that logs it.
    ///
    /// [`data`](crate::data) describes arrays and tables.
    pub fn new(name: impl Into<String>, digest: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            digest: digest.into(),
            source_type: UNKNOWN.0.to_owned(),
            source: UNKNOWN.1.to_owned(),
            schema: None,
            profile: None,
        }
    }
}

/// A dataset in its role for a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatasetInput {
    /// What was read.
    pub dataset: Dataset,
    /// Tags of this use, sorted by key; the role is `mlflow.data.context`. At most 255 and 500 characters.
    pub tags: Vec<(String, String)>,
}

impl DatasetInput {
    /// The tag that holds the role of a dataset: `train`, `eval`, …
    pub const CONTEXT: &'static str = "mlflow.data.context";

    /// `dataset` used as `context` (`train`, `validation`, `eval`, `test`).
    pub fn new(dataset: Dataset, context: &str) -> Self {
        Self { dataset, tags: vec![(Self::CONTEXT.to_owned(), context.to_owned())] }
    }

    /// Adds a tag of this use.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self.tags.sort();
        self
    }

    /// The role of the dataset in this run.
    pub fn context(&self) -> Option<&str> {
        self.tags.iter().find(|(key, _)| key == Self::CONTEXT).map(|(_, value)| value.as_str())
    }
}

impl From<Dataset> for DatasetInput {
    fn from(dataset: Dataset) -> Self {
        Self { dataset, tags: Vec::new() }
    }
}

/// A dataset and its context.
impl From<(Dataset, &str)> for DatasetInput {
    fn from((dataset, context): (Dataset, &str)) -> Self {
        Self::new(dataset, context)
    }
}
