//! The file store: the contract, and what is its own.

use std::sync::Arc;

use super::*;
use crate::store::conformance;

#[test]
fn it_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    conformance::check(&|| Arc::new(FileStore::open(&dir.path().join("mlruns"), "/somewhere").unwrap()));
}
