//! What only a database can do wrong.

use std::path::Path;
use std::sync::Arc;

use super::SqliteStore;
use crate::store::conformance;

fn open(directory: &Path) -> SqliteStore {
    SqliteStore::open(&directory.join("mlflow.db"), &directory.join("mlruns")).unwrap()
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
