//! Autologging for candle.
//! What training with candle leaves behind.

#![forbid(unsafe_code)]

mod checkpoints;
mod curve;
mod described;
mod epochs;
mod loader;
pub mod loss;
mod maps;
mod noted;
mod optimizer;
mod options;
mod session;
mod value;
mod watch;
mod weights;

use runlog_core::autolog::Integration;

// All of candle-nn under its own names, so that this crate can stand in its place; what follows shadows some of it.
#[doc(no_inline)]
pub use candle_nn::*;

pub use checkpoints::Checkpoints;
pub use loader::{LoadedModel, load_model};
pub use maps::VarMap;
pub use optimizer::{AdamW, Autolog, SGD};
pub use options::CandleOptions;
pub use watch::Epoch;

/// candle's `optim`, with the recorded optimizers in the place of its own.
pub mod optim {
    pub use crate::{AdamW, SGD};
    #[doc(no_inline)]
    pub use candle_nn::optim::*;
}

/// candle's `var_map`, with the known [`VarMap`] in the place of its own.
pub mod var_map {
    pub use crate::VarMap;
    #[expect(unused_imports, unreachable_pub, reason = "what a release of candle adds goes through")]
    #[doc(no_inline)]
    pub use candle_nn::var_map::*;
}

/// The file that holds the weights of a logged model.
pub const MODEL_FILE: &str = "model.safetensors";

/// The file that names the weights of a logged model, with their shapes and types.
pub const ARCHITECTURE_FILE: &str = "architecture.json";

/// The name under which `MLmodel` says how a model is loaded.
const FLAVOR: &str = "runlog.candle";

static INTEGRATION: Integration = Integration::new("candle", "0.11").tested("0.11.0", "0.11.1").unseen(
    "`AdamW`, `SGD`, `VarMap` and `loss` must be imported from `runlog::candle` instead of `candle_nn`, and made after \
     `autolog()` is called",
);

inventory::submit! { &INTEGRATION }

/// Records every training with candle from here on, with MLflow's defaults.
///
/// `runlog::autolog()` does it for every framework at once.
pub fn autolog() {
    autolog_with(CandleOptions::new());
}

/// Records every training with candle from here on, as `options` say.
///
/// They win over those of `runlog::autolog_with`, whenever that is called.
pub fn autolog_with(options: CandleOptions) {
    let CandleOptions { common, own } = options;
    runlog_core::autolog::configure(&INTEGRATION, common, own);
}

/// This integration, for [`runlog_core::autolog::register`].
pub fn integration() -> &'static Integration {
    &INTEGRATION
}
