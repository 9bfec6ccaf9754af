//! Where runs end up. One trait, one module per kind of place, found by URI scheme.
//!
//! Users never see a [`Store`]; they hold a [`Tracker`](crate::Tracker). Implementors read the contract below, and run
//! `store::conformance` (feature `testing`) on what they built.

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
#[cfg(any(test, feature = "testing"))]
pub mod faulty;
#[cfg(feature = "file")]
mod file;
mod location;
mod memory;
mod point;
mod query;
#[cfg(feature = "sqlite")]
mod sqlite;
mod uri;

use std::fmt;

use crate::entity::{
    DatasetInput, Experiment, LifecycleStage, LoggedModel, Metric, ModelOutput, ModelStatus, NewExperiment,
    NewLoggedModel, NewRun, Param, Run, RunChange, Tag,
};
use crate::error::{Error, ErrorKind, Result};

#[cfg(feature = "file")]
pub use file::FileStore;
pub(crate) use location::{absolute as absolute_location, below};
pub use memory::MemoryStore;
pub use query::{ExperimentQuery, ModelQuery, PAGE_MAX, Page, PageRequest, RunQuery};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use uri::{Driver, Place, canonical, default_uri, exists, is_files, is_in_memory, open};
pub(crate) use uri::{from_anywhere, is_founded, local_path};

/// The tag that repeats a run's name: MLflow shows the one and searches the other.
pub(crate) const RUN_NAME_TAG: &str = "mlflow.runName";

/// A place where runs are kept, in MLflow's data model.
///
/// # Contract
///
/// - **Blocking.** Every method blocks until its effect is stored, and may be called from any thread at any time.
/// - **All or nothing.** A method that returns `Err` has stored nothing of that call.
/// - **Errors.** [`Error::is_temporary`](crate::Error::is_temporary) is true when the same call may work later (a lock,
///   an outage), and false when it never will. What does not exist is `NotFound`; a taken name is `AlreadyExists`;
///   a param with another value is `Conflict`; writing to something deleted is `InvalidInput`.
/// - **Repeats.** Storing the same thing again is no error and changes nothing: the same point, the same param with
///   the same value, the same tag, the same input, the same output. Nor is deleting a run or a model again, or restoring
///   a run again. This is what makes a replay safe.
/// - **Arguments are valid.** Keys and values obey [`validate`](crate::validate); a store checks only what takes its
///   data to know.
/// - **No clock.** Times come from the caller.
///
/// There are no default methods on purpose: a wrapper that forgets one does not compile.
pub trait Store: fmt::Debug + Send + Sync {
    /// Creates an experiment and returns its id. `AlreadyExists` also when a deleted one has the name.
    fn create_experiment(&self, new: &NewExperiment) -> Result<String>;

    /// The experiment with this id, deleted ones too. Text that is no id of this store is an id of nothing: `NotFound`.
    fn get_experiment(&self, experiment_id: &str) -> Result<Experiment>;

    /// The experiment with this name, deleted ones too; `None` if there is none.
    fn get_experiment_by_name(&self, name: &str) -> Result<Option<Experiment>>;

    /// The experiments that `query` selects.
    ///
    /// Without an order the newest comes first, then the smallest id; ties of a given order are broken by the id, the
    /// greatest first. `InvalidInput` if the filter or the order is wrong.
    fn search_experiments(&self, query: &ExperimentQuery, page: &PageRequest) -> Result<Page<Experiment>>;

    /// Renames an active experiment at time `now`; `InvalidInput` if it is deleted, `AlreadyExists` if another one has the
    /// name, even a deleted one.
    fn rename_experiment(&self, experiment_id: &str, name: &str, now: i64) -> Result<()>;

    /// Marks an active experiment and every run in it as deleted at time `now`; `NotFound` if no active one has this id.
    /// Its models stay as they are.
    fn delete_experiment(&self, experiment_id: &str, now: i64) -> Result<()>;

