//! Autologging for [linfa](https://docs.rs/linfa): one changed import records every fit.
//!
//! Read this if you train with linfa and want to know what is recorded, and what is not. Users depend on `runlog` with
//! the feature `linfa`, where this crate is `runlog::linfa`.
//!
//! # Three ways
//!
//! Each needs `runlog_linfa::autolog()` (or `runlog::autolog()`, for every framework) once, at the start.
//!
//! **The import**: one line of a file is changed, and no call.
//!
//! ```
//! // before: use linfa::prelude::*;
//! use runlog_linfa::prelude::*;
//! use linfa_trees::DecisionTree;
//!
//! runlog_linfa::autolog();
//! # runlog_core::fluent::set_tracking_uri("memory:")?;
//! let (train, valid) = linfa_datasets::iris().split_with_ratio(0.8);
//! let model = DecisionTree::params().max_depth(Some(3)).fit(&train)?;
//! println!("{}", model.predict(&valid).confusion_matrix(&valid)?.accuracy());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **`.autolog()`**: one word more, for code that is generic over linfa's own traits; and `.recorded()` before a
//! [cross-validation](Recorded::recorded).
//!
//! ```
//! use linfa::prelude::*;
//! use linfa_trees::DecisionTree;
//! use runlog_linfa::Autolog;
//!
//! runlog_linfa::autolog();
//! # runlog_core::fluent::set_tracking_uri("memory:").unwrap();
//! // before: DecisionTree::params().fit(&linfa_datasets::iris())?;
//! DecisionTree::params().autolog().fit(&linfa_datasets::iris())?;
//! # Ok::<(), linfa::Error>(())
//! ```
//!
//! **The dependency**: one line of `Cargo.toml`, and no code but `autolog()`.
//!
//! ```toml
//! # before: linfa = "0.8"
//! linfa = { package = "runlog-linfa", version = "0.1" }
//! ```
//!
//! # The import
//!
//! [`Fit`] has linfa's name, its generics and its method, and is implemented for every estimator: no call that compiled
//! with linfa's stops compiling. So have [`FitWith`], [`Transformer`], [`Predict`] and the traits of metrics. Write one
//! of
//!
//! - `use runlog_linfa::prelude::*;` *instead of* linfa's prelude,
//! - `use linfa::prelude::*;` and `use runlog_linfa::Fit;`, or whichever else is to be recorded,
//! - `use runlog_linfa::traits::{Fit, Predict};`.
//!
//! Or write nothing: this crate is linfa, with these traits in the place of linfa's own. With
//! `linfa = { package = "runlog-linfa", .. }` in the manifest, code that says `use linfa::prelude::*;` is recorded as it
//! stands. Features of linfa are features of this crate. linfa's own traits are in [`real`]: write an estimator of your own
//! as `impl linfa::real::traits::Fit<..> for ..`, since one written against [`Fit`] is no estimator to linfa.
//!
//! Two preludes at once compile, with a warning, and record nothing: the first glob import wins. Nothing is recorded
//! either where the call goes through linfa's own trait: in `cross_validate`, behind `&dyn linfa::traits::Fit`, and in
//! a function bounded by linfa's `Fit`. Bound it by ours, or call it with `.autolog()`.
//!
//! # What is recorded
//!
//! Into the active run, or into a run of its own:
//!
//! | what | as |
//! |---|---|
//! | settings | params, without the state of random number generators |
//! | estimator | tags `estimator_name`, `estimator_class`, and `runlog.source`: file and line of the call |
//! | data | an input with MLflow's digest of the table (features with names) or the arrays, its columns or shapes, and the context `train`; it is called `dataset`, or as [`named`](Named::named) says |
//! | regression | `training_mean_squared_error`, `…_mean_absolute_error`, `…_r2_score`, `…_root_mean_squared_error`, `…_score` |
//! | classification | `training_accuracy_score`, `…_precision_score`, `…_recall_score`, `…_f1_score` (weighted), `…_score`, and the confusion matrix (up to 256 classes) as `training_confusion_matrix.json` and `.png` |
//! | probabilities | `training_log_loss`, `…_roc_auc` (up to 32 classes), and of two classes `training_roc_curve.png` and `training_precision_recall_curve.png` |
//! | clustering | `training_silhouette_score`, and of k-means `training_inertia` and its negative, `training_score` |
//! | model | a logged model `model` with signature, loaded by [`load_model`] |
//! | end | FINISHED; FAILED with the message for `Err` and for a panic |
//!
//! Metrics are scikit-learn's, of at most [`ROWS_FOR_METRICS_MAX`] evenly spread rows (the silhouette of
//! [`SILHOUETTE_ROWS_MAX`], the inertia of all), without the samples' weights; [`LinfaOptions`] changes or switches them
//! off. Probabilities are told by logistic
//! regression, naive Bayes, FTRL and SVMs over [`Pr`](linfa::dataset::Pr), and read off the leaves of a decision tree;
//! linfa's ensembles and SVMs over `bool` tell none. linfa tells nothing during a fit, so there are no metrics by step,
//! but for models that are fitted further by [`FitWith`]: each call is one step of the run of the first one, which
//! stores the model after 1, 2, 4, 8, … of them.
//!
//! # Evaluation
//!
//! A metric of linfa that is taken of a recorded model's prediction goes to the run of the fit, as `r2_score_valid`
//! if the dataset is [`named`](Named::named) `valid`, or else as `r2_score_eval`; `metric_info.json` says which call it
//! was, and the dataset is an input with the context `eval`. A confusion matrix gives accuracy, precision, recall and F1
//! as scikit-learn weighs them; the others have linfa's own values. A model that is fitted further by [`FitWith`] has a
//! value for each of its steps. Predictions and metrics must be called through our traits.
//!
//! Values of linfa have no room for a run, so a model is recognised by its type and its bytes, and a prediction by its
//! place in memory and its content; what is not the same to the bit is nobody's and is not logged. Models that cannot be
//! saved are not recognised, nor predictions of a single row, nor those that were copied or changed. Two runs whose
//! models are equal to the bit share what is measured of either; how two predictions agree is logged of neither.
//!
//! The last 256 models and predictions are remembered, as long as their tracker is open. A run gets at most 256 keys of
//! such metrics: a loop over batches would have new ones each time.
//!
//! # Every algorithm
//!
#![doc = include_str!("../linfa.md")]
//!
//! # Costs
//!
//! With autologging off, a call costs one atomic load more than linfa's own. With it on, the fit itself runs exactly as
//! linfa runs it, and nothing of it is read before it has ended. A [`predict`](Predict::predict) of more than one row
//! writes the model into memory, to recognise it, if one of its type was recorded: for large models that costs more than
//! the prediction, and [`LinfaOptions::log_post_training_metrics`] switches it off.
//!
//! # Limits
//!
//! - A fit inside another one in the same thread is part of it. That is so too for a fit that rayon steals while another
//!   one waits in the same thread, as k-means does inside a `par_iter` of yours: it counts as part of that one and is not
//!   recorded. Use threads, or runs of your own.

