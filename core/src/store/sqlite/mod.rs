//! The SQLite store: runs in one file, in MLflow's own schema, without a server.
//!
//! What holds here: MLflow opens what this writes as its own, and this opens what MLflow wrote. The schema of an
//! existing database is never changed, every `INSERT` names its columns, and what newer schemas added is looked for
//! when it is needed, so that MLflow may migrate the file while it is open here.

mod batch;
mod connection;
mod experiments;
mod failure;
mod inputs;
mod models;
mod runs;
mod schema;
mod search;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Batch, ExperimentQuery, Limits, ModelQuery, Page, PageRequest, RunQuery, Store};
use crate::entity::{
    DatasetInput, Experiment, LoggedModel, Metric, ModelOutput, ModelStatus, NewExperiment, NewLoggedModel,
    NewRun, Param, Run, RunChange, Tag,
};
use crate::error::{Error, ErrorKind, Result};
use connection::Connections;
use failure::{Failure, Outcome};

/// One batch is one transaction, and a transaction keeps other processes from writing: 16,384 points, as many as are
/// taken from a journal at once, take some 50 ms, and larger batches are not faster. MLflow's own limits (1000, 100, 100) are those of its REST API.
const LIMITS: Limits = Limits { metrics: 16_384, params: 1000, tags: 1000 };

/// How long a database may lack tables when it is opened. MLflow creates one in a second or two.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs in a SQLite database with MLflow's schema.
///
/// Several processes may use one database at once, MLflow among them. In this process a read never waits for a write.
pub struct SqliteStore {
    connections: Arc<Connections>,
    /// What errors name: the path, or that there is none.
    place: String,
    /// Where experiments without a place of their own put their artifacts.
    artifact_root: String,
}

impl SqliteStore {
    /// Opens the database at `path`, and creates it if the file is absent or empty.
    ///
    /// New experiments put their artifacts below `artifact_root`, which is stored as the absolute path it means now.
    /// A new database on a local file system is put in WAL mode; an existing one keeps its mode.
    ///
    /// # Errors
    /// `Corrupt` for a file that is not MLflow's database, `Denied` for one that cannot be written, `Unavailable` if
    /// others keep it locked for 20 seconds.
    pub fn open(path: &Path, artifact_root: &Path) -> Result<Self> {
        Self::open_within(path, artifact_root, MIGRATION_TIMEOUT)
    }

    fn open_within(path: &Path, artifact_root: &Path, patience: Duration) -> Result<Self> {
        let artifact_root = absolute_text(artifact_root)?;
        let place = path.display().to_string();
        let opened = connection::prepare_place(path)
            .map_err(Failure::from)
            .and_then(|()| Connections::open(path, &artifact_root, patience));
        let connections = opened.map_err(|failure| failure.into_error().with("database", &place))?;
        Ok(Self { connections, place, artifact_root })
    }

    /// A new database in memory, which is gone with this store.
    ///
    /// # Errors
    /// An `artifact_root` that is not UTF-8.
    pub fn in_memory(artifact_root: &Path) -> Result<Self> {
        let artifact_root = absolute_text(artifact_root)?;
        let place = "in memory".to_owned();
        let connections = Connections::in_memory(&artifact_root)
            .map_err(|failure| failure.into_error().with("database", &place))?;
        Ok(Self { connections, place, artifact_root })
    }

    fn read<T>(&self, job: impl FnOnce(&rusqlite::Connection) -> Outcome<T>) -> Result<T> {
        self.connections.read(job).map_err(|failure| self.explain(failure))
    }

    fn write<T>(&self, job: impl FnOnce(&rusqlite::Connection) -> Outcome<T>) -> Result<T> {
        self.connections.write(job).map_err(|failure| self.explain(failure))
    }

    /// The failure with its meaning and the path.
    fn explain(&self, failure: Failure) -> Error {
        let code = failure.code();
        let error = failure.into_error();
        let error = match code {
            // A statement that SQLite does not understand: a table is gone. MLflow's migrations drop and rename
            // tables one after the other, so it may be back in a moment.
            Some(rusqlite::ErrorCode::Unknown) => match self.connections.read(schema::missing) {
                Ok(missing) if !missing.is_empty() => schema::incomplete(&missing).because(error),
                _ => error,
            },
            _ => error,
        };
        error.with("database", &self.place)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("database", &self.place)
            .field("artifact_root", &self.artifact_root)
            .finish_non_exhaustive()
    }
}

impl Store for SqliteStore {
    fn create_experiment(&self, new: &NewExperiment) -> Result<String> {
        self.write(|db| experiments::create(db, new, &self.artifact_root))
    }

    fn get_experiment(&self, experiment_id: &str) -> Result<Experiment> {
        self.read(|db| experiments::get(db, experiment_id))
    }

    fn get_experiment_by_name(&self, name: &str) -> Result<Option<Experiment>> {
        self.read(|db| experiments::by_name(db, name))
    }

