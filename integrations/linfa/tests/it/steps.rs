//! Fits that go on with a model, and transformations that are algorithms.

use linfa::dataset::DatasetBase;
use linfa_bayes::GaussianNb;
use linfa_clustering::{IncrKMeansError, KMeans};
use linfa_ftrl::Ftrl;
use linfa_preprocessing::linear_scaling::LinearScaler;
use linfa_tsne::TSneParams;
use ndarray::Array2;
use runlog_core::{RunStatus, fluent};
use runlog_linfa::prelude::*;

use crate::{metric_keys, one_run, recorded};

#[test]
fn the_run_of_the_first_fit_records_those_that_go_on_with_its_model() {
    let data = linfa_datasets::iris();
    let parts: Vec<_> = data.sample_chunks(30).collect();
    let params = GaussianNb::params();
    let (model, run) = one_run(|| {
        let mut model = None;
        for part in &parts {
            model = Some(params.fit_with(model, part).unwrap());
        }
        model.unwrap()
    });
    let mut plain = None;
    for part in &parts {
        plain = Some(linfa::traits::FitWith::fit_with(&params, plain, part).unwrap());
    }
    assert_eq!(format!("{model:?}").len(), format!("{:?}", plain.unwrap()).len());
    assert_eq!(run.tag("estimator_name"), Some("GaussianNb"));
    assert_eq!(run.inputs.datasets.len(), 1);
    // After 1, 2 and 4 fits.
    assert_eq!(run.outputs.iter().map(|output| output.step).collect::<Vec<_>>(), [0, 1, 3]);
    let last = run.data.metrics.iter().find(|metric| metric.key == "training_accuracy_score").unwrap();
    assert_eq!(last.step, 4);
}

#[test]
fn a_model_of_another_run_goes_on_in_the_run_that_is_active() {
    let data = linfa_datasets::iris();
    let flags = DatasetBase::new(data.records, data.targets.mapv(|label| label == 0));
    let params = Ftrl::params();
    let ((), runs) = recorded(|| {
        let first = params.fit_with(None, &flags).unwrap();
        let run = fluent::start_run("second").unwrap();
        let second = params.fit_with(Some(first), &flags).unwrap();
        params.fit_with(Some(second), &flags).unwrap();
        run.finish().unwrap();
    });
    assert_eq!(runs.len(), 2);
    let second = runs.iter().find(|run| run.info.run_name == "second").unwrap();
    let last = second.data.metrics.iter().find(|metric| metric.key == "training_accuracy_score").unwrap();
    assert_eq!(last.step, 1);
}

#[test]
fn incremental_k_means_is_recorded_though_it_hands_its_model_out_as_an_error() {
    let data = DatasetBase::from(linfa_datasets::iris().records);
    let params = KMeans::params(3).tolerance(1e-9);
    let (fits, run) = one_run(|| {
        let mut model = None;
        (1..20)
            .find(|_| match params.fit_with(model.take(), &data) {
                Ok(_) => true,
                Err(IncrKMeansError::NotConverged(unfinished)) => {
                    model = Some(unfinished);
                    false
                }
                Err(error) => panic!("{error}"),
            })
            .unwrap_or(19)
    });
    assert_eq!(run.info.status, RunStatus::Finished);
    let last = run.data.metrics.iter().find(|metric| metric.key == "training_inertia").unwrap();
    assert_eq!(last.step, fits - 1);
}

#[test]
fn an_embedding_is_a_run_and_a_scaling_is_none() {
    let records = linfa_datasets::iris().records;
    let params = TSneParams::embedding_size(2).perplexity(10.0).approx_threshold(0.0).max_iter(20);
    let (embedded, run) = one_run(|| params.transform(records.clone()).unwrap());
    let plain: Array2<f64> = linfa::traits::Transformer::transform(&params, records.clone()).unwrap();
    assert_eq!(embedded.mapv(f64::to_bits), plain.mapv(f64::to_bits));
    assert_eq!((run.tag("estimator_name"), run.tag("runlog.output_shape")), (Some("TSne"), Some("[150, 2]")));
    assert_eq!((run.param("embedding_size"), run.inputs.datasets.len()), (Some("2"), 1));
    assert!(metric_keys(&run).is_empty());

    let (error, run) =
        one_run(|| TSneParams::embedding_size(9).transform(records.clone()).unwrap_err().to_string());
    assert_eq!(run.info.status, RunStatus::Failed);
    assert!(run.data.tags.iter().any(|tag| tag.value.contains(&error)));

    let data = DatasetBase::from(records.clone());
    let (_, runs) = recorded(|| {
        let scaler = LinearScaler::standard().fit(&data).unwrap();
        for _ in 0..3 {
            let _: Array2<f64> = scaler.transform(records.clone());
        }
    });
    assert_eq!((runs.len(), runs[0].tag("estimator_name")), (1, Some("LinearScaler")));
}
