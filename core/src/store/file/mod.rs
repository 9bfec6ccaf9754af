//! MLflow's file store: runs as plain files below a directory, by habit `mlruns/`.
//!
//! ```text
//! <root>/<experiment>/meta.yaml, tags/<key>, datasets/<id>/meta.yaml
//! <root>/<experiment>/<run>/meta.yaml, metrics/<key>, params/<key>, tags/<key>, artifacts/…
//! <root>/<experiment>/<run>/inputs/<id>/meta.yaml, outputs/<model>/meta.yaml
//! <root>/<experiment>/models/<model>/meta.yaml, params/<key>, tags/<key>, metrics/<key>, artifacts/…
//! <root>/.trash/<experiment>/…                           a deleted experiment, moved as it is
//! ```
//!
//! What holds here: MLflow opens what this writes as its own, and this opens what any version of MLflow wrote. Nobody
//! ever reads half of a `meta.yaml`, param or tag, a run is there when its `meta.yaml` is, and a point is in its file
//! once. Several processes of runlog may write at once; MLflow takes no locks, so where it writes to the same run at
//! the same time, the last one to write `meta.yaml` or a tag wins, as between two of its own.
//!
//! Keys are paths here, so a file system that does not tell `A` from `a` does not tell such keys either.

mod batch;
mod disk;
mod experiments;
mod guard;
mod inputs;
mod layout;
mod line;
mod meta;
mod models;
mod runs;
mod search;
mod series;
#[cfg(test)]
mod tests;
mod texts;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::{Batch, ExperimentQuery, Limits, ModelQuery, Page, PageRequest, RunQuery, Store};
use crate::entity::{
    DatasetInput, Experiment, LoggedModel, Metric, ModelOutput, ModelStatus, NewExperiment, NewLoggedModel,
    NewRun, Param, Run, RunChange, Tag,
};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::lock;
use disk::Disk;
use guard::Guard;
use series::Tails;

/// A batch keeps other writers of its run waiting: so many points take some 2 ms, 1000 params some 50 ms.
const LIMITS: Limits = Limits { metrics: 16_384, params: 1000, tags: 1000 };

/// Runs in a directory with MLflow's layout.
///
/// MLflow 3.13 and newer open it only with `MLFLOW_ALLOW_FILE_STORE=true`.
pub struct FileStore {
    tree: Tree,
    closed: AtomicBool,
}

/// The directory and what is known of it.
struct Tree {
    root: PathBuf,
    /// Where experiments without a place of their own put their artifacts: a path or a `file:` URI.
    artifact_root: String,
    disk: Disk,
    /// Held by the thread that writes.
    tails: Mutex<Tails>,
    /// Where runs were found.
    homes: Mutex<BTreeMap<String, PathBuf>>,
    last_run: meta::Last<meta::RunMeta>,
}

impl FileStore {
    /// Opens the store in the directory `root`, and makes one if the directory is absent or empty.
    ///
    /// New experiments put their artifacts below `artifact_root`, an absolute path or a URI.
    ///
    /// # Errors
    /// `InvalidInput` if `root` is no directory, `Denied` if it cannot be made.
    pub fn open(root: &Path, artifact_root: impl Into<String>) -> Result<Self> {
        let root =
            std::path::absolute(root).map_err(|cause| Error::io("find the file store", root, cause))?;
        let tree = Tree {
            root,
            artifact_root: artifact_root.into(),
            disk: Disk::default(),
            tails: Mutex::default(),
            homes: Mutex::default(),
            last_run: Mutex::default(),
        };
        experiments::found(&tree)?;
        Ok(Self { tree, closed: AtomicBool::new(false) })
    }

    fn tree(&self) -> Result<&Tree> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, "the file store is closed")
                .with("path", self.tree.root.display()));
        }
        Ok(&self.tree)
    }
}

impl Tree {
    /// The right to write in this process.
    fn writing(&self) -> MutexGuard<'_, Tails> {
        lock(&self.tails)
    }

    /// The error for what is not there, unless that is because nothing is: a file system that is not mounted must not
    /// pass for runs that were deleted.
    fn absent(&self, error: Error) -> Error {
        if self.root.is_dir() {
            return error;
        }
        Error::new(ErrorKind::Unavailable, "the directory of the file store is gone; bring it back")
            .with("path", self.root.display())
    }

    /// The right to add, move and change experiments, among all processes.
    fn guard(&self) -> Result<Guard> {
        Guard::take(&self.root)
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("root", &self.tree.root)
            .field("artifact_root", &self.tree.artifact_root)
            .finish_non_exhaustive()
    }
}