#![deny(unsafe_code)]
// An expectation would fail for the choices of crates that happen to use everything.
#![cfg_attr(not(feature = "all"), allow(unused, reason = "each algorithm crate uses its own part"))]

/// `$observed` with autologging on, and otherwise linfa's own call, which costs one load and a branch more.
macro_rules! if_on {
    ($observed:expr, else $plain:expr) => {
        if $crate::INTEGRATION.is_on() { $observed } else { $plain }
    };
}

#[macro_use]
mod cast;

mod algorithms;
mod autologged;
mod data;
mod engine;
mod evaluate;
mod forms;
mod incremental;
mod kinds;
mod load;
mod measures;
mod options;
mod origin;
mod params;
mod picture;
mod proba;
mod scores;
mod search;
mod transform;

use runlog_core::autolog::Integration;

/// linfa as it is: the traits that estimators of your own implement.
#[doc(no_inline)]
pub use ::linfa as real;
pub use autologged::{Autolog, Autologged};
// The whole of linfa, so that this crate can stand in its place. What this file names itself takes the place of linfa's:
// a private module or import here must not have the name of a public item of linfa's root, or it would hide that.
#[doc(no_inline)]
pub use linfa::*;
pub use load::{LoadModel, load_model};
pub use measures::{
    BinaryClassification, MultiTargetRegression, SilhouetteScore, SingleTargetRegression, ToConfusionMatrix,
};
pub use options::{LinfaOptions, ROWS_FOR_METRICS_MAX, SILHOUETTE_ROWS_MAX};
pub use search::{CrossValidation, Recorded};

/// The name of the file that holds a logged model.
pub const MODEL_FILE: &str = "model.msgpack";

/// The name under which `MLmodel` says how a model is loaded.
const FLAVOR: &str = "runlog.linfa";

static INTEGRATION: Integration = Integration::new("linfa", "0.8").tested("0.8.0", "0.8.1").unseen(
    "`runlog::linfa::Fit` must be imported by its name beside linfa's prelude, and code that is generic over linfa's own \
     `Fit` is not seen",
);

inventory::submit! { &INTEGRATION }

/// linfa's `Fit`, recorded: the same name, the same generics, the same result.
///
/// It is implemented for everything that linfa's is, and is not for implementing: write an estimator of your own
/// against `linfa::traits::Fit`.
pub trait Fit<R: dataset::Records, T, E: std::error::Error + From<Error>> {
    /// The fitted model.
    type Object;

    /// Fits the estimator to `dataset`, and records it where autologging is on.
    ///
    /// # Errors
    /// Those of the estimator, untouched.
    #[track_caller]
    fn fit(&self, dataset: &DatasetBase<R, T>) -> Result<Self::Object, E>;
}

impl<P, R, T, E> Fit<R, T, E> for P
where
    P: linfa::traits::Fit<R, T, E>,
    R: dataset::Records,
    E: std::error::Error + From<Error>,
{
    type Object = P::Object;

    #[inline]
    #[track_caller]
    fn fit(&self, dataset: &DatasetBase<R, T>) -> Result<Self::Object, E> {
        if_on!(engine::fit(self, dataset), else linfa::traits::Fit::fit(self, dataset))
    }
}

