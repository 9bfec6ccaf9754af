//! Metrics that are taken of predictions after the fit, through our prelude alone.
//!
//! Equal models share their evaluations, so no two tests train the same one.

use linfa::dataset::{DatasetBase, Pr};
use linfa_bayes::GaussianNb;
use linfa_clustering::KMeans;
use linfa_linear::LinearRegression;
use linfa_logistic::MultiLogisticRegression;
use linfa_svm::Svm;
use linfa_trees::DecisionTree;
use ndarray::Array1;
use runlog_core::Run;
use runlog_linfa::prelude::*;

use crate::{one_run, recorded};

fn close(run: &Run, key: &str, expect: f64) {
    let value = run.metric(key).unwrap_or_else(|| panic!("no {key} in {:?}", crate::metric_keys(run)));
    assert!((value - expect).abs() < 1e-12, "{key} = {value}, not {expect}");
}

/// Flowers of another size.
fn iris(scale: f64) -> Dataset<f64, usize, ndarray::Ix1> {
    let mut iris = linfa_datasets::iris();
    iris.records *= scale;
    iris
}

/// The metrics that are not of the training.
fn evaluated(run: &Run) -> Vec<&str> {
    crate::metric_keys(run).into_iter().filter(|key| !key.starts_with("training_")).collect()
}

#[test]
fn a_metric_of_a_prediction_is_logged_to_the_run_of_the_fit() {
    let (train, valid) = linfa_datasets::diabetes().split_with_ratio(0.8);
    let ((r2, error), run) = one_run(|| {
        let model = LinearRegression::new().fit(&train).unwrap();
        let predicted = model.predict(&valid);
        (predicted.r2(&valid).unwrap(), predicted.mean_absolute_error(valid.targets()).unwrap())
    });
    assert_eq!(evaluated(&run), ["mean_absolute_error_eval", "r2_score_eval"]);
    close(&run, "r2_score_eval", r2);
    close(&run, "mean_absolute_error_eval", error);
    let contexts: Vec<_> = run.inputs.datasets.iter().map(|input| input.tags[0].1.clone()).collect();
    assert_eq!(contexts, ["train", "eval"]);
}

#[test]
fn the_name_of_a_dataset_is_in_the_key_and_in_the_input() {
    let (train, valid) = linfa_datasets::diabetes().split_with_ratio(0.81);
    let (train, valid) = (train.named("train"), valid.named("valid"));
    let ((), run) = one_run(|| {
        let model = LinearRegression::new().fit(&train).unwrap();
        model.predict(&valid).r2(&valid).unwrap();
        model.predict(&train).r2(&train).unwrap();
        // A copy has no name.
        let copy = valid.clone();
        model.predict(&copy).mean_squared_error(&copy).unwrap();
    });
    assert_eq!(evaluated(&run), ["mean_squared_error_eval", "r2_score_train", "r2_score_valid"]);
    let names: Vec<_> = run.inputs.datasets.iter().map(|input| input.dataset.name.as_str()).collect();
    assert_eq!(names, ["dataset", "train", "valid"]);
}

#[test]
fn another_dataset_of_the_same_name_is_numbered_and_the_same_call_again_is_not_logged_again() {
    let (train, rest) = linfa_datasets::diabetes().split_with_ratio(0.6);
    let (first, second) = rest.split_with_ratio(0.5);
    let ((), run) = one_run(|| {
        let model = LinearRegression::new().fit(&train).unwrap();
        for valid in [&first, &second, &first] {
            model.predict(valid).r2(valid).unwrap();
        }
    });
    assert_eq!(evaluated(&run), ["r2_score_eval", "r2_score_eval-2"]);
}

#[test]
fn labels_give_scikit_learns_scores_and_the_confusion_matrix_is_linfas() {
    let data = iris(1.1);
    let (matrix, run) = one_run(|| {
        let model = DecisionTree::params().max_depth(Some(2)).fit(&data).unwrap();
        model.predict(&data).confusion_matrix(&data).unwrap()
    });
    let keys = ["accuracy_score_eval", "f1_score_eval", "precision_score_eval", "recall_score_eval"];
    assert_eq!(evaluated(&run), keys);
    for key in keys {
        let training = format!("training_{}", key.strip_suffix("_eval").unwrap());
        close(&run, key, run.metric(&training).unwrap());
    }
    let plain = linfa::traits::Fit::fit(&DecisionTree::params().max_depth(Some(2)), &data).unwrap();
    let plain = linfa::traits::Predict::predict(&plain, &data);
    let expect = linfa::metrics::ToConfusionMatrix::confusion_matrix(&plain, &data).unwrap();
    assert_eq!(format!("{matrix:?}"), format!("{expect:?}"));
}