    /// Undoes a deletion at time `now`, of every run in it too, however it was deleted; `NotFound` if no deleted one has
    /// this id.
    fn restore_experiment(&self, experiment_id: &str, now: i64) -> Result<()>;

    /// Sets a tag of an active experiment; a later value replaces an earlier one. Its update time stays.
    fn set_experiment_tag(&self, experiment_id: &str, tag: &Tag) -> Result<()>;

    /// Removes a tag of an active experiment; `NotFound` if it has none of that key. Its update time stays.
    fn delete_experiment_tag(&self, experiment_id: &str, key: &str) -> Result<()>;

    /// Creates a run with status `RUNNING` and returns it.
    ///
    /// `InvalidInput` if the experiment is deleted. The run's name is also its tag `mlflow.runName`.
    fn create_run(&self, new: &NewRun) -> Result<Run>;

    /// The run with everything it logged, deleted ones too.
    fn get_run(&self, run_id: &str) -> Result<Run>;

    /// Changes what `change` names.
    fn update_run(&self, run_id: &str, change: &RunChange) -> Result<()>;

    /// Marks a run as deleted at time `now`; one that is deleted already stays as it is.
    fn delete_run(&self, run_id: &str, now: i64) -> Result<()>;

    /// Undoes the deletion of a run; one that is active stays as it is.
    fn restore_run(&self, run_id: &str) -> Result<()>;

    /// The runs in the experiments that `query` lists by id, which it selects, in its order; what it leaves equal comes
    /// newest start first, then by id. Experiments that do not exist have no runs, and no ids select none.
    ///
    /// `InvalidInput` if the filter or the order is wrong.
    fn search_runs(&self, query: &RunQuery, page: &PageRequest) -> Result<Page<Run>>;

    /// Every point of a metric, sorted by time, step and value; empty if the run has none, `NotFound` if there is no run.
    fn metric_history(&self, run_id: &str, key: &str) -> Result<Vec<Metric>>;

    /// Stores metrics, params and tags of an active run, at most [`limits`](Self::limits) of each.
    ///
    /// A point whose key, value, time and step are stored already is ignored. The latest value of a key is the one
    /// with the greatest step, then time, then value, in whatever order points arrive. A point with a `model_id` is
    /// stored as a metric of that model as well, with the run and the dataset it was measured on, and `NotFound` if there
    /// is no such model; one that was deleted will do, so that the run keeps its point. Of two points of a model that
    /// share key, time, step and run, the first stays. The tag `mlflow.runName` is the run's name.
    fn log_batch(&self, run_id: &str, batch: &Batch) -> Result<()>;

    /// Removes a tag; `NotFound` if the run has none of that key.
    fn delete_tag(&self, run_id: &str, key: &str) -> Result<()>;

    /// Links datasets to an active run; a dataset of the same name and digest in the experiment is reused, as it was
    /// first described. A link that exists keeps its tags. Links the models of these ids as what the run uses; whether
    /// they exist is not checked, as in MLflow.
    fn log_inputs(&self, run_id: &str, datasets: &[DatasetInput], models: &[String]) -> Result<()>;

    /// Links models to the active run that made them. Whether the models exist is not checked, as in MLflow.
    fn log_outputs(&self, run_id: &str, outputs: &[ModelOutput]) -> Result<()>;

    /// Creates a model with status `PENDING` and returns it.
    fn create_logged_model(&self, new: &NewLoggedModel) -> Result<LoggedModel>;

    /// Sets the status and the update time of a model and returns it.
    fn finalize_logged_model(&self, model_id: &str, status: ModelStatus, now: i64) -> Result<LoggedModel>;

    /// The model with its params, tags and metrics; a deleted one is `NotFound`, here and in every method that writes to
    /// a model.
    fn get_logged_model(&self, model_id: &str) -> Result<LoggedModel>;

