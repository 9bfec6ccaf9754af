//! What a recorded fit leaves behind beyond its metrics, and that the fit itself is untouched.

use std::panic::{AssertUnwindSafe, catch_unwind};

use linfa::dataset::{DatasetBase, Pr};
use linfa_clustering::KMeans;
use linfa_svm::Svm;
use linfa_trees::DecisionTree;
use ndarray::Array1;
use runlog_core::fluent::with_tracker;
use runlog_core::{ModelStatus, RunStatus};
use runlog_linfa::Fit;

use crate::{one_run, recorded, recorded_in};

#[test]
fn an_error_is_returned_and_ends_the_run_failed() {
    let data = linfa_datasets::iris();
    let (result, run) = one_run(|| DecisionTree::params().min_impurity_decrease(0.0).fit(&data));
    let error = result.unwrap_err();
    assert_eq!(run.info.status, RunStatus::Failed);
    assert!(run.data.tags.iter().any(|tag| tag.value.contains(&error.to_string())), "{:#?}", run.data.tags);
    assert_eq!(run.param("min_impurity_decrease"), Some("0.0"));
    assert!(run.outputs.is_empty());
}

#[test]
fn a_panic_goes_on_and_ends_the_run_failed() {
    // linfa panics when the width of a one-class SVM is not set.
    let data = DatasetBase::new(linfa_datasets::iris().records, Array1::from(vec![(); 150]));
    let (result, run) = one_run(|| {
        catch_unwind(AssertUnwindSafe(|| Svm::<f64, Pr>::params().gaussian_kernel(1.0).fit(&data).map(drop)))
    });
    assert!(result.is_err(), "the panic reaches the caller");
    assert_eq!(run.info.status, RunStatus::Failed);
}

#[test]
fn results_are_the_same_bit_for_bit() {
    let data = linfa_datasets::iris();
    let (observed, runs) = recorded(|| KMeans::params(3).n_runs(5).fit(&data).unwrap());
    assert_eq!(runs.len(), 1);
    let plain = linfa::traits::Fit::fit(&KMeans::params(3).n_runs(5), &data).unwrap();
    let bits = |model: &KMeans<f64, _>| model.centroids().mapv(f64::to_bits);
    assert_eq!(bits(&observed), bits(&plain));

    let (observed, _) = recorded(|| DecisionTree::params().fit(&data).unwrap());
    assert_eq!(observed, linfa::traits::Fit::fit(&DecisionTree::params(), &data).unwrap());
}

#[test]
fn a_run_of_the_users_is_joined_and_not_ended() {
    let data = linfa_datasets::iris();
    let ((), run) = one_run(|| {
        let run = runlog_core::fluent::start_run("mine").unwrap();
        DecisionTree::params().fit(&data).unwrap();
        let seen = runlog_core::fluent::get_run(run.run_id()).unwrap();
        assert_eq!(seen.info.status, RunStatus::Running);
        run.finish().unwrap();
    });
    assert_eq!((run.info.run_name.as_str(), run.info.status), ("mine", RunStatus::Finished));
    assert_eq!(run.tag("mlflow.autologging"), None);
    assert!(run.metric("training_score").is_some());
}

#[test]
fn a_model_is_saved_as_it_is_and_described() {
    let dir = tempfile::tempdir().unwrap();
    let uri = format!("sqlite:///{}", dir.path().join("mlflow.db").display());
    let data = linfa_datasets::iris();
    let (fitted, runs, tracker) = recorded_in(&uri, || DecisionTree::params().fit(&data).unwrap());
    let model = tracker.get_logged_model(&runs[0].outputs[0].model_id).unwrap();
    assert_eq!(model.status, ModelStatus::Ready);
    assert_eq!((model.name.as_str(), model.model_type.as_deref()), ("model", Some("DecisionTree")));
    assert!(model.params.iter().any(|param| param.key == "split_quality"));

    let loaded: DecisionTree<f64, usize> = runlog_linfa::load_model(&model.artifact_location).unwrap();
    assert_eq!(loaded, fitted);
    for uri in [format!("models:/{}", model.model_id), format!("runs:/{}/model", runs[0].info.run_id)] {
        let loaded: DecisionTree<f64, usize> =
            with_tracker(&tracker, || runlog_linfa::load_model(&uri)).unwrap();
        assert_eq!(loaded, fitted, "{uri}");
    }
    let wrong = runlog_linfa::load_model::<KMeans<f64, linfa_nn::distance::L2Dist>>(&model.artifact_location);
    assert!(wrong.unwrap_err().to_string().contains("loads as `DecisionTree<f64, usize>`"));

    let described = std::fs::read_to_string(format!("{}/MLmodel", model.artifact_location)).unwrap();
    for line in [
        "  runlog.linfa:",
        "    linfa_version: '0.8'",
        r#"  inputs: '[{"type": "double", "name": "sepal length", "required": true},"#,
        r#"  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "uint64", "shape": [-1]}}]'"#,
    ] {
        assert!(described.contains(line), "{line} in\n{described}");
    }
    let matrix =
        std::fs::read_to_string(format!("{}/training_confusion_matrix.json", runs[0].info.artifact_uri))
            .unwrap();
    let matrix: serde_json::Value = serde_json::from_str(&matrix).unwrap();
    assert_eq!(matrix["labels"], serde_json::json!([0, 1, 2]));
    assert_eq!(matrix["matrix"][0], serde_json::json!([50, 0, 0]));
}

