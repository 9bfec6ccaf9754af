//! One observed training, and the one place where autologging policy lives.
//!
//! Invariants: the user's training is called exactly once and its result is the user's, whatever happens here; an error
//! or panic in an adapter becomes one warning and silences the adapter for the rest of this training; a run that the
//! user started is logged to and never ended.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::options::AutologOptions;
use super::registry::Integration;
use crate::current::{self, Origin};
use crate::entity::RunStatus;
use crate::error::{Error, ErrorKind, Result};
use crate::fluent;
use crate::notice;
use crate::options::RunOptions;
use crate::run::{ActiveRun, RunHandle};

/// The tag of a run that autologging started by itself: the integration's name.
const AUTOLOGGING: &str = "mlflow.autologging";

thread_local! {
    /// Whether an observed training is going on in this thread: one inside another is part of it.
    static IN_SESSION: Cell<bool> = const { Cell::new(false) };
}

/// One observed training: an adapter starts it before the framework trains and tells it what it sees.
///
/// Dropped without [`finish`](Self::finish) or [`fail`](Self::fail), a run that it started ends `FAILED` while the
/// thread panics, and `FINISHED` otherwise.
#[must_use = "a training is observed as long as its recorder lives"]
pub struct Recorder {
    integration: &'static Integration,
    options: Arc<AutologOptions>,
    run: RunHandle,
    /// The run, if it is ours to end.
    managed: Option<ActiveRun>,
    /// An adapter failed: the rest of this training is not observed.
    failed: AtomicBool,
    /// Stays on the thread that trains, whose session it is. Other threads log through [`run`](Self::run).
    _stays: PhantomData<*const ()>,
}

impl Recorder {
    /// Starts to observe a training, or says that it is not to be observed: the integration is off, the user has a run
    /// and the integration is `exclusive`, the training is part of another one, or no run could be started.
    ///
    /// The training joins the user's current run, or gets one of its own that is tagged `mlflow.autologging`.
    #[track_caller]
    pub fn start(integration: &'static Integration) -> Option<Self> {
        if !integration.is_on() || IN_SESSION.get() {
            return None;
        }
        let options = integration.options();
        let started_at = Location::caller();
        match guarded(|| Self::join_or_start(integration, &options, started_at)) {
            Ok(recorder) => {
                IN_SESSION.set(recorder.is_some());
                recorder
            }
            Err(error) => {
                warn(integration, &options, "starting", &error);
                None
            }
        }
    }

    fn join_or_start(
        integration: &'static Integration,
        options: &Arc<AutologOptions>,
        started_at: &'static Location<'static>,
    ) -> Result<Option<Self>> {
        let (run, managed) = match current::find_to_join()? {
            Some(_) if options.exclusive => return Ok(None),
            Some(users) => (users, None),
            None => {
                let mut start = RunOptions::new().silent(options.silent).tag(AUTOLOGGING, integration.name);
                start.origin = Origin::Autologging;
                for (key, value) in options.extra_tags.iter().filter(|(key, _)| key != AUTOLOGGING) {
                    start = start.tag(key, value);
                }
                let managed = crate::start::start_run(&fluent::tracker()?, &start, started_at)?;
                (managed.handle(), Some(managed))
            }
        };
        let options = Arc::clone(options);
        Ok(Some(Self {
            integration,
            options,
            run,
            managed,
            failed: AtomicBool::new(false),
            _stays: PhantomData,
        }))
    }

    /// What the user wants logged.
    pub fn options(&self) -> &AutologOptions {
        &self.options
    }

    /// The run that is logged to.
    pub fn run(&self) -> &RunHandle {
        &self.run
    }

    /// Logs something about the training: `what` names it in the warning, should `log` fail or panic.
    ///
    /// After a failure nothing more of this training is logged.
    pub fn record(&self, what: &'static str, log: impl FnOnce(&RunHandle) -> Result<()>) {
        if self.failed.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = guarded(|| log(&self.run)) {
            self.failed.store(true, Ordering::Relaxed);
            warn(self.integration, &self.options, what, &error);
            if crate::config::Config::from_env().is_ok_and(|config| config.autologging_testing) {
                raise(&error);
            }
        }
    }

    /// The training went well: a run that the recorder started ends `FINISHED`.
    pub fn finish(mut self) {
        self.end(RunStatus::Finished, None);
    }

    /// The training returned an error: a run that the recorder started ends `FAILED`, with the error's text.
    pub fn fail(mut self, error: &dyn std::error::Error) {
        self.end(RunStatus::Failed, Some(&error.to_string()));
    }

    fn end(&mut self, status: RunStatus, why: Option<&str>) {
        IN_SESSION.set(false);
        let Some(managed) = self.managed.take() else { return };
        if let Err(error) = guarded(|| managed.handle().end_and_deliver(status, why)) {
            warn(self.integration, &self.options, "ending", &error);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = crate::exit::last_panic();
            self.end(RunStatus::Failed, Some(why.as_deref().unwrap_or("a panic")));
        } else {
            self.end(RunStatus::Finished, None);
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("integration", &self.integration.name)
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

/// Runs our own code so that a panic in it is an error like any other.
fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(Error::new(ErrorKind::Unexpected, format!("the adapter panicked: {text}")))
    })
}

