//! A user's place: a directory with a store and a journal, and programs that run in it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use runlog::{Config, Run, RunQuery, Tracker};

/// A directory with a store and a journal.
#[derive(Debug)]
pub(crate) struct Place {
    dir: tempfile::TempDir,
    /// The URI of the store.
    pub(crate) store: &'static str,
}

impl Place {
    /// One whose store is a database.
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), store: "sqlite:///mlflow.db" }
    }

    /// One whose store is a file store.
    pub(crate) fn of_files() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), store: "./mlruns" }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.path().join("journal")
    }

    /// The database's file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path().join("mlflow.db")
    }

    /// What a process with these variables besides would be configured with.
    pub(crate) fn config(&self, vars: &[(&str, &str)]) -> Config {
        let vars: HashMap<String, String> =
            vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut config = Config::from_map(&vars).unwrap();
        config.working_dir = self.path().to_owned();
        config.journal_dir = Some(self.journal());
        config.login = Some("ada".to_owned());
        config.quiet = true;
        config
    }

    /// A tracker of this test's own.
    pub(crate) fn tracker(&self) -> Tracker {
        Tracker::with_config(Some(self.store), self.config(&[])).unwrap()
    }

    /// A tracker that has delivered what dead processes left.
    pub(crate) fn recovered(&self) -> Tracker {
        let tracker = self.tracker();
        // The recovery in the background may be at it; whoever is second finds nothing left.
        while self.journals().len() > 1 {
            tracker.recover().unwrap();
        }
        tracker
    }

    /// The journals there are, of living processes and dead ones. What a kill left half made is none.
    pub(crate) fn journals(&self) -> Vec<PathBuf> {
        let Ok(stores) = std::fs::read_dir(self.journal()) else { return Vec::new() };
        let entries = stores.flat_map(|store| std::fs::read_dir(store.unwrap().path()).unwrap());
        let is_half_made = |path: &Path| path.file_name().unwrap().to_string_lossy().starts_with(".new-");
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir() && !is_half_made(path))
            .collect()
    }

    /// A program in this place, in a clean environment.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(self.path()).env_clear().env("PATH", env!("PATH")).env("HOME", self.path());
        if !self.store.starts_with("sqlite:") {
            command.env("MLFLOW_TRACKING_URI", self.store).env("MLFLOW_ALLOW_FILE_STORE", "true");
        }
        command.env("RUNLOG_JOURNAL_DIR", self.journal()).env("USER", "ada").stdin(Stdio::null());
        command
    }

    /// One of the programs in `tests/scenario`.
    pub(crate) fn scenario(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_scenario"));
        command.args(arguments);
        command
    }

    /// Runs a scenario to its end.
    pub(crate) fn play(&self, arguments: &[&str]) -> Output {
        self.scenario(arguments).output().unwrap()
    }

    /// Starts a scenario that talks through pipes.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.scenario(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// The only run in the store, as the store has it: nothing is recovered first.
    pub(crate) fn run(&self) -> Run {
        let [run] = <[Run; 1]>::try_from(self.runs()).unwrap();
        run
    }

    /// Every run in the store, newest first.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let mut config = self.config(&[]);
        // Elsewhere, so that this look recovers nothing.
        config.journal_dir = Some(self.path().join("other-journal"));
        let tracker = Tracker::with_config(Some(self.store), config).unwrap();
        tracker.search_runs(RunQuery::new().all_experiments()).unwrap()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
