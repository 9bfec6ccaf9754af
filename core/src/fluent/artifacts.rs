//! MLflow's functions on files of the current run.

use std::path::Path;

use serde::Serialize;

use super::current_or_new;
use crate::error::Result;

/// Copies a file or a directory into the current run's artifacts, under `artifact_path` if given.
///
/// # Errors
/// There is no run and none can be started; the file cannot be read; the artifacts cannot be written.
pub fn log_artifact<'p>(path: impl AsRef<Path>, artifact_path: impl Into<Option<&'p str>>) -> Result<()> {
    current_or_new()?.log_artifact(path, artifact_path)
}

/// Writes `text` as an artifact of the current run.
///
/// # Errors
/// As [`log_artifact`].
pub fn log_text(text: &str, artifact_file: &str) -> Result<()> {
    current_or_new()?.log_text(text, artifact_file)
}

/// Writes `dict` as an artifact of the current run: YAML if the name ends in `.yml` or `.yaml`, JSON otherwise.
///
/// # Errors
/// As [`log_artifact`]; also a `dict` that cannot be serialised.
pub fn log_dict(dict: &(impl Serialize + ?Sized), artifact_file: &str) -> Result<()> {
    current_or_new()?.log_dict(dict, artifact_file)
}
