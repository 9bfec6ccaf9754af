//! What is found at the path, and what is made of it.

use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use rusqlite::Connection;

use super::{new_run, open, other, point, text};
use crate::error::{Error, ErrorKind};
use crate::store::{SqliteStore, Store};

fn refused(path: &Path) -> Error {
    let error = SqliteStore::open_within(path, Path::new("/mlruns"), Duration::ZERO).unwrap_err();
    let message = error.to_string();
    assert!(message.ends_with(&format!("(database: {})", path.display())), "the path is last: {message}");
    error
}

#[test]
fn a_new_database_is_mlflows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("not/yet/there/mlflow.db");
    let store = SqliteStore::open(&path, &directory.path().join("mlruns")).unwrap();
    let default = store.get_experiment("0").unwrap();
    assert_eq!(default.name, "Default");
    assert_eq!(Path::new(&default.artifact_location), directory.path().join("mlruns/0"));
    assert!(default.creation_time > 1_700_000_000_000, "in milliseconds");
    let db = Connection::open(&path).unwrap();
    assert_eq!(text(&db, "SELECT version_num FROM alembic_version"), r#"Text("bda7b8c39065")"#);
    assert_eq!(text(&db, "SELECT count(*) FROM sqlite_master WHERE type = 'table'"), "Integer(23)");
    assert_eq!(text(&db, "PRAGMA user_version"), "Integer(0)");
}

#[test]
fn an_empty_file_becomes_a_database() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("mlflow.db"), "").unwrap();
    assert_eq!(open(directory.path()).get_experiment("0").unwrap().name, "Default");
}

#[test]
fn opening_again_finds_what_was_stored() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let run_id = new_run(&store);
    store.log_batch(&run_id, &point(0.5, 1)).unwrap();
    let run = store.get_run(&run_id).unwrap();
    drop(store);
    assert_eq!(open(directory.path()).get_run(&run_id).unwrap(), run);
}

#[test]
fn a_relative_artifact_root_is_stored_as_it_means_now() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("mlflow.db"), Path::new("mlruns")).unwrap();
    assert!(Path::new(&store.get_experiment("0").unwrap().artifact_location).is_absolute());
}

#[test]
fn a_new_database_has_a_log_and_an_existing_one_keeps_its_mode() {
    let directory = tempfile::tempdir().unwrap();
    for mode in ["wal", "delete"] {
        let store = open(directory.path());
        let run_id = new_run(&store);
        store.log_batch(&run_id, &point(0.5, 1)).unwrap();
        store.sync().unwrap();
        store.sync().unwrap();
        drop(store);
        let db = other(directory.path());
        assert_eq!(text(&db, "PRAGMA journal_mode"), format!("Text({mode:?})"));
        // For the next round, as another tool might.
        db.pragma_update(None, "journal_mode", "DELETE").unwrap();
    }
}

#[cfg(unix)]
#[test]
fn the_log_that_is_synced_is_the_one_that_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let (real, link) = (directory.path().join("real"), directory.path().join("link"));
    fs::create_dir_all(&real).unwrap();
    fs::create_dir_all(&link).unwrap();
    fs::write(real.join("runs.db"), "").unwrap();
    std::os::unix::fs::symlink(real.join("runs.db"), link.join("mlflow.db")).unwrap();
    let store = open(&link);
    new_run(&store);
    let log = store.connections.wal.as_deref().unwrap();
    assert_eq!(log, real.canonicalize().unwrap().join("runs.db-wal"));
    assert!(log.metadata().unwrap().len() > 0);
    store.sync().unwrap();
}

#[test]
fn a_commit_under_a_rollback_journal_waits_for_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let synchronous = || open(directory.path()).write(|db| Ok(text(db, "PRAGMA synchronous"))).unwrap();
    assert_eq!(synchronous(), "Integer(1)", "normal: sync() does it");
    other(directory.path()).pragma_update(None, "journal_mode", "DELETE").unwrap();
    assert_eq!(synchronous(), "Integer(2)", "full");
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    let notes = "not a database, whatever its length is; ".repeat(100);
    fs::write(&path, &notes).unwrap();
    let error = refused(&path);
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("not a SQLite database"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), notes);
}

#[test]
fn another_programs_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mail.db");
    let db = Connection::open(&path).unwrap();
    db.execute_batch("CREATE TABLE mails (subject TEXT)").unwrap();
    let error = refused(&path);
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("not MLflow's") && !error.is_temporary(), "{error}");
    assert_eq!(text(&db, "SELECT count(*) FROM sqlite_master"), "Integer(1)");
}

#[test]
fn an_incomplete_database_says_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    other(directory.path())
        .execute_batch("DROP TABLE input_tags; ALTER TABLE runs DROP COLUMN deleted_time")
        .unwrap();
    let error = refused(&directory.path().join("mlflow.db"));
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    for part in ["runs.deleted_time", "input_tags", "mlflow db upgrade"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(error.is_temporary(), "MLflow may be at it");
}

#[test]
fn a_database_that_is_being_created_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let creating = other(directory.path());
    creating.execute_batch("ALTER TABLE inputs RENAME TO not_yet").unwrap();
    thread::scope(|scope| {
        let opening = scope.spawn(|| open(directory.path()));
        assert!(!opening.is_finished());
        creating.execute_batch("ALTER TABLE not_yet RENAME TO inputs").unwrap();
        new_run(&opening.join().unwrap());
    });
}

#[test]
fn a_path_that_cannot_be_a_database_says_why() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(refused(directory.path()).kind(), ErrorKind::InvalidInput);
    fs::write(directory.path().join("file"), "").unwrap();
    assert_eq!(refused(&directory.path().join("file/mlflow.db")).kind(), ErrorKind::Denied);
}

#[test]
fn a_path_is_never_a_uri_of_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file:x.db?mode=memory");
    drop(SqliteStore::open(&path, Path::new("/mlruns")).unwrap());
    assert!(path.exists());
}

#[test]
fn the_default_experiment_is_added_where_there_are_none() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    other(directory.path()).execute_batch("DELETE FROM experiments").unwrap();
    assert_eq!(open(directory.path()).get_experiment("0").unwrap().name, "Default");
    other(directory.path())
        .execute_batch("UPDATE experiments SET experiment_id = 7, name = 'only', artifact_location = NULL")
        .unwrap();
    let store = open(directory.path());
    assert_eq!(store.get_experiment("0").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.get_experiment("7").unwrap().artifact_location, "");
}
