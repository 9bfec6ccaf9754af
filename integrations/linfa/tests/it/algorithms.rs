//! Every known algorithm on data that people know, over both floats and every kind of label.

use linfa::DatasetBase;
use linfa::prelude::{Predict, SingleTargetRegression, ToConfusionMatrix, Transformer};
use linfa_bayes::GaussianNb;
use linfa_clustering::{GaussianMixtureModel, KMeans};
use linfa_elasticnet::{ElasticNet, MultiTaskElasticNet};
use linfa_linear::LinearRegression;
use linfa_logistic::{LogisticRegression, MultiLogisticRegression};
use linfa_svm::Svm;
use linfa_trees::DecisionTree;
use ndarray::Ix1;
use rand::rngs::{SmallRng, StdRng};
use rand::{SeedableRng, thread_rng};
use runlog_core::{Run, RunStatus};
use runlog_linfa::Fit;

use crate::{metric_keys, one_run};

const REGRESSION: [&str; 5] = [
    "training_mean_absolute_error",
    "training_mean_squared_error",
    "training_r2_score",
    "training_root_mean_squared_error",
    "training_score",
];

const CLASSIFICATION: [&str; 5] = [
    "training_accuracy_score",
    "training_f1_score",
    "training_precision_score",
    "training_recall_score",
    "training_score",
];

/// Of models that tell how probable each class is.
const PROBABILITIES: [&str; 7] = [
    "training_accuracy_score",
    "training_f1_score",
    "training_log_loss",
    "training_precision_score",
    "training_recall_score",
    "training_roc_auc",
    "training_score",
];

const K_MEANS: [&str; 3] = ["training_inertia", "training_score", "training_silhouette_score"];

/// What every recorded fit has, whatever was fitted.
#[track_caller]
fn check(run: &Run, estimator: &str, params: &[(&str, &str)], metrics: &[&str]) {
    assert_eq!(run.info.status, RunStatus::Finished);
    assert_eq!(run.tag("estimator_name"), Some(estimator));
    assert_eq!(run.tag("mlflow.autologging"), Some("linfa"));
    assert!(run.tag("runlog.source").unwrap().contains("algorithms.rs:"), "{:?}", run.data.tags);
    for (key, value) in params {
        assert_eq!(run.param(key), Some(*value), "{key}: {:#?}", run.data.params);
    }
    assert!(run.data.params.iter().all(|param| !param.key.contains("rng")), "{:#?}", run.data.params);
    assert_eq!(metric_keys(run), metrics);
    assert_eq!(run.inputs.datasets[0].context(), Some("train"));
    assert_eq!(run.outputs.len(), 1, "a model was logged");
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() < 1e-6
}

#[test]
fn linear_regression() {
    let data = linfa_datasets::diabetes();
    let (model, run) = one_run(|| LinearRegression::default().fit(&data).unwrap());
    check(&run, "LinearRegression", &[("fit_intercept", "True")], &REGRESSION);
    assert!(close(run.metric("training_r2_score").unwrap(), model.predict(&data).r2(&data).unwrap()));
}

#[test]
fn linear_regression_of_single_precision() {
    let data = linfa_datasets::diabetes();
    #[expect(clippy::cast_possible_truncation, reason = "single precision is the point")]
    let short = |value: &f64| *value as f32;
    let data = DatasetBase::new(data.records.map(short), data.targets.map(short));
    let (_, run) = one_run(|| LinearRegression::new().with_intercept(false).fit(&data).unwrap());
    check(&run, "LinearRegression", &[("fit_intercept", "False")], &REGRESSION);
    assert!(run.inputs.datasets[0].dataset.schema.as_ref().unwrap().contains("float32"));
}

#[test]
fn the_other_kinds_in_single_precision() {
    #[expect(clippy::cast_possible_truncation, reason = "single precision is the point")]
    let records = linfa_datasets::iris().records.map(|value| *value as f32);
    let data = DatasetBase::new(records, linfa_datasets::iris().targets);
    let (_, run) = one_run(|| DecisionTree::params().fit(&data).unwrap());
    check(&run, "DecisionTree", &[("min_impurity_decrease", "1e-05")], &PROBABILITIES);
    let (_, run) = one_run(|| GaussianNb::params().fit(&data).unwrap());
    check(&run, "GaussianNb", &[("var_smoothing", "1e-09")], &PROBABILITIES);
    let (_, run) = one_run(|| MultiLogisticRegression::default().max_iterations(9).fit(&data).unwrap());
    check(&run, "MultiLogisticRegression", &[("max_iterations", "9")], &PROBABILITIES);
    let (_, run) = one_run(|| KMeans::params_with_rng(3, thread_rng()).fit(&data).unwrap());
    check(&run, "KMeans", &[], &K_MEANS);
    let flags = data.map_targets(|class| *class == 0);
    let (_, run) = one_run(|| Svm::<f32, bool>::params().linear_kernel().fit(&flags).unwrap());
    check(&run, "Svm", &[("kernel.method", "Linear")], &CLASSIFICATION);
}

#[test]
fn elastic_net_and_its_multi_task_form() {
    let data = linfa_datasets::diabetes();
    let (_, run) = one_run(|| ElasticNet::params().penalty(0.3).l1_ratio(0.5).fit(&data).unwrap());
    check(&run, "ElasticNet", &[("penalty", "0.3"), ("l1_ratio", "0.5")], &REGRESSION);

    let data = linfa_datasets::linnerud();
    let (_, run) = one_run(|| MultiTaskElasticNet::params().penalty(0.1).fit(&data).unwrap());
    check(&run, "MultiTaskElasticNet", &[("penalty", "0.1")], &REGRESSION);
    let schema = run.inputs.datasets[0].dataset.schema.clone().unwrap();
    for column in ["Chins", "Situps", "Jumps", "Weight", "Waist", "Pulse"] {
        assert!(schema.contains(column), "{column} in {schema}");
    }
}

