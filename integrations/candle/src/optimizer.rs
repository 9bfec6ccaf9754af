//! An optimizer that is watched: candle's trait, the framework's own results.
//!
//! Invariants: every call reaches the wrapped optimizer exactly once and returns what that returned; with autologging
//! off a call costs one comparison more.

use std::collections::HashSet;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, TensorId, Var};
use candle_nn::Optimizer;
use runlog_core::RunHandle;

use crate::INTEGRATION;
use crate::watch::{Epoch, Watch};

/// Any optimizer, recorded: a training begins at its first step and ends when it is dropped.
///
/// It implements candle's `Optimizer` and derefs to the wrapped one, whose own methods work as ever. [`AdamW`] and
/// [`SGD`] are candle's; wrap another one by its type, or with [`From`] where it has constructors of its own:
///
/// ```
/// # use candle_core::{Result, Var, backprop::GradStore};
/// # use candle_nn::Optimizer;
/// # struct Lion { lr: f64 }
/// # impl Optimizer for Lion {
/// #     type Config = f64;
/// #     fn new(_: Vec<Var>, lr: f64) -> Result<Self> { Ok(Self { lr }) }
/// #     fn step(&mut self, _: &GradStore) -> Result<()> { Ok(()) }
/// #     fn learning_rate(&self) -> f64 { self.lr }
/// #     fn set_learning_rate(&mut self, lr: f64) { self.lr = lr; }
/// # }
/// use runlog_candle::{Autolog, VarMap};
///
/// let varmap = VarMap::new();
/// let optimizer = Autolog::<Lion>::new(varmap.all_vars(), 1e-3)?;
/// let mut optimizer = Autolog::from(Lion { lr: 1e-3 });
/// optimizer.weights(&varmap);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub struct Autolog<O> {
    optimizer: O,
    watch: Watch,
}

/// candle's `AdamW`, recorded.
pub type AdamW = Autolog<candle_nn::AdamW>;

/// candle's `SGD`, recorded.
#[expect(clippy::upper_case_acronyms, reason = "the name is candle's")]
pub type SGD = Autolog<candle_nn::SGD>;

/// What tells autologging more than it sees; each does nothing while autologging is off.
impl<O: Optimizer + 'static> Autolog<O> {
    /// Marks an epoch, which lasts until the guard is dropped: its mean loss, its duration and its samples a second are
    /// logged then.
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use candle_nn::Optimizer;
    /// # use runlog_candle::{SGD, VarMap, loss};
    /// # let mut optimizer = SGD::new(vec![], 0.1)?;
    /// for _ in 0..3 {
    ///     let _epoch = optimizer.epoch();
    ///     // … the steps of the epoch
    /// }
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    #[must_use = "the epoch ends when the guard is dropped: `let _epoch = optimizer.epoch();`"]
    pub fn epoch(&self) -> Epoch {
        self.watch.epoch()
    }

    /// Says how many samples are an epoch, for loops without [`epoch`](Self::epoch): an epoch ends with the step that
    /// reaches as many. Samples are counted by the functions of [`loss`](crate::loss).
    pub fn epoch_length(&mut self, samples: usize) {
        self.watch.tell(|session| session.epoch_length(samples));
    }

    /// Says what goes into the model, by one batch of it: the model's signature gets its type and shape, and the model
    /// its first rows if input examples are wanted (`log_input_examples`). Both are read from the device here.
    pub fn model_input(&mut self, batch: &Tensor) {
        self.watch.tell(|session| session.model_input(batch));
    }

    /// Says what is trained on: noted as the run's dataset, with MLflow's digest of the arrays. It is also what
    /// [`epoch_length`](Self::epoch_length) and [`model_input`](Self::model_input) are told, unless they are.
    ///
    /// The first ten thousand numbers are read from the device here.
    pub fn data(&mut self, name: &str, inputs: &Tensor, targets: &Tensor) {
        self.watch.tell(|session| session.data(name, inputs, targets));
    }

    /// Names the weights, where they are not found: in a map of candle's own, in one that was made before autologging
    /// was switched on, or for an optimizer that came by [`From`]. Several calls name several maps.
    pub fn weights(&mut self, map: &candle_nn::VarMap) {
        self.watch.tell(|session| session.weights(map));
    }

    /// The run that the training is recorded in, from the first step on.
    pub fn run(&self) -> Option<RunHandle> {
        self.watch.run()
    }

    #[track_caller]
    fn watched(optimizer: O, vars: impl FnOnce() -> HashSet<TensorId>) -> Self {
        Self { optimizer, watch: Watch::new(Location::caller(), vars) }
    }
}

