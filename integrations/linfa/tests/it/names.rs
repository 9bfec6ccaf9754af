//! Ways to write the import and the call that must compile, and be recorded.

use crate::recorded;

/// Fits a tree by the names in scope, which each test brings in in its own way.
macro_rules! fit_a_tree {
    () => {{
        let data = linfa_datasets::iris();
        let (_, runs) = crate::recorded(|| linfa_trees::DecisionTree::params().fit(&data).unwrap());
        assert_eq!(runs.len(), 1);
    }};
}

mod linfas_prelude_and_our_fit {
    use linfa::prelude::*;
    use runlog_linfa::Fit;

    #[test]
    fn is_recorded() {
        fit_a_tree!();
        let _: fn(&linfa_trees::DecisionTree<f64, usize>, &ndarray::Array2<f64>) -> _ =
            |model, x| model.predict(x);
    }
}

mod our_prelude_alone {
    use runlog_linfa::prelude::*;

    #[test]
    fn is_recorded() {
        fit_a_tree!();
    }
}

mod our_traits {
    use runlog_linfa::traits::{Fit, Predict};

    #[test]
    fn is_recorded() {
        let data = linfa_datasets::iris();
        let (model, runs) = crate::recorded(|| linfa_trees::DecisionTree::params().fit(&data).unwrap());
        assert_eq!((model.predict(&data).len(), runs.len()), (150, 1));
    }
}

mod generic_code_bounded_by_our_fit {
    use linfa::dataset::{DatasetBase, Records};
    use runlog_linfa::Fit;

    fn train<P, R, T, E>(params: &P, data: &DatasetBase<R, T>) -> P::Object
    where
        P: Fit<R, T, E>,
        R: Records,
        E: std::error::Error + From<linfa::Error>,
    {
        params.fit(data).unwrap()
    }

    #[test]
    fn is_recorded() {
        let data = linfa_datasets::diabetes();
        let (_, runs) = crate::recorded(|| train(&linfa_linear::LinearRegression::new(), &data));
        assert_eq!(runs.len(), 1);
    }
}

mod pointers_and_checked_params {
    use std::rc::Rc;

    use linfa::ParamGuard;
    use linfa_trees::DecisionTree;
    use runlog_linfa::Fit;

    #[test]
    fn are_recorded() {
        let data = linfa_datasets::iris();
        let ((), runs) = crate::recorded(|| {
            let params = DecisionTree::params().max_depth(Some(1));
            let borrowed = &params;
            borrowed.fit(&data).unwrap();
            let boxed = Box::new(params);
            boxed.fit(&data).unwrap();
            Rc::new(params).fit(&data).unwrap();
            params.check().unwrap().fit(&data).unwrap();
            let closure = |depth| DecisionTree::params().max_depth(Some(depth)).fit(&data.view());
            closure(1).unwrap();
        });
        let depths: Vec<_> = runs.iter().map(|run| run.param("max_depth").unwrap()).collect();
        assert_eq!(depths, ["1"; 5]);
    }
}

/// An estimator of the user's own is linfa's, called through ours: recorded with what can be told of any type.
mod an_estimator_of_ones_own {
    use linfa::dataset::{AsSingleTargets, DatasetBase};
    use ndarray::Array2;
    use runlog_linfa::Fit;

    struct Mean;

    impl<T: AsSingleTargets<Elem = f64>> linfa::traits::Fit<Array2<f64>, T, linfa::Error> for Mean {
        type Object = f64;

        fn fit(&self, data: &DatasetBase<Array2<f64>, T>) -> linfa::error::Result<f64> {
            Ok(data.as_single_targets().mean().unwrap_or_default())
        }
    }

    #[test]
    fn is_recorded_by_name_and_data() {
        let data = linfa_datasets::diabetes();
        let (mean, run) = crate::one_run(|| Mean.fit(&data).unwrap());
        assert!(mean > 100.0);
        assert_eq!(run.tag("estimator_name"), Some("Mean"));
        assert!(run.tag("estimator_class").unwrap().ends_with("::Mean"));
        assert_eq!(run.inputs.datasets.len(), 1);
        assert!(run.data.params.is_empty() && run.data.metrics.is_empty() && run.outputs.is_empty());
    }
}

#[test]
fn calls_inside_linfa_are_not_runs_of_their_own() {
    use linfa::prelude::SingleTargetRegression;
    let mut data = linfa_datasets::diabetes();
    let (_, runs) = recorded(|| {
        let models = vec![linfa_linear::LinearRegression::new()];
        data.cross_validate_single(3, &models, |prediction, truth| prediction.r2(truth))
            .map(|scores| scores.len())
    });
    assert!(runs.is_empty());
}
