//! `SupervisedTraining`, recorded: burn's builder with the same methods.

use std::any::{Any, type_name};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::data::dataloader::DataLoader;
use burn::optim::OptimizerRecord;
use burn::optim::lr_scheduler::LrSchedulerRecord;
use burn::store::ModuleRecord;
use burn::train::checkpoint::{Checkpointer, CheckpointingStrategy};
use burn::train::logger::{MetricLogger, TrainingProgressLogger};
use burn::train::metric::{Adaptor, Metric, Numeric};
use burn::train::renderer::MetricsRenderer;
use burn::train::{
    ApplicationLoggerInstaller, EarlyStoppingStrategy, ExecutionStrategy, InferenceStep, Interrupter,
    Learner, LearnerModel, LearningResult, MetricEarlyStoppingStrategy, MetricRegistration,
    TextMetricRegistration, TrainStep, TrainingStrategy,
};
use runlog_core::autolog::Recorder;
use runlog_core::model::Signature;
use runlog_core::{Error, ErrorKind, Result};
use serde::Serialize;

use super::launch::{Launch, Settings};
use super::watch::Ended;
use crate::{Autolog, INTEGRATION};

type TrainOutput<M> = <M as TrainStep>::Output;
type ValidOutput<M> = <M as InferenceStep>::Output;
type ValidInput<M> = <M as InferenceStep>::Input;

/// Asks the user what goes into a trained model, and what comes out.
type Describe<M> = Box<dyn FnOnce(&M) -> Result<Signature>>;

/// burn's [`SupervisedTraining`](burn::train::SupervisedTraining), recorded: the same methods, the same result.
///
/// Imported in its place it records every training that is launched. It is also what
/// [`.autolog()`](crate::Autolog::autolog) makes of burn's own.
#[must_use = "a training does nothing until it is launched"]
pub struct SupervisedTraining<M: LearnerModel> {
    burn: burn::train::SupervisedTraining<M>,
    settings: Settings,
    signature: Option<Describe<M>>,
}

/// What burn does not have.
impl<M: LearnerModel> SupervisedTraining<M> {
    /// The hyper-parameters, recorded as params with dotted keys: `optimizer.beta_1`. burn forgets those of optimizers.
    ///
    /// Of several configs the last one counts where they differ.
    pub fn config(mut self, config: &(impl Serialize + ?Sized)) -> Self {
        self.settings.config(config);
        self
    }

    /// What goes into the model and what comes out, told by `describe` from the trained model and a batch of `loader`,
    /// after the training. Batches are types of the user's own, of which nothing can be seen.
    ///
    /// Give a loader that does not shuffle: one that does goes on to another order with each use.
    pub fn signature<F>(mut self, loader: &Arc<dyn DataLoader<ValidInput<M>>>, describe: F) -> Self
    where
        F: FnOnce(&M, ValidInput<M>) -> Signature + 'static,
        ValidInput<M>: 'static,
    {
        if INTEGRATION.is_on() {
            let loader = Arc::clone(loader);
            self.signature = Some(Box::new(move |model| Ok(describe(model, first_batch(model, &loader)?))));
        }
        self
    }

    /// Where burn writes its files, for a training that was built before `.autolog()`: its checkpoints and its log are
    /// stored from there.
    pub fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.settings.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Changes the builder of burn's that stands behind this one, such as by a method that this one does not have.
    ///
    /// A renderer that is set so is replaced; [`renderer`](Self::renderer) keeps it.
    pub fn with_burn(
        mut self,
        change: impl FnOnce(burn::train::SupervisedTraining<M>) -> burn::train::SupervisedTraining<M>,
    ) -> Self {
        self.burn = change(self.burn);
        self
    }
}

fn first_batch<M: LearnerModel>(
    model: &M,
    loader: &Arc<dyn DataLoader<ValidInput<M>>>,
) -> Result<ValidInput<M>> {
    let none = || Error::new(ErrorKind::InvalidInput, "the loader for the signature has no batch");
    let device = model.devices().into_iter().next().unwrap_or_default();
    let loader = loader.to_device(&device);
    let batch = loader.iter().next().ok_or_else(none)?;
    batch.map_err(|cause| none().because(cause.to_string()))
}

/// burn's own methods.
impl<M: LearnerModel> SupervisedTraining<M> {
    /// As burn's [`new`](burn::train::SupervisedTraining::new).
    pub fn new(
        directory: impl AsRef<Path>,
        dataloader_train: Arc<dyn DataLoader<<M as TrainStep>::Input>>,
        dataloader_valid: Arc<dyn DataLoader<<M as InferenceStep>::Input>>,
    ) -> Self {
        let path: PathBuf = directory.as_ref().to_owned();
        let burn = burn::train::SupervisedTraining::new(directory, dataloader_train, dataloader_valid);
        burn.autolog().directory(path)
    }

    /// As burn's [`with_training_strategy`](burn::train::SupervisedTraining::with_training_strategy).
    pub fn with_training_strategy(self, training_strategy: TrainingStrategy<M>) -> Self {
        let mut this = self;
        if INTEGRATION.is_on() {
            this.settings.strategy(&training_strategy);
        }
        this.with_burn(|burn| burn.with_training_strategy(training_strategy))
    }

