//! The models of a run: those that it made, those that it uses, and the points that measure them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Binding, RunHandle};
use crate::clock;
use crate::entity::{LoggedModel, Metric, ModelOutput, RunInputs};
use crate::error::Result;
use crate::journal::record::Text;
use crate::logged::Logged;
use crate::model::{self, ModelOptions, ModelSpec};
use crate::sync::{read, write};
use crate::validate;

/// The models that this process knows to be linked to a run.
#[derive(Debug, Default)]
pub(super) struct Models {
    /// Whether the run made any; without one a log call looks no further.
    made_any: AtomicBool,
    links: RwLock<Links>,
}

#[derive(Debug, Default)]
struct Links {
    made_at: BTreeMap<i64, Vec<String>>,
    linked: BTreeSet<String>,
    /// Of those made, the ones that autologging stored.
    observed: BTreeSet<String>,
}

impl Models {
    #[inline]
    pub(super) fn made_any(&self) -> bool {
        self.made_any.load(Ordering::Relaxed)
    }

    fn made_at(&self, step: i64) -> Vec<String> {
        read(&self.links).made_at.get(&step).cloned().unwrap_or_default()
    }

    fn made(&self, model_id: &str, step: i64) {
        let mut links = write(&self.links);
        links.linked.insert(model_id.to_owned());
        let models = links.made_at.entry(step).or_default();
        if !models.iter().any(|known| known == model_id) {
            models.push(model_id.to_owned());
        }
        self.made_any.store(true, Ordering::Relaxed);
    }

    /// Whether there were any.
    fn forget_observed(&self) -> bool {
        let links = &mut *write(&self.links);
        let observed = std::mem::take(&mut links.observed);
        for models in links.made_at.values_mut() {
            models.retain(|made| !observed.contains(made));
        }
        !observed.is_empty()
    }

    fn link(&self, model_id: &str) {
        write(&self.links).linked.insert(model_id.to_owned());
    }

    fn knows(&self, model_id: &str) -> bool {
        read(&self.links).linked.contains(model_id)
    }
}

impl RunHandle {
    /// Remembers the models of a run that existed before this handle.
    pub(crate) fn remember_models(&self, inputs: &RunInputs, outputs: &[ModelOutput]) {
        for model_id in &inputs.models {
            self.0.models.link(model_id);
        }
        for output in outputs {
            self.0.models.made(&output.model_id, output.step);
        }
    }

    /// Notes that a model of this run is one that autologging stored.
    pub(crate) fn observed_model(&self, model_id: &str) {
        write(&self.0.models.links).observed.insert(model_id.to_owned());
    }

    /// Points by key measure no model of an observed training any more: another one begins.
    pub(crate) fn forget_observed_models(&self) {
        if self.0.models.forget_observed() {
            // A point of the training before and one of the next are told apart by their time.
            clock::tick();
        }
    }

    /// Stores a fitted model: its files, its signature, and the link from this run.
    ///
    /// As in MLflow the model takes over the params that the run has so far, and the run's points at the same step (but
    /// not the machine's). Points that are logged by key at that step later measure it as well.
    ///
    /// # Blocking
    /// Until the store and the files are written, and before that until what was logged so far is stored.
    ///
    /// # Errors
    /// The store or the artifacts cannot be written; the model is marked as failed then.
    ///
    /// ```
    /// use runlog_core::{Tracker, model::ModelSpec};
    ///
    /// # let tracker = Tracker::open("memory:")?;
    /// # let run = tracker.start_run(())?;
    /// let weights = ModelSpec::new("model").flavor("my_net", [("data", "net.json")]).file("net.json", *b"{}");
    /// let model = run.log_model(weights)?;
    /// assert_eq!(tracker.load_model(&format!("models:/{}", model.model_id))?.read("net.json")?, b"{}");
    /// # run.finish()?;
    /// # Ok::<(), runlog_core::Error>(())
    /// ```
    pub fn log_model(&self, spec: ModelSpec) -> Result<LoggedModel> {
        model::log::log_model(&self.0.tracker, Some(self), spec)
    }

    /// Creates a model of this run that is not ready yet, such as before its training; MLflow's
    /// `initialize_logged_model`. `options` is a name, `()` for a random one, or [`ModelOptions`].
    ///
    /// Its files follow with [`log_model`](Self::log_model) and [`ModelSpec::model_id`], or by other ways and
    /// [`finalize_logged_model`](crate::Tracker::finalize_logged_model).
    ///
    /// # Errors
    /// The name or a param is wrong, or the store cannot be written.
    pub fn initialize_logged_model(&self, options: impl Into<ModelOptions>) -> Result<LoggedModel> {
        self.0.tracker.initialize_logged_model(options.into().of_run(self.info()))
    }

