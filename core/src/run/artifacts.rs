//! Files of a run.

use std::path::Path;

use serde::Serialize;

use super::RunHandle;
use crate::artifact::{self, Artifacts};
use crate::error::Result;

impl RunHandle {
    /// Copies a file or a directory into the run's artifacts, under `artifact_path` if given.
    ///
    /// # Errors
    /// The file cannot be read, the path leaves the artifacts, or they cannot be written.
    pub fn log_artifact<'p>(
        &self,
        path: impl AsRef<Path>,
        artifact_path: impl Into<Option<&'p str>>,
    ) -> Result<()> {
        artifact::upload(&*self.artifacts()?, path.as_ref(), artifact_path.into().unwrap_or_default())
    }

    /// Writes `text` as the artifact `artifact_file`, such as `notes/summary.txt`.
    ///
    /// # Errors
    /// The path leaves the artifacts, or they cannot be written.
    pub fn log_text(&self, text: &str, artifact_file: &str) -> Result<()> {
        self.artifacts()?.write(artifact_file, &mut text.as_bytes())
    }

    /// Writes `dict` as the artifact `artifact_file`: YAML if it ends in `.yml` or `.yaml`, JSON otherwise.
    ///
    /// # Errors
    /// `dict` cannot be serialised, the path leaves the artifacts, or they cannot be written.
    pub fn log_dict(&self, dict: &(impl Serialize + ?Sized), artifact_file: &str) -> Result<()> {
        self.log_text(&artifact::dict_text(dict, artifact_file)?, artifact_file)
    }

    fn artifacts(&self) -> Result<Box<dyn Artifacts>> {
        self.0.tracker.artifacts_at(&self.0.info.artifact_uri)
    }
}
