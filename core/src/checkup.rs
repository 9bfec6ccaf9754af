//! What a program with a given configuration would use, and whether it could: for a report before the first run.
//!
//! Invariant: nothing is made, delivered or ended here; a store that holds nothing yet is not even opened.

use std::path::{Path, PathBuf};

use crate::autolog::SystemMetrics;
use crate::config::Config;
use crate::entity::{Experiment, LifecycleStage};
use crate::error::{Error, ErrorKind, Result};
use crate::fluent::system_metrics;
use crate::journal::Place;
use crate::store::{self, Store};
use crate::tracker::Tracker;
use crate::{artifact, validate, waiting};

/// What a program would use, and what is wrong with it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Checkup {
    /// The store.
    pub store: StoreCheck,
    /// Where files go.
    pub artifacts: ArtifactsCheck,
    /// Where what is logged waits for the store.
    pub journal: JournalCheck,
    /// Whether runs have system metrics unless they say otherwise.
    pub system_metrics: bool,
    /// How such a run is sampled.
    pub sampling: SystemMetrics,
}

impl Checkup {
    /// Whether a run could be logged, and be safe from a kill.
    pub fn can_log(&self) -> bool {
        self.store.trouble.is_none() && self.journal.trouble.is_none()
    }
}

/// The store that would be used.
#[derive(Debug)]
#[non_exhaustive]
pub struct StoreCheck {
    /// Its address, without secrets.
    pub uri: String,
    /// What says so: `--tracking-uri`, `MLFLOW_TRACKING_URI`, `RUNLOG_MODE`, or `default`.
    pub named_by: &'static str,
    /// Whether it is there; if not, the first run makes it.
    pub exists: bool,
    /// The experiment of new runs, as far as it is there.
    pub experiment: Option<Experiment>,
    /// Why no run could be logged to it.
    pub trouble: Option<Error>,
}

/// The place for the files of new runs.
#[derive(Debug)]
#[non_exhaustive]
pub struct ArtifactsCheck {
    /// What the runs' directories are below; `None` for a store that is no place.
    pub root: Option<String>,
    /// Why no file could be logged.
    pub trouble: Option<Error>,
}

/// The place of journals.
#[derive(Debug)]
#[non_exhaustive]
pub struct JournalCheck {
    /// The directory for journals of this store; `None` if they would be in memory, as the store is.
    pub dir: Option<PathBuf>,
    /// Why what is logged would not be safe from a kill.
    pub trouble: Option<Error>,
    /// Journals of processes that died, which the next program with this store delivers, or `runlog sync`.
    pub waiting: Vec<waiting::Journal>,
}

/// Looks at what a program with this configuration would use, at the store `uri` if it is given.
///
/// ```
/// use runlog_core::{Config, checkup};
///
/// let checkup = checkup(Some("memory:"), &Config::default());
/// assert!(checkup.can_log());
/// ```
pub fn checkup(uri: Option<&str>, config: &Config) -> Checkup {
    let named_by = match (uri, &config.tracking_uri) {
        _ if config.disabled => "RUNLOG_MODE",
        (Some(_), _) => "--tracking-uri",
        (None, Some(_)) => "MLFLOW_TRACKING_URI",
        (None, None) => "default",
    };
    let uri = if config.disabled { "memory:".to_owned() } else { Tracker::uri_of(uri, config) };
    let address = store::canonical(&uri, &config.working_dir);
    let sampling = system_metrics::wanted(config, &true.into()).unwrap_or_default();
    let mut checkup = Checkup {
        journal: journal(&uri, &address, config),
        store: StoreCheck { uri: address, named_by, exists: false, experiment: None, trouble: None },
        artifacts: ArtifactsCheck { root: None, trouble: None },
        system_metrics: system_metrics::wanted(config, &None.into()).is_some(),
        sampling,
    };
    checkup.store.trouble = checkup.look(&uri, config).err();
    if let Some(root) = &checkup.artifacts.root {
        checkup.artifacts.trouble = can_keep_files(root).err();
    }
    checkup
}

