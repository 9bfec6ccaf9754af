//! `RLTraining`, recorded: burn's builder with the same methods.

use std::fmt;
use std::path::{Path, PathBuf};

use burn::rl::{
    Batchable, Environment, EnvironmentInit, Policy, PolicyLearner, PolicyState, SliceAccess, ToAction,
    ToObservation,
};
use burn::tensor::Device;
use burn::train::checkpoint::{Checkpoint, CheckpointingStrategy};
use burn::train::logger::MetricLogger;
use burn::train::metric::{Adaptor, Metric, Numeric};
use burn::train::renderer::MetricsRenderer;
use burn::train::{
    AgentMetricRegistration, AgentTextMetricRegistration, ApplicationLoggerInstaller,
    EpisodeMetricRegistration, EpisodeSummary, EpisodeTextMetricRegistration, Interrupter, ItemLazy,
    RLAgentRecord, RLComponentsMarker, RLComponentsTypes, RLPolicyRecord, RLResult, RLStrategies,
    TrainMetricRegistration, TrainTextMetricRegistration,
};
use runlog_core::autolog::Recorder;
use runlog_core::{Error, ErrorKind};
use serde::Serialize;

use super::launch::{Launch, Settings};
use crate::Autolog;

/// burn's [`RLTraining`](burn::train::RLTraining), recorded: the same methods, the same result.
///
/// Imported in its place it records every training that is launched. It is also what
/// [`.autolog()`](crate::Autolog::autolog) makes of burn's own.
#[must_use = "a training does nothing until it is launched"]
pub struct RLTraining<RLC: RLComponentsTypes> {
    burn: burn::train::RLTraining<RLC>,
    settings: Settings,
}

impl<E, EI, A> RLTraining<RLComponentsMarker<E, EI, A>>
where
    E: Environment + 'static,
    EI: EnvironmentInit<E> + Send + 'static,
    A: PolicyLearner + Send + 'static,
    <A as PolicyLearner>::Record: Checkpoint,
    A::TrainContext: ItemLazy + Clone + Send,
    A::InnerPolicy: Policy + Send,
    <A::InnerPolicy as Policy>::Observation: Batchable + Clone + Send,
    <A::InnerPolicy as Policy>::ActionDistribution: Batchable + Clone + Send,
    <A::InnerPolicy as Policy>::Action: Batchable + Clone + Send,
    <A::InnerPolicy as Policy>::ActionContext: ItemLazy + Clone + Send + 'static,
    <A::InnerPolicy as Policy>::PolicyState: Clone + Send,
    <<A::InnerPolicy as Policy>::PolicyState as PolicyState>::Record: Checkpoint,
    E::State: ToObservation<<A::InnerPolicy as Policy>::Observation> + Clone + Send + 'static,
    E::Action: From<<A::InnerPolicy as Policy>::Action>
        + ToAction<<A::InnerPolicy as Policy>::Action>
        + Clone
        + Send
        + 'static,
{
    /// As burn's [`new`](burn::train::RLTraining::new).
    pub fn new(directory: impl AsRef<Path>, env_initializer: EI) -> Self {
        let path: PathBuf = directory.as_ref().to_owned();
        burn::train::RLTraining::new(directory, env_initializer).autolog().directory(path)
    }
}

/// What burn does not have.
impl<RLC: RLComponentsTypes + 'static> RLTraining<RLC> {
    /// The hyper-parameters, recorded as params with dotted keys.
    ///
    /// Of several configs the last one counts where they differ.
    pub fn config(mut self, config: &(impl Serialize + ?Sized)) -> Self {
        self.settings.config(config);
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
        change: impl FnOnce(burn::train::RLTraining<RLC>) -> burn::train::RLTraining<RLC>,
    ) -> Self {
        self.burn = change(self.burn);
        self
    }
}