fn warn(integration: &Integration, options: &AutologOptions, what: &str, error: &Error) {
    if !options.silent {
        let name = integration.name;
        notice::warn(
            &format!("autolog {name} {what}"),
            format_args!(
                "{name} autologging stopped for this training ({what}); the training is not affected: {error}"
            ),
        );
    }
}

/// MLflow's switch for those who test adapters.
#[expect(clippy::panic, reason = "MLFLOW_AUTOLOGGING_TESTING asks for it")]
fn raise(error: &Error) {
    panic!("autologging failed, and MLFLOW_AUTOLOGGING_TESTING is set: {error}");
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::registry::configure;
    use super::*;
    use crate::config::Config;
    use crate::entity::Run;
    use crate::fluent::with_tracker;
    use crate::store::RunQuery;
    use crate::tracker::Tracker;

    fn tracker() -> Tracker {
        Tracker::with_config(Some("memory:"), Config::from_map(&HashMap::new()).unwrap()).unwrap()
    }

    fn integration(name: &'static str, options: AutologOptions) -> &'static Integration {
        let switch = Box::leak(Box::new(AtomicBool::new(false)));
        let integration = Box::leak(Box::new(Integration { name, framework_version: "0", switch }));
        configure(integration, options.silent(true));
        integration
    }

    fn runs(tracker: &Tracker) -> Vec<Run> {
        tracker.search_runs(RunQuery::new().all_experiments()).unwrap()
    }

    #[test]
    fn without_a_run_of_the_users_a_training_gets_one_that_is_tagged() {
        let tracker = tracker();
        let integration = integration("managed", AutologOptions::new().extra_tag("team", "vision"));
        with_tracker(&tracker, || {
            let recorder = Recorder::start(integration).unwrap();
            recorder.record("metrics", |run| run.log_metric("loss", 0.5, 1).wait());
            recorder.finish();
        });
        let runs = runs(&tracker);
        assert_eq!((runs.len(), runs[0].info.status), (1, RunStatus::Finished));
        assert_eq!((runs[0].tag(AUTOLOGGING), runs[0].tag("team")), (Some("managed"), Some("vision")));
        assert_eq!(runs[0].metric("loss"), Some(0.5));
    }

    #[test]
    fn a_run_of_the_users_is_joined_and_never_ended_nor_tagged() {
        let tracker = tracker();
        let integration = integration("joined", AutologOptions::new().extra_tag("team", "vision"));
        let run = tracker.start_run("mine").unwrap();
        let recorder = Recorder::start(integration).unwrap();
        assert_eq!(recorder.run().run_id(), run.run_id());
        recorder.fail(&Error::invalid("the data is empty"));
        let mine = tracker.get_run(run.run_id()).unwrap();
        assert_eq!(
            (mine.info.status, mine.tag(AUTOLOGGING), mine.tag("team")),
            (RunStatus::Running, None, None)
        );
        run.finish().unwrap();
    }

    #[test]
    fn an_exclusive_integration_records_nothing_beside_a_run_of_the_users() {
        let tracker = tracker();
        let integration = integration("exclusive", AutologOptions::new().exclusive(true));
        let run = tracker.start_run("mine").unwrap();
        assert!(Recorder::start(integration).is_none());
        run.finish().unwrap();
        with_tracker(&tracker, || Recorder::start(integration).unwrap().finish());
        assert_eq!(runs(&tracker).len(), 2);
    }

    #[test]
    fn a_training_inside_another_is_part_of_it() {
        let tracker = tracker();
        let integration = integration("nested", AutologOptions::new());
        with_tracker(&tracker, || {
            let outer = Recorder::start(integration).unwrap();
            assert!(Recorder::start(integration).is_none());
            outer.finish();
            Recorder::start(integration).unwrap().finish();
        });
        assert_eq!(runs(&tracker).len(), 2);
    }

    #[test]
    fn an_error_or_panic_in_an_adapter_ends_its_records_and_nothing_else() {
        let tracker = tracker();
        let integration = integration("failing", AutologOptions::new());
        with_tracker(&tracker, || {
            for fault in [|| Err(Error::invalid("ours")), || panic!("ours")] {
                let recorder = Recorder::start(integration).unwrap();
                recorder.record("before", |run| run.log_metric("before", 1.0, 0).wait());
                recorder.record("params", |_| fault());
                recorder.record("after", |run| run.log_metric("after", 1.0, 0).wait());
                recorder.finish();
            }
        });
        for run in runs(&tracker) {
            assert_eq!(run.info.status, RunStatus::Finished);
            assert_eq!((run.metric("before"), run.metric("after")), (Some(1.0), None));
        }
    }

    #[test]
    fn a_training_that_fails_or_panics_fails_its_run_with_the_reason() {
        let tracker = tracker();
        let integration = integration("failed", AutologOptions::new());
        with_tracker(&tracker, || {
            Recorder::start(integration).unwrap().fail(&Error::invalid("the data is empty"));
            catch_unwind(|| {
                let _recorder = Recorder::start(integration).unwrap();
                panic!("shapes differ");
            })
            .unwrap_err();
        });
        let ended: Vec<_> =
            runs(&tracker).iter().map(|run| run.tag("runlog.ended_by").unwrap().to_owned()).collect();
        assert!(ended.iter().any(|why| why == "the data is empty"));
        assert!(ended.iter().any(|why| why.contains("shapes differ")));
    }
}
