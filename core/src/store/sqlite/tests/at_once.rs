//! Several threads, handles and processes on one database.

use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::{env, fs, thread};

use super::{new_run, open, other, point, text};
use crate::entity::Run;
use crate::store::{PageRequest, RunQuery, SqliteStore, Store};

const POINTS: i64 = 50;

#[test]
fn handles_that_create_one_database_at_once_all_succeed() {
    for _ in 0..10 {
        let directory = tempfile::tempdir().unwrap();
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    let store = open(directory.path());
                    let run_id = new_run(&store);
                    for step in 0..POINTS {
                        store.log_batch(&run_id, &point(0.5, step)).unwrap();
                    }
                });
            }
        });
        let store = open(directory.path());
        assert_eq!(runs_of(&store).len(), 4);
        assert_eq!(text(&other(directory.path()), "SELECT count(*) FROM experiments"), "Integer(1)");
        assert_eq!(text(&other(directory.path()), "PRAGMA journal_mode"), r#"Text("wal")"#);
    }
}

#[test]
fn processes_that_create_one_database_at_once_all_succeed() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("child"), "").unwrap();
    let this = env::current_exe().unwrap();
    let children: Vec<_> = (0..4)
        .map(|_| {
            Command::new(&this)
                .args(["--exact", "store::sqlite::tests::at_once::a_child_process_writes"])
                .current_dir(directory.path())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let store = open(directory.path());
    let runs = runs_of(&store);
    assert_eq!(runs.len(), 4);
    for run in runs {
        let history = store.metric_history(&run.info.run_id, "loss").unwrap();
        assert!(history.iter().map(|point| point.step).eq(0..POINTS));
    }
}

/// Does something only as a child of the test above, which it knows by a file in its working directory.
#[test]
fn a_child_process_writes() {
    if !Path::new("child").exists() {
        return;
    }
    let store = open(&env::current_dir().unwrap());
    let run_id = new_run(&store);
    for step in 0..POINTS {
        store.log_batch(&run_id, &point(0.5, step)).unwrap();
    }
}

#[test]
fn a_read_does_not_wait_for_a_write_and_sees_nothing_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let run_id = new_run(&store);
    store
        .write(|db| {
            super::super::batch::log(db, &run_id, &point(0.5, 1))?;
            assert_eq!(store.metric_history(&run_id, "loss").unwrap(), []);
            Ok(())
        })
        .unwrap();
    assert_eq!(store.metric_history(&run_id, "loss").unwrap().len(), 1);
}

#[test]
fn a_panic_in_a_write_leaves_the_store_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let run_id = new_run(&store);
    let panicked = thread::scope(|scope| {
        scope
            .spawn(|| {
                store.write(|db| {
                    super::super::batch::log(db, &run_id, &point(0.5, 1))?;
                    assert_eq!(db.changes(), 0, "panics, as a bug would");
                    Ok(())
                })
            })
            .join()
            .is_err()
    });
    assert!(panicked);
    assert_eq!(store.metric_history(&run_id, "loss").unwrap(), []);
    store.log_batch(&run_id, &point(0.5, 2)).unwrap();
    assert_eq!(store.metric_history(&run_id, "loss").unwrap().len(), 1);
}

/// Every run of the default experiment.
fn runs_of(store: &SqliteStore) -> Vec<Run> {
    store.search_runs(&RunQuery::new().experiment_id("0"), &PageRequest::first(100)).unwrap().items
}