    fn create_run(&self, new: &NewRun) -> Result<Run> {
        self.write(|db| runs::create(db, new))
    }

    fn get_run(&self, run_id: &str) -> Result<Run> {
        self.read(|db| runs::get(db, run_id))
    }

    fn update_run(&self, run_id: &str, change: &RunChange) -> Result<()> {
        self.write(|db| runs::update(db, run_id, change))
    }

    fn search_runs(&self, query: &RunQuery, page: &PageRequest) -> Result<Page<Run>> {
        self.read(|db| search::runs(db, query, page))
    }

    fn metric_history(&self, run_id: &str, key: &str) -> Result<Vec<Metric>> {
        self.read(|db| runs::metric_history(db, run_id, key))
    }

    fn log_batch(&self, run_id: &str, batch: &Batch) -> Result<()> {
        self.write(|db| batch::log(db, run_id, batch))
    }

    fn delete_tag(&self, run_id: &str, key: &str) -> Result<()> {
        self.write(|db| runs::delete_tag(db, run_id, key))
    }

    fn log_inputs(&self, run_id: &str, datasets: &[DatasetInput], models: &[String]) -> Result<()> {
        self.write(|db| inputs::log(db, run_id, datasets, models))
    }

    fn log_outputs(&self, run_id: &str, outputs: &[ModelOutput]) -> Result<()> {
        self.write(|db| inputs::log_outputs(db, run_id, outputs))
    }

    fn create_logged_model(&self, new: &NewLoggedModel) -> Result<LoggedModel> {
        self.write(|db| models::create(db, new))
    }

    fn finalize_logged_model(&self, model_id: &str, status: ModelStatus, now: i64) -> Result<LoggedModel> {
        self.write(|db| models::finalize(db, model_id, status, now))
    }

    fn get_logged_model(&self, model_id: &str) -> Result<LoggedModel> {
        self.read(|db| models::get(db, model_id))
    }

    fn search_experiments(&self, query: &ExperimentQuery, page: &PageRequest) -> Result<Page<Experiment>> {
        self.read(|db| search::experiments(db, query, page))
    }

    fn rename_experiment(&self, experiment_id: &str, name: &str, now: i64) -> Result<()> {
        self.write(|db| experiments::rename(db, experiment_id, name, now))
    }

    fn delete_experiment(&self, experiment_id: &str, now: i64) -> Result<()> {
        self.write(|db| experiments::delete(db, experiment_id, now))
    }

    fn restore_experiment(&self, experiment_id: &str, now: i64) -> Result<()> {
        self.write(|db| experiments::restore(db, experiment_id, now))
    }

    fn set_experiment_tag(&self, experiment_id: &str, tag: &Tag) -> Result<()> {
        self.write(|db| experiments::set_tag(db, experiment_id, tag))
    }

    fn delete_experiment_tag(&self, experiment_id: &str, key: &str) -> Result<()> {
        self.write(|db| experiments::delete_tag(db, experiment_id, key))
    }

    fn delete_run(&self, run_id: &str, now: i64) -> Result<()> {
        self.write(|db| runs::delete(db, run_id, now))
    }

    fn restore_run(&self, run_id: &str) -> Result<()> {
        self.write(|db| runs::restore(db, run_id))
    }

    fn search_logged_models(&self, query: &ModelQuery, page: &PageRequest) -> Result<Page<LoggedModel>> {
        self.read(|db| {
            models::require_tables(db)?;
            search::models(db, query, page)
        })
    }

    fn log_logged_model_params(&self, model_id: &str, params: &[Param]) -> Result<()> {
        self.write(|db| models::log_params(db, model_id, params))
    }

    fn set_logged_model_tags(&self, model_id: &str, tags: &[Tag]) -> Result<()> {
        self.write(|db| models::set_tags(db, model_id, tags))
    }

    fn delete_logged_model_tag(&self, model_id: &str, key: &str) -> Result<()> {
        self.write(|db| models::delete_tag(db, model_id, key))
    }

    fn delete_logged_model(&self, model_id: &str, now: i64) -> Result<()> {
        self.write(|db| models::delete(db, model_id, now))
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    fn sync(&self) -> Result<()> {
        self.connections.sync().map_err(|error| error.with("database", &self.place))
    }

    fn close(&self) -> Result<()> {
        self.connections.close().map_err(|failure| failure.into_error().with("database", &self.place))
    }
}

/// `path` as the absolute text that goes into the database.
fn absolute_text(path: &Path) -> Result<String> {
    let absolute =
        std::path::absolute(path).map_err(|cause| Error::io("find the artifact root", path, cause))?;
    absolute.into_os_string().into_string().map_err(|path| {
        Error::new(ErrorKind::InvalidInput, "the artifact root must be UTF-8; use another directory")
            .with("path", path.display())
    })
}
