//! One observed training: its run, and how the run ends.
//!
//! Invariants: the user's training is called exactly once and its result is the user's, whatever happens here; a run
//! that the user started is logged to and never ended.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::integration::Integration;
use super::options::{AUTOLOGGING, AutologOptions};
use super::recorder::{Recorder, failed, guarded, text_of};
use super::registry::Configuration;
use crate::current::{self, Origin};
use crate::entity::RunStatus;
use crate::error::Result;
use crate::exit;
use crate::fluent;
use crate::options::RunOptions;
use crate::run::{ActiveRun, RunHandle};
use crate::sync::lock;

thread_local! {
    /// The call that trains in this thread: a training inside another is part of it.
    static SESSION: RefCell<Weak<Session>> = const { RefCell::new(Weak::new()) };
    /// The trainings without a known end that this thread opened last, by integration.
    static OPEN: RefCell<Vec<(&'static str, Weak<Shared>)>> = const { RefCell::new(Vec::new()) };
}

/// The guard of one observed training: an adapter starts it before the framework trains, and ends it.
///
/// It derefs to the [`Recorder`], which is told what is seen. Dropped without [`finish`](Self::finish),
/// [`fail`](Self::fail) or [`kill`](Self::kill), a run that it started ends `FAILED` while the thread panics, `KILLED` if
/// a signal asked the process to end, and `FINISHED` otherwise.
#[derive(Debug)]
#[must_use = "a training is observed as long as this guard lives"]
pub struct Training {
    recorder: Recorder,
    shared: Arc<Shared>,
    /// Of a call that trains; a training without a known end has none.
    session: Option<Arc<Session>>,
    ended: bool,
}

/// Set when the call has ended.
#[derive(Debug, Default)]
struct Session(AtomicBool);

/// What trainings that go on at the same time have in common.
#[derive(Debug)]
struct Shared {
    run: RunHandle,
    /// The run, if it is ours to end.
    managed: Mutex<Option<ActiveRun>>,
    live: Mutex<Live>,
}

#[derive(Debug, Default)]
struct Live {
    parts: BTreeSet<usize>,
    /// How the first training that went wrong did.
    wrong: Option<(RunStatus, String)>,
}

impl Training {
    /// Starts to observe a call that trains, or says that it is not to be observed: the integration is off, the user has
    /// a run and the integration is `exclusive`, the call is part of another one, or no run could be started.
    ///
    /// The training joins the user's current run, or gets one of its own that is tagged `mlflow.autologging`.
    #[track_caller]
    pub fn start(integration: &'static Integration) -> Option<Self> {
        Self::new(integration, Location::caller(), false)
    }

    /// Starts to observe a training that ends when this guard is dropped, such as a loop around an optimizer.
    ///
    /// As [`start`](Self::start), but other calls in this thread are still observed, and trainings that the same
    /// integration opens in this thread while this one lives share its run: each is another [`part`](Recorder::part).
    #[track_caller]
    pub fn open(integration: &'static Integration) -> Option<Self> {
        Self::new(integration, Location::caller(), true)
    }

    fn new(
        integration: &'static Integration,
        caller: &'static Location<'static>,
        open: bool,
    ) -> Option<Self> {
        if !integration.is_on() || in_session() {
            return None;
        }
        integration.saw_a_training();
        let configuration = integration.configuration();
        let options = &configuration.options;
        let started = guarded(options, || Shared::join_or_start(integration, options, caller, open));
        match started {
            Ok(shared) => shared.map(|shared| Self::of(integration, configuration, shared, open)),
            Err(error) => {
                failed(integration, options, "starting", &error);
                None
            }
        }
    }

    fn of(
        integration: &'static Integration,
        configuration: Arc<Configuration>,
        shared: Arc<Shared>,
        open: bool,
    ) -> Self {
        let part = shared.new_part();
        let session = (!open).then(|| {
            let session = Arc::new(Session::default());
            SESSION.try_with(|current| *current.borrow_mut() = Arc::downgrade(&session)).ok();
            session
        });
        if open {
            remember_open(integration, &shared);
        }
        let recorder = Recorder::new(integration, configuration, shared.run.clone(), part);
        Self { recorder, shared, session, ended: false }
    }

    /// The training went well: a run that it started ends `FINISHED`.
    pub fn finish(mut self) {
        self.end(None);
    }

    /// The training returned an error: a run that it started ends `FAILED`, with the error's text.
    pub fn fail(mut self, error: &dyn std::error::Error) {
        self.end(Some((RunStatus::Failed, error.to_string())));
    }

    /// The training was interrupted: a run that it started ends `KILLED`, with the reason.
    pub fn kill(mut self, reason: &str) {
        self.end(Some((RunStatus::Killed, reason.to_owned())));
    }

    /// The training panicked, and the panic was caught: a run that it started ends `FAILED`, with what `payload` says.
    ///
    /// For a panic that goes on in another thread than it began in; one that goes on in its own is seen when the guard is
    /// dropped.
    pub fn panicked(mut self, payload: &(dyn Any + Send)) {
        let text = text_of(payload);
        let here = exit::last_panic().filter(|last| !text.is_empty() && last.ends_with(text));
        self.end(Some((RunStatus::Failed, here.unwrap_or_else(|| format!("panicked: {text}")))));
    }

    fn end(&mut self, wrong: Option<(RunStatus, String)>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(session) = &self.session {
            session.0.store(true, Ordering::Release);
        }
        let end = || self.shared.end_part(self.recorder.part(), wrong);
        if let Err(error) = guarded(self.recorder.options(), end) {
            self.recorder.failed("ending", &error);
        }
    }
}

impl Deref for Training {
    type Target = Recorder;

    fn deref(&self) -> &Recorder {
        &self.recorder
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        let wrong = if std::thread::panicking() {
            Some((RunStatus::Failed, exit::last_panic().unwrap_or_else(|| "a panic".to_owned())))
        } else {
            exit::signal_seen().map(|signal| (RunStatus::Killed, signal.to_owned()))
        };
        self.end(wrong);
    }
}

impl Shared {
    fn join_or_start(
        integration: &'static Integration,
        options: &AutologOptions,
        caller: &'static Location<'static>,
        open: bool,
    ) -> Result<Option<Arc<Self>>> {
        let users = current::find_to_join()?;
        if users.is_some() && options.exclusive {
            return Ok(None);
        }
        if let Some(shared) =
            opened_here(integration).filter(|shared| open && shared.may_take(users.as_ref()))
        {
            return Ok(Some(shared));
        }
        let (run, managed) = if let Some(users) = users {
            (users, None)
        } else {
            let mut start = RunOptions::new().silent(options.silent).tag(AUTOLOGGING, integration.name());
            start.origin = Origin::Autologging;
            for (key, value) in &options.extra_tags {
                start = start.tag(key, value);
            }
            let managed = crate::start::start_run(&fluent::tracker()?, &start, caller)?;
            (managed.handle(), Some(managed))
        };
        Ok(Some(Arc::new(Self { run, managed: Mutex::new(managed), live: Mutex::default() })))
    }

    /// Whether a new training that would join `users` may share this one's run.
    fn may_take(&self, users: Option<&RunHandle>) -> bool {
        let same_run = match users {
            Some(users) => self.run.is_same(users),
            None => lock(&self.managed).is_some(),
        };
        same_run && self.run.is_active() && !lock(&self.live).parts.is_empty()
    }

    fn new_part(&self) -> usize {
        let parts = &mut lock(&self.live).parts;
        let mut part = 1;
        while !parts.insert(part) {
            part += 1;
        }
        part
    }

    /// Ends a part; the last one ends the run, as the first that went wrong says.
    fn end_part(&self, part: usize, wrong: Option<(RunStatus, String)>) -> Result<()> {
        let wrong = {
            let mut live = lock(&self.live);
            live.parts.remove(&part);
            live.wrong = live.wrong.take().or(wrong);
            if !live.parts.is_empty() {
                return Ok(());
            }
            live.wrong.take()
        };
        let Some(managed) = lock(&self.managed).take() else { return Ok(()) };
        let (status, why) = match &wrong {
            Some((status, why)) => (*status, Some(why.as_str())),
            None => (RunStatus::Finished, None),
        };
        managed.handle().end_and_deliver(status, why)
    }
}

fn in_session() -> bool {
    let session = SESSION.try_with(|current| current.borrow().upgrade()).ok().flatten();
    session.is_some_and(|session| !session.0.load(Ordering::Acquire))
}

fn opened_here(integration: &Integration) -> Option<Arc<Shared>> {
    OPEN.try_with(|open| {
        let open = open.borrow();
        open.iter().find(|(name, _)| *name == integration.name()).and_then(|(_, shared)| shared.upgrade())
    })
    .ok()
    .flatten()
}

fn remember_open(integration: &Integration, shared: &Arc<Shared>) {
    let remember = |open: &RefCell<Vec<_>>| {
        let mut open = open.borrow_mut();
        open.retain(|(name, _)| *name != integration.name());
        open.push((integration.name(), Arc::downgrade(shared)));
    };
    // Where the thread is ending nothing can be opened any more.
    OPEN.try_with(remember).ok();
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::panic::catch_unwind;

    use super::super::registry::configure;
    use super::*;
    use crate::config::Config;
    use crate::entity::Run;
    use crate::error::Error;
    use crate::fluent::with_tracker;
    use crate::store::RunQuery;
    use crate::tracker::Tracker;

    fn tracker() -> Tracker {
        Tracker::with_config(Some("memory:"), Config::from_map(&HashMap::new()).unwrap()).unwrap()
    }

    fn integration(name: &'static str, options: AutologOptions) -> &'static Integration {
        let integration = Box::leak(Box::new(Integration::new(name, "0")));
        configure(integration, options.silent(true), ());
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
            let training = Training::start(integration).unwrap();
            training.record("metrics", |run| run.log_metric("loss", 0.5, 1).wait());
            training.finish();
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
        let training = Training::start(integration).unwrap();
        assert_eq!(training.run().run_id(), run.run_id());
        training.fail(&Error::invalid("the data is empty"));
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
        assert!(Training::start(integration).is_none());
        run.finish().unwrap();
        with_tracker(&tracker, || Training::start(integration).unwrap().finish());
        assert_eq!(runs(&tracker).len(), 2);
    }

    #[test]
    fn a_training_inside_another_is_part_of_it() {
        let tracker = tracker();
        let integration = integration("nested", AutologOptions::new());
        with_tracker(&tracker, || {
            let outer = Training::start(integration).unwrap();
            assert!(Training::start(integration).is_none());
            outer.finish();
            Training::start(integration).unwrap().finish();
        });
        assert_eq!(runs(&tracker).len(), 2);
    }

    #[test]
    fn an_error_or_panic_in_an_adapter_ends_its_records_and_nothing_else() {
        let tracker = tracker();
        let integration = integration("failing", AutologOptions::new());
        with_tracker(&tracker, || {
            for fault in [|| Err(Error::invalid("ours")), || panic!("ours")] {
                let training = Training::start(integration).unwrap();
                training.record("before", |run| run.log_metric("before", 1.0, 0).wait());
                training.record("params", |_| fault());
                training.record("after", |run| run.log_metric("after", 1.0, 0).wait());
                training.finish();
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
            Training::start(integration).unwrap().fail(&Error::invalid("the data is empty"));
            catch_unwind(|| {
                let _training = Training::start(integration).unwrap();
                panic!("shapes differ");
            })
            .unwrap_err();
        });
        let ended: Vec<_> =
            runs(&tracker).iter().map(|run| run.tag("runlog.ended_by").unwrap().to_owned()).collect();
        assert!(ended.iter().any(|why| why == "the data is empty"));
        assert!(ended.iter().any(|why| why.contains("shapes differ")));
    }

    #[test]
    fn a_panic_of_another_thread_is_told_by_its_payload_and_one_of_this_with_its_place() {
        let tracker = tracker();
        let integration = integration("resumed", AutologOptions::new());
        let ended = |panics: fn()| {
            with_tracker(&tracker, || {
                let training = Training::start(integration).unwrap();
                let payload = catch_unwind(panics).unwrap_err();
                training.panicked(&*payload);
            });
            runs(&tracker)[0].tag("runlog.ended_by").unwrap().to_owned()
        };
        let elsewhere = ended(|| std::panic::resume_unwind(Box::new("shapes differ".to_owned())));
        assert_eq!(elsewhere, "panicked: shapes differ");
        let here = ended(|| panic!("shapes differ"));
        assert!(here.contains("training.rs") && here.ends_with("shapes differ"), "{here}");
    }

    #[test]
    fn trainings_that_are_open_at_once_share_a_run_which_the_last_one_ends() {
        let tracker = tracker();
        let integration = integration("open", AutologOptions::new());
        with_tracker(&tracker, || {
            let generator = Training::open(integration).unwrap();
            let critic = Training::open(integration).unwrap();
            assert_eq!((generator.part(), critic.part()), (1, 2));
            assert_eq!(generator.run().run_id(), critic.run().run_id());
            critic.fail(&Error::invalid("diverged"));
            assert_eq!(runs(&tracker)[0].info.status, RunStatus::Running);
            generator.finish();
            Training::open(integration).unwrap().finish();
        });
        let mut ended: Vec<_> = runs(&tracker).iter().map(|run| run.info.status).collect();
        ended.sort_by_key(|status| *status as u8);
        assert_eq!(ended, [RunStatus::Finished, RunStatus::Failed]);
    }

    #[test]
    fn an_open_training_keeps_no_call_from_being_observed_and_no_run_of_the_users_from_starting() {
        let tracker = tracker();
        let (open, call) =
            (integration("loop", AutologOptions::new()), integration("call", AutologOptions::new()));
        with_tracker(&tracker, || {
            let open = Training::open(open).unwrap();
            let call = Training::start(call).unwrap();
            assert_ne!(open.run().run_id(), call.run().run_id());
            call.finish();
            let users = fluent::start_run("mine").unwrap();
            assert!(tracker.get_run(users.run_id()).unwrap().tag("mlflow.parentRunId").is_none());
            users.finish().unwrap();
            assert_eq!(fluent::active_run().unwrap().run_id(), open.run().run_id());
            open.finish();
        });
        assert_eq!(runs(&tracker).len(), 3);
    }
}
