//! Hand-written training loops: an optimizer whose steps are recorded.
//!
//! Invariant: burn's optimizer gets exactly what it would get, once a step, and its result is returned as it is.

mod epoch;
mod loss;
mod progress;

use std::error::Error as StdError;
use std::fmt::{self, Display};
use std::ops::Deref;
use std::panic::Location;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::grad_clipping::GradientClipping;
use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::{Module, ParamGroup};
use burn::optim::{DynOptimizer, GradientsParams, ModuleOptimizer, MultiGradientsParams, OptimizerRecord};
use burn::store::RecordError;
use burn::tensor::Bytes;
use runlog_core::autolog::Training;
use runlog_core::model::ModelSpec;
use runlog_core::{LoggedModel, Result};
use serde::Serialize;

pub use epoch::Epoch;
pub use loss::LogAs;

use crate::model::{self, numbered};
use crate::params::{Params, params, refused};
use crate::{Autolog, INTEGRATION};
use loss::Counted;
use progress::Progress;

/// burn's `ModuleOptimizer`, recorded: the same methods, the same results.
///
/// The training starts with the first step (or epoch) and ends when the optimizer is dropped: `FINISHED`, or `FAILED` in
/// a panic. A function that is left through `?` drops it like any other: say [`fail`](Self::fail) where an error should
/// fail the run. Optimizers that live at once in a thread share a run; what the second one logs by itself ends in `-2`.
///
/// It derefs to burn's own for reading. A function that wants a `&mut ModuleOptimizer` must name this type instead, or
/// its steps would be nobody's.
///
/// ```
/// use burn::module::Module;
/// use burn::nn::LinearConfig;
/// use burn::optim::{AdamConfig, GradientsParams};
/// use burn::tensor::{Device, Tensor};
/// use runlog_burn::{Autolog, LogAs}; // added
///
/// # runlog_core::fluent::set_tracking_uri("memory:")?;
/// runlog_burn::autolog(); // added
/// let device = Device::flex().autodiff();
/// let mut model = LinearConfig::new(2, 1).init(&device);
/// let config = AdamConfig::new();
/// let mut optim = config.init().autolog().config(&config); // added: .autolog().config(&config)
/// for _ in 0..3 {
///     let _epoch = optim.epoch(); // added, for means by epoch
///     let output = model.forward(Tensor::<2>::ones([4, 2], &device));
///     let loss = output.mean().log_as("train_loss"); // added: .log_as("train_loss")
///     let grads = GradientsParams::from_grads(loss.backward(), &model);
///     model = optim.step(1e-2, model, grads);
/// }
/// optim.log_model(&model); // added
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub struct AutologOptimizer {
    burn: ModuleOptimizer,
    live: Option<Live>,
    /// The training is not to be recorded, or has ended.
    closed: bool,
    params: Params,
    caller: &'static Location<'static>,
    _counted: Counted,
}

/// A training that is recorded.
struct Live {
    progress: Arc<Mutex<Progress>>,
    training: Option<Training>,
}

impl Autolog for ModuleOptimizer {
    type Observed = AutologOptimizer;

    #[track_caller]
    fn autolog(self) -> AutologOptimizer {
        AutologOptimizer {
            burn: self,
            live: None,
            closed: false,
            params: Params::new(),
            caller: Location::caller(),
            _counted: Counted::new(),
        }
    }
}

/// What burn's optimizer has.
impl AutologOptimizer {
    /// As burn's [`ModuleOptimizer::step`].
    #[inline]
    pub fn step<M: Module>(
        &mut self,
        lr_module: impl Into<ModuleLearningRate>,
        module: M,
        grads: GradientsParams,
    ) -> M {
        let lr_module = lr_module.into();
        if self.live.is_some() || INTEGRATION.is_on() {
            self.steps(&lr_module);
        }
        self.burn.step(lr_module, module, grads)
    }

    /// As burn's [`ModuleOptimizer::step_multi`].
    #[inline]
    pub fn step_multi<M: Module>(
        &mut self,
        lr_module: impl Into<ModuleLearningRate>,
        module: M,
        grads: MultiGradientsParams,
    ) -> M {
        let lr_module = lr_module.into();
        if self.live.is_some() || INTEGRATION.is_on() {
            self.steps(&lr_module);
        }
        self.burn.step_multi(lr_module, module, grads)
    }

    /// As burn's [`ModuleOptimizer::with_grad_clipping`].
    #[must_use]
    pub fn with_grad_clipping(self, gradient_clipping: GradientClipping) -> Self {
        Self { burn: self.burn.with_grad_clipping(gradient_clipping), ..self }
    }

    /// As burn's [`ModuleOptimizer::with_group`].
    #[must_use]
    pub fn with_group<O: DynOptimizer + 'static>(
        self,
        group: ParamGroup,
        optim: O,
        grad_clipping: Option<GradientClipping>,
    ) -> Self {
        Self { burn: self.burn.with_group(group, optim, grad_clipping), ..self }
    }

    /// As burn's [`ModuleOptimizer::load_record`].
    #[must_use]
    pub fn load_record(self, record: OptimizerRecord) -> Self {
        Self { burn: self.burn.load_record(record), ..self }
    }

    /// As burn's [`ModuleOptimizer::from_bytes`].
    ///
    /// # Errors
    /// burn's.
    #[expect(clippy::wrong_self_convention, reason = "the name is burn's")]
    pub fn from_bytes(self, bytes: Bytes) -> Result<Self, RecordError> {
        Ok(Self { burn: self.burn.from_bytes(bytes)?, ..self })
    }

    /// As burn's [`ModuleOptimizer::load`].
    ///
    /// # Errors
    /// burn's.
    pub fn load<P: AsRef<Path>>(self, path: P) -> Result<Self, RecordError> {
        Ok(Self { burn: self.burn.load(path)?, ..self })
    }

    /// burn's own optimizer; the recorded training ends here.
    pub fn into_inner(self) -> ModuleOptimizer {
        self.burn
    }
}