    /// The active models in the experiments that `query` lists, which it selects, in its order; what it leaves equal
    /// comes newest first, then by id.
    ///
    /// `InvalidInput` if the filter or the order is wrong.
    fn search_logged_models(&self, query: &ModelQuery, page: &PageRequest) -> Result<Page<LoggedModel>>;

    /// Adds params to a model; a key that it has with another value is a `Conflict`. Its update time stays.
    fn log_logged_model_params(&self, model_id: &str, params: &[Param]) -> Result<()>;

    /// Sets tags of a model; a later value replaces an earlier one. Its update time stays.
    fn set_logged_model_tags(&self, model_id: &str, tags: &[Tag]) -> Result<()>;

    /// Removes a tag of a model; `NotFound` if it has none of that key. Its update time stays.
    fn delete_logged_model_tag(&self, model_id: &str, key: &str) -> Result<()>;

    /// Marks a model as deleted at time `now`: reads and searches do not find it any more. One that is deleted already
    /// stays as it is.
    fn delete_logged_model(&self, model_id: &str, now: i64) -> Result<()>;

    /// How much one [`log_batch`](Self::log_batch) may hold.
    fn limits(&self) -> Limits;

    /// Makes everything stored so far survive a power cut.
    fn sync(&self) -> Result<()>;

    /// Lets go of what the store holds, so that what it leaves behind is complete by itself.
    ///
    /// Called while the process exits, when nothing more is to come; calls that come all the same fail.
    fn close(&self) -> Result<()>;
}

/// How much one [`Store::log_batch`] may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Metric points.
    pub metrics: usize,
    /// Params.
    pub params: usize,
    /// Tags.
    pub tags: usize,
}

/// What [`Store::log_batch`] stores in one go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Points, in any order.
    pub metrics: Vec<Metric>,
    /// Params, each key once.
    pub params: Vec<Param>,
    /// Tags, each key once.
    pub tags: Vec<Tag>,
}

impl Batch {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.metrics.is_empty() && self.params.is_empty() && self.tags.is_empty()
    }
}

/// A param of a run or model that is logged with another value than it has.
fn param_conflict(key: &str, stored: &str, new: &str) -> Error {
    /// Enough to see the difference, as a value may have thousands of characters.
    fn shown(value: &str) -> String {
        const CHARS_MAX: usize = 80;
        match value.char_indices().nth(CHARS_MAX) {
            Some((end, _)) => format!("{:?}…", &value[..end]),
            None => format!("{value:?}"),
        }
    }
    let message = format!(
        "the param `{key}` is {} and cannot become {}, since params are write-once; log it under another key, or as a \
         tag if it may change",
        shown(stored),
        shown(new)
    );
    Error::new(ErrorKind::Conflict, message)
}

/// A new name of an experiment that `holder` has already.
fn name_taken(holder: &Experiment) -> Error {
    let message = match holder.lifecycle_stage {
        LifecycleStage::Deleted => format!(
            "a deleted experiment has this name; restore it with `restore_experiment({:?})`, delete it for good with \
             `mlflow gc`, or use another name",
            holder.experiment_id
        ),
        LifecycleStage::Active => {
            "an experiment of this name exists already; use it with `set_experiment`, or use another name"
                .to_owned()
        }
    };
    Error::new(ErrorKind::AlreadyExists, message).with("name", &holder.name)
}

/// A write to an experiment that is deleted.
pub(crate) fn experiment_deleted(experiment: &Experiment) -> Error {
    let id = &experiment.experiment_id;
    Error::invalid(format!(
        "the experiment is deleted; restore it with `restore_experiment({id:?})`, or use another one"
    ))
    .with("experiment", &experiment.name)
}

/// Deleting what is deleted, or restoring what is active.
fn experiment_is_already(experiment: &Experiment) -> Error {
    let message = match experiment.lifecycle_stage {
        LifecycleStage::Deleted => "the experiment is deleted already; there is nothing left to do",
        LifecycleStage::Active => "the experiment is not deleted; there is nothing to restore",
    };
    Error::not_found(message).with("experiment", &experiment.name)
}
