//! What loading refuses, and what it reads as another type.

use std::path::Path;

use linfa::prelude::Predict;
use linfa_trees::DecisionTree;
use runlog_core::ErrorKind;
use runlog_linfa::{Fit, load_model};

use crate::recorded_in;

/// Fits below `dir`, and returns the model and its folder.
fn fitted<M>(dir: &Path, fit: impl FnOnce() -> M) -> (M, String) {
    let uri = format!("sqlite:///{}", dir.join("mlflow.db").display());
    let (model, runs, tracker) = recorded_in(&uri, fit);
    let folder = tracker.get_logged_model(&runs[0].outputs[0].model_id).unwrap().artifact_location;
    (model, folder)
}

fn a_tree(dir: &Path) -> (DecisionTree<f64, usize>, String) {
    fitted(dir, || DecisionTree::params().fit(&linfa_datasets::iris()).unwrap())
}

/// Replaces a text in the description of the model.
fn describe(folder: &str, from: &str, to: &str) {
    let file = format!("{folder}/MLmodel");
    let described = std::fs::read_to_string(&file).unwrap();
    assert!(described.contains(from), "{from} in\n{described}");
    std::fs::write(file, described.replace(from, to)).unwrap();
}

#[test]
fn labels_that_were_borrowed_are_owned() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["setosa", "versicolor", "virginica"];
    let data = linfa_datasets::iris().map_targets(|class| names[*class]);
    let (tree, folder) = fitted(dir.path(), || DecisionTree::params().fit(&data).unwrap());
    let loaded: DecisionTree<f64, String> = load_model(&folder).unwrap();
    assert_eq!(loaded.predict(&data).to_vec(), tree.predict(&data).to_vec());
}

#[test]
fn a_model_of_another_minor_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_, folder) = a_tree(dir.path());
    describe(&folder, "linfa_version: '0.8'", "linfa_version: '0.7'");
    let error = load_model::<DecisionTree<f64, usize>>(&folder).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("saved with linfa 0.7"), "{error}");
    assert!(
        load_model::<DecisionTree<f64, usize>>(format!("file://{folder}")).is_err(),
        "by address as well"
    );
}

#[test]
fn a_model_of_another_framework_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_, folder) = a_tree(dir.path());
    describe(&folder, "runlog.linfa:", "sklearn:");
    let error = load_model::<DecisionTree<f64, usize>>(&folder).unwrap_err();
    assert!(error.to_string().contains("no flavor `runlog.linfa`"), "{error}");
    assert!(format!("{error:?}{error}").contains("sklearn"), "{error}");
}

/// A file of double precision would be read as one of single precision, and lose half of its digits.
#[test]
fn a_model_of_another_type_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_, folder) = a_tree(dir.path());
    let error = load_model::<DecisionTree<f32, usize>>(&folder).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("`DecisionTree<f64, usize>`, not as `DecisionTree<f32, usize>`"));
}

#[test]
fn what_is_no_model_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, folder) = a_tree(dir.path());
    let file = format!("{folder}/model.msgpack");
    assert_eq!(load_model::<DecisionTree<f64, usize>>(&file).unwrap(), tree, "a file alone");
    let error = load_model::<DecisionTree<f64, usize>>(dir.path().join("nothing")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    std::fs::write(&file, b"no model").unwrap();
    let error = load_model::<DecisionTree<f64, usize>>(&folder).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}
