//! What surrounds a call of burn's that trains: its run, its settings, and what is recorded once it has returned.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::path::PathBuf;

use burn::train::renderer::{MetricsRenderer, default_renderer};
use burn::train::{Interrupter, Interruption, TrainingError};
use runlog_core::LoggedModel;
use runlog_core::autolog::{Recorder, Training};
use serde::Serialize;

use super::checkpoints::Folder;
use super::config;
use super::observer::{observed, watch_of};
use super::probe::RateProbe;
use super::watch::{Ended, Watch, describe};
use crate::INTEGRATION;
use crate::options::Settings as Options;
use crate::params::{Params, params, refused};

/// What a builder was told.
#[derive(Default)]
pub(super) struct Settings {
    /// Where burn writes, if that is known.
    pub(super) directory: Option<PathBuf>,
    /// From where a training is resumed.
    pub(super) checkpoint: Option<usize>,
    pub(super) renderer: Option<Box<dyn MetricsRenderer>>,
    params: Vec<(&'static str, String)>,
    configs: Vec<Params>,
}

impl Settings {
    /// Notes a setting as a param, where autologging is on.
    pub(super) fn param(&mut self, key: &'static str, value: impl FnOnce() -> String) {
        if INTEGRATION.is_on() {
            self.params.retain(|(known, _)| *known != key);
            self.params.push((key, value()));
        }
    }

    /// Notes the user's config, where autologging is on.
    pub(super) fn config(&mut self, config: &(impl Serialize + ?Sized)) {
        if INTEGRATION.is_on() {
            match params(config) {
                Ok(params) => self.configs.push(params),
                Err(error) => refused(&error),
            }
        }
    }

    /// The user's params: the configs given to the builder, then those saved for it.
    fn users(&mut self) -> Params {
        let mut keys = BTreeSet::new();
        let given = std::mem::take(&mut self.configs).into_iter().rev();
        let configs = given.chain([config::take_waiting()]);
        configs.flatten().filter(|(key, _)| keys.insert(key.clone())).collect()
    }
}

/// A training that is recorded.
pub(super) struct Launch {
    training: Training,
    watch: Watch,
    folder: Option<Folder>,
}

impl Launch {
    /// Starts to record the training, if it is to be recorded.
    #[track_caller]
    pub(super) fn begin(settings: &mut Settings) -> Option<Self> {
        if !INTEGRATION.is_on() {
            return None;
        }
        let caller = Location::caller();
        let training = Training::start(&INTEGRATION)?;
        let watch = Watch::default();
        let mut folder = None;
        let mut taken = BTreeSet::new();
        training.record("the settings", |run| {
            run.set_tag("runlog.source", format_args!("{}:{}", caller.file(), caller.line()));
            let directory = settings.directory.as_deref();
            folder = directory.map(Folder::before);
            let users = settings.users();
            config::expect_in(settings.directory.as_deref().filter(|_| users.is_empty()), run.run_id());
            taken.extend(users.iter().map(|(key, _)| key.clone()));
            training.log_params(users);
            training.log_params(settings.params.iter().filter(|(key, _)| !taken.contains(*key)).cloned());
            Ok(())
        });
        watch.attach(&training, taken);
        Some(Self { training, watch, folder })
    }

    /// The renderer for burn: it shows what the user's, or burn's own, would show.
    pub(super) fn renderer(
        &self,
        settings: &mut Settings,
        interrupter: Interrupter,
    ) -> Box<dyn MetricsRenderer> {
        let users = settings.renderer.take();
        let inner = users.unwrap_or_else(|| default_renderer(interrupter, settings.checkpoint));
        if let Some(earlier) = watch_of(&*inner) {
            earlier.detach();
        }
        observed(inner, self.watch.clone())
    }

    /// The metric that tells the learning rate.
    pub(super) fn probe(&self) -> RateProbe {
        RateProbe(self.watch.rate())
    }

    /// Calls burn, as [`call`].
    pub(super) fn call<T>(self, train: impl FnOnce() -> T) -> (Self, T) {
        let Self { training, watch, folder } = self;
        let (training, result) = call(training, train);
        (Self { training, watch, folder }, result)
    }

    /// The training has returned: records what is known now, `model` included unless it failed, and ends the run as the
    /// training ended.
    pub(super) fn end(
        self,
        error: Option<&TrainingError>,
        interrupted: Option<&Interruption>,
        model: impl FnOnce(&Recorder, &Ended) -> Option<LoggedModel>,
    ) {
        let Self { training, watch, folder } = self;
        let ended = watch.end();
        training.record("the epochs", |run| {
            if ended.planned > 0 {
                run.log_metric("epochs_run", ended.finished, ended.finished);
                if ended.finished < ended.planned && error.is_none() && interrupted.is_none() {
                    run.log_metric("stopped_epoch", ended.finished, ended.finished);
                }
            }
            describe(run, &ended.definitions, &ended.texts)
        });
        if let Some(folder) = folder {
            training.record("burn's log", |run| folder.log_log(run));
            let own = training.own_options::<Options>().copied().unwrap_or_default();
            if own.log_checkpoints {
                let unit = if ended.planned > 0 { "epoch" } else { "global_step" };
                training.record("the checkpoints", |run| folder.log_checkpoints(run, &ended, unit));
            }
        }
        if error.is_none()
            && let Some(model) = model(&training, &ended)
        {
            watch.made(&model);
        }
        end(training, error, interrupted);
    }
}

/// Calls burn. A panic is noted and goes on: it may come from a thread of burn's, which this one does not see.
pub(super) fn call<T>(training: Training, burn: impl FnOnce() -> T) -> (Training, T) {
    match catch_unwind(AssertUnwindSafe(burn)) {
        Ok(result) => (training, result),
        Err(payload) => {
            training.panicked(&*payload);
            resume_unwind(payload)
        }
    }
}

/// Ends the run as burn says that its call ended.
pub(super) fn end(training: Training, error: Option<&TrainingError>, interrupted: Option<&Interruption>) {
    match (error, interrupted) {
        (Some(error), _) => training.fail(error),
        (None, Some(Interruption { reason: Some(reason) })) => training.kill(reason),
        (None, Some(_)) => training.kill("interrupted"),
        (None, None) => training.finish(),
    }
}
