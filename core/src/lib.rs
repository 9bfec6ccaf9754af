//! The core of runlog: runs, stores, the journal and autologging policy.
//!
//! Read this if you write a store, an adapter for a training framework or a monitor. If you train models, depend on
//! `runlog`, which re-exports what you need.

pub mod artifact;
pub mod autolog;
pub mod clock;
pub mod config;
mod context;
pub mod digest;
mod entity;
mod error;
pub mod flatten;
mod id;
mod journal;
pub mod json;
pub mod model;
mod names;
mod notice;
pub mod store;
pub mod tensor;
pub mod validate;

pub use config::Config;
pub use entity::{
    Dataset, DatasetInput, Experiment, LifecycleStage, LoggedModel, Metric, ModelOutput, ModelStatus,
    NewExperiment, NewLoggedModel, NewRun, Param, Run, RunChange, RunData, RunInfo, RunInputs, RunStatus,
    Tag, ViewType,
};
pub use error::{Error, ErrorKind, Losses, Result};
pub use flatten::flatten;
pub use store::RunQuery;