#[test]
fn decision_trees_over_every_label() {
    let data = linfa_datasets::iris();
    let (model, run) = one_run(|| DecisionTree::params().max_depth(Some(2)).fit(&data).unwrap());
    check(
        &run,
        "DecisionTree",
        &[("max_depth", "2"), ("split_quality", "Gini"), ("min_weight_leaf", "1.0")],
        &PROBABILITIES,
    );
    let matrix = model.predict(&data).confusion_matrix(&data).unwrap();
    assert!(close(run.metric("training_accuracy_score").unwrap(), f64::from(matrix.accuracy())));

    let texts = linfa_datasets::iris().map_targets(|class| format!("class {class}"));
    let (_, run) = one_run(|| DecisionTree::params().fit(&texts).unwrap());
    check(&run, "DecisionTree", &[], &PROBABILITIES);

    let borrowed = linfa_datasets::iris().map_targets(|class| if *class == 0 { "first" } else { "other" });
    let (_, run) = one_run(|| DecisionTree::params().fit(&borrowed).unwrap());
    check(&run, "DecisionTree", &[], &PROBABILITIES);

    let flags = linfa_datasets::iris().map_targets(|class| *class == 1);
    let (_, run) = one_run(|| DecisionTree::params().fit(&flags).unwrap());
    check(&run, "DecisionTree", &[], &PROBABILITIES);
}

#[test]
fn logistic_regression_of_two_and_of_many_classes() {
    let data = linfa_datasets::winequality().map_targets(|quality| if *quality > 6 { "good" } else { "bad" });
    let (_, run) = one_run(|| LogisticRegression::default().max_iterations(30).fit(&data).unwrap());
    check(&run, "LogisticRegression", &[("max_iterations", "30"), ("alpha", "1.0")], &PROBABILITIES);

    let data = linfa_datasets::iris();
    let (_, run) = one_run(|| MultiLogisticRegression::default().max_iterations(30).fit(&data).unwrap());
    check(&run, "MultiLogisticRegression", &[("max_iterations", "30")], &PROBABILITIES);
}

#[test]
fn gaussian_naive_bayes() {
    let data = linfa_datasets::iris();
    let (_, run) = one_run(|| GaussianNb::params().var_smoothing(1e-5).fit(&data).unwrap());
    check(&run, "GaussianNb", &[("var_smoothing", "1e-05")], &PROBABILITIES);
}

#[test]
fn support_vector_machines_of_all_three_kinds() {
    let data = linfa_datasets::iris().map_targets(|class| *class == 0);
    let (_, run) = one_run(|| {
        Svm::<_, bool>::params().pos_neg_weights(5.0, 1.0).gaussian_kernel(80.0).fit(&data).unwrap()
    });
    check(&run, "Svm", &[("c", "[5.0, 1.0]"), ("kernel.method", "Gaussian(80.0)")], &CLASSIFICATION);

    let (_, run) =
        one_run(|| Svm::<_, linfa::dataset::Pr>::params().gaussian_kernel(30.0).fit(&data).unwrap());
    check(&run, "Svm", &[("kernel.method", "Gaussian(30.0)")], &PROBABILITIES);

    let (data, _) = linfa_datasets::diabetes().split_with_ratio(0.3);
    let (_, run) = one_run(|| Svm::<_, f64>::params().c_svr(100.0, None).linear_kernel().fit(&data).unwrap());
    check(&run, "Svm", &[("kernel.method", "Linear")], &REGRESSION);
}

#[test]
fn k_means_is_a_clustering_even_on_labelled_data() {
    let data = linfa_datasets::iris();
    let (model, run) = one_run(|| {
        KMeans::params_with_rng(3, SmallRng::seed_from_u64(7)).tolerance(1e-3).fit(&data).unwrap()
    });
    check(
        &run,
        "KMeans",
        &[("n_clusters", "3"), ("tolerance", "0.001"), ("init", "KMeansPlusPlus"), ("dist_fn", "L2Dist")],
        &K_MEANS,
    );
    // linfa's own is the mean, scikit-learn's and ours the sum.
    let sum = model.transform(&data.records).sum();
    assert!(close(run.metric("training_inertia").unwrap(), sum));
    assert!(close(model.inertia() * 150.0, sum));
}

#[test]
fn clusterings_without_labels() {
    let data = DatasetBase::from(linfa_datasets::iris().records);
    let (_, run) = one_run(|| KMeans::params_with_rng(2, StdRng::seed_from_u64(7)).fit(&data).unwrap());
    check(&run, "KMeans", &[], &K_MEANS);
    let (_, run) = one_run(|| GaussianMixtureModel::params(2).fit(&data).unwrap());
    check(&run, "GaussianMixtureModel", &[("n_clusters", "2")], &["training_silhouette_score"]);
}

#[test]
fn views_and_parts_of_a_dataset() {
    let data = linfa_datasets::iris();
    let view: DatasetBase<_, ndarray::ArrayView<'_, usize, Ix1>> = data.view();
    let (_, run) = one_run(|| DecisionTree::params().fit(&view).unwrap());
    check(&run, "DecisionTree", &[], &PROBABILITIES);

    // Labels that linfa has counted.
    let (train, _) = linfa_datasets::iris().split_with_ratio(0.8);
    let one = train.one_vs_all().unwrap().remove(0).1;
    let (_, run) = one_run(|| DecisionTree::params().fit(&one).unwrap());
    check(&run, "DecisionTree", &[], &PROBABILITIES);
}
