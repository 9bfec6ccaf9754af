//! Cross-validation: by `.recorded()` with child runs, and by estimators that are recorded one by one.

use std::collections::BTreeMap;

use linfa_elasticnet::ElasticNet;
use linfa_logistic::MultiLogisticRegression;
use linfa_trees::DecisionTree;
use runlog_core::{Run, RunStatus};
use runlog_linfa::prelude::*;

use crate::{recorded, recorded_in};

fn alphas() -> Vec<f64> {
    (0..6).map(|power| 10_f64.powi(power - 2)).collect()
}

/// What is the same each time, which a tree over equal gains is not.
fn penalties() -> Vec<MultiLogisticRegression<f64>> {
    alphas().into_iter().map(|alpha| MultiLogisticRegression::default().alpha(alpha)).collect()
}

fn children<'r>(runs: &'r [Run], parent: &Run) -> Vec<&'r Run> {
    runs.iter().filter(|run| run.tag("mlflow.parentRunId") == Some(parent.info.run_id.as_str())).collect()
}

#[test]
fn a_recorded_cross_validation_is_linfas_with_a_child_run_for_each_of_the_best() {
    let accuracy = |predicted: &ndarray::Array1<usize>, truth: &ndarray::ArrayView1<'_, usize>| {
        Ok(linfa::metrics::ToConfusionMatrix::confusion_matrix(predicted, truth)?.accuracy())
    };
    let dir = tempfile::tempdir().unwrap();
    let uri = format!("sqlite:///{}", dir.path().join("mlflow.db").display());
    let mut data = linfa_datasets::iris();
    let plain = data.clone().cross_validate_single(5, &penalties(), accuracy).unwrap();
    let (scores, runs, _tracker) =
        recorded_in(&uri, || data.recorded().cross_validate_single(5, &penalties(), accuracy).unwrap());
    assert_eq!(scores, plain);
    assert_eq!(data.records(), linfa_datasets::iris().records());

    let parent = runs.iter().find(|run| run.tag("mlflow.parentRunId").is_none()).unwrap();
    assert_eq!(
        (parent.info.status, parent.tag("estimator_name")),
        (RunStatus::Finished, Some("MultiLogisticRegression"))
    );
    assert_eq!((parent.param("cv"), parent.param("alpha")), (Some("5"), None));
    assert_eq!(parent.param("max_iterations"), Some("100"));
    assert_eq!(parent.inputs.datasets.len(), 1);
    let best = scores.iter().copied().fold(f32::MIN, f32::max);
    assert!((parent.metric("best_cv_score").unwrap() - f64::from(best)).abs() < 1e-6);
    let place = scores.iter().position(|score| score.to_bits() == best.to_bits()).unwrap();
    let alpha: f64 = parent.param("best_alpha").unwrap().parse().unwrap();
    assert_eq!(alpha.to_bits(), alphas()[place].to_bits());

    let children = children(&runs, parent);
    assert_eq!((children.len(), runs.len()), (5, 6));
    for child in children {
        assert_eq!(
            (child.tag("mlflow.autologging"), child.info.status),
            (Some("linfa"), RunStatus::Finished)
        );
        let alpha: f64 = child.param("alpha").unwrap().parse().unwrap();
        let place = alphas().iter().position(|known| known.to_bits() == alpha.to_bits()).unwrap();
        let score = child.metric("mean_test_score").unwrap();
        assert!((score - f64::from(scores[place])).abs() < 1e-6);
        assert_eq!(
            crate::metric_keys(child),
            [
                "mean_fit_time",
                "mean_score_time",
                "mean_test_score",
                "rank_test_score",
                "std_fit_time",
                "std_score_time",
                "std_test_score"
            ]
        );
    }
    let table = std::fs::read_to_string(format!("{}/cv_results.csv", parent.info.artifact_uri)).unwrap();
    let mut lines = table.lines();
    assert_eq!(
        lines.next().unwrap(),
        "mean_fit_time,std_fit_time,mean_score_time,std_score_time,param_alpha,params,split0_test_score,\
         split1_test_score,split2_test_score,split3_test_score,split4_test_score,mean_test_score,std_test_score,\
         rank_test_score"
    );
    assert_eq!(lines.count(), 6);
}

