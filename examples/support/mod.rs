//! Runs an example program as a user would, in a directory of its own, and reads the runs that it leaves.

use std::path::Path;
use std::process::Command;

use runlog::{Config, Run, RunQuery, RunStatus, Tracker};
use tempfile::TempDir;

/// The runs that `program` leaves, oldest first; each has ended well.
pub(crate) fn runs_of(program: &str) -> Vec<Run> {
    let dir = TempDir::new().unwrap();
    let journals = dir.path().join("journal");
    let mut command = Command::new(program);
    command.current_dir(&dir).env_clear().env("RUNLOG_JOURNAL_DIR", &journals);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!output.stdout.is_empty(), "{program} prints nothing");
    let runs = runs_in(dir.path(), &journals);
    assert!(runs.iter().all(|run| run.info.status == RunStatus::Finished), "{runs:#?}");
    runs
}

fn runs_in(dir: &Path, journals: &Path) -> Vec<Run> {
    let mut config = Config::from_map(&[].into()).unwrap();
    config.journal_dir = Some(journals.to_owned());
    let uri = format!("sqlite:///{}", dir.join("mlflow.db").display());
    let tracker = Tracker::with_config(Some(&uri), config).unwrap();
    let mut runs = tracker.search_runs(RunQuery::new().all_experiments()).unwrap();
    runs.reverse();
    runs
}