    /// As burn's [`with_metric_logger`](burn::train::SupervisedTraining::with_metric_logger).
    pub fn with_metric_logger<ML: MetricLogger + 'static>(self, logger: ML) -> Self {
        self.with_burn(|burn| burn.with_metric_logger(logger))
    }

    /// As burn's [`with_progress_logger`](burn::train::SupervisedTraining::with_progress_logger).
    pub fn with_progress_logger<PL: TrainingProgressLogger + 'static>(self, logger: PL) -> Self {
        self.with_burn(|burn| burn.with_progress_logger(logger))
    }

    /// As burn's [`with_checkpointing_strategy`](burn::train::SupervisedTraining::with_checkpointing_strategy).
    pub fn with_checkpointing_strategy<CS: CheckpointingStrategy + 'static>(self, strategy: CS) -> Self {
        self.with_burn(|burn| burn.with_checkpointing_strategy(strategy))
    }

    /// As burn's [`renderer`](burn::train::SupervisedTraining::renderer): what is recorded is passed on to it.
    pub fn renderer(mut self, renderer: Box<dyn MetricsRenderer + 'static>) -> Self {
        self.settings.renderer = Some(renderer);
        self
    }

    /// As burn's [`metrics`](burn::train::SupervisedTraining::metrics).
    pub fn metrics<Me: MetricRegistration<M>>(self, metrics: Me) -> Self {
        self.with_burn(|burn| burn.metrics(metrics))
    }

    /// As burn's [`metrics_text`](burn::train::SupervisedTraining::metrics_text).
    pub fn metrics_text<Me: TextMetricRegistration<M>>(self, metrics: Me) -> Self {
        self.with_burn(|burn| burn.metrics_text(metrics))
    }

    /// As burn's [`metric_train`](burn::train::SupervisedTraining::metric_train).
    pub fn metric_train<Me: Metric + 'static>(self, metric: Me) -> Self
    where
        TrainOutput<M>: Adaptor<Me::Input>,
    {
        self.with_burn(|burn| burn.metric_train(metric))
    }

    /// As burn's [`metric_valid`](burn::train::SupervisedTraining::metric_valid).
    pub fn metric_valid<Me: Metric + 'static>(self, metric: Me) -> Self
    where
        ValidOutput<M>: Adaptor<Me::Input>,
    {
        self.with_burn(|burn| burn.metric_valid(metric))
    }

    /// As burn's [`metric_train_numeric`](burn::train::SupervisedTraining::metric_train_numeric).
    pub fn metric_train_numeric<Me: Metric + Numeric + 'static>(self, metric: Me) -> Self
    where
        TrainOutput<M>: Adaptor<Me::Input>,
    {
        self.with_burn(|burn| burn.metric_train_numeric(metric))
    }

    /// As burn's [`metric_valid_numeric`](burn::train::SupervisedTraining::metric_valid_numeric).
    pub fn metric_valid_numeric<Me: Metric + Numeric + 'static>(self, metric: Me) -> Self
    where
        ValidOutput<M>: Adaptor<Me::Input>,
    {
        self.with_burn(|burn| burn.metric_valid_numeric(metric))
    }

    /// As burn's [`grads_accumulation`](burn::train::SupervisedTraining::grads_accumulation).
    ///
    /// # Panics
    /// As burn's: if `accumulation` is zero.
    pub fn grads_accumulation(mut self, accumulation: usize) -> Self {
        self.settings.param("grads_accumulation", || accumulation.to_string());
        self.with_burn(|burn| burn.grads_accumulation(accumulation))
    }

    /// As burn's [`gradient_checkpointing`](burn::train::SupervisedTraining::gradient_checkpointing).
    pub fn gradient_checkpointing(mut self) -> Self {
        self.settings.param("gradient_checkpointing", || "True".to_owned());
        self.with_burn(burn::train::SupervisedTraining::gradient_checkpointing)
    }

    /// As burn's [`num_epochs`](burn::train::SupervisedTraining::num_epochs).
    pub fn num_epochs(self, num_epochs: usize) -> Self {
        self.with_burn(|burn| burn.num_epochs(num_epochs))
    }

    /// As burn's [`checkpoint`](burn::train::SupervisedTraining::checkpoint).
    pub fn checkpoint(mut self, checkpoint: usize) -> Self {
        self.settings.checkpoint = Some(checkpoint);
        self.with_burn(|burn| burn.checkpoint(checkpoint))
    }

    /// As burn's [`interrupter`](burn::train::SupervisedTraining::interrupter).
    pub fn interrupter(&self) -> Interrupter {
        self.burn.interrupter()
    }

    /// As burn's [`with_interrupter`](burn::train::SupervisedTraining::with_interrupter).
    pub fn with_interrupter(self, interrupter: Interrupter) -> Self {
        self.with_burn(|burn| burn.with_interrupter(interrupter))
    }

    /// As burn's [`early_stopping`](burn::train::SupervisedTraining::early_stopping).
    pub fn early_stopping<Strategy>(mut self, strategy: Strategy) -> Self
    where
        Strategy: EarlyStoppingStrategy + Clone + Send + Sync + 'static,
    {
        self.settings.param("early_stopping", || short_name::<Strategy>().to_owned());
        let any: &dyn Any = &strategy;
        if let Some(warmup) = any
            .downcast_ref::<MetricEarlyStoppingStrategy>()
            .and_then(MetricEarlyStoppingStrategy::warmup_epochs)
        {
            self.settings.param("early_stopping_warmup_epochs", || warmup.to_string());
        }
        self.with_burn(|burn| burn.early_stopping(strategy))
    }

    /// As burn's [`with_application_logger`](burn::train::SupervisedTraining::with_application_logger).
    pub fn with_application_logger(self, logger: Option<Box<dyn ApplicationLoggerInstaller>>) -> Self {
        self.with_burn(|burn| burn.with_application_logger(logger))
    }

    /// As burn's [`with_default_checkpointers`](burn::train::SupervisedTraining::with_default_checkpointers).
    pub fn with_default_checkpointers(self) -> Self {
        self.with_burn(burn::train::SupervisedTraining::with_default_checkpointers)
    }

    /// As burn's [`with_custom_checkpointers`](burn::train::SupervisedTraining::with_custom_checkpointers).
    pub fn with_custom_checkpointers<CM, CO, CL>(
        self,
        module_checkpointer: CM,
        optimizer_checkpointer: CO,
        lr_checkpointer: CL,
    ) -> Self
    where
        CM: Checkpointer<ModuleRecord> + 'static,
        CO: Checkpointer<OptimizerRecord> + 'static,
        CL: Checkpointer<LrSchedulerRecord> + 'static,
    {
        self.with_burn(|burn| {
            burn.with_custom_checkpointers(module_checkpointer, optimizer_checkpointer, lr_checkpointer)
        })
    }

    /// As burn's [`summary`](burn::train::SupervisedTraining::summary).
    pub fn summary(self) -> Self {
        self.with_burn(burn::train::SupervisedTraining::summary)
    }

    /// As burn's [`label`](burn::train::SupervisedTraining::label).
    pub fn label(self, label: &str) -> Self {
        self.with_burn(|burn| burn.label(label))
    }

    /// As burn's [`launch`](burn::train::SupervisedTraining::launch), recorded where autologging is on.
    #[track_caller]
    pub fn launch(self, learner: Learner<M>) -> LearningResult<M> {
        let Self { mut burn, mut settings, signature } = self;
        let Some(launch) = Launch::begin(&mut settings) else {
            if let Some(renderer) = settings.renderer {
                burn = burn.renderer(renderer);
            }
            return burn.launch(learner);
        };
        let renderer = launch.renderer(&mut settings, burn.interrupter());
        let burn = burn.renderer(renderer).metric_train(launch.probe());
        let (launch, result) = launch.call(|| burn.launch(learner));
        launch.end(result.error.as_deref(), result.interrupted.as_ref(), |recorder, ended| {
            record_model(recorder, &result.model, signature, ended);
        });
        result
    }
}