/// The digest is the one that MLflow 3.17.2 gives for the same arrays.
#[test]
fn a_dataset_has_mlflows_digest_and_description() {
    let records = Array1::range(0.0, 3.0, 0.25).into_shape_with_order((4, 3)).unwrap();
    let data = DatasetBase::new(records, Array1::from(vec![0_usize, 1, 2, 1]));
    let (_, run) = one_run(|| DecisionTree::params().fit(&data).unwrap());
    let dataset = &run.inputs.datasets[0].dataset;
    assert_eq!((dataset.name.as_str(), dataset.digest.as_str()), ("dataset", "22bea49c"));
    assert_eq!(dataset.source_type, "code");
    assert!(
        dataset.schema.as_ref().unwrap().starts_with(r#"{"mlflow_tensorspec": {"features": "[{\"type\""#)
    );
    assert_eq!(
        dataset.profile.as_deref().unwrap(),
        r#"{"features_shape": [4, 3], "features_size": 12, "features_nbytes": 96, "targets_shape": [4], "targets_size": 4, "targets_nbytes": 32}"#
    );
}

/// The digest is the one that MLflow 3.17.2 gives for the same data frame.
#[test]
fn a_dataset_with_names_is_a_data_frame() {
    let records = Array1::range(0.0, 3.0, 0.25).into_shape_with_order((4, 3)).unwrap();
    let data = DatasetBase::new(records, Array1::from(vec![0_usize, 1, 2, 1]));
    let data = data.with_feature_names(vec!["a", "b", "c"]);
    let (_, run) = one_run(|| DecisionTree::params().fit(&data).unwrap());
    let dataset = &run.inputs.datasets[0].dataset;
    assert_eq!(dataset.digest, "d3f79748");
    assert_eq!(
        dataset.schema.as_deref().unwrap(),
        r#"{"mlflow_colspec": [{"type": "double", "name": "a", "required": true}, {"type": "double", "name": "b", "required": true}, {"type": "double", "name": "c", "required": true}, {"type": "long", "name": "target", "required": true}]}"#
    );
    // A feature may be called as the target would be.
    let data = data.with_feature_names(vec!["a", "target", "c"]);
    let (_, run) = one_run(|| DecisionTree::params().fit(&data).unwrap());
    assert!(run.inputs.datasets[0].dataset.schema.as_ref().unwrap().contains("target (target)"));
}

/// The shares in the leaves would be others than those the tree was made by.
#[test]
fn a_tree_over_weighted_samples_tells_no_probabilities() {
    let data = linfa_datasets::iris().with_weights(Array1::from_elem(150, 2.0));
    let (_, run) = one_run(|| DecisionTree::params().fit(&data).unwrap());
    assert!(run.metric("training_accuracy_score").is_some());
    assert_eq!((run.metric("training_log_loss"), run.metric("training_roc_auc")), (None, None));
}

#[test]
fn the_source_is_the_line_of_the_call() {
    let data = linfa_datasets::iris();
    let line = line!() + 1;
    let (_, run) = one_run(|| DecisionTree::params().fit(&data).unwrap());
    assert_eq!(run.tag("runlog.source"), Some(format!("{}:{line}", file!()).as_str()));
}