    /// Creates a model of this run whose files are elsewhere; it is ready at once.
    ///
    /// # Errors
    /// The name or a param is wrong, or the store or the artifacts cannot be written.
    pub fn create_external_model(&self, options: impl Into<ModelOptions>) -> Result<LoggedModel> {
        self.0.tracker.create_external_model(options.into().of_run(self.info()))
    }

    /// Notes that the run made these models; [`log_model`](Self::log_model) does it for its own.
    pub fn log_outputs(&self, outputs: impl IntoIterator<Item = ModelOutput>) -> Logged {
        outputs.into_iter().fold(Logged::nothing(), |logged, ModelOutput { model_id, step }| {
            logged.and(self.log_with("model", |Binding { engine, run }| {
                self.remember_output(&model_id, step);
                Ok(engine.log(*run, &Text::ModelOutput { run: *run, model_id, step }))
            }))
        })
    }

    pub(crate) fn remember_output(&self, model_id: &str, step: i64) {
        self.0.models.made(model_id, step);
    }

    /// Notes that the run uses a model.
    pub(super) fn log_model_input(&self, model_id: String) -> Logged {
        self.log_with("model", |Binding { engine, run }| {
            self.0.models.link(&model_id);
            Ok(engine.log(*run, &Text::ModelInput { run: *run, model_id }))
        })
    }

    /// Logs points as they are: with their time, and with the model and the dataset that they measure.
    ///
    /// A model that is neither made nor used by the run is noted as used. A point without a model is logged as
    /// [`log_metric`](Self::log_metric) logs it.
    ///
    /// ```
    /// use runlog_core::{Metric, Tracker, data::Columns};
    ///
    /// # let tracker = Tracker::open("memory:")?;
    /// # let run = tracker.start_run(())?;
    /// let model = run.create_external_model("served")?;
    /// let wine = Columns::new("wine").column("alcohol", [12.8, 13.2]).dataset()?;
    /// run.log_input((wine.clone(), "test"));
    /// run.log_points([Metric::now("accuracy", 0.97, None).for_model(&model.model_id).on(&wine)]);
    /// # run.finish()?;
    /// # Ok::<(), runlog_core::Error>(())
    /// ```
    pub fn log_points(&self, points: impl IntoIterator<Item = Metric>) -> Logged {
        points.into_iter().fold(Logged::nothing(), |logged, point| logged.and(self.log_given_point(point)))
    }

    fn log_given_point(&self, point: Metric) -> Logged {
        if point.model_id.is_some() {
            return self.log_measure(point);
        }
        if point.dataset_name.is_none() {
            return self.log_point(&point.key, point.value, point.timestamp, point.step);
        }
        match self.log_for_models(&point) {
            Some(logged) => logged,
            None => self.log_measure(point),
        }
    }

    /// Whether a point may measure a model that its caller does not name.
    #[inline]
    pub(super) fn may_measure_models(&self) -> bool {
        self.0.models.made_any() || self.0.tracker.has_active_model()
    }

    /// Logs a point for the active model, else for those that the run made at its step; `None` if there are none.
    #[cold]
    pub(super) fn log_for_models(&self, point: &Metric) -> Option<Logged> {
        if !self.may_measure_models() || is_of_the_machine(&point.key) {
            return None;
        }
        let models = match self.0.tracker.get_active_model_id() {
            Some(active) => vec![active],
            None => self.0.models.made_at(point.step),
        };
        let log = |model_id: String| self.log_measure(point.clone().for_model(model_id));
        models.into_iter().map(log).reduce(Logged::and)
    }

    fn log_measure(&self, point: Metric) -> Logged {
        let valid = validate::key(&point.key).and_then(|()| validate::timestamp(point.timestamp));
        if let Err(error) = valid {
            return self.refuse(&point.key, &error.with("key", &point.key));
        }
        let linked = match &point.model_id {
            Some(model_id) if !self.0.models.knows(model_id) => self.log_model_input(model_id.clone()),
            _ => Logged::nothing(),
        };
        linked.and(self.log_with("point", |Binding { engine, run }| {
            Ok(engine.log(*run, &Text::Measure { run: *run, point: Box::new(point.into()) }))
        }))
    }
}

/// Whether a metric is the machine's, which measures no model.
pub(crate) fn is_of_the_machine(key: &str) -> bool {
    key.starts_with("system/")
}