/// linfa's `FitWith`, recorded: the same name, the same generics, the same result.
///
/// The first call starts a run; calls that fit its model further are recorded in the same run, one step each.
pub trait FitWith<'a, R: dataset::Records, T, E: std::error::Error + From<Error>> {
    /// The model that is fitted further.
    type ObjectIn: 'a;
    /// The model afterwards.
    type ObjectOut: 'a;

    /// Fits `model` to `dataset` as well, and records it where autologging is on.
    ///
    /// # Errors
    /// Those of the estimator, untouched.
    #[track_caller]
    fn fit_with(&self, model: Self::ObjectIn, dataset: &'a DatasetBase<R, T>) -> Result<Self::ObjectOut, E>;
}

impl<'a, P, R, T, E> FitWith<'a, R, T, E> for P
where
    P: linfa::traits::FitWith<'a, R, T, E>,
    R: dataset::Records,
    E: std::error::Error + From<Error>,
{
    type ObjectIn = P::ObjectIn;
    type ObjectOut = P::ObjectOut;

    #[inline]
    #[track_caller]
    fn fit_with(&self, model: Self::ObjectIn, dataset: &'a DatasetBase<R, T>) -> Result<Self::ObjectOut, E> {
        if_on!(
            incremental::fit_with(self, model, dataset),
            else linfa::traits::FitWith::fit_with(self, model, dataset)
        )
    }
}

/// linfa's `Transformer`, recorded where the transformer is an algorithm of its own: t-SNE, hierarchical clustering and
/// diffusion maps. Scalers, projections and kernels only transform.
pub trait Transformer<R: dataset::Records, T> {
    /// Transforms `records`.
    #[track_caller]
    fn transform(&self, records: R) -> T;
}

impl<P, R, T> Transformer<R, T> for P
where
    P: linfa::traits::Transformer<R, T>,
    R: dataset::Records,
{
    #[inline]
    #[track_caller]
    fn transform(&self, records: R) -> T {
        if_on!(transform::transform(self, records), else linfa::traits::Transformer::transform(self, records))
    }
}

/// linfa's `Predict`, which remembers whose prediction it is, for the metrics that are taken of it.
pub trait Predict<R: dataset::Records, T> {
    /// What the model says of `records`.
    fn predict(&self, records: R) -> T;
}

impl<M, R, T> Predict<R, T> for M
where
    M: linfa::traits::Predict<R, T>,
    R: dataset::Records,
{
    #[inline]
    fn predict(&self, records: R) -> T {
        if_on!(evaluate::predict(self, records), else linfa::traits::Predict::predict(self, records))
    }
}

/// Gives a dataset the name under which it is recorded.
pub trait Named {
    /// The same dataset, recorded as `name`: as the input of a fit, and in the keys of metrics, such as `r2_score_valid`.
    ///
    /// The name belongs to the dataset's arrays as long as they stay as they are and where they are: a copy has none.
    ///
    /// ```
    /// use runlog_linfa::Named;
    ///
    /// let (train, valid) = linfa_datasets::diabetes().split_with_ratio(0.8);
    /// let (train, valid) = (train.named("train"), valid.named("valid"));
    /// # drop((train, valid));
    /// ```
    #[must_use]
    fn named(self, name: &str) -> Self;
}

impl<R: dataset::Records, T> Named for DatasetBase<R, T> {
    fn named(self, name: &str) -> Self {
        evaluate::name(&data::Data::of(&self), name);
        self
    }
}

/// linfa's traits, with the recorded ones in the place of its own.
pub mod traits {
    pub use crate::{Fit, FitWith, Predict, Transformer};
    #[doc(no_inline)]
    pub use linfa::traits::*;
}

/// linfa's metrics, with the recorded traits in the place of its own.
pub mod metrics {
    pub use crate::{
        BinaryClassification, MultiTargetRegression, SilhouetteScore, SingleTargetRegression,
        ToConfusionMatrix,
    };
    #[doc(no_inline)]
    pub use linfa::metrics::*;
}

/// linfa's prelude, with the recorded traits in the place of its own; import it *instead of* linfa's.
pub mod prelude {
    pub use crate::{
        Autolog, BinaryClassification, Fit, FitWith, MultiTargetRegression, Named, Predict, Recorded,
        SilhouetteScore, SingleTargetRegression, ToConfusionMatrix, Transformer,
    };
    #[doc(no_inline)]
    pub use linfa::prelude::*;
}

/// Records every fit of linfa from here on, with MLflow's defaults.
///
/// `runlog::autolog()` does it for every framework at once.
pub fn autolog() {
    autolog_with(LinfaOptions::new());
}

/// Records every fit of linfa from here on, as `options` say.
///
/// They win over those of `runlog::autolog_with`, whenever that is called.
pub fn autolog_with(options: LinfaOptions) {
    let LinfaOptions { common, own } = options;
    runlog_core::autolog::configure(&INTEGRATION, common, own);
}

/// This integration, for [`runlog_core::autolog::register`].
pub fn integration() -> &'static Integration {
    &INTEGRATION
}
