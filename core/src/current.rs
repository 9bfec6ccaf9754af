//! Which run a call without a handle means.
//!
//! First the innermost run of the async task's scope ([`InRun`](crate::InRun)), else of the thread; else, if it is clear
//! which one is meant, the innermost run of the process. So a worker thread logs into the run that its program is in,
//! never into a new hidden one.
//!
//! A run that autologging started belongs to one training: a log call means it, but other trainings do not join it, and
//! runs that the user starts are no children of it.
//!
//! Invariant: a scope holds no run alive, so a run may be ended on another thread than the one that started it, and
//! leaves nothing behind on either.

use std::any::Any;
use std::cell::RefCell;
use std::sync::{Arc, Mutex, Weak};

use crate::error::{Error, Result};
use crate::fluent;
use crate::run::{RunHandle, WeakRun};
use crate::sync::lock;
use crate::tracker::{Tracker, WeakTracker};

/// Who started a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A call of `start_run`, or a log call that found no run.
    #[default]
    User,
    /// An observed training that found no run to join.
    Autologging,
}

/// The runs that a thread, or an async task with a scope of its own, started.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// The run that the task was put into; a thread has none.
    base: Option<RunHandle>,
    /// Outermost first; some may have ended.
    stack: Vec<(WeakRun, Origin)>,
    /// What each integration observes here without knowing its end.
    open: Vec<(&'static str, WeakOpen)>,
}

/// Known to autologging alone.
type WeakOpen = Weak<dyn Any + Send + Sync>;

thread_local! {
    /// The scope of the task that is being polled, else the thread's own.
    static SCOPE: RefCell<Scope> = const { RefCell::new(Scope::of_thread()) };
}

/// Every run that this process started and has not ended, in the order of their starts.
static ACTIVE: Mutex<Vec<(RunHandle, Origin)>> = Mutex::new(Vec::new());

/// The run that was started or ended last in the whole process; it does not keep the run's tracker open.
static LAST: Mutex<Option<(WeakTracker, String)>> = Mutex::new(None);

impl Scope {
    const fn of_thread() -> Self {
        Self { base: None, stack: Vec::new(), open: Vec::new() }
    }

    pub(crate) fn of_task(base: Option<RunHandle>) -> Self {
        Self { base, ..Self::of_thread() }
    }
}

/// While it lives, `scope` is this thread's.
pub(crate) struct Entered<'a>(&'a mut Scope);

impl<'a> Entered<'a> {
    pub(crate) fn new(scope: &'a mut Scope) -> Self {
        swap(scope);
        Self(scope)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        swap(self.0);
    }
}

fn swap(scope: &mut Scope) {
    // Where the thread is ending there is no scope left to change.
    SCOPE.try_with(|current| std::mem::swap(&mut *current.borrow_mut(), scope)).ok();
}

/// Makes `run` the innermost run of this scope.
pub(crate) fn push(run: &RunHandle, origin: Origin) {
    active().push((run.clone(), origin));
    set_last(run);
    SCOPE.with_borrow_mut(|scope| {
        scope.stack.retain(|(run, _)| run.is_held());
        scope.stack.push((run.downgrade(), origin));
    });
}

/// Takes an ended run out of the process's list; scopes notice by themselves. Touches no thread-local.
pub(crate) fn remove(run: &RunHandle) {
    active().retain(|(other, _)| !other.is_same(run));
    set_last(run);
}

fn set_last(run: &RunHandle) {
    let last = (run.tracker().downgrade(), run.run_id().to_owned());
    *lock(&LAST) = Some(last);
}

/// The innermost run that the user started in this scope or put it into, and that is still active.
pub(crate) fn of_this_scope() -> Option<RunHandle> {
    let started = started_here().into_iter().rev().find(|(run, origin)| is_users(run, *origin));
    started.map(|(run, _)| run).or_else(|| base().filter(RunHandle::is_active))
}

fn is_users(run: &RunHandle, origin: Origin) -> bool {
    origin == Origin::User && run.is_active()
}

/// The user's active runs of this scope that belong to `tracker`, outermost first.
pub(crate) fn of_this_scope_with(tracker: &Tracker) -> Vec<RunHandle> {
    let started = started_here().into_iter().filter(|(run, origin)| is_users(run, *origin));
    let of_tracker = |run: &RunHandle| run.is_active() && run.tracker().is_same(tracker);
    base().into_iter().chain(started.map(|(run, _)| run)).filter(of_tracker).collect()
}

/// The runs that this scope started, outermost first; some may have ended.
fn started_here() -> Vec<(RunHandle, Origin)> {
    let held = |(run, origin): &(WeakRun, Origin)| Some((run.upgrade()?, *origin));
    SCOPE.try_with(|scope| scope.borrow().stack.iter().filter_map(held).collect()).unwrap_or_default()
}

/// The innermost active run that this scope started.
fn innermost() -> Option<RunHandle> {
    loop {
        // Judged and dropped outside of the borrow: the last handle of a tracker closes it, which may do anything.
        let last = SCOPE
            .try_with(|scope| scope.borrow().stack.last().map(|(run, _)| run.upgrade()))
            .ok()
            .flatten()?;
        if let Some(run) = last.filter(RunHandle::is_active) {
            return Some(run);
        }
        SCOPE.with_borrow_mut(|scope| scope.stack.pop());
    }
}

/// The run that this task was put into; it may have ended.
fn base() -> Option<RunHandle> {
    // A thread-local's destructor may ask after the scope is gone.
    SCOPE.try_with(|scope| scope.borrow().base.clone()).ok().flatten()
}

