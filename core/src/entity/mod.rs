//! What a store holds, as plain data: MLflow's entities under MLflow's names.
//!
//! Times are integer milliseconds since the Unix epoch, ids are text, as MLflow writes both.

mod dataset;
mod experiment;
mod metric;
mod model;
mod run;

pub use dataset::{Dataset, DatasetInput};
pub use experiment::{Experiment, LifecycleStage, NewExperiment, ViewType};
pub use metric::Metric;
pub use model::{LoggedModel, ModelOutput, ModelStatus, NewLoggedModel};
pub use run::{NewRun, Param, Run, RunChange, RunData, RunInfo, RunInputs, RunStatus, Tag};