/// What is recorded.
impl AutologOptimizer {
    /// Logs a configuration as params when the training starts: burn's optimizers do not tell what they were made from.
    ///
    /// Any `Config` of burn will do, or any other `Serialize`: nested fields get dotted keys, such as
    /// `optimizer.beta_1`. Those of a second optimizer that shares the run end in `-2`.
    #[must_use]
    pub fn config<C: Serialize + ?Sized>(mut self, config: &C) -> Self {
        if INTEGRATION.is_on() {
            self.read_config(config);
        }
        self
    }

    fn read_config<C: Serialize + ?Sized>(&mut self, config: &C) {
        match params(config) {
            Ok(params) => self.params.extend(params),
            Err(error) => refused(&error),
        }
    }

    /// Starts an epoch, which ends when the guard is dropped: see [`Epoch`].
    pub fn epoch(&mut self) -> Epoch {
        if self.live.is_none() && !INTEGRATION.is_on() {
            return Epoch::unseen();
        }
        match self.open() {
            Some(live) => Epoch::start(Arc::clone(&live.progress)),
            None => Epoch::unseen(),
        }
    }

    /// Stores the model as it is now, as a logged model of the run: once the training is done, or at any step of it.
    ///
    /// `None` if it is not recorded. Nothing is computed with the model; its values are copied from the device.
    pub fn log_model<M: Module + Display>(&mut self, model: &M) -> Option<LoggedModel> {
        self.log_model_with(model, Ok)
    }

    /// As [`log_model`](Self::log_model); `describe` adds what burn does not tell, such as a signature.
    ///
    /// ```no_run
    /// # use burn::nn::Linear;
    /// # use burn::tensor::Tensor;
    /// # use runlog_burn::{AutologOptimizer, example_of, signature_of};
    /// # fn log(optim: &mut AutologOptimizer, model: &Linear, images: &Tensor<2>, scores: &Tensor<2>) {
    /// optim.log_model_with(model, |spec| {
    ///     Ok(spec.signature(signature_of(images, scores)).input_example(example_of(images)?))
    /// });
    /// # }
    /// ```
    pub fn log_model_with<M: Module + Display>(
        &mut self,
        model: &M,
        describe: impl FnOnce(ModelSpec) -> Result<ModelSpec>,
    ) -> Option<LoggedModel> {
        if self.live.is_none() && !INTEGRATION.is_on() {
            return None;
        }
        let live = self.open()?;
        let training = live.training.as_ref()?;
        let mut steps = 0;
        training.record("the losses so far", |_| {
            let mut progress = lock(&live.progress);
            steps = progress.steps();
            // The model is linked to the values of its step.
            progress.wait()
        });
        let name = numbered("model", training.part());
        model::log_with(training, model, &name, steps, |spec, _| describe(spec))
    }

    /// The training returned an error: the run ends `FAILED` with its text, unless it is the user's own.
    pub fn fail(mut self, error: &dyn StdError) {
        if let Some(mut live) = self.live.take() {
            live.end();
            if let Some(training) = live.training.take() {
                training.fail(error);
            }
        }
    }

    #[inline(never)]
    fn steps(&mut self, lr_module: &ModuleLearningRate) {
        loss::steps_here();
        let Some(live) = self.open() else {
            drop(loss::take());
            return;
        };
        let Some(training) = &live.training else { return };
        if training.is_on() {
            training.record("a step", |_| lock(&live.progress).step(lr_module.base()));
        } else {
            drop(loss::take());
        }
    }

    /// The training, started if it is not yet.
    fn open(&mut self) -> Option<&Live> {
        if self.live.is_none() && !self.closed {
            self.closed = true;
            self.live = Training::open(&INTEGRATION).map(|training| self.started(training));
        }
        self.live.as_ref()
    }

    fn started(&mut self, training: Training) -> Live {
        let part = training.part();
        training.record("the configuration", |run| {
            if part == 1 {
                run.set_tag("runlog.source", format_args!("{}:{}", self.caller.file(), self.caller.line()));
            }
            let params = std::mem::take(&mut self.params);
            training.log_params(params.into_iter().map(|(key, value)| (numbered(&key, part), value)));
            Ok(())
        });
        let progress = Arc::new(Mutex::new(Progress::new(training.clone())));
        Live { progress, training: Some(training) }
    }
}

impl Live {
    /// Everything is logged when this returns.
    fn end(&mut self) {
        let Some(training) = &self.training else { return };
        training.record("the last values", |_| lock(&self.progress).end());
        lock(&self.progress).close();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.end();
    }
}

impl Deref for AutologOptimizer {
    type Target = ModuleOptimizer;

    fn deref(&self) -> &ModuleOptimizer {
        &self.burn
    }
}

impl From<AutologOptimizer> for ModuleOptimizer {
    fn from(recorded: AutologOptimizer) -> Self {
        recorded.into_inner()
    }
}

impl fmt::Debug for AutologOptimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AutologOptimizer")
            .field("training", &self.live.as_ref().and_then(|live| live.training.as_ref()))
            .finish_non_exhaustive()
    }
}

/// Locks what only our own code holds; a panic in it was dealt with where it happened.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