fn record_model<M: LearnerModel>(
    recorder: &Recorder,
    model: &M,
    signature: Option<Describe<M>>,
    ended: &Ended,
) {
    crate::model::log_with(recorder, model, "model", ended.finished, |spec, options| {
        let Some(describe) = signature.filter(|_| options.logs_model_signatures()) else { return Ok(spec) };
        Ok(spec.signature(describe(model)?))
    });
}

impl Settings {
    fn strategy<M: LearnerModel>(&mut self, strategy: &TrainingStrategy<M>) {
        let (name, devices) = match strategy {
            TrainingStrategy::Custom(_) => ("Custom", None),
            TrainingStrategy::Default(ExecutionStrategy::SingleDevice(device)) => {
                ("SingleDevice", Some(format!("{device:?}")))
            }
            TrainingStrategy::Default(ExecutionStrategy::MultiDevice(devices, optim)) => {
                self.param("multi_device_optim", || format!("{optim:?}"));
                ("MultiDevice", Some(format!("{devices:?}")))
            }
            TrainingStrategy::Default(ExecutionStrategy::DistributedDataParallel { devices, .. }) => {
                ("DistributedDataParallel", Some(format!("{devices:?}")))
            }
        };
        self.param("strategy", || name.to_owned());
        if let Some(devices) = devices {
            self.param("devices", || devices);
        }
    }
}

/// The name of a type without its module.
pub(super) fn short_name<T>() -> &'static str {
    let name = type_name::<T>();
    let plain = name.split('<').next().unwrap_or(name);
    plain.rsplit("::").next().unwrap_or(plain)
}

impl<M: LearnerModel> Autolog for burn::train::SupervisedTraining<M> {
    type Observed = SupervisedTraining<M>;

    fn autolog(self) -> Self::Observed {
        SupervisedTraining { burn: self, settings: Settings::default(), signature: None }
    }
}

impl<M: LearnerModel> fmt::Debug for SupervisedTraining<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisedTraining").finish_non_exhaustive()
    }
}
