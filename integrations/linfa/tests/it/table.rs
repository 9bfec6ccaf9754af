//! The table of `docs/linfa.md`: every algorithm of linfa, fitted for real, recorded, saved, and loaded by another
//! process, where it must predict the same bits.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use linfa::dataset::Pr;
use linfa::prelude::{Dataset, DatasetBase, Predict, PredictInplace};
use linfa_bayes::{BernoulliNb, GaussianNb, MultinomialNb};
use linfa_clustering::{GaussianMixtureModel, KMeans};
use linfa_elasticnet::{ElasticNet, MultiTaskElasticNet};
use linfa_ensemble::{AdaBoost, AdaBoostParams, RandomForest, RandomForestParams};
use linfa_ica::fast_ica::FastIca;
use linfa_lars::Lars;
use linfa_linear::{
    FittedIsotonicRegression, FittedLinearRegression, IsotonicRegression, LinearRegression, TweedieRegressor,
};
use linfa_logistic::{
    FittedLogisticRegression, LogisticRegression, MultiFittedLogisticRegression, MultiLogisticRegression,
};
use linfa_nn::distance::{L1Dist, L2Dist};
use linfa_pls::{PlsCanonical, PlsCca, PlsRegression, PlsSvd};
use linfa_preprocessing::linear_scaling::LinearScaler;
use linfa_preprocessing::whitening::{FittedWhitener, Whitener};
use linfa_reduction::Pca;
use linfa_reduction::random_projection::{GaussianRandomProjection, SparseRandomProjection};
use linfa_svm::Svm;
use linfa_trees::DecisionTree;
use ndarray::{Array1, Array2, Axis};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;
use runlog_core::Run;
use runlog_linfa::{Fit, LoadModel, load_model};

use crate::recorded_in;

/// The page, as it is now.
const PAGE: &str = include_str!("../../../../docs/linfa.md");

/// Tells the process that loads the models where they are.
const MODELS: &str = "RUNLOG_LINFA_MODELS";

/// One algorithm.
struct Row {
    package: &'static str,
    algorithm: &'static str,
    /// What linfa makes of it.
    model: &'static str,
    /// Fits it below this directory.
    fit: Box<dyn Fn(&Path) -> Fitted>,
    /// Loads it from this folder, and predicts.
    load: Option<Box<dyn Fn(&Path) -> Bits>>,
}

/// What a model predicts.
type Bits = Vec<u64>;

struct Fitted {
    run: Run,
    bits: Bits,
    /// The folder of the model, if it was saved.
    folder: Option<PathBuf>,
}

/// A fit that saves a model of type `L`, which predicts as the fitted one does.
fn row<M: 'static, L: LoadModel + 'static>(
    algorithm: (&'static str, &'static str, &'static str),
    fit: fn() -> M,
    fitted: fn(&M) -> Bits,
    loaded: fn(&L) -> Bits,
) -> Row {
    let load = move |folder: &Path| loaded(&load_model::<L>(folder).unwrap());
    Row { load: Some(Box::new(load)), ..unsaved(algorithm, fit, fitted) }
}

/// A fit that saves no model.
fn unsaved<M: 'static>(
    (package, algorithm, model): (&'static str, &'static str, &'static str),
    fit: fn() -> M,
    fitted: fn(&M) -> Bits,
) -> Row {
    let fit = move |dir: &Path| {
        let uri = format!("sqlite:///{}", dir.join("mlflow.db").display());
        let (model, mut runs, tracker) = recorded_in(&uri, fit);
        assert_eq!(runs.len(), 1, "{algorithm}");
        let run = runs.remove(0);
        let id = run.outputs.first().map(|output| output.model_id.clone());
        let folder = id.map(|id| tracker.get_logged_model(&id).unwrap().artifact_location.into());
        Fitted { bits: fitted(&model), run, folder }
    };
    Row { package, algorithm, model, fit: Box::new(fit), load: None }
}

fn numbers<'v>(values: impl IntoIterator<Item = &'v f64>) -> Bits {
    values.into_iter().map(|value| value.to_bits()).collect()
}

fn labels<'v>(values: impl IntoIterator<Item = &'v usize>) -> Bits {
    values.into_iter().map(|value| u64::try_from(*value).unwrap()).collect()
}

fn column<M: for<'r> PredictInplace<Array2<f64>, Array1<f64>>>(model: &M) -> Bits {
    numbers(&model.predict(linfa_datasets::diabetes().records()))
}

fn rows() -> Vec<Row> {
    Vec::new()
}