#[test]
fn the_lowest_error_is_the_best_where_it_is_said_so() {
    let mut data = linfa_datasets::diabetes();
    let nets: Vec<_> = [10.0, 0.001].map(|penalty| ElasticNet::params().penalty(penalty)).into();
    let (errors, runs) = recorded(|| {
        let search = data.recorded().lower_is_better();
        search.cross_validate_single(3, &nets, |predicted, truth| {
            linfa::metrics::SingleTargetRegression::mean_squared_error(predicted, truth)
        })
    });
    let errors = errors.unwrap();
    assert!(errors[1] < errors[0]);
    let parent = runs.iter().find(|run| run.tag("mlflow.parentRunId").is_none()).unwrap();
    assert_eq!(parent.param("best_penalty"), Some("0.001"));
    let ranks: BTreeMap<_, _> = children(&runs, parent)
        .iter()
        .map(|run| (run.param("penalty").unwrap(), run.metric("rank_test_score").unwrap()))
        .collect();
    assert_eq!(ranks, [("0.001", 1.0), ("10.0", 2.0)].into());
}

#[test]
fn a_score_that_is_no_number_comes_last() {
    let mut data = linfa_datasets::diabetes();
    let nets: Vec<_> = [10.0, 0.1].map(|penalty| ElasticNet::params().penalty(penalty)).into();
    for lower_is_better in [false, true] {
        let calls = std::cell::Cell::new(0);
        let (_, runs) = recorded(|| {
            let search = data.recorded();
            let search = if lower_is_better { search.lower_is_better() } else { search };
            search.cross_validate_single(2, &nets, |_, _| {
                calls.set(calls.get() + 1);
                // The candidates take turns.
                Ok::<f64, Error>(if calls.get() % 2 == 1 { f64::NAN } else { 1.0 })
            })
        });
        let parent = runs.iter().find(|run| run.tag("mlflow.parentRunId").is_none()).unwrap();
        assert_eq!(parent.param("best_penalty"), Some("0.1"));
    }
}

#[test]
fn an_error_of_a_candidate_is_returned_and_fails_the_run() {
    let mut data = linfa_datasets::diabetes();
    let nets = [ElasticNet::<f64>::params().penalty(-1.0)];
    let (result, runs) =
        recorded(|| data.recorded().cross_validate_single(3, &nets, |_, _| Ok::<f64, Error>(0.0)));
    assert!(result.is_err());
    assert_eq!((runs.len(), runs[0].info.status), (1, RunStatus::Failed));
}

#[test]
fn an_autologged_estimator_is_recorded_wherever_linfas_trait_is_called() {
    fn generic<P>(params: &P) -> P::Object
    where
        P: linfa::traits::Fit<ndarray::Array2<f64>, ndarray::Array1<usize>, Error>,
    {
        linfa::traits::Fit::fit(params, &linfa_datasets::iris()).unwrap()
    }
    let (_, runs) = recorded(|| generic(&DecisionTree::params().max_depth(Some(2)).autolog()));
    assert_eq!((runs.len(), runs[0].param("max_depth")), (1, Some("2")));

    // Each fit of a fold is a run, as each fit inside scikit-learn's `cross_val_score` is.
    let mut data = linfa_datasets::iris();
    let models = [DecisionTree::params().autolog()];
    let ((), runs) = recorded(|| {
        data.cross_validate_single(3, &models, |_, _| Ok::<f64, Error>(0.0)).unwrap();
    });
    assert_eq!(runs.len(), 3);
    let (_, runs) = recorded(|| {
        let params = DecisionTree::params().autolog();
        data.iter_fold(2, |train| linfa::traits::Fit::fit(&params, train).unwrap()).count()
    });
    assert_eq!(runs.len(), 2);
}

#[test]
fn an_autologged_estimator_is_recorded_once_whatever_calls_it() {
    let data = linfa_datasets::iris();
    let (model, runs) = recorded(|| DecisionTree::params().autolog().fit(&data).unwrap());
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].tag("estimator_name"), Some("DecisionTree"));
    let plain: DecisionTree<f64, usize> = linfa::traits::Fit::fit(&DecisionTree::params(), &data).unwrap();
    assert_eq!(model, plain);
    // It is the estimator in everything else.
    let params = DecisionTree::<f64, usize>::params().autolog();
    assert_eq!(*params, params.into_inner());
}
