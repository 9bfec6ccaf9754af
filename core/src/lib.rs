//! The core of runlog: runs, stores, the journal and autologging policy.
//!
//! Read this if you write a store, an adapter for a training framework or a monitor. If you train models, depend on
//! `runlog`, which re-exports what you need.

pub mod artifact;
pub mod autolog;
pub mod build;
mod checkup;
pub mod clock;
pub mod config;
mod context;
mod current;
pub mod data;
mod deliver;
pub mod digest;
mod engine;
mod entity;
mod error;
mod exit;
mod file_system;
pub mod flatten;
pub mod fluent;
#[cfg(feature = "sqlite")]
mod forking;
mod health;
mod id;
mod in_run;
mod journal;
pub mod json;
mod launch;
mod logged;
pub mod model;
mod names;
pub mod notice;
mod options;
mod provenance;
mod recover;
mod run;
mod search;
mod shipper;
mod start;
pub mod store;
mod sync;
mod table;
pub mod tensor;
pub mod terminal;
mod tracker;
mod userinfo;
pub mod validate;
mod value;
pub mod waiting;
mod yaml;

pub use artifact::{Figure, FileInfo, Html, LoadTable, Png, Progress, Svg, Table, Upload};
#[cfg(feature = "image")]
pub use artifact::{ImageArray, Pixel, ToImage};
pub use checkup::{ArtifactsCheck, Checkup, JournalCheck, StoreCheck, checkup};
pub use config::{Config, Variable};
pub use entity::{
    Dataset, DatasetInput, Experiment, LifecycleStage, LoggedModel, Metric, ModelOutput, ModelStatus,
    NewExperiment, NewLoggedModel, NewRun, Param, Run, RunChange, RunData, RunInfo, RunInputs, RunStatus,
    Tag, ViewType,
};
pub use error::{Error, ErrorKind, Losses, Result};
pub use flatten::flatten;
pub use health::{Health, LastError};
pub use in_run::{InRun, InScope};
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub use journal::damage::check as check_damaged_journal;
pub use launch::{Launch, Launcher};
pub use logged::Logged;
pub use options::{ExperimentOptions, RunOptions};
pub use recover::{EndedRun, Recovery};
pub use run::{ActiveRun, MetricHandle, RunHandle};
pub use store::{ExperimentQuery, ModelQuery, RunQuery};
pub use table::RunTable;
pub use tracker::Tracker;
pub use value::{Step, Value};
