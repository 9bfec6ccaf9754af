//! `EvaluatorBuilder` and `Evaluator`, recorded: burn's, with the same methods.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;

use burn::data::dataloader::DataLoader;
use burn::module::Module;
use burn::train::logger::EvaluationProgressLogger;
use burn::train::metric::{Adaptor, Metric, Numeric};
use burn::train::renderer::{MetricsRenderer, default_renderer};
use burn::train::{
    ApplicationLoggerInstaller, EvalMetricRegistration, EvalTextMetricRegistration, EvaluationResult,
    EvaluatorComponentTypes, EvaluatorComponentTypesMarker, InferenceStep, Interrupter,
};
use runlog_core::autolog::Training;

use super::launch;
use super::observer::{observed, watch_of};
use super::watch::Watch;
use crate::{Autolog, INTEGRATION};

type Input<EC> = <<EC as EvaluatorComponentTypes>::Model as InferenceStep>::Input;
type Output<EC> = <<EC as EvaluatorComponentTypes>::Model as InferenceStep>::Output;

/// burn's [`EvaluatorBuilder`](burn::train::EvaluatorBuilder), recorded: the same methods, the same result.
///
/// With the renderer of a recorded training, `result.renderer`, the evaluation goes into that training's run; burn's own
/// builder does that too. Without it, it has a run of its own.
#[must_use = "an evaluation does nothing until it is built and run"]
pub struct EvaluatorBuilder<EC: EvaluatorComponentTypes> {
    burn: burn::train::EvaluatorBuilder<EC>,
    renderer: Option<Box<dyn MetricsRenderer>>,
}

impl<M> EvaluatorBuilder<EvaluatorComponentTypesMarker<M>>
where
    M: Module + InferenceStep + fmt::Display + 'static,
{
    /// As burn's [`new`](burn::train::EvaluatorBuilder::new).
    pub fn new(directory: impl AsRef<Path>) -> Self {
        burn::train::EvaluatorBuilder::new(directory).autolog()
    }
}

impl<EC: EvaluatorComponentTypes> EvaluatorBuilder<EC> {
    /// Changes the builder of burn's that stands behind this one, such as by a method that this one does not have.
    ///
    /// A renderer that is set so is replaced; [`renderer`](Self::renderer) keeps it.
    pub fn with_burn(
        mut self,
        change: impl FnOnce(burn::train::EvaluatorBuilder<EC>) -> burn::train::EvaluatorBuilder<EC>,
    ) -> Self {
        self.burn = change(self.burn);
        self
    }

    /// As burn's [`metrics`](burn::train::EvaluatorBuilder::metrics).
    pub fn metrics<Me: EvalMetricRegistration<EC>>(self, metrics: Me) -> Self {
        self.with_burn(|burn| burn.metrics(metrics))
    }

    /// As burn's [`metrics_text`](burn::train::EvaluatorBuilder::metrics_text).
    pub fn metrics_text<Me: EvalTextMetricRegistration<EC>>(self, metrics: Me) -> Self {
        self.with_burn(|burn| burn.metrics_text(metrics))
    }

    /// As burn's [`with_application_logger`](burn::train::EvaluatorBuilder::with_application_logger).
    pub fn with_application_logger(self, logger: Option<Box<dyn ApplicationLoggerInstaller>>) -> Self {
        self.with_burn(|burn| burn.with_application_logger(logger))
    }

    /// As burn's [`metric_numeric`](burn::train::EvaluatorBuilder::metric_numeric).
    pub fn metric_numeric<Me: Metric + Numeric + 'static>(self, metric: Me) -> Self
    where
        Output<EC>: Adaptor<Me::Input>,
    {
        self.with_burn(|burn| burn.metric_numeric(metric))
    }

    /// As burn's [`metric`](burn::train::EvaluatorBuilder::metric).
    pub fn metric<Me: Metric + 'static>(self, metric: Me) -> Self
    where
        Output<EC>: Adaptor<Me::Input>,
    {
        self.with_burn(|burn| burn.metric(metric))
    }

