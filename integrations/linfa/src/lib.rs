//! Autologging for [linfa](https://docs.rs/linfa): one changed import records every fit.
//!
//! Read this if you train with linfa and want to know what is recorded, and what is not. Users depend on `runlog` with
//! the feature `linfa`, where this crate is `runlog::linfa`.
//!
//! ```
//! use linfa::prelude::*;
//! use linfa_trees::DecisionTree;
//! use runlog_linfa::Fit; // the one changed line: takes the place of linfa's `Fit`
//!
//! runlog_linfa::autolog();
//! # runlog_core::fluent::set_tracking_uri("memory:")?;
//! let model = DecisionTree::params().max_depth(Some(3)).fit(&linfa_datasets::iris())?;
//! # let _ = model;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The import
//!
//! [`Fit`] has linfa's name, its generics and its method, and is implemented for every estimator: no call that compiled
//! with linfa's stops compiling. Write one of
//!
//! - `use linfa::prelude::*;` and `use runlog_linfa::Fit;`,
//! - `use runlog_linfa::prelude::*;` *instead of* linfa's prelude,
//! - `use runlog_linfa::traits::{Fit, Predict};`.
//!
//! Or write nothing: this crate is linfa, with these traits in the place of linfa's own. With
//! `linfa = { package = "runlog-linfa", .. }` in the manifest, code that says `use linfa::prelude::*;` is recorded as it
//! stands. Features of linfa are features of this crate. linfa's own traits are in [`real`]: write an estimator of your own
//! as `impl linfa::real::traits::Fit<..> for ..`, since one written against [`Fit`] is no estimator to linfa.
//!
//! Two preludes at once compile, with a warning, and record nothing: the first glob import wins. Nothing is recorded
//! either where the call goes through linfa's own trait: in `cross_validate`, behind `&dyn linfa::traits::Fit`, and in
//! a function bounded by linfa's `Fit`. Bound it by ours.
//!
//! # What is recorded
//!
//! Into the active run, or into a run of its own:
//!
//! | what | as |
//! |---|---|
//! | settings | params, without the state of random number generators |
//! | estimator | tags `estimator_name`, `estimator_class`, and `runlog.source`: file and line of the call |
//! | data | an input with MLflow's digest of the table (features with names) or the arrays, its columns or shapes, and the context `train` |
//! | regression | `training_mean_squared_error`, `…_mean_absolute_error`, `…_r2_score`, `…_root_mean_squared_error`, `…_score` |
//! | classification | `training_accuracy_score`, `…_precision_score`, `…_recall_score`, `…_f1_score` (weighted), `…_score`, and `training_confusion_matrix.json` (up to 256 classes) |
//! | clustering | `training_inertia` (k-means), `training_silhouette_score` |
//! | model | a logged model `model` with signature, loaded by [`load`] |
//! | end | FINISHED; FAILED with the message for `Err` and for a panic |
//!
//! Metrics are scikit-learn's, of at most [`ROWS_FOR_METRICS_MAX`] evenly spread rows (the silhouette of
//! [`SILHOUETTE_ROWS_MAX`]); [`LinfaOptions`] changes or switches them off. linfa tells nothing during a fit, so there
//! are no metrics by step.
//!
//! Known are linear, isotonic, Tweedie and logistic regression (binary and multinomial), elastic net (and its
//! multi-task form), decision trees, Gaussian and multinomial naive Bayes, SVMs, k-means and Gaussian mixtures, over
//! `f64` and `f32`, with labels `usize`, `bool`, `String` and `&str`. Of every other type the name, the data and the
//! time are recorded.
//!
//! # Costs
//!
//! With autologging off, a call costs one atomic load more than linfa's own. With it on, the fit itself runs exactly as
//! linfa runs it, and nothing of it is read before it has ended.

#![deny(unsafe_code)]

mod cast;
mod data;
mod engine;
mod models;
mod options;
mod params;
mod scores;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use runlog_core::ErrorKind;
use runlog_core::autolog::Integration;
use serde::de::DeserializeOwned;

/// linfa as it is: the traits that estimators of your own implement.
#[doc(no_inline)]
pub use ::linfa as real;
// The whole of linfa, so that this crate can stand in its place. What this file names itself takes the place of linfa's:
// a private module or import here must not have the name of a public item of linfa's root, or it would hide that.
#[doc(no_inline)]
pub use linfa::*;
pub use options::{LinfaOptions, ROWS_FOR_METRICS_MAX, SILHOUETTE_ROWS_MAX};

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

    #[track_caller]
    fn fit(&self, dataset: &DatasetBase<R, T>) -> Result<Self::Object, E> {
        engine::fit(self, dataset)
    }
}

/// linfa's traits, with [`Fit`] in the place of its own.
pub mod traits {
    pub use crate::Fit;
    #[doc(no_inline)]
    pub use linfa::traits::*;
}

/// linfa's prelude, with [`Fit`] in the place of its own; import it *instead of* linfa's.
pub mod prelude {
    pub use crate::Fit;
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

/// Reads a model that autologging saved: `path` is the file, or the folder of the logged model, or its URI:
/// `models:/m-<id>`, or `runs:/<run id>/model`.
///
/// Name the type without borrowed labels: a tree over `&str` is read as one over `String`.
///
/// # Errors
/// A file that is not there, and one that holds another type of model.
///
/// ```no_run
/// use linfa_trees::DecisionTree;
///
/// let model: DecisionTree<f64, usize> = runlog_linfa::load("mlruns/0/models/m-…/artifacts")?;
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn load<M: DeserializeOwned>(path: impl AsRef<Path>) -> runlog_core::Result<M> {
    let path = path.as_ref();
    let uri = path.to_str().filter(|text| text.starts_with("models:") || text.starts_with("runs:"));
    let read = if let Some(uri) = uri {
        rmp_serde::from_slice(&runlog_core::model::load(uri)?.read(MODEL_FILE)?)
    } else {
        let file = if path.is_dir() { path.join(MODEL_FILE) } else { path.to_owned() };
        let reader =
            File::open(&file).map_err(|cause| runlog_core::Error::io("read the model", &file, cause))?;
        rmp_serde::from_read(BufReader::new(reader))
    };
    read.map_err(|cause| {
        runlog_core::Error::new(
            ErrorKind::Corrupt,
            "not this type of model; `model_class` in `MLmodel` names its type",
        )
        .with("path", path.display())
        .because(cause)
    })
}
