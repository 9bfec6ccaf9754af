//! Autologging for [burn](https://docs.rs/burn): one line records every training.
//!
//! Read this if you train with burn and want to know what is recorded, and what is not. Users depend on `runlog` with
//! the feature `burn`, where this crate is `runlog::burn`.

#![forbid(unsafe_code)]

#[cfg(feature = "train")]
mod learner;
mod model;
mod optimizer;
mod options;
mod params;

use runlog_core::autolog::{self as autologging, Integration};

#[doc(no_inline)]
pub use burn::*;

#[cfg(feature = "rl")]
pub use learner::RLTraining;
#[cfg(feature = "train")]
pub use learner::{EvaluatorBuilder, SupervisedTraining};
pub use model::{example_of, load_model, signature_of};
pub use optimizer::{AutologOptimizer, Epoch, LogAs};
pub use options::BurnOptions;

/// burn's module of the same name, with the types that are recorded in the place of its own.
#[cfg(feature = "train")]
pub mod train {
    #[cfg(feature = "rl")]
    pub use crate::learner::RLTraining;
    pub use crate::learner::{Evaluator, EvaluatorBuilder, SupervisedTraining};
    #[doc(no_inline)]
    pub use burn::train::*;
}

/// burn's prelude, with a `Config` whose `save` is recorded; import it *instead of* burn's.
pub mod prelude {
    #[cfg(feature = "train")]
    pub use crate::learner::Config;
    #[doc(no_inline)]
    pub use burn::prelude::*;
}

static INTEGRATION: Integration = Integration::new("burn", "0.22").tested("0.22.1", "0.22.1").unseen(
    "call `.autolog()` on `SupervisedTraining`, `EvaluatorBuilder`, `RLTraining` or the optimizer (with `use \
     runlog::burn::Autolog;`), or import these types from `runlog::burn`",
);

inventory::submit! { &INTEGRATION }

/// Gives burn's builders and optimizers the method that has them recorded.
///
/// ```no_run
/// use burn::train::{LearnerModel, SupervisedTraining};
/// use runlog_burn::Autolog; // added
///
/// fn observed<M: LearnerModel>(training: SupervisedTraining<M>) -> runlog_burn::SupervisedTraining<M> {
///     training.num_epochs(3).autolog() // added, before `launch`
/// }
/// ```
pub trait Autolog {
    /// What stands in its place: the same methods, recorded where autologging is on.
    type Observed;

    /// Has it recorded.
    fn autolog(self) -> Self::Observed;
}

/// Records every training of burn from here on, with MLflow's defaults.
///
/// `runlog::autolog()` does it for every framework at once.
pub fn autolog() {
    autolog_with(BurnOptions::new());
}

/// Records every training of burn from here on, as `options` say.
///
/// They win over those of `runlog::autolog_with`, whenever that is called.
pub fn autolog_with(options: BurnOptions) {
    let BurnOptions { common, own } = options;
    autologging::configure(&INTEGRATION, common, own);
}

/// This integration, for [`runlog_core::autolog::register`].
pub fn integration() -> &'static Integration {
    &INTEGRATION
}