/// Notes what an integration observes in this scope, instead of what it did before.
pub(crate) fn remember_open(integration: &'static str, training: WeakOpen) {
    let remember = |scope: &RefCell<Scope>| {
        let open = &mut scope.borrow_mut().open;
        open.retain(|(name, _)| *name != integration);
        open.push((integration, training));
    };
    // Where the thread is ending nothing can be opened any more.
    SCOPE.try_with(remember).ok();
}

/// What an integration observes in this scope, if it is still observed.
pub(crate) fn opened(integration: &str) -> Option<Arc<dyn Any + Send + Sync>> {
    let find = |scope: &RefCell<Scope>| {
        let scope = scope.borrow();
        scope.open.iter().find(|(name, _)| *name == integration).and_then(|(_, training)| training.upgrade())
    };
    SCOPE.try_with(find).ok().flatten()
}

/// The run that a fluent call means here; `None` if the process has none.
///
/// # Errors
/// It is not clear: the process has several innermost runs, and none of this scope.
pub(crate) fn find() -> Result<Option<RunHandle>> {
    // What a task logs late still belongs to the run that it was put into.
    match innermost().or_else(base) {
        Some(run) => Ok(Some(run)),
        None => only_one(of_process(|_| true)),
    }
}

/// The run that a training joins here: as [`find`], but not what another training was given.
///
/// # Errors
/// As [`find`].
pub(crate) fn find_to_join() -> Result<Option<RunHandle>> {
    match of_this_scope() {
        Some(run) => Ok(Some(run)),
        None => only_one(of_process(|origin| origin == Origin::User)),
    }
}

/// The active runs that a call outside of every run may mean: those that have no active run below them.
pub(crate) fn candidates() -> Vec<RunHandle> {
    of_process(|_| true)
}

fn of_process(counts: impl Fn(Origin) -> bool) -> Vec<RunHandle> {
    // A thread with a tracker of its own does not mean the runs of another one.
    let local = fluent::local_tracker();
    let here = |run: &RunHandle| local.as_ref().is_none_or(|local| run.tracker().is_same(local));
    let active = active();
    let active: Vec<&RunHandle> = active
        .iter()
        .filter(|(run, origin)| run.is_active() && counts(*origin) && here(run))
        .map(|(run, _)| run)
        .collect();
    let is_innermost = |run: &&&RunHandle| !active.iter().any(|other| other.is_below(run));
    active.iter().filter(is_innermost).copied().cloned().collect()
}

fn only_one(mut candidates: Vec<RunHandle>) -> Result<Option<RunHandle>> {
    if candidates.len() > 1 {
        return Err(Error::invalid(format!(
            "nothing was started here and the process has {} runs, so it is not clear which one is meant; log through \
             a `RunHandle` (`run.handle()`), or put the task into its run with `future.in_run(&run)`",
            candidates.len()
        )));
    }
    Ok(candidates.pop())
}

/// The active run of `tracker` with this id, whichever thread started it.
pub(crate) fn with_id(tracker: &Tracker, run_id: &str) -> Option<RunHandle> {
    let is_it = |run: &RunHandle| run.is_active() && run.run_id() == run_id && run.tracker().is_same(tracker);
    active().iter().map(|(run, _)| run).find(|run| is_it(run)).cloned()
}

/// Every active run of the process, innermost first.
pub(crate) fn all() -> Vec<RunHandle> {
    active().iter().rev().map(|(run, _)| run).filter(|run| run.is_active()).cloned().collect()
}

/// The current run, or else the one that was started or ended last in this process, if its tracker is still open.
pub(crate) fn last() -> Option<(Tracker, String)> {
    if let Some(run) = find().ok().flatten().filter(RunHandle::is_active) {
        return Some((run.tracker().clone(), run.run_id().to_owned()));
    }
    let (tracker, run_id) = lock(&LAST).clone()?;
    Some((tracker.upgrade()?, run_id))
}

fn active() -> std::sync::MutexGuard<'static, Vec<(RunHandle, Origin)>> {
    lock(&ACTIVE)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;
    use crate::fluent::{start_run, with_tracker};
    use crate::options::RunOptions;
    use crate::tracker::Tracker;

    /// Starts a run of `origin` on one thread, and asks on another one while it is active.
    fn seen_from_another_thread(origin: Origin, ask: fn() -> Result<Option<RunHandle>>) -> Option<String> {
        let tracker = Tracker::open("memory:").unwrap();
        let (started, asked) = (Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            scope.spawn(|| {
                with_tracker(&tracker, || {
                    let mut options = RunOptions::new().name("theirs").silent(true);
                    options.origin = origin;
                    let run = start_run(options).unwrap();
                    started.wait();
                    asked.wait();
                    run.finish().unwrap();
                });
            });
            started.wait();
            let seen = with_tracker(&tracker, ask);
            asked.wait();
            seen.unwrap().map(|run| run.name().to_owned())
        })
    }

    #[test]
    fn a_training_joins_a_users_run_but_not_another_trainings() {
        assert_eq!(seen_from_another_thread(Origin::User, find_to_join).as_deref(), Some("theirs"));
        assert_eq!(seen_from_another_thread(Origin::Autologging, find_to_join), None);
        assert_eq!(seen_from_another_thread(Origin::Autologging, find).as_deref(), Some("theirs"));
    }

    #[test]
    fn a_thread_with_its_own_tracker_means_no_run_of_another() {
        let ask = || with_tracker(&Tracker::open("memory:").unwrap(), find);
        assert_eq!(seen_from_another_thread(Origin::User, ask), None);
    }
}