#[test]
fn probabilities_and_clusters_are_evaluated_too() {
    let (records, labels) = {
        let iris = iris(1.3);
        (iris.records, iris.targets)
    };
    let flags = DatasetBase::new(records.clone(), labels.mapv(|label| label == 1));
    let ((), run) = one_run(|| {
        let model = Svm::<f64, Pr>::params().gaussian_kernel(30.0).fit(&flags).unwrap();
        let predicted: Array1<Pr> = model.predict(&flags);
        predicted.roc(flags.targets().as_slice().unwrap()).unwrap();
        predicted.log_loss(flags.targets().as_slice().unwrap()).unwrap();
    });
    assert_eq!(evaluated(&run), ["log_loss_eval", "roc_auc_score_eval"]);

    let (score, run) = one_run(|| {
        let model = KMeans::params(3).fit(&DatasetBase::from(records.clone())).unwrap();
        let clustered = model.predict(DatasetBase::from(records.clone()));
        clustered.silhouette_score().unwrap()
    });
    close(&run, "silhouette_score_eval", score);
}

#[test]
fn every_target_of_several_has_a_metric() {
    let data = linfa_datasets::linnerud();
    let (r2, run) = one_run(|| {
        let model = linfa_elasticnet::MultiTaskElasticNet::params().fit(&data).unwrap();
        model.predict(&data).r2(&data).unwrap()
    });
    assert_eq!(evaluated(&run), ["r2_score_0_eval", "r2_score_1_eval", "r2_score_2_eval"]);
    close(&run, "r2_score_2_eval", r2[2]);
}

#[test]
fn each_model_is_evaluated_in_its_own_run() {
    let data = iris(1.2);
    let (scores, runs) = recorded(|| {
        let models: Vec<_> =
            [1, 2].map(|depth| DecisionTree::params().max_depth(Some(depth)).fit(&data).unwrap()).into();
        let predicted: Vec<_> = models.iter().map(|model| model.predict(&data)).collect();
        let mut scores: Vec<_> = Vec::new();
        for predicted in predicted.iter().rev() {
            scores.insert(0, f64::from(predicted.confusion_matrix(&data).unwrap().accuracy()));
        }
        scores
    });
    for (run, score) in runs.iter().zip(&scores) {
        assert!((run.metric("accuracy_score_eval").unwrap() - score).abs() < 1e-6);
    }
    assert_ne!(scores[0].to_bits(), scores[1].to_bits());
}

#[test]
fn what_is_not_known_for_certain_is_not_logged() {
    let (train, valid) = linfa_datasets::diabetes().split_with_ratio(0.82);
    let ((), runs) = recorded(|| {
        // Not fitted through us.
        let unseen = linfa::traits::Fit::fit(&LinearRegression::new().with_intercept(false), &train).unwrap();
        unseen.predict(&valid).r2(&valid).unwrap();
        let seen = LinearRegression::new().fit(&train).unwrap();
        // Not predicted through us, or changed since.
        linfa::traits::Predict::predict(&seen, &valid).r2(&valid).unwrap();
        let mut predicted = seen.predict(&valid);
        predicted[0] += 1.0;
        predicted.r2(&valid).unwrap();
        // A single row.
        let one = seen.predict(&valid.records().slice(ndarray::s![..1, ..]).to_owned());
        one.mean_absolute_error(&ndarray::array![1.0]).unwrap();
    });
    assert_eq!(runs.len(), 1);
    assert!(evaluated(&runs[0]).is_empty(), "{:?}", evaluated(&runs[0]));
}

