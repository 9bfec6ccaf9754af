//! Files of runs and models, through a tracker.

use super::Tracker;
use crate::artifact::{self, Artifacts, FileInfo, MemoryArtifacts};
use crate::error::Result;

impl Tracker {
    /// The files and folders of a run, in `dir` (`""` is the root).
    ///
    /// # Errors
    /// There is no such run, or its artifacts cannot be read.
    pub fn list_artifacts(&self, run_id: &str, dir: &str) -> Result<Vec<FileInfo>> {
        let uri = self.get_run(run_id)?.info.artifact_uri;
        self.artifacts_at(&uri)?.list(dir)
    }

    /// The files at an artifact URI of this store.
    pub(crate) fn artifacts_at(&self, uri: &str) -> Result<Box<dyn Artifacts>> {
        if self.0.config.disabled { Ok(Box::new(MemoryArtifacts::discarding())) } else { artifact::open(uri) }
    }
}
