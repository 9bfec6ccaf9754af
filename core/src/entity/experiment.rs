//! Experiments: the named groups that runs belong to.

use std::fmt;

use serde::Serialize;

use super::Tag;

/// Whether an experiment or run is in use or (softly) deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LifecycleStage {
    /// In use.
    Active,
    /// Deleted; it can be restored.
    Deleted,
}

impl LifecycleStage {
    /// MLflow's text: `active` or `deleted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleted => "deleted",
        }
    }

    /// The stage that MLflow writes as `text`; anything but `deleted` is active, as MLflow reads it.
    pub fn from_text(text: &str) -> Self {
        if text == "deleted" { Self::Deleted } else { Self::Active }
    }
}

impl fmt::Display for LifecycleStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which lifecycle stages a search returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ViewType {
    /// Only what is in use.
    #[default]
    ActiveOnly,
    /// Only what is deleted.
    DeletedOnly,
    /// Both.
    All,
}

impl ViewType {
    /// Whether a search with this view returns things in `stage`.
    pub fn shows(self, stage: LifecycleStage) -> bool {
        match self {
            Self::ActiveOnly => stage == LifecycleStage::Active,
            Self::DeletedOnly => stage == LifecycleStage::Deleted,
            Self::All => true,
        }
    }
}

/// A named group of runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[expect(clippy::struct_field_names, reason = "MLflow's names")]
pub struct Experiment {
    /// Decimal text; `0` is MLflow's "Default".
    pub experiment_id: String,
    /// Unique among all experiments of the store, deleted ones too.
    pub name: String,
    /// Where the artifacts of its runs and models go: an absolute path or a URI.
    pub artifact_location: String,
    /// In use or deleted.
    pub lifecycle_stage: LifecycleStage,
    /// Milliseconds since the Unix epoch.
    pub creation_time: i64,
    /// Milliseconds since the Unix epoch.
    pub last_update_time: i64,
    /// Sorted by key.
    pub tags: Vec<Tag>,
}

impl Experiment {
    /// An active experiment without tags.
    pub fn new(
        experiment_id: impl Into<String>,
        name: impl Into<String>,
        artifact_location: impl Into<String>,
    ) -> Self {
        Self {
            experiment_id: experiment_id.into(),
            name: name.into(),
            artifact_location: artifact_location.into(),
            lifecycle_stage: LifecycleStage::Active,
            creation_time: 0,
            last_update_time: 0,
            tags: Vec::new(),
        }
    }
}

/// What [`Store::create_experiment`](crate::store::Store::create_experiment) is told.
#[derive(Clone, Debug, Default)]
pub struct NewExperiment {
    /// Not empty, at most 500 characters.
    pub name: String,
    /// Absolute path or URI; `None` means below the store's artifact root.
    pub artifact_location: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub creation_time: i64,
    /// Tags it starts with.
    pub tags: Vec<Tag>,
}