impl Checkup {
    fn look(&mut self, uri: &str, config: &Config) -> Result<()> {
        let Some(path) = store::local_path(uri, &config.working_dir)? else {
            // In memory, or not to be had here; opening one that is elsewhere makes nothing.
            return store::open(uri, None, &config.working_dir).map(drop);
        };
        let is_files = store::is_files(uri);
        let dir = if is_files { &*path } else { path.parent().unwrap_or(&path) };
        let default_root = if is_files { path.clone() } else { config.working_dir.join("mlruns") };
        self.artifacts.root = Some(default_root.display().to_string());
        self.store.exists = store::is_founded(uri, &config.working_dir)?;
        if self.store.exists {
            // By itself: it is closed here, and a database leaves no file beside it that was not there.
            let store = store::open(uri, None, &config.working_dir)?;
            self.store.experiment = experiment(&*store, config)?;
            if let Some(experiment) = &self.store.experiment {
                self.artifacts.root = Some(experiment.artifact_location.clone());
            }
            if let Some(run_id) = &config.run_id {
                let wrong = |error| Error::invalid("MLFLOW_RUN_ID names no run of this store").because(error);
                if store.get_run(run_id).map_err(wrong)?.info.lifecycle_stage == LifecycleStage::Deleted {
                    return Err(Error::invalid(
                        "MLFLOW_RUN_ID names a run that is deleted; restore it first",
                    ));
                }
            }
        } else if let Some(id) = config.experiment_id.as_ref().filter(|id| *id != "0") {
            return Err(Error::invalid("MLFLOW_EXPERIMENT_ID is set, and the store is still to be made")
                .with("experiment_id", id));
        } else if config.run_id.is_some() {
            return Err(Error::invalid("MLFLOW_RUN_ID is set, and the store is still to be made"));
        }
        can_write_in(dir)
    }
}

/// The experiment of new runs; `None` if the first one makes it.
fn experiment(store: &dyn Store, config: &Config) -> Result<Option<Experiment>> {
    let named = config.experiment_name.as_deref().map(|name| {
        validate::experiment_name(name)?;
        store.get_experiment_by_name(name)
    });
    let by_id = config.experiment_id.as_deref().map(|id| {
        store.get_experiment(id).map_err(|error| {
            Error::invalid("MLFLOW_EXPERIMENT_ID names no experiment of this store").because(error)
        })
    });
    let experiment = match (named.transpose()?, by_id.transpose()?) {
        (Some(by_name), Some(by_id)) => {
            if by_name.as_ref().is_none_or(|by_name| by_name.experiment_id != by_id.experiment_id) {
                return Err(Error::invalid(
                    "MLFLOW_EXPERIMENT_NAME and MLFLOW_EXPERIMENT_ID name different experiments; unset one of them",
                ));
            }
            by_name
        }
        (Some(by_name), None) => by_name,
        (None, Some(by_id)) => Some(by_id),
        (None, None) => Some(store.get_experiment("0")?),
    };
    if let Some(deleted) = experiment.as_ref().filter(|e| e.lifecycle_stage == LifecycleStage::Deleted) {
        return Err(store::experiment_deleted(deleted));
    }
    Ok(experiment)
}

fn journal(uri: &str, address: &str, config: &Config) -> JournalCheck {
    if config.disabled || store::is_in_memory(uri) {
        return JournalCheck { dir: None, trouble: None, waiting: Vec::new() };
    }
    let Place::Directory(dir) = Place::of(address, config) else {
        return JournalCheck { dir: None, trouble: None, waiting: Vec::new() };
    };
    let waiting = waiting::of_dead_processes(uri, config);
    let mut check = JournalCheck { trouble: can_write_in(&dir).err(), dir: Some(dir), waiting: Vec::new() };
    match waiting {
        Ok(waiting) => check.waiting = waiting,
        Err(error) => check.trouble = check.trouble.or(Some(error)),
    }
    check
}

fn can_keep_files(root: &str) -> Result<()> {
    // Opening an artifact store makes nothing.
    artifact::open(root)?;
    artifact::local_path(root).map_or(Ok(()), |path| can_write_in(&path))
}

/// Whether files could be made in `dir`, which need not exist.
fn can_write_in(dir: &Path) -> Result<()> {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let there = dir.ancestors().find(|ancestor| ancestor.symlink_metadata().is_ok()).unwrap_or(&dir);
    if !there.is_dir() {
        return Err(Error::new(ErrorKind::Denied, "it cannot be written: this is no directory")
            .with("path", there.display()));
    }
    is_writable(there).map_err(|cause| Error::io("write to the directory", there, cause))
}

#[cfg(unix)]
fn is_writable(dir: &Path) -> std::io::Result<()> {
    use rustix::fs::{Access, access};

    Ok(access(dir, Access::WRITE_OK | Access::EXEC_OK)?)
}

#[cfg(not(unix))]
fn is_writable(dir: &Path) -> std::io::Result<()> {
    if dir.metadata()?.permissions().readonly() {
        return Err(std::io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests;
