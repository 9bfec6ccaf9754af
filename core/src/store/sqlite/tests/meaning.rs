//! What rows mean to MLflow, and what SQLite's errors mean to a caller.

use std::time::Duration;

use super::{new_run, open, other, point, text};
use crate::entity::{Metric, NewExperiment, NewLoggedModel, NewRun, Param, RunChange, ViewType};
use crate::error::ErrorKind;
use crate::store::{Batch, PageRequest, RunQuery, Store};

#[test]
fn numbers_are_stored_as_mlflow_stores_them() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let run_id = new_run(&store);
    let values = [("a", f64::NAN), ("b", f64::INFINITY), ("c", f64::NEG_INFINITY), ("d", 0.1), ("e", 2.0)];
    let metrics = values.map(|(key, value)| Metric::new(key, value, 1_700_000_000_000, -3)).to_vec();
    store.log_batch(&run_id, &Batch { metrics, ..Batch::default() }).unwrap();
    for table in ["metrics", "latest_metrics"] {
        let sql = format!(
            "SELECT group_concat(printf('%s %s %!.17g %d %d %d', key, typeof(value), value, is_nan, timestamp, step), '|')
               FROM (SELECT * FROM {table} ORDER BY key)"
        );
        let time = "1700000000000 -3";
        assert_eq!(
            text(&other(directory.path()), &sql),
            format!(
                "Text(\"a real 0.0 1 {time}|b real 1.7976931348623157e+308 0 {time}|\
                 c real -1.7976931348623157e+308 0 {time}|d real 0.1 0 {time}|e real 2.0 0 {time}\")"
            )
        );
    }
    assert!(store.get_run(&run_id).unwrap().metric("a").unwrap().is_nan());
}

#[test]
fn what_is_deleted_is_shown_but_not_written_to() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let name = "gone".to_owned();
    let experiment_id =
        store.create_experiment(&NewExperiment { name: name.clone(), ..NewExperiment::default() }).unwrap();
    let new = NewRun { experiment_id: experiment_id.clone(), ..NewRun::default() };
    let run_id = store.create_run(&new).unwrap().info.run_id;
    other(directory.path())
        .execute_batch(
            "UPDATE runs SET lifecycle_stage = 'deleted', deleted_time = 1;
             UPDATE experiments SET lifecycle_stage = 'deleted' WHERE experiment_id > 0",
        )
        .unwrap();

    let invalid = ErrorKind::InvalidInput;
    assert_eq!(store.create_run(&new).unwrap_err().kind(), invalid);
    assert_eq!(store.log_batch(&run_id, &point(0.5, 1)).unwrap_err().kind(), invalid);
    assert_eq!(store.update_run(&run_id, &RunChange::default()).unwrap_err().kind(), invalid);
    assert_eq!(store.delete_tag(&run_id, "mlflow.runName").unwrap_err().kind(), invalid);
    assert_eq!(store.log_inputs(&run_id, &[], &[]).unwrap_err().kind(), invalid);
    assert_eq!(store.log_outputs(&run_id, &[]).unwrap_err().kind(), invalid);
    let model = NewLoggedModel { experiment_id: experiment_id.clone(), ..NewLoggedModel::default() };
    assert_eq!(store.create_logged_model(&model).unwrap_err().kind(), invalid);

    assert_eq!(store.get_run(&run_id).unwrap().info.run_id, run_id);
    let holder = store.get_experiment_by_name(&name).unwrap().unwrap();
    assert_eq!(holder, store.get_experiment(&experiment_id).unwrap());
    let taken = store.create_experiment(&NewExperiment { name, ..NewExperiment::default() }).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    assert!(taken.to_string().contains("deleted"), "{taken}");

    let found = |query: RunQuery, view| {
        let page = PageRequest::first(10);
        store.search_runs(&query.run_view_type(view), &page).unwrap().items.len()
    };
    let named = || RunQuery::new().experiment_id(&experiment_id);
    assert_eq!(found(named(), ViewType::ActiveOnly), 0);
    assert_eq!(found(named(), ViewType::DeletedOnly), 1);
    assert_eq!(found(named(), ViewType::All), 1);
}

#[test]
fn a_lock_is_temporary() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let run_id = new_run(&store);
    store.write(|db| Ok(db.busy_timeout(Duration::ZERO)?)).unwrap();
    let holder = other(directory.path());
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.log_batch(&run_id, &point(0.5, 1)).unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.is_temporary(), "{error:?}");
    assert!(error.to_string().ends_with("mlflow.db)"), "the path is last: {error}");
    assert!(store.get_run(&run_id).is_ok(), "reading goes on");
    holder.execute_batch("COMMIT").unwrap();
    store.log_batch(&run_id, &point(0.5, 1)).unwrap();
}

#[test]
fn a_full_disk_is_temporary_and_keeps_nothing_of_the_batch() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let run_id = new_run(&store);
    store.write(|db| Ok(db.query_row("PRAGMA max_page_count = 1", [], |_| Ok(()))?)).unwrap();
    let batch = Batch {
        params: (0..200).map(|n| Param::new(format!("p{n}"), "x".repeat(1000))).collect(),
        ..Batch::default()
    };
    let error = store.log_batch(&run_id, &batch).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Unavailable && error.to_string().contains("disk is full"),
        "{error:?}"
    );
    assert_eq!(store.get_run(&run_id).unwrap().data.params, []);
    store.write(|db| Ok(db.query_row("PRAGMA max_page_count = 1000000", [], |_| Ok(()))?)).unwrap();
    store.log_batch(&run_id, &batch).unwrap();
}

#[test]
fn a_read_only_database_is_denied() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let run_id = new_run(&store);
    store.write(|db| Ok(db.pragma_update(None, "query_only", true)?)).unwrap();
    let error = store.log_batch(&run_id, &point(0.5, 1)).unwrap_err();
    assert!(error.kind() == ErrorKind::Denied && !error.is_temporary(), "{error:?}");
    assert!(error.to_string().contains("permission"), "{error}");
}

#[test]
fn a_row_that_mlflow_never_writes_is_corrupt() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let run_id = new_run(&store);
    other(directory.path()).execute_batch("UPDATE runs SET start_time = 'yesterday'").unwrap();
    let error = store.get_run(&run_id).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn the_source_chain_says_what_sqlite_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    std::fs::write(&path, "x".repeat(4096)).unwrap();
    let error = crate::store::SqliteStore::open(&path, directory.path()).unwrap_err();
    assert!(format!("{error:#}").contains("file is not a database"), "{error:#}");
}