impl Store for FileStore {
    fn create_experiment(&self, new: &NewExperiment) -> Result<String> {
        experiments::create(self.tree()?, new)
    }

    fn get_experiment(&self, experiment_id: &str) -> Result<Experiment> {
        experiments::get(self.tree()?, experiment_id)
    }

    fn get_experiment_by_name(&self, name: &str) -> Result<Option<Experiment>> {
        experiments::by_name(self.tree()?, name)
    }

    fn search_experiments(&self, query: &ExperimentQuery, page: &PageRequest) -> Result<Page<Experiment>> {
        search::experiments(self.tree()?, query, page)
    }

    fn rename_experiment(&self, experiment_id: &str, name: &str, now: i64) -> Result<()> {
        experiments::rename(self.tree()?, experiment_id, name, now)
    }

    fn delete_experiment(&self, experiment_id: &str, now: i64) -> Result<()> {
        experiments::delete(self.tree()?, experiment_id, now)
    }

    fn restore_experiment(&self, experiment_id: &str, now: i64) -> Result<()> {
        experiments::restore(self.tree()?, experiment_id, now)
    }

    fn set_experiment_tag(&self, experiment_id: &str, tag: &Tag) -> Result<()> {
        experiments::set_tag(self.tree()?, experiment_id, tag)
    }

    fn delete_experiment_tag(&self, experiment_id: &str, key: &str) -> Result<()> {
        experiments::delete_tag(self.tree()?, experiment_id, key)
    }

    fn create_run(&self, new: &NewRun) -> Result<Run> {
        runs::create(self.tree()?, new)
    }

    fn get_run(&self, run_id: &str) -> Result<Run> {
        runs::get(self.tree()?, run_id)
    }

    fn update_run(&self, run_id: &str, change: &RunChange) -> Result<()> {
        runs::update(self.tree()?, run_id, change)
    }

    fn delete_run(&self, run_id: &str, now: i64) -> Result<()> {
        runs::delete(self.tree()?, run_id, now)
    }

    fn restore_run(&self, run_id: &str) -> Result<()> {
        runs::restore(self.tree()?, run_id)
    }

    fn search_runs(&self, query: &RunQuery, page: &PageRequest) -> Result<Page<Run>> {
        search::runs(self.tree()?, query, page)
    }

    fn metric_history(&self, run_id: &str, key: &str) -> Result<Vec<Metric>> {
        runs::metric_history(self.tree()?, run_id, key)
    }

    fn log_batch(&self, run_id: &str, batch: &Batch) -> Result<()> {
        batch::log(self.tree()?, run_id, batch)
    }

    fn delete_tag(&self, run_id: &str, key: &str) -> Result<()> {
        runs::delete_tag(self.tree()?, run_id, key)
    }

    fn log_inputs(&self, run_id: &str, datasets: &[DatasetInput], models: &[String]) -> Result<()> {
        inputs::log(self.tree()?, run_id, datasets, models)
    }

    fn log_outputs(&self, run_id: &str, outputs: &[ModelOutput]) -> Result<()> {
        inputs::log_outputs(self.tree()?, run_id, outputs)
    }

    fn create_logged_model(&self, new: &NewLoggedModel) -> Result<LoggedModel> {
        models::create(self.tree()?, new)
    }

    fn finalize_logged_model(&self, model_id: &str, status: ModelStatus, now: i64) -> Result<LoggedModel> {
        models::finalize(self.tree()?, model_id, status, now)
    }

    fn get_logged_model(&self, model_id: &str) -> Result<LoggedModel> {
        models::get(self.tree()?, model_id)
    }

    fn search_logged_models(&self, query: &ModelQuery, page: &PageRequest) -> Result<Page<LoggedModel>> {
        search::models(self.tree()?, query, page)
    }

    fn log_logged_model_params(&self, model_id: &str, params: &[Param]) -> Result<()> {
        models::log_params(self.tree()?, model_id, params)
    }

    fn set_logged_model_tags(&self, model_id: &str, tags: &[Tag]) -> Result<()> {
        models::set_tags(self.tree()?, model_id, tags)
    }

    fn delete_logged_model_tag(&self, model_id: &str, key: &str) -> Result<()> {
        models::delete_tag(self.tree()?, model_id, key)
    }

    fn delete_logged_model(&self, model_id: &str, now: i64) -> Result<()> {
        models::delete(self.tree()?, model_id, now)
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn sync(&self) -> Result<()> {
        let tree = self.tree()?;
        tree.disk.sync(&tree.root)
    }

    fn close(&self) -> Result<()> {
        // Whoever is writing gets to the end of it.
        let _writing = self.tree.writing();
        self.closed.store(true, Ordering::Relaxed);
        Ok(())
    }
}