impl<O: Optimizer + 'static> Optimizer for Autolog<O> {
    type Config = O::Config;

    #[track_caller]
    fn new(vars: Vec<Var>, config: Self::Config) -> Result<Self> {
        // Known before the vars are given away, and only if it matters.
        let ids: Option<HashSet<TensorId>> =
            INTEGRATION.is_on().then(|| vars.iter().map(|var| var.id()).collect());
        Ok(Self::watched(O::new(vars, config)?, || ids.unwrap_or_default()))
    }

    #[track_caller]
    fn empty(config: Self::Config) -> Result<Self> {
        Ok(Self::watched(O::empty(config)?, HashSet::new))
    }

    #[track_caller]
    fn from_slice(vars: &[&Var], config: Self::Config) -> Result<Self> {
        Ok(Self::watched(O::from_slice(vars, config)?, || vars.iter().map(|var| var.id()).collect()))
    }

    #[inline]
    #[track_caller]
    fn step(&mut self, grads: &GradStore) -> Result<()> {
        if self.watch.is_off() {
            return self.optimizer.step(grads);
        }
        let seen = self.watch.before(&self.optimizer, None);
        let result = self.optimizer.step(grads);
        self.watch.after(seen, &result);
        result
    }

    #[inline]
    fn learning_rate(&self) -> f64 {
        self.optimizer.learning_rate()
    }

    #[inline]
    fn set_learning_rate(&mut self, lr: f64) {
        self.optimizer.set_learning_rate(lr);
    }

    #[inline]
    #[track_caller]
    fn backward_step(&mut self, loss: &Tensor) -> Result<()> {
        if self.watch.is_off() {
            return self.optimizer.backward_step(loss);
        }
        let seen = self.watch.before(&self.optimizer, Some(loss));
        let result = self.optimizer.backward_step(loss);
        self.watch.after(seen, &result);
        result
    }
}

/// What `AdamW` has beyond `Optimizer` and what it derefs to.
impl Autolog<candle_nn::AdamW> {
    /// As [`candle_nn::AdamW::new_lr`].
    ///
    /// # Errors
    /// Those of candle, untouched.
    #[track_caller]
    pub fn new_lr(vars: Vec<Var>, learning_rate: f64) -> Result<Self> {
        Self::new(vars, candle_nn::ParamsAdamW { lr: learning_rate, ..Default::default() })
    }
}

/// What `SGD` has beyond `Optimizer` and what it derefs to.
impl Autolog<candle_nn::SGD> {
    /// As [`candle_nn::SGD::into_inner`]; the training ends.
    pub fn into_inner(self) -> Vec<Var> {
        self.optimizer.into_inner()
    }

    /// As [`candle_nn::SGD::push`].
    pub fn push(&mut self, var: &Var) {
        self.optimizer.push(var);
        self.watch.tell(|session| session.push(var));
    }
}

impl<O: Optimizer + 'static> From<O> for Autolog<O> {
    #[track_caller]
    fn from(optimizer: O) -> Self {
        Self::watched(optimizer, HashSet::new)
    }
}

impl<O> Deref for Autolog<O> {
    type Target = O;

    fn deref(&self) -> &O {
        &self.optimizer
    }
}

impl<O> DerefMut for Autolog<O> {
    fn deref_mut(&mut self) -> &mut O {
        &mut self.optimizer
    }
}

impl<O: fmt::Debug> fmt::Debug for Autolog<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Autolog")
            .field("optimizer", &self.optimizer)
            .field("recorded", &!self.watch.is_off())
            .finish()
    }
}
