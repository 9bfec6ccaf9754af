//! This crate in linfa's place: every public name of linfa's root is there and means what it means in linfa, but for the
//! traits that are ours.

use std::any::TypeId;

use linfa::dataset::AsSingleTargets;
use ndarray::Array2;
use runlog_linfa as ours;

/// A mean, as an estimator that linfa's own code can fit.
struct Mean;

impl<T> ours::real::traits::Fit<Array2<f64>, T, ours::Error> for Mean
where
    T: AsSingleTargets<Elem = f64>,
{
    type Object = f64;

    fn fit(&self, data: &ours::DatasetBase<Array2<f64>, T>) -> ours::error::Result<f64> {
        Ok(data.as_single_targets().mean().unwrap_or_default())
    }
}

fn same<Ours: 'static, Theirs: 'static>() -> bool {
    TypeId::of::<Ours>() == TypeId::of::<Theirs>()
}

#[test]
fn types_are_linfas() {
    assert!(same::<ours::Error, linfa::Error>());
    assert!(same::<ours::error::Error, ours::prelude::Error>());
    assert!(same::<ours::Dataset<f64, usize>, linfa::Dataset<f64, usize>>());
    assert!(same::<ours::DatasetView<'static, f64, bool>, linfa::DatasetView<'static, f64, bool>>());
    assert!(same::<ours::DatasetPr<f64, bool>, linfa::DatasetPr<f64, bool>>());
    assert!(same::<ours::DatasetBase<(), ()>, linfa::dataset::DatasetBase<(), ()>>());
    assert!(same::<ours::MultiClassModel<(), bool>, linfa::composing::MultiClassModel<(), bool>>());
    assert!(same::<ours::composing::MultiTargetModel<(), f64>, linfa::MultiTargetModel<(), f64>>());
    assert!(same::<ours::Platt<f64, ()>, linfa::platt_scaling::Platt<f64, ()>>());
    assert!(same::<ours::platt_scaling::PlattParams<f64, ()>, linfa::PlattParams<f64, ()>>());
    assert!(same::<ours::PlattError, linfa::PlattError>());
    assert!(same::<ours::metrics::ConfusionMatrix<bool>, linfa::metrics::ConfusionMatrix<bool>>());
    assert!(same::<ours::correlation::PearsonCorrelation<f64>, linfa::correlation::PearsonCorrelation<f64>>());
}

#[test]
fn traits_that_do_not_record_are_linfas() {
    fn linfas_number<F: linfa::Float>() -> usize {
        size_of::<F>()
    }
    fn linfas_label<L: linfa::Label>() -> usize {
        size_of::<L>()
    }
    // These compile only if the bound is linfa's.
    fn numbers<F: ours::Float>() -> usize {
        linfas_number::<F>()
    }
    fn labels<L: ours::Label>() -> usize {
        linfas_label::<L>()
    }
    fn guarded<P: ours::ParamGuard + ours::param_guard::ParamGuard>(params: P) -> bool {
        linfa::ParamGuard::check(params).is_ok()
    }
    assert_eq!((numbers::<f32>(), labels::<bool>()), (4, 1));
    assert!(guarded(linfa_trees::DecisionTree::<f64, usize>::params()));
}

/// What implements ours is no estimator to linfa; what implements linfa's is one to both.
#[test]
fn an_estimator_over_the_real_trait_is_linfas_and_recorded() {
    use ours::traits::Fit;
    let data = linfa_datasets::diabetes();
    let (observed, run) = crate::one_run(|| Mean.fit(&data).unwrap());
    assert_eq!(run.tag("estimator_name"), Some("Mean"));
    let plain: f64 = linfa::traits::Fit::fit(&Mean, &data).unwrap();
    assert_eq!(observed.to_bits(), plain.to_bits());
}
