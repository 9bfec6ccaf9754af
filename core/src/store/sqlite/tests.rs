//! What only a database can do wrong; what every store must do right is in `store::conformance`.

mod at_once;
mod meaning;
mod opening;
mod rows;
mod schemas;

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::SqliteStore;
use crate::entity::{Metric, NewRun};
use crate::store::{Batch, Store, conformance};

fn open(directory: &Path) -> SqliteStore {
    SqliteStore::open(&directory.join("mlflow.db"), &directory.join("mlruns")).unwrap()
}

/// Another program that has the database open, such as MLflow.
fn other(directory: &Path) -> Connection {
    Connection::open(directory.join("mlflow.db")).unwrap()
}

fn text(db: &Connection, sql: &str) -> String {
    db.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0)).map(|it| format!("{it:?}")).unwrap()
}

fn new_run(store: &dyn Store) -> String {
    let new =
        NewRun { experiment_id: "0".to_owned(), run_name: "calm-fox-1".to_owned(), ..NewRun::default() };
    store.create_run(&new).unwrap().info.run_id
}

fn point(value: f64, step: i64) -> Batch {
    Batch { metrics: vec![Metric::new("loss", value, step.abs(), step)], ..Batch::default() }
}

#[test]
fn a_file_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    conformance::check(&|| Arc::new(open(directory.path())));
}

#[test]
fn a_database_in_memory_keeps_the_contract() {
    conformance::check(&|| Arc::new(SqliteStore::in_memory(Path::new("/mlruns")).unwrap()));
}