#[test]
fn how_two_models_agree_is_no_metric_of_either() {
    let (train, valid) = linfa_datasets::diabetes().split_with_ratio(0.83);
    let ((), runs) = recorded(|| {
        let first = LinearRegression::new().fit(&train).unwrap();
        let second = LinearRegression::new().with_intercept(false).fit(&train).unwrap();
        let (first, second) = (first.predict(&valid), second.predict(&valid));
        first.r2(&second).unwrap();
        let labels = |values: &Array1<f64>| values.mapv(|value| value > 150.0);
        labels(&first).confusion_matrix(&labels(&second)).unwrap();
        let trees =
            [3, 5].map(|depth| DecisionTree::params().max_depth(Some(depth)).fit(&iris(1.5)).unwrap());
        let [third, fourth] = trees.map(|tree| tree.predict(&iris(1.5)));
        third.confusion_matrix(&fourth).unwrap();
    });
    assert_eq!(runs.len(), 4);
    for run in &runs {
        assert!(evaluated(run).is_empty(), "{:?}", evaluated(run));
    }
}

#[test]
fn a_model_that_is_fitted_further_has_a_value_for_each_of_its_steps() {
    let data = iris(1.6);
    let parts: Vec<_> = data.sample_chunks(50).collect();
    let (scores, run) = one_run(|| {
        let (mut model, mut scores) = (None, Vec::new());
        for part in &parts {
            let fitted = GaussianNb::params().fit_with(model, part).unwrap();
            let matrix = fitted.predict(&data).confusion_matrix(&data).unwrap();
            scores.push(f64::from(matrix.accuracy()));
            model = Some(fitted);
        }
        scores
    });
    let keys = ["accuracy_score_eval", "f1_score_eval", "precision_score_eval", "recall_score_eval"];
    assert_eq!(evaluated(&run), keys);
    let last = run.data.metrics.iter().find(|metric| metric.key == keys[0]).unwrap();
    assert_eq!(last.step, 2);
    assert!((last.value - scores[2]).abs() < 1e-6, "{} of {scores:?}", last.value);
}

#[test]
fn what_is_remembered_keeps_no_tracker_open() {
    let dir = tempfile::tempdir().unwrap();
    let uri = format!("sqlite:///{}", dir.path().join("mlflow.db").display());
    let (train, valid) = linfa_datasets::diabetes().split_with_ratio(0.84);
    let (predicted, _, tracker) = crate::recorded_in(&uri, || {
        let model = LinearRegression::new().fit(&train).unwrap();
        let predicted = model.predict(&valid);
        predicted.r2(&valid).unwrap();
        predicted
    });
    let place = tracker.journal_dir().unwrap();
    let journals = || std::fs::read_dir(&place).unwrap().count();
    assert_eq!(journals(), 1, "it is open");
    drop(tracker);
    assert_eq!(journals(), 0, "it is closed");
    // Nobody is there any more to be told.
    predicted.mean_absolute_error(&valid).unwrap();
}

#[test]
fn equal_models_share_what_is_true_of_both() {
    let data = linfa_datasets::diabetes();
    let ((), runs) = recorded(|| {
        let first = LinearRegression::new().fit(&data).unwrap();
        let second = LinearRegression::new().fit(&data).unwrap();
        first.predict(&data).r2(&data).unwrap();
        second.predict(&data).r2(&data).unwrap();
    });
    assert_eq!(runs.len(), 2);
    for run in &runs {
        assert_eq!(evaluated(run), ["r2_score_eval"]);
    }
}

#[test]
fn metrics_are_of_the_model_and_their_calls_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let uri = format!("sqlite:///{}", dir.path().join("mlflow.db").display());
    let data = iris(1.4).named("flowers");
    let (line, runs, tracker) = crate::recorded_in(&uri, || {
        let model = MultiLogisticRegression::default().fit(&data).unwrap();
        model.predict(&data).confusion_matrix(&data).unwrap();
        line!() - 1
    });
    let run = &runs[0];
    let told = std::fs::read_to_string(format!("{}/metric_info.json", run.info.artifact_uri)).unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["accuracy_score_flowers"], format!("confusion_matrix at {}:{line}", file!()));
    let model = tracker.get_logged_model(&run.outputs[0].model_id).unwrap();
    let of_model: Vec<_> = model.metrics.iter().map(|metric| metric.key.as_str()).collect();
    assert!(of_model.contains(&"accuracy_score_flowers"), "{of_model:?}");
    assert!(of_model.contains(&"training_accuracy_score"), "{of_model:?}");
}
