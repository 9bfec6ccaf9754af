//! Runs to measure, each in a directory of its own on the disk that Cargo builds on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use runlog::{ActiveRun, Config, RunOptions, Tracker};
use tempfile::TempDir;

/// Where everything is measured: a disk, also where the system's temporary files are kept in memory.
pub(crate) const DISK: &str = env!("CARGO_TARGET_TMPDIR");

/// A directory with a database, a file store and a journal.
#[derive(Debug)]
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir_in(DISK).unwrap() }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir().join("mlflow.db")
    }

    /// A tracker on `sqlite:///mlflow.db` or on a directory, such as `mlruns`, of this place.
    pub(crate) fn tracker(&self, uri: &str) -> Tracker {
        let mut config = Config::from_map(&[].into()).unwrap();
        config.working_dir = self.dir().into();
        config.journal_dir = Some(self.dir().join("journal"));
        config.quiet = true;
        config.allow_file_store = true;
        // A busy machine may take long for a million points.
        config.finish_timeout = Some(Duration::from_mins(5));
        Tracker::with_config(Some(uri), config).unwrap()
    }

    pub(crate) fn run(&self, options: impl Into<RunOptions>) -> ActiveRun {
        self.tracker(SQLITE).start_run(options).unwrap()
    }
}

pub(crate) const SQLITE: &str = "sqlite:///mlflow.db";
pub(crate) const FILES: &str = "mlruns";
