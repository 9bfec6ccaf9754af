//! MLflow's functions on files: those of the current run, and those that an address names.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{current_or_new, tracker};
#[cfg(feature = "image")]
use crate::artifact::ToImage;
use crate::artifact::{Figure, FileInfo, LoadTable, Table, Upload};
use crate::error::Result;
#[cfg(feature = "image")]
use crate::value::Step;

/// Copies a file or a directory into the current run's artifacts, under `artifact_path` if given.
///
/// # Errors
/// There is no run and none can be started; the file cannot be read; the artifacts cannot be written.
pub fn log_artifact<'p>(path: impl AsRef<Path>, artifact_path: impl Into<Option<&'p str>>) -> Result<()> {
    current_or_new()?.log_artifact(path, artifact_path)
}

/// As [`log_artifact`], in the background: the call returns at once, and the run's end waits for the upload.
///
/// # Errors
/// As [`RunHandle::log_artifact_async`](crate::RunHandle::log_artifact_async).
pub fn log_artifact_async<'p>(
    path: impl AsRef<Path>,
    artifact_path: impl Into<Option<&'p str>>,
) -> Result<Upload> {
    current_or_new()?.log_artifact_async(path, artifact_path)
}

/// Copies what is in a directory into the current run's artifacts, under `artifact_path` if given.
///
/// # Errors
/// As [`log_artifact`].
pub fn log_artifacts<'p>(
    local_dir: impl AsRef<Path>,
    artifact_path: impl Into<Option<&'p str>>,
) -> Result<()> {
    current_or_new()?.log_artifacts(local_dir, artifact_path)
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

/// Writes everything that `stream` yields as an artifact of the current run.
///
/// # Errors
/// As [`log_artifact`]; also a `stream` that cannot be read.
pub fn log_stream(stream: impl Read, artifact_file: &str) -> Result<()> {
    current_or_new()?.log_stream(stream, artifact_file)
}

/// Writes a figure as an artifact of the current run, such as `plots/loss.svg`.
///
/// # Errors
/// As [`log_artifact`]; also a figure that is not what the name says.
pub fn log_figure(figure: &(impl Figure + ?Sized), artifact_file: &str) -> Result<()> {
    current_or_new()?.log_figure(figure, artifact_file)
}

/// Writes an image as an artifact of the current run; the end of the name says in which format.
///
/// # Errors
/// As [`RunHandle::log_image`](crate::RunHandle::log_image).
#[cfg(feature = "image")]
pub fn log_image(image: &(impl ToImage + ?Sized), artifact_file: &str) -> Result<()> {
    current_or_new()?.log_image(image, artifact_file)
}

/// Logs an image of the series `key` to the current run, in the background.
///
/// # Errors
/// As [`RunHandle::log_image_step`](crate::RunHandle::log_image_step).
#[cfg(feature = "image")]
pub fn log_image_step(image: &(impl ToImage + ?Sized), key: &str, step: impl Step) -> Result<Upload> {
    current_or_new()?.log_image_step(image, key, step)
}

/// As [`log_image_step`], at a time in milliseconds since the Unix epoch.
///
/// # Errors
/// As [`log_image_step`].
#[cfg(feature = "image")]
pub fn log_image_at(
    image: &(impl ToImage + ?Sized),
    key: &str,
    step: impl Step,
    timestamp: i64,
) -> Result<Upload> {
    current_or_new()?.log_image_at(image, key, step, timestamp)
}

/// Writes a table as an artifact of the current run, below the rows that are there already.
///
/// # Errors
/// As [`RunHandle::log_table`](crate::RunHandle::log_table).
pub fn log_table(table: &Table, artifact_file: &str) -> Result<()> {
    current_or_new()?.log_table(table, artifact_file)
}

/// The rows of the tables that the runs of the active experiment logged under one name.
///
/// # Errors
/// As [`Tracker::load_table`](crate::Tracker::load_table).
pub fn load_table(table: impl Into<LoadTable>) -> Result<Table> {
    tracker()?.load_table(table)
}

/// The address of the current run's artifacts, or of `artifact_path` among them.
///
/// # Errors
/// There is no run and none can be started.
pub fn get_artifact_uri<'p>(artifact_path: impl Into<Option<&'p str>>) -> Result<String> {
    Ok(current_or_new()?.get_artifact_uri(artifact_path))
}

/// The files and folders in `dir` (`""` is the root) of a run, given by its id, or of anything that a URI names.
///
/// # Errors
/// As [`Tracker::list_artifacts`](crate::Tracker::list_artifacts).
pub fn list_artifacts(of: &str, dir: &str) -> Result<Vec<FileInfo>> {
    tracker()?.list_artifacts(of, dir)
}

/// Copies the file or directory at `artifact_uri`, such as `runs:/<run id>/<path>`, into the directory `dst_path` or a
/// new temporary one, and returns where it is then.
///
/// # Errors
/// As [`Tracker::download_artifacts`](crate::Tracker::download_artifacts).
pub fn download_artifacts<'p>(artifact_uri: &str, dst_path: impl Into<Option<&'p Path>>) -> Result<PathBuf> {
    tracker()?.download_artifacts(artifact_uri, dst_path)
}

/// The text of the file at `artifact_uri`, such as `runs:/<run id>/notes.txt`.
///
/// # Errors
/// As [`Tracker::load_text`](crate::Tracker::load_text).
pub fn load_text(artifact_uri: &str) -> Result<String> {
    tracker()?.load_text(artifact_uri)
}

/// What the file at `artifact_uri` holds: YAML if it ends in `.yml` or `.yaml`, JSON otherwise.
///
/// # Errors
/// As [`Tracker::load_dict`](crate::Tracker::load_dict).
pub fn load_dict<T: DeserializeOwned>(artifact_uri: &str) -> Result<T> {
    tracker()?.load_dict(artifact_uri)
}

/// The image in the file at `artifact_uri`: PNG, JPEG, WebP or BMP.
///
/// # Errors
/// As [`Tracker::load_image`](crate::Tracker::load_image).
#[cfg(feature = "image")]
pub fn load_image(artifact_uri: &str) -> Result<image::DynamicImage> {
    tracker()?.load_image(artifact_uri)
}

/// Waits until every upload in the background has ended.
///
/// # Errors
/// The store cannot be opened.
pub fn flush_artifact_async_logging() -> Result<()> {
    tracker()?.flush_artifact_async_logging();
    Ok(())
}
