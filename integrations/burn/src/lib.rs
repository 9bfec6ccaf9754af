//! Autologging for [burn](https://docs.rs/burn): one line records every training.
//!
//! Read this if you train with burn and want to know what is recorded, and what is not. Users depend on `runlog` with
//! the feature `burn`, where this crate is `runlog::burn`.
//!
//! # Three ways
//!
//! `runlog::autolog()` once, at startup, and one of these. What burn trains, prints and writes is the same in all of
//! them, bit for bit.
//!
//! **A call** before `launch`, which also takes the hyper-parameters that burn forgets:
//!
//! ```
//! use burn::train::{Learner, LearnerModel, LearningResult, SupervisedTraining};
//! use runlog_burn::Autolog; // added
//! # use serde::Serialize;
//!
//! fn train<M: LearnerModel>(
//!     training: SupervisedTraining<M>,
//!     learner: Learner<M>,
//!     config: &impl Serialize,
//! ) -> LearningResult<M> {
//!     training
//!         .num_epochs(10)
//!         .with_default_checkpointers()
//!         .summary()
//!         .autolog() // added
//!         .config(config) // added: the hyper-parameters
//!         .launch(learner)
//! }
//! ```
//!
//! The same call stands on `EvaluatorBuilder`, on `RLTraining` (feature `rl`) and, for a [loop of your
//! own](#a-loop-of-your-own), on the optimizer.
//!
//! **A changed import**: the builders of this crate have burn's names and methods, and those of the first way.
//!
//! ```
//! # use burn::train::{Learner, LearnerModel, LearningResult, TrainStep, InferenceStep};
//! # use burn::data::dataloader::DataLoader;
//! # use std::sync::Arc;
//! use runlog_burn::SupervisedTraining; // changed: was `use burn::train::SupervisedTraining;`
//!
//! # fn train<M: LearnerModel>(
//! #     train: Arc<dyn DataLoader<<M as TrainStep>::Input>>,
//! #     valid: Arc<dyn DataLoader<<M as InferenceStep>::Input>>,
//! #     learner: Learner<M>,
//! # ) -> LearningResult<M> {
//! SupervisedTraining::new("artifacts", train, valid).num_epochs(10).summary().launch(learner)
//! # }
//! ```
//!
//! **No line of code**: this crate is burn, with those builders in the place of burn's. The config that a program saves
//! (through the prelude's `Config`) becomes the params of its training.
//!
//! ```toml
//! burn = { package = "runlog-burn", version = "0.1", features = ["train", "flex"] } # was: burn = { version = "0.22", … }
//! ```
//!
//! Everything else is burn's own, so that other crates on burn go together with it. What does not: a function or trait
//! of another crate that takes burn's own builder, such as one that implements `MetricRegistration`; and a `Config`
//! that is saved through `burn::config::Config`, which must stay burn's for its derive. [`SupervisedTraining::with_burn`]
//! reaches burn's builder.
//!
//! # What is recorded
//!
//! Into the active run, or into a run of its own:
//!
//! | what | as |
//! |---|---|
//! | registered metrics, by epoch | `train_loss`, `valid_accuracy`, …: burn's own value of the epoch, at the step of its number, from 1 |
//! | registered metrics, by iteration | `train_loss_step`, `valid_loss_step`, …: of one batch, at the number of the iteration since the training began |
//! | metrics that are no number | `text_metrics.json` |
//! | their names, units and directions | `metric_definitions.json` |
//! | learning rate, progress | `learning_rate` and `epoch` (with its fraction), at the step of the iteration |
//! | an evaluation | `test_loss` for one called `test`, else `test_<name>_loss`: the mean over items as burn weights it, at the last epoch; `…_step` by iteration; `test_items` |
//! | sizes | params `epochs`, `batch_size`, `valid_batch_size`, `train_items`, `valid_items`; `first_epoch` of a resumed training |
//! | hyper-parameters | params with dotted keys, from `.config(&config)`, or from `config.save(…)` of this crate's prelude |
//! | how it trains | params `strategy`, `devices`, `multi_device_optim`, `grads_accumulation`, `gradient_checkpointing`, `early_stopping`, `early_stopping_warmup_epochs`; the tag `label` |
//! | how far it came | metrics `epochs_run` and, if it stopped early, `stopped_epoch` |
//! | checkpoints that burn keeps | the last and the best under `checkpoints/epoch_<n>/` with their metrics; tags `mlflow.latest_checkpoint_artifact`, `runlog.best_checkpoint_artifact` |
//! | burn's log and summary | `experiment.log` (what this training added, up to 16 MiB), `summary.txt`, `model_summary.txt` |
//! | the trained model | a logged model `model`, as burnpack and safetensors, read by [`load_model`]; its signature from `.signature(…)` |
//! | where | the tag `runlog.source`: file and line of the call |
//! | end | FINISHED; KILLED with the reason of `Interrupter::stop`; FAILED with the message of `result.error` or of a panic |
//!
//! A chart of `train_loss` beside `valid_loss` shows epochs, one of `train_loss_step` every batch. The names follow
//! MLflow's for Lightning, which forks a metric into its steps and its epochs; the epoch's has the short name,
//! because MLflow's table of runs shows the last value of each. The metrics of the last iteration and the last epoch, and
//! those of evaluations, are also the logged model's.
//!
//! Reinforcement learning has no epochs: `train_cum_reward` and other metrics of agents and episodes stand at the step
//! of the environment, those of training steps at the number of the step, and `valid_…` is the mean over the episodes of
//! one evaluation. The policy's weights are the artifact `policy/policy.bpk`.
//!
//! # A loop of your own
//!
//! Two calls are added, on the optimizer and on the loss; those in brackets are optional:
//!
//! ```diff
//! +use runlog::burn::{Autolog, LogAs};
//!
//! -let mut optim = config.optimizer.init();
//! +let mut optim = config.optimizer.init().autolog();       // [.config(&config): the hyper-parameters]
//!  for epoch in 1..=config.num_epochs {
//!                                                           // [let _epoch = optim.epoch(); means by epoch]
//!      for batch in loader.iter() {
//! -        let loss = model.loss(batch?);
//! +        let loss = model.loss(batch?).log_as("train_loss");
//!          let grads = GradientsParams::from_grads(loss.backward(), &model);
//!          model = optim.step(1e-3, model, grads);
//!      }
//!  }
//!                                                           // [optim.log_model(&model): the logged model `model`]
//! ```
//!
//! The run starts with the first step and ends when the optimizer is dropped: FINISHED; FAILED in a panic, or with the
//! error given to [`fail`](AutologOptimizer::fail). A loop left through `?` without that counts as FINISHED.
//!
//! | what | as |
//! |---|---|
//! | each `log_as(name)` | the metric `name`, at the number of the optimizer's step, from 1; several before a step as their mean |
//! | learning rate | `learning_rate`, at the step |
//! | an epoch, if its guard is there | `<name>_epoch`, the mean over its steps, with `epoch_seconds` and, if `epoch.samples(n)` was said, `samples_per_second`, at the number of the epoch; `epoch` at the step |
//! | hyper-parameters | params with dotted keys, from `.config(&config)` |
//! | the model | a logged model `model`, from [`log_model`](AutologOptimizer::log_model) |
//! | where | the tag `runlog.source` |
//!
//! Of optimizers that live at once in a thread, what the second one logs by itself ends in `-2`. What you log goes to the
//! same run: `runlog::log_metric("valid_accuracy", value, epoch)`.
//!
//! **Keys differ from the trainer's**, since a loop has steps and need not have epochs:
//!
//! | the loss | in a loop, with `log_as("train_loss")` | in burn's trainer |
//! |---|---|---|
//! | of each step | `train_loss` | `train_loss_step` |
//! | of each epoch | `train_loss_epoch` | `train_loss` |
//!
//! To compare a loop with a trainer's run in one chart, log it as `train_loss_step` and compare steps.
//!
//! # Evaluation
//!
//! The renderer that a recorded training returns carries on: burn's own `EvaluatorBuilder` with
//! `.renderer(result.renderer)` logs into the training's run, although that has ended. Without it,
//! [`EvaluatorBuilder`] gives the evaluation a run of its own.
//!
//! # Limits
//!
//! - The settings of an optimizer, and what an early stopping strategy waits for, cannot be read from burn; give the
//!   config that they are made of.
//! - A batch is a type of yours, so a signature needs [`signature`](SupervisedTraining::signature).
//! - With the call, what was set before `.autolog()` is not seen: say [`directory`](SupervisedTraining::directory) to
//!   have checkpoints and `experiment.log` stored, and set a renderer of your own after it.
//! - burn computes no value for metrics over whole data sets, such as AUROC, when it evaluates: they are recorded by
//!   epoch only. Of several groups of learning rates the base one is recorded.
//! - A metric that shows and writes nothing is added to learn the learning rate; a `MetricLogger` of yours sees its name,
//!   and `N/A`.
//! - burn 0.22.1 makes the summary of an evaluation while a thread of its own still writes what it is made from, so that
//!   `summary.txt` may lack the last values or be missing, as it may on the terminal.
//! - The best checkpoint is the one with the best `valid_loss`, or else the best value of the first metric of the
//!   validation whose direction burn knows; without one only the last checkpoint is stored.
//! - After a panic inside `launch`, which goes on to your code, neither checkpoints nor `experiment.log` are stored; burn
//!   has them in its folder.
//! - Several devices are tested with the strategy `MultiDevice`; `DistributedDataParallel` is not.
//! - burn's feature `blas-netlib` is not forwarded: enable it on a dependency on burn itself.
//! - A training on a renderer of its own (`tui`) that evaluates by itself cannot be interrupted from the terminal.
//! - burn installs a global logger at its first `launch`: from then on runlog's warnings stand in `experiment.log`.
//!
//! # Costs
//!
//! The thread that trains does nothing more than with burn alone: values are taken where burn renders them, on a thread
//! of burn's, and nothing is read from a device. After the training its model and files are stored before `launch`
//! returns. With autologging off, a builder costs an atomic load a method.
//!
//! In a loop of your own, a loss in main memory is read where the step is made. One that a device still computes is
//! ordered at the step and read by another thread: up to 256 steps wait there, and if that thread is ever further behind,
//! the training waits for it; no value is left out. `cargo bench -p runlog-burn` measures both.

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
