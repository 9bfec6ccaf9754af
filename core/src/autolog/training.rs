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
    #[inline]
    #[track_caller]
    pub fn start(integration: &'static Integration) -> Option<Self> {
        if integration.is_on() { Self::new(integration, Location::caller(), false) } else { None }
    }

    /// Starts to observe a training that ends when this guard is dropped, such as a loop around an optimizer.
    ///
    /// As [`start`](Self::start), but other calls in this thread are still observed, and trainings that the same
    /// integration opens in this thread while this one lives share its run: each is another [`part`](Recorder::part). In an
    /// async task with a scope of its own ([`InRun`](crate::InRun)) the task counts instead of the thread.
    #[inline]
    #[track_caller]
    pub fn open(integration: &'static Integration) -> Option<Self> {
        if integration.is_on() { Self::new(integration, Location::caller(), true) } else { None }
    }

    fn new(
        integration: &'static Integration,
        caller: &'static Location<'static>,
        open: bool,
    ) -> Option<Self> {
        if in_session() {
            return None;
        }
        integration.saw_a_training();
        let configuration = integration.configuration();
        let options = &configuration.options;
        let started = guarded(options, || Shared::join_or_start(integration, options, caller, open));
        let (shared, part) =
            started.inspect_err(|error| failed(integration, options, "starting", error)).ok()??;
        let session = (!open).then(|| {
            let session = Arc::new(Session::default());
            SESSION.try_with(|current| *current.borrow_mut() = Arc::downgrade(&session)).ok();
            session
        });
        if open {
            current::remember_open(integration.name(), Arc::downgrade(&shared) as _);
        }
        let recorder = Recorder::new(integration, configuration, shared.run.clone(), part);
        Some(Self { recorder, shared, session, ended: false })
    }

    /// The training went well: a run that it started ends `FINISHED`.
    pub fn finish(mut self) {
        self.end(None);
    }

    /// The training returned an error: a run that it started ends `FAILED`, with the error's text.
    pub fn fail(mut self, error: &dyn std::error::Error) {
        // It is the user's error, and its text may do anything.
        let text = guarded(self.recorder.options(), || Ok(error.to_string()));
        let why = text.unwrap_or_else(|_panicked| "an error without a text".to_owned());
        self.end(Some((RunStatus::Failed, why)));
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
    /// What a new training is part of, and as which part; `None` if it is not to be observed.
    fn join_or_start(
        integration: &'static Integration,
        options: &AutologOptions,
        caller: &'static Location<'static>,
        open: bool,
    ) -> Result<Option<(Arc<Self>, usize)>> {
        let users = current::find_to_join()?;
        if users.is_some() && options.exclusive {
            return Ok(None);
        }
        let opened = opened_here(integration).filter(|shared| open && shared.is_for(users.as_ref()));
        if let Some((shared, part)) = opened.and_then(|shared| shared.new_part().map(|part| (shared, part))) {
            return Ok(Some((shared, part)));
        }
        let (run, managed) = if let Some(users) = users {
            users.forget_observed_models();
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
        let live = Live { parts: BTreeSet::from([1]), wrong: None };
        let shared = Self { run, managed: Mutex::new(managed), live: Mutex::new(live) };
        Ok(Some((Arc::new(shared), 1)))
    }

    /// Whether the run is the one that a new training would join, or if it would join none, one of ours.
    fn is_for(&self, users: Option<&RunHandle>) -> bool {
        let same = users.map_or_else(|| lock(&self.managed).is_some(), |users| self.run.is_same(users));
        same && self.run.is_active()
    }

    /// The smallest free number, from 1; `None` if all parts have ended, and the run with them.
    fn new_part(&self) -> Option<usize> {
        let parts = &mut lock(&self.live).parts;
        let free = (1..=parts.len() + 1).find(|part| !parts.contains(part)).filter(|_| !parts.is_empty())?;
        parts.insert(free);
        Some(free)
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

/// The trainings without a known end that this scope opened last.
fn opened_here(integration: &Integration) -> Option<Arc<Shared>> {
    current::opened(integration.name())?.downcast().ok()
}

#[cfg(test)]
mod tests;
