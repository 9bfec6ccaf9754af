//! Whatever goes wrong around a training, its result is the one that linfa gives.

use linfa::dataset::DatasetBase;
use linfa_bayes::GaussianNb;
use linfa_elasticnet::ElasticNet;
use linfa_linear::LinearRegression;
use linfa_logistic::MultiLogisticRegression;
use linfa_tsne::TSneParams;
use ndarray::{Array1, Array2, s};
use runlog_core::autolog::testing::Fault;
use runlog_core::fluent::with_tracker;

/// Trains without and with each fault, and compares what comes out, bit by bit.
fn unharmed<T: PartialEq + std::fmt::Debug>(plain: impl Fn() -> T, observed: impl Fn() -> T) {
    runlog_linfa::autolog();
    let expect = plain();
    for fault in Fault::ALL {
        assert_eq!(with_tracker(&fault.tracker(), &observed), expect, "{fault:?}");
    }
}

fn bits<'a>(values: impl IntoIterator<Item = &'a f64>) -> Vec<u64> {
    values.into_iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_fit_and_its_evaluation_are_unharmed() {
    let (train, valid) = linfa_datasets::diabetes().split_with_ratio(0.71);
    macro_rules! train {
        () => {{
            let model = LinearRegression::new().fit(&train).unwrap();
            let predicted = model.predict(&valid);
            let r2: f64 = predicted.r2(&valid).unwrap();
            (bits(model.params()), bits(&predicted), r2.to_bits())
        }};
    }
    unharmed(
        || {
            use linfa::prelude::*;
            train!()
        },
        || {
            use runlog_linfa::prelude::*;
            train!()
        },
    );
}

#[test]
fn a_classifier_and_its_pictures_are_unharmed() {
    let data = linfa_datasets::iris();
    macro_rules! train {
        () => {{
            let model = MultiLogisticRegression::default().max_iterations(7).fit(&data).unwrap();
            let matrix = model.predict(&data).confusion_matrix(&data).unwrap();
            (bits(model.params()), format!("{matrix:?}"))
        }};
    }
    unharmed(
        || {
            use linfa::prelude::*;
            train!()
        },
        || {
            use runlog_linfa::prelude::*;
            train!()
        },
    );
}

#[test]
fn fits_that_go_on_are_unharmed() {
    let data = linfa_datasets::iris();
    let (first, rest) = data.split_with_ratio(0.5);
    macro_rules! train {
        () => {{
            let model = GaussianNb::params().fit_with(None, &first).unwrap();
            let model = GaussianNb::params().fit_with(Some(model), &rest).unwrap();
            let labels: Array1<usize> = model.predict(&first);
            labels.to_vec()
        }};
    }
    unharmed(
        || {
            use linfa::prelude::*;
            train!()
        },
        || {
            use runlog_linfa::prelude::*;
            train!()
        },
    );
}

#[test]
fn an_embedding_is_unharmed() {
    let records = linfa_datasets::iris().records.slice(s![..60, ..]).to_owned();
    let params = TSneParams::embedding_size(2).perplexity(5.0).approx_threshold(0.0).max_iter(5);
    unharmed(
        || {
            let embedded: Array2<f64> =
                linfa::traits::Transformer::transform(&params, records.clone()).unwrap();
            bits(&embedded)
        },
        || bits(&runlog_linfa::Transformer::transform(&params, records.clone()).unwrap()),
    );
}

#[test]
fn a_cross_validation_is_unharmed() {
    use runlog_linfa::Recorded;

    let nets: Vec<_> = [0.1, 1.0].map(|penalty| ElasticNet::params().penalty(penalty)).into();
    let eval = |predicted: &Array1<f64>, truth: &ndarray::ArrayView1<'_, f64>| {
        linfa::metrics::SingleTargetRegression::r2(predicted, truth)
    };
    unharmed(
        || bits(&linfa_datasets::diabetes().cross_validate_single(3, &nets, eval).unwrap()),
        || bits(&linfa_datasets::diabetes().recorded().cross_validate_single(3, &nets, eval).unwrap()),
    );
}

#[test]
fn an_error_is_unharmed() {
    let data = DatasetBase::new(Array2::<f64>::zeros((3, 2)), Array1::zeros(3));
    let params = ElasticNet::params().penalty(-1.0);
    unharmed(
        || linfa::traits::Fit::fit(&params, &data).unwrap_err().to_string(),
        || runlog_linfa::Fit::fit(&params, &data).unwrap_err().to_string(),
    );
}
