//! Settings of every way in which they are read, and types that are not in the table.

use linfa::prelude::ParamGuard;
use linfa_bayes::GaussianNb;
use linfa_clustering::{GaussianMixtureModel, KMeans};
use linfa_elasticnet::ElasticNet;
use linfa_ensemble::RandomForestParams;
use linfa_logistic::{LogisticRegression, MultiLogisticRegression};
use linfa_reduction::random_projection::GaussianRandomProjection;
use linfa_svm::Svm;
use linfa_trees::DecisionTree;
use rand::rngs::{SmallRng, StdRng};
use rand::{SeedableRng, thread_rng};
use runlog_linfa::Fit;

use crate::one_run;

/// Numbers are classes for logistic regression alone; for the others linfa does not take them.
#[test]
fn logistic_regression_over_numbers() {
    let data = linfa_datasets::iris().map_targets(|class| i64::try_from(*class).unwrap() - 1);
    let (_, run) = one_run(|| MultiLogisticRegression::default().max_iterations(9).fit(&data).unwrap());
    assert!(run.metric("training_accuracy_score").is_some_and(|score| score > 0.5));
    let data = linfa_datasets::iris().map_targets(|class| u8::from(*class == 0));
    let (_, run) = one_run(|| LogisticRegression::default().max_iterations(9).fit(&data).unwrap());
    assert!(run.metric("training_accuracy_score").is_some_and(|score| score > 0.5));
}

#[test]
fn settings_are_read_alike_checked_and_unchecked() {
    fn pairs<P: ParamGuard>(params: P, fit: impl Fn(&P), fit_checked: impl Fn(&P::Checked)) -> usize
    where
        P::Error: std::fmt::Debug,
    {
        let ((), unchecked) = one_run(|| fit(&params));
        let ((), checked) = one_run(|| fit_checked(&params.check().unwrap()));
        assert_eq!(unchecked.data.params, checked.data.params);
        unchecked.data.params.len()
    }
    macro_rules! pairs {
        ($params:expr, $data:expr) => {
            pairs($params, |params| drop(params.fit($data)), |params| drop(params.fit($data)))
        };
    }
    let (iris, diabetes) = (linfa_datasets::iris(), linfa_datasets::diabetes());
    let flags = linfa_datasets::iris().map_targets(|class| *class == 0);
    assert_eq!(pairs!(linfa_lars::Lars::params(), &diabetes), 4);
    assert_eq!(pairs!(linfa_linear::TweedieRegressor::params().power(0.0), &diabetes), 6);
    assert_eq!(pairs!(ElasticNet::params(), &diabetes), 5);
    assert_eq!(pairs!(DecisionTree::params(), &iris), 5);
    assert_eq!(pairs!(GaussianNb::params(), &iris), 1);
    assert_eq!(pairs!(LogisticRegression::default().max_iterations(5), &flags), 5);
    assert_eq!(pairs!(KMeans::params_with_rng(2, SmallRng::seed_from_u64(1)), &iris), 6);
    assert_eq!(pairs!(GaussianMixtureModel::params(2), &iris), 7);
    assert_eq!(pairs!(Svm::<_, bool>::params(), &flags), 10);
    assert_eq!(pairs!(linfa_ica::fast_ica::FastIca::params().random_state(1), &iris), 5);
    let projection = GaussianRandomProjection::<f64>::params().target_dim(2);
    assert_eq!(pairs!(projection.with_rng(StdRng::seed_from_u64(1)), &iris), 2);
    let forest = RandomForestParams::new_fixed_rng(DecisionTree::params(), thread_rng());
    assert_eq!(pairs!(forest.ensemble_size(2), &iris), 8);
}

/// The generator is of a type that is not in the table, so the settings cannot be read; the model is known.
#[test]
fn settings_of_an_unknown_type_leave_the_rest_as_it_is() {
    let data = linfa_datasets::iris();
    let generator = rand::rngs::mock::StepRng::new(1, 7_919);
    let (_, run) = one_run(|| KMeans::params_with_rng(2, generator).fit(&data).unwrap());
    assert_eq!((run.tag("estimator_name"), run.data.params.len()), (Some("KMeans"), 0));
    assert!(run.metric("training_inertia").is_some());
    assert_eq!(run.outputs.len(), 1);
}