/// burn's own methods.
impl<RLC: RLComponentsTypes + 'static> RLTraining<RLC> {
    /// As burn's [`with_learning_strategy`](burn::train::RLTraining::with_learning_strategy).
    pub fn with_learning_strategy(mut self, learning_strategy: RLStrategies<RLC>) -> Self {
        match &learning_strategy {
            RLStrategies::OffPolicyStrategy(config) => {
                self.settings.param("strategy", || "OffPolicy".to_owned());
                self.settings.config(config);
            }
            RLStrategies::Custom(_) => self.settings.param("strategy", || "Custom".to_owned()),
        }
        self.with_burn(|burn| burn.with_learning_strategy(learning_strategy))
    }

    /// As burn's [`with_metric_logger`](burn::train::RLTraining::with_metric_logger).
    pub fn with_metric_logger<ML: MetricLogger + 'static>(self, logger: ML) -> Self {
        self.with_burn(|burn| burn.with_metric_logger(logger))
    }

    /// As burn's [`with_checkpointing_strategy`](burn::train::RLTraining::with_checkpointing_strategy).
    pub fn with_checkpointing_strategy<CS: CheckpointingStrategy + 'static>(self, strategy: CS) -> Self {
        self.with_burn(|burn| burn.with_checkpointing_strategy(strategy))
    }

    /// As burn's [`renderer`](burn::train::RLTraining::renderer): what is recorded is passed on to it.
    pub fn renderer(mut self, renderer: Box<dyn MetricsRenderer + 'static>) -> Self {
        self.settings.renderer = Some(renderer);
        self
    }

    /// As burn's [`metrics_train`](burn::train::RLTraining::metrics_train).
    pub fn metrics_train<Me: TrainMetricRegistration<RLC>>(self, metrics: Me) -> Self {
        self.with_burn(|burn| burn.metrics_train(metrics))
    }

    /// As burn's [`text_metrics_train`](burn::train::RLTraining::text_metrics_train).
    pub fn text_metrics_train<Me: TrainTextMetricRegistration<RLC>>(self, metrics: Me) -> Self {
        self.with_burn(|burn| burn.text_metrics_train(metrics))
    }

    /// As burn's [`metrics_agent`](burn::train::RLTraining::metrics_agent).
    pub fn metrics_agent<Me: AgentMetricRegistration<RLC>>(self, metrics: Me) -> Self {
        self.with_burn(|burn| burn.metrics_agent(metrics))
    }

    /// As burn's [`text_metrics_agent`](burn::train::RLTraining::text_metrics_agent).
    pub fn text_metrics_agent<Me: AgentTextMetricRegistration<RLC>>(self, metrics: Me) -> Self {
        self.with_burn(|burn| burn.text_metrics_agent(metrics))
    }

    /// As burn's [`metrics_episode`](burn::train::RLTraining::metrics_episode).
    pub fn metrics_episode<Me: EpisodeMetricRegistration<RLC>>(self, metrics: Me) -> Self {
        self.with_burn(|burn| burn.metrics_episode(metrics))
    }

    /// As burn's [`text_metrics_episode`](burn::train::RLTraining::text_metrics_episode).
    pub fn text_metrics_episode<Me: EpisodeTextMetricRegistration<RLC>>(self, metrics: Me) -> Self {
        self.with_burn(|burn| burn.text_metrics_episode(metrics))
    }

    /// As burn's [`text_metric_train`](burn::train::RLTraining::text_metric_train).
    pub fn text_metric_train<Me: Metric + 'static>(self, metric: Me) -> Self
    where
        RLC::TrainingOutput: Adaptor<Me::Input>,
    {
        self.with_burn(|burn| burn.text_metric_train(metric))
    }

    /// As burn's [`metric_train`](burn::train::RLTraining::metric_train).
    pub fn metric_train<Me: Metric + Numeric + 'static>(self, metric: Me) -> Self
    where
        RLC::TrainingOutput: Adaptor<Me::Input>,
    {
        self.with_burn(|burn| burn.metric_train(metric))
    }

    /// As burn's [`text_metric_agent`](burn::train::RLTraining::text_metric_agent).
    pub fn text_metric_agent<Me: Metric + 'static>(self, metric: Me) -> Self
    where
        RLC::ActionContext: Adaptor<Me::Input>,
    {
        self.with_burn(|burn| burn.text_metric_agent(metric))
    }

    /// As burn's [`metric_agent`](burn::train::RLTraining::metric_agent).
    pub fn metric_agent<Me: Metric + Numeric + 'static>(self, metric: Me) -> Self
    where
        RLC::ActionContext: Adaptor<Me::Input>,
    {
        self.with_burn(|burn| burn.metric_agent(metric))
    }

    /// As burn's [`text_metric_episode`](burn::train::RLTraining::text_metric_episode).
    pub fn text_metric_episode<Me: Metric + 'static>(self, metric: Me) -> Self
    where
        EpisodeSummary: Adaptor<Me::Input> + 'static,
    {
        self.with_burn(|burn| burn.text_metric_episode(metric))
    }

    /// As burn's [`metric_episode`](burn::train::RLTraining::metric_episode).
    pub fn metric_episode<Me: Metric + Numeric + 'static>(self, metric: Me) -> Self
    where
        EpisodeSummary: Adaptor<Me::Input> + 'static,
    {
        self.with_burn(|burn| burn.metric_episode(metric))
    }

    /// As burn's [`num_steps`](burn::train::RLTraining::num_steps).
    pub fn num_steps(self, num_steps: usize) -> Self {
        self.with_burn(|burn| burn.num_steps(num_steps))
    }

    /// As burn's [`checkpoint`](burn::train::RLTraining::checkpoint).
    pub fn checkpoint(mut self, checkpoint: usize) -> Self {
        self.settings.checkpoint = Some(checkpoint);
        self.settings.param("first_environment_step", || checkpoint.to_string());
        self.with_burn(|burn| burn.checkpoint(checkpoint))
    }

    /// As burn's [`interrupter`](burn::train::RLTraining::interrupter).
    pub fn interrupter(&self) -> Interrupter {
        self.burn.interrupter()
    }

    /// As burn's [`with_interrupter`](burn::train::RLTraining::with_interrupter).
    pub fn with_interrupter(self, interrupter: Interrupter) -> Self {
        self.with_burn(|burn| burn.with_interrupter(interrupter))
    }

    /// As burn's [`with_application_logger`](burn::train::RLTraining::with_application_logger).
    pub fn with_application_logger(self, logger: Option<Box<dyn ApplicationLoggerInstaller>>) -> Self {
        self.with_burn(|burn| burn.with_application_logger(logger))
    }

    /// As burn's [`with_checkpointer`](burn::train::RLTraining::with_checkpointer).
    pub fn with_checkpointer(self) -> Self
    where
        RLPolicyRecord<RLC>: Checkpoint,
        RLAgentRecord<RLC>: Checkpoint,
    {
        self.with_burn(burn::train::RLTraining::with_checkpointer)
    }

    /// As burn's [`with_inference_device`](burn::train::RLTraining::with_inference_device).
    pub fn with_inference_device(mut self, device: Device) -> Self {
        self.settings.param("inference_device", || format!("{device:?}"));
        self.with_burn(|burn| burn.with_inference_device(device))
    }

    /// As burn's [`summary`](burn::train::RLTraining::summary).
    pub fn summary(self) -> Self {
        self.with_burn(burn::train::RLTraining::summary)
    }

    /// As burn's [`label`](burn::train::RLTraining::label).
    pub fn label(self, label: &str) -> Self {
        self.with_burn(|burn| burn.label(label))
    }

    /// As burn's [`launch`](burn::train::RLTraining::launch), recorded where autologging is on.
    #[track_caller]
    pub fn launch(self, learner_agent: RLC::LearningAgent) -> RLResult<RLC::Policy>
    where
        RLC::PolicyObs: SliceAccess,
        RLC::PolicyAction: SliceAccess,
    {
        let Self { mut burn, mut settings } = self;
        let Some(launch) = Launch::begin(&mut settings) else {
            if let Some(renderer) = settings.renderer {
                burn = burn.renderer(renderer);
            }
            return burn.launch(learner_agent);
        };
        let burn_renderer = launch.renderer(&mut settings, burn.interrupter());
        let burn = burn.renderer(burn_renderer);
        let (launch, result) = launch.call(|| burn.launch(learner_agent));
        launch.end(result.error.as_deref(), result.interrupted.as_ref(), |recorder, _| {
            record_policy::<RLC>(recorder, &result.policy);
        });
        result
    }
}

/// Stores the weights of the policy as burn's own checkpoints hold them. A policy is no module, and so no logged model.
fn record_policy<RLC: RLComponentsTypes>(recorder: &Recorder, policy: &RLC::Policy) {
    if !recorder.options().logs_models() || size_of::<RLPolicyRecord<RLC>>() == 0 {
        return;
    }
    recorder.record("the policy", |run| {
        let bytes = policy.state().into_record().checkpoint_into_bytes().map_err(|cause| {
            Error::new(ErrorKind::Unexpected, "the policy cannot be written").with("cause", cause)
        })?;
        run.log_stream(&*bytes, "policy/policy.bpk")
    });
}

impl<RLC: RLComponentsTypes> Autolog for burn::train::RLTraining<RLC> {
    type Observed = RLTraining<RLC>;

    fn autolog(self) -> Self::Observed {
        RLTraining { burn: self, settings: Settings::default() }
    }
}

impl<RLC: RLComponentsTypes> fmt::Debug for RLTraining<RLC> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLTraining").finish_non_exhaustive()
    }
}
