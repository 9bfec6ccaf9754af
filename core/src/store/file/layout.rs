//! Where things lie below the root, and which names are whose.
//!
//! Ids become parts of paths here, so nothing passes that is not one clean part: no id leads out of the root.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::entity::LifecycleStage;
use crate::error::{Error, Result};

/// What describes an experiment, run, model, dataset or link, in its directory.
pub(super) const META: &str = "meta.yaml";
/// Where deleted experiments lie.
pub(super) const TRASH: &str = ".trash";
/// MLflow's model registry, beside the experiments.
const REGISTRY: &str = "models";
/// Directories of an experiment that are no runs.
const NO_RUNS: [&str; 4] = ["tags", "datasets", "traces", "models"];
/// An experiment that is being made. MLflow passes over directories whose name ends so.
pub(super) const UNFINISHED_EXPERIMENT: &str = ".runlog.trash";

/// An experiment's directory.
#[derive(Clone, Debug)]
pub(super) struct ExperimentDir {
    pub(super) path: PathBuf,
    pub(super) id: String,
    /// Where it lies; a deletion that was cut short is told by the file in it.
    pub(super) stage: LifecycleStage,
}

/// Whether `text` can be an id: MLflow's rule, which no reserved or hidden name obeys.
pub(super) fn is_id(text: &str) -> bool {
    text.len() <= 255
        && text.starts_with(char::is_alphanumeric)
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// The directory of the experiment with this id, in use or deleted.
pub(super) fn experiment(root: &Path, experiment_id: &str) -> Option<ExperimentDir> {
    if !is_id(experiment_id) || experiment_id == REGISTRY {
        return None;
    }
    [
        (root.join(experiment_id), LifecycleStage::Active),
        (root.join(TRASH).join(experiment_id), LifecycleStage::Deleted),
    ]
    .into_iter()
    .find(|(path, _)| path.is_dir())
    .map(|(path, stage)| ExperimentDir { path, id: experiment_id.to_owned(), stage })
}

/// Every experiment's directory, the deleted ones last.
pub(super) fn experiments(root: &Path) -> Result<Vec<ExperimentDir>> {
    let mut found = Vec::new();
    for (parent, stage) in
        [(root.to_owned(), LifecycleStage::Active), (root.join(TRASH), LifecycleStage::Deleted)]
    {
        for (id, path) in subdirectories(&parent)? {
            if is_id(&id) && id != REGISTRY {
                found.push(ExperimentDir { path, id, stage });
            }
        }
    }
    Ok(found)
}

/// The directories in an experiment that may be runs, by name.
pub(super) fn runs(experiment: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = subdirectories(experiment)?;
    found.retain(|(name, _)| is_run_id(name));
    Ok(found)
}

pub(super) fn is_run_id(text: &str) -> bool {
    is_id(text) && !NO_RUNS.contains(&text)
}

/// The directories in an experiment that may be models, by name.
pub(super) fn models(experiment: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = subdirectories(&experiment.join("models"))?;
    found.retain(|(name, _)| is_id(name));
    Ok(found)
}

/// The directories in `parent`, sorted by name; none if there is no such directory.
pub(super) fn subdirectories(parent: &Path) -> Result<Vec<(String, PathBuf)>> {
    let failed = |cause| Error::io("list the directory", parent, cause);
    let entries = match fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(failed(cause)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        // A link to a directory is one too.
        let is_dir = match entry.file_type() {
            Ok(kind) if kind.is_symlink() => entry.path().is_dir(),
            Ok(kind) => kind.is_dir(),
            Err(_gone) => false,
        };
        if is_dir && let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_never_leads_out_of_its_directory() {
        for text in ["", ".", "..", "../x", "a/b", "/a", ".trash", "a.b", "-a", "a\\b", "a\0"] {
            assert!(!is_id(text), "{text:?}");
        }
        for text in ["0", "494240831333507589", "m-4c38d4c69a864714bdb4002f52bdb53a", "my_run-1"] {
            assert!(is_id(text), "{text:?}");
        }
    }
}