    /// As burn's [`renderer`](burn::train::EvaluatorBuilder::renderer): what is recorded is passed on to it.
    pub fn renderer(mut self, renderer: Box<dyn MetricsRenderer + 'static>) -> Self {
        self.renderer = Some(renderer);
        self
    }

    /// As burn's [`summary`](burn::train::EvaluatorBuilder::summary).
    pub fn summary(self) -> Self {
        self.with_burn(burn::train::EvaluatorBuilder::summary)
    }

    /// As burn's [`with_progress_logger`](burn::train::EvaluatorBuilder::with_progress_logger).
    pub fn with_progress_logger<PL: EvaluationProgressLogger + 'static>(self, logger: PL) -> Self {
        self.with_burn(|burn| burn.with_progress_logger(logger))
    }

    /// As burn's [`build`](burn::train::EvaluatorBuilder::build).
    pub fn build(self, model: EC::Model) -> Evaluator<EC> {
        let Self { mut burn, renderer } = self;
        let recorded = renderer.as_deref().and_then(watch_of).is_some_and(|watch| watch.is_attached());
        let mut watch = None;
        if recorded || !INTEGRATION.is_on() {
            if let Some(renderer) = renderer {
                burn = burn.renderer(renderer);
            }
        } else {
            let inner = renderer.unwrap_or_else(|| default_renderer(Interrupter::new(), None));
            let own = watch.insert(Watch::default());
            burn = burn.renderer(observed(inner, own.clone()));
        }
        Evaluator { burn: burn.build(model), watch }
    }
}

impl<EC: EvaluatorComponentTypes> Autolog for burn::train::EvaluatorBuilder<EC> {
    type Observed = EvaluatorBuilder<EC>;

    fn autolog(self) -> Self::Observed {
        EvaluatorBuilder { burn: self, renderer: None }
    }
}

impl<EC: EvaluatorComponentTypes> fmt::Debug for EvaluatorBuilder<EC> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvaluatorBuilder").finish_non_exhaustive()
    }
}

/// burn's [`Evaluator`](burn::train::Evaluator), recorded.
pub struct Evaluator<EC: EvaluatorComponentTypes> {
    burn: burn::train::Evaluator<EC>,
    /// Of an evaluation that is to have a run of its own.
    watch: Option<Watch>,
}

impl<EC: EvaluatorComponentTypes> Evaluator<EC> {
    /// As burn's [`eval`](burn::train::Evaluator::eval), recorded where autologging is on.
    #[track_caller]
    pub fn eval<S: fmt::Display>(
        self,
        name: S,
        dataloader: Arc<dyn DataLoader<Input<EC>>>,
    ) -> EvaluationResult {
        self.eval_all([(name, dataloader)])
    }

    /// As burn's [`eval_all`](burn::train::Evaluator::eval_all), recorded where autologging is on.
    #[track_caller]
    pub fn eval_all<S: fmt::Display>(
        self,
        splits: impl IntoIterator<Item = (S, Arc<dyn DataLoader<Input<EC>>>)>,
    ) -> EvaluationResult {
        let caller = Location::caller();
        let training = self.watch.and_then(|watch| {
            let training = Training::start(&INTEGRATION)?;
            training.record("the evaluation", |run| {
                run.set_tag("runlog.source", format_args!("{}:{}", caller.file(), caller.line()));
                Ok(())
            });
            watch.attach(&training, BTreeSet::new());
            Some(training)
        });
        let Some(training) = training else { return self.burn.eval_all(splits) };
        let (training, result) = launch::call(training, || self.burn.eval_all(splits));
        launch::end(training, result.error.as_deref(), result.interrupted.as_ref());
        result
    }
}

impl<EC: EvaluatorComponentTypes> Deref for Evaluator<EC> {
    type Target = burn::train::Evaluator<EC>;

    fn deref(&self) -> &Self::Target {
        &self.burn
    }
}

impl<EC: EvaluatorComponentTypes> DerefMut for Evaluator<EC> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.burn
    }
}

impl<EC: EvaluatorComponentTypes> fmt::Debug for Evaluator<EC> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluator").finish_non_exhaustive()
    }
}
