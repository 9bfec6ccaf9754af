//! What `mlflow.sklearn.autolog()` records of the same algorithms on the same data, beside what we record.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use linfa::dataset::{DatasetBase, Records};
use linfa_clustering::KMeans;
use linfa_linear::LinearRegression;
use linfa_logistic::{LogisticRegression, MultiLogisticRegression};
use linfa_trees::DecisionTree;
use ndarray::Array2;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;
use runlog_core::{Run, Tracker};
use runlog_linfa::Fit;
use serde_json::{Value, json};

use crate::recorded_in;

#[path = "../../../../tests/it/mlflow/environment.rs"]
mod environment;

/// How far each case's values may be apart: what the two algorithms do differently.
const CASES: [(&str, f64, &str); 5] = [
    ("linear regression", 1e-9, "both solve the least squares exactly"),
    ("logistic regression of two classes", 1e-3, "the same loss, minimised to linfa's tolerance"),
    ("logistic regression of many classes", 1e-3, "the same loss, minimised to linfa's tolerance"),
    ("decision tree", 0.05, "among equal gains each takes another split"),
    ("k-means", 0.01, "the starts are random; the best of many is found by both"),
];

/// Metrics of ours that MLflow has no counterpart to.
const ONLY_OURS: [(&str, &str); 3] = [
    ("training_inertia", "MLflow measures no clustering"),
    ("training_score", "MLflow logs the score of a clustering only if it was given targets"),
    ("training_silhouette_score", "MLflow measures no clustering"),
];

/// Files of MLflow's that we do not have.
const ONLY_MLFLOWS: [(&str, &str); 1] =
    [("estimator.html", "scikit-learn's own drawing of an estimator; linfa's estimators have none")];

fn rows(records: &Array2<f64>) -> Value {
    records.rows().into_iter().map(|row| row.to_vec()).collect::<Vec<_>>().into()
}

fn artifacts(tracker: &Tracker, run: &Run) -> Vec<String> {
    tracker.list_artifacts(&run.info.run_id, "").unwrap().into_iter().map(|file| file.path).collect()
}

fn scikit_learn(data: &Value) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scikit_learn.py");
    let mut python = Command::new(&*environment::PYTHON);
    python.arg(script).env("MLFLOW_DISABLE_TELEMETRY", "true").env("MLFLOW_LOGGING_LEVEL", "ERROR");
    python.env("MPLBACKEND", "agg").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    python.stdin.take().unwrap().write_all(data.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_same_is_recorded_as_of_scikit_learn() {
    let (diabetes, iris) = (linfa_datasets::diabetes(), linfa_datasets::iris());
    let flags = DatasetBase::new(iris.records.clone(), iris.targets.mapv(|class| usize::from(class == 1)));
    let points = DatasetBase::from(iris.records.clone());
    let theirs = scikit_learn(&json!({
        "linear regression": { "x": rows(&diabetes.records), "y": diabetes.targets.to_vec() },
        "logistic regression of two classes": { "x": rows(&iris.records), "y": flags.targets.to_vec() },
        "logistic regression of many classes": { "x": rows(&iris.records), "y": iris.targets.to_vec() },
        "decision tree": { "x": rows(&iris.records), "y": iris.targets.to_vec() },
        "k-means": { "x": rows(&points.records), "y": null },
    }));
    assert_eq!(points.records.nsamples(), 150);

    let dir = tempfile::tempdir().unwrap();
    let uri = format!("sqlite:///{}", dir.path().join("mlflow.db").display());
    let ((), runs, tracker) = recorded_in(&uri, || {
        LinearRegression::new().fit(&diabetes).unwrap();
        LogisticRegression::default().gradient_tolerance(1e-6).max_iterations(1_000).fit(&flags).unwrap();
        MultiLogisticRegression::default().gradient_tolerance(1e-6).max_iterations(1_000).fit(&iris).unwrap();
        DecisionTree::params().max_depth(Some(2)).fit(&iris).unwrap();
        KMeans::params_with_rng(3, Xoshiro256Plus::seed_from_u64(3))
            .n_runs(20)
            .tolerance(1e-8)
            .fit(&points)
            .unwrap();
    });
    for ((case, apart, _why), ours) in CASES.into_iter().zip(&runs) {
        let theirs = &theirs[case];
        for (key, value) in theirs["metrics"].as_object().unwrap() {
            let (value, own) = (value.as_f64().unwrap(), ours.metric(key));
            let own = own.unwrap_or_else(|| panic!("{case}: no {key}"));
            let difference = (own - value).abs() / value.abs().max(1.0);
            assert!(difference <= apart, "{case}: {key} is {own}, and {value} by scikit-learn");
        }
        for key in crate::metric_keys(ours) {
            let is_theirs = theirs["metrics"].get(key).is_some();
            assert!(
                is_theirs || ONLY_OURS.iter().any(|(only, _)| *only == key),
                "{case}: {key} is ours alone"
            );
        }
        for tag in theirs["tags"].as_array().unwrap() {
            assert!(ours.tag(tag.as_str().unwrap()).is_some(), "{case}: no tag {tag}");
        }
        let contexts: Vec<_> = ours.inputs.datasets.iter().map(|input| input.context().unwrap()).collect();
        assert_eq!(theirs["contexts"], json!(contexts), "{case}");
        assert_eq!(theirs["models"], ours.outputs.len(), "{case}");
        let files = artifacts(&tracker, ours);
        for file in theirs["artifacts"].as_array().unwrap() {
            let file = file.as_str().unwrap();
            let is_left_out = ONLY_MLFLOWS.iter().any(|(only, _)| *only == file);
            assert!(is_left_out || files.iter().any(|own| own == file), "{case}: no {file} in {files:?}");
        }
    }
}
