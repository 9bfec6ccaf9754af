//! The settings of an estimator as params: by `Serialize` where its type has it, else out of its `Debug` text.

use std::fmt::Debug;

use linfa::dataset::Pr;
use linfa_clustering::{GmmParams, GmmValidParams, KMeansParams, KMeansValidParams};
use linfa_nn::distance::L2Dist;
use rand::rngs::{SmallRng, StdRng, ThreadRng};
use rand_xoshiro::Xoshiro256Plus;
use runlog_core::Result;
use runlog_core::flatten::{flatten, from_debug};
use serde::Serialize;

use crate::cast::cast;

/// What is known of an estimator before anything of its model is.
pub(crate) struct Estimator {
    /// Such as `DecisionTree`.
    pub(crate) name: String,
    /// Empty for a type that is not in the table.
    pub(crate) params: Vec<(String, String)>,
}

impl Estimator {
    pub(crate) fn of<P>(params: &P) -> Result<Self> {
        let pairs = if let Some(pairs) = known(params) {
            pairs?
        } else {
            tracing::debug!(
                target: "runlog::linfa",
                estimator = std::any::type_name::<P>(),
                "the settings of this type cannot be read; log them with `log_params`"
            );
            Vec::new()
        };
        let params = pairs.into_iter().filter(|(key, _)| !is_generator(key)).collect();
        Ok(Self { name: name(std::any::type_name::<P>()), params })
    }
}

/// Whether `key` belongs to the state of a random number generator, which is large and tells nobody anything.
fn is_generator(key: &str) -> bool {
    key.split('.').any(|part| part == "rng")
}

/// The algorithm's own name in the name of its settings' type: linfa calls them `…Params` and `…ValidParams`.
fn name(type_name: &str) -> String {
    let path = type_name.split('<').next().unwrap_or(type_name);
    let mut name = path.rsplit("::").next().unwrap_or(path);
    if path == "linfa_logistic::hyperparams::LogisticRegressionParams"
        || path == "linfa_logistic::hyperparams::LogisticRegressionValidParams"
    {
        // One type for both: two dimensions are for many classes.
        return if type_name.contains("[usize; 2]") {
            "MultiLogisticRegression"
        } else {
            "LogisticRegression"
        }
        .to_owned();
    }
    if path.starts_with("linfa_elasticnet::") {
        return if type_name.contains("true") { "MultiTaskElasticNet" } else { "ElasticNet" }.to_owned();
    }
    for suffix in ["Base", "Params", "Valid"] {
        name = name.strip_suffix(suffix).filter(|rest| !rest.is_empty()).unwrap_or(name);
    }
    name.to_owned()
}

fn known<P>(params: &P) -> Option<Result<Vec<(String, String)>>> {
    macro_rules! serialized {
        ($($known:ty),* $(,)?) => {$(
            if let Some(params) = cast::<$known, P>(params) {
                return Some(by_serialize(params));
            }
        )*};
    }
    macro_rules! debugged {
        ($($known:ty),* $(,)?) => {$(
            if let Some(params) = cast::<$known, P>(params) {
                return Some(Ok(by_debug(params)));
            }
        )*};
    }
    macro_rules! over_labels {
        ($float:ty: $($label:ty),*) => {$(
            serialized!(
                linfa_trees::DecisionTreeParams<$float, $label>,
                linfa_trees::DecisionTreeValidParams<$float, $label>,
            );
            debugged!(
                linfa_bayes::GaussianNbParams<$float, $label>,
                linfa_bayes::GaussianNbValidParams<$float, $label>,
                linfa_bayes::MultinomialNbParams<$float, $label>,
                linfa_bayes::MultinomialNbValidParams<$float, $label>,
            );
        )*};
    }
    macro_rules! over_generators {
        ($float:ty: $($rng:ty),*) => {
            debugged!($(
                KMeansParams<$float, $rng, L2Dist>,
                KMeansValidParams<$float, $rng, L2Dist>,
                GmmParams<$float, $rng>,
                GmmValidParams<$float, $rng>,
            )*)
        };
    }
    macro_rules! over_floats {
        ($($float:ty),*) => {$(
            serialized!(
                linfa_logistic::LogisticRegression<$float>,
                linfa_logistic::ValidLogisticRegression<$float>,
                linfa_logistic::MultiLogisticRegression<$float>,
                linfa_logistic::ValidMultiLogisticRegression<$float>,
                linfa_elasticnet::ElasticNetValidParams<$float>,
                linfa_elasticnet::MultiTaskElasticNetValidParams<$float>,
                linfa_linear::TweedieRegressorValidParams<$float>,
            );
            debugged!(
                linfa_elasticnet::ElasticNetParams<$float>,
                linfa_elasticnet::MultiTaskElasticNetParams<$float>,
                linfa_linear::TweedieRegressorParams<$float>,
                linfa_svm::SvmParams<$float, bool>,
                linfa_svm::SvmParams<$float, Pr>,
                linfa_svm::SvmParams<$float, $float>,
                linfa_svm::SvmValidParams<$float, bool>,
                linfa_svm::SvmValidParams<$float, Pr>,
                linfa_svm::SvmValidParams<$float, $float>,
            );
            over_labels!($float: usize, bool, String, &'static str);
            over_generators!($float: Xoshiro256Plus, SmallRng, StdRng, ThreadRng);
        )*};
    }
    serialized!(linfa_linear::LinearRegression, linfa_linear::IsotonicRegression);
    over_floats!(f64, f32);
    None
}

fn by_serialize<P: Serialize>(params: &P) -> Result<Vec<(String, String)>> {
    flatten(params)
}

fn by_debug<P: Debug>(params: &P) -> Vec<(String, String)> {
    from_debug(&format!("{params:?}"))
}

#[cfg(test)]
mod tests {
    use linfa_trees::DecisionTree;

    use super::*;

    #[test]
    fn estimators_are_named_as_people_call_them() {
        fn of<P>(_: &P) -> String {
            name(std::any::type_name::<P>())
        }
        assert_eq!(of(&DecisionTree::<f64, usize>::params()), "DecisionTree");
        assert_eq!(of(&linfa_linear::LinearRegression::new()), "LinearRegression");
        assert_eq!(of(&linfa_logistic::LogisticRegression::<f64>::new()), "LogisticRegression");
        assert_eq!(of(&linfa_logistic::MultiLogisticRegression::<f32>::new()), "MultiLogisticRegression");
        assert_eq!(of(&linfa_elasticnet::ElasticNet::<f64>::params()), "ElasticNet");
        assert_eq!(of(&linfa_elasticnet::MultiTaskElasticNet::<f64>::params()), "MultiTaskElasticNet");
        assert_eq!(of(&linfa_svm::Svm::<f64, bool>::params()), "Svm");
        assert_eq!(name("my_crate::Params"), "Params");
    }

    #[test]
    fn the_state_of_a_generator_is_no_param() {
        let params = Estimator::of(&linfa_clustering::KMeans::<f64, L2Dist>::params(3)).unwrap().params;
        assert!(params.contains(&("n_clusters".to_owned(), "3".to_owned())), "{params:?}");
        assert!(params.contains(&("init".to_owned(), "KMeansPlusPlus".to_owned())), "{params:?}");
        assert!(params.contains(&("dist_fn".to_owned(), "L2Dist".to_owned())), "{params:?}");
        assert!(params.iter().all(|(key, _)| !key.contains("rng")), "{params:?}");
    }
}
