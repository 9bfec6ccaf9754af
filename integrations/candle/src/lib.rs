//! Autologging for [candle](https://docs.rs/candle-nn): one changed import records every training loop.
//!
//! Read this if you train with candle and want to know what is recorded, and what is not. Users depend on `runlog` with
//! the feature `candle`, where this crate is `runlog::candle`.
//!
//! # Three ways
//!
//! **A changed import**, and the call that switches autologging on:
//!
//! ```diff
//!  use candle_core::{DType, Device, Result, Tensor};
//! -use candle_nn::{AdamW, Optimizer, ParamsAdamW, VarBuilder, VarMap, loss};
//! +use candle_nn::{Optimizer, ParamsAdamW, VarBuilder};
//! +use runlog::candle::{AdamW, VarMap, loss};
//!
//!  fn main() -> Result<()> {
//! +    runlog::autolog();
//!      let varmap = VarMap::new();
//!      let model = Mlp::new(VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu))?;
//!      let mut optimizer = AdamW::new(varmap.all_vars(), ParamsAdamW::default())?;
//!      // … the loop is what it was
//! ```
//!
//! **A changed dependency**, where the code stays as it is but for that call: this crate has everything that candle-nn
//! has, under the same names.
//!
//! ```diff
//!  [dependencies]
//!  candle-core = "0.11"
//! -candle-nn = "0.11"
//! +candle-nn = { package = "runlog-candle", version = "0.1" }
//! +runlog = { version = "0.1", features = ["candle"] }
//! ```
//!
//! **A wrapper**, for an optimizer that is not candle's: [`Autolog`] takes any.
//!
//! ```diff
//! -let mut optimizer = Lion::new(varmap.all_vars(), config)?;
//! +let mut optimizer = Autolog::<Lion>::new(varmap.all_vars(), config)?;
//! ```
//!
//! A whole program:
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::{Module, Optimizer, ParamsAdamW, VarBuilder};
//! use runlog_candle::{AdamW, VarMap, loss};
//!
//! runlog_candle::autolog();
//! # runlog_core::fluent::set_tracking_uri("memory:")?;
//! let varmap = VarMap::new();
//! let vb = VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu);
//! let model = candle_nn::linear(2, 1, vb.pp("line"))?;
//! let mut optimizer = AdamW::new(varmap.all_vars(), ParamsAdamW { lr: 0.1, ..Default::default() })?;
//! let x = Tensor::new(&[[0.0_f32, 1.0], [1.0, 0.0]], &Device::Cpu)?;
//! let y = Tensor::new(&[[1.0_f32], [2.0]], &Device::Cpu)?;
//! for _ in 0..10 {
//!     optimizer.backward_step(&loss::mse(&model.forward(&x)?, &y)?)?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is recorded
//!
//! A training begins at the first step of an optimizer and ends when that is dropped. It is recorded in the active run,
//! or in a run of its own:
//!
//! | what | as |
//! |---|---|
//! | optimizer | params `optimizer_name`, `lr`, `beta1`, `beta2`, `eps`, `weight_decay`: the names that candle and `PyTorch` use, as MLflow logs those of Lightning. Of other optimizers than candle's the name and `lr` |
//! | loss function, batch | params `loss_function`, `batch_size`, of the first step |
//! | weights | params `total_params`, `trainable_params`; artifact `model_summary.txt` |
//! | every step | metrics `train_loss`, `learning_rate` |
//! | every epoch, if epochs are told | metrics `train_loss_epoch` (the mean over its samples), `epoch_seconds`, `samples_per_second` at step = epoch; `epoch` at the step it ended with |
//! | the whole | metrics `steps`, `samples`, `epochs` |
//! | model | a logged model `model`: `model.safetensors`, as `VarMap::save` writes it, and `architecture.json` with names, shapes and types; its signature has what comes out, by the loss; loaded by [`load_model`] |
//! | source | tag `runlog.source`: file and line that made the optimizer |
//! | end | FINISHED; FAILED with the message after a panic, or where an error of the optimizer or of a loss function was the last that was seen; then no model |
//!
//! Optimizers that are alive at once in a thread share a run. Everything of the second one ends in `-2`: `train_loss-2`,
//! the model `model-2`. Each finds the weights of its own model: those [`VarMap`]s that hold its variables.
//!
//! The loss is what is given to `backward_step`, or, for `loss.backward()` and `step(&grads)`, what a function of
//! [`loss`] returned last. One that has several elements counts as their sum, which is what is differentiated.
//!
//! # What a line more tells
//!
//! candle has no trainer: of epochs, data and validation only your code knows.
//!
//! | line | what it adds |
//! |---|---|
//! | `let _epoch = optimizer.epoch();` in the loop | the metrics of epochs |
//! | `optimizer.data("digits", &x, &y);` | the run's dataset, the signature's input, epochs by the number of samples |
//! | `optimizer.epoch_length(50_000);` | epochs by the number of samples |
//! | `optimizer.model_input(&x);` | the signature's input; the first rows as input example, if those are wanted |
//! | `optimizer.weights(&varmap);` | the model, where its map is not a [`VarMap`] of ours |
//! | `runlog::log_metric("val_loss", value, epoch);` | validation metrics: they go to the training's run |
//! | `CandleOptions::checkpoints(…)` | [`Checkpoints`] under MLflow's names |
//!
//! # Limits
//!
//! - A function that is left through `?` ends its run FINISHED, unless the error came through the optimizer or a loss
//!   function: nothing tells a dropped optimizer why. Use `runlog::run(…)` where it matters.
//! - Without a line that tells of epochs there are none.
//! - What goes into the model is not seen, only what comes out; no signature at all for types that numpy has no name for
//!   (`bf16`, `f8`).
//! - With `step(&grads)` a loss that is composed of several, or computed by hand, is not seen as a whole: use
//!   `backward_step(&loss)`.
//! - What is made while autologging is off is not recorded: call `autolog()` first.
//! - A function that takes candle's own `VarMap` or `AdamW` *by value* wants `.into()`; references just work.
//! - Only weights can be saved: candle's optimizers keep their state to themselves.
//!
//! # Costs
//!
//! With autologging off a call costs 5 instructions more than candle's own. With it on a step costs the training thread
//! some 0.3 µs and no allocation, and its results are the same bit for bit; `cargo bench -p runlog-candle --bench step`
//! measures both. The first step starts the run, and dropping the optimizer stores the model: some 50 ms of CPU for a
//! small one in a new database.
//!
//! A loss in main memory is read where the step is made. One on a device is read by another thread, so that the training
//! does not wait for the device: up to 1024 of them are kept, a number each, without the graph they were computed by.
//! If that thread is ever further behind, the training waits for it; no point is left out. A checkpoint costs a copy of
//! the weights, on their device.

#![forbid(unsafe_code)]

mod checkpoints;
mod curve;
mod described;
mod epochs;
mod guard;
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
