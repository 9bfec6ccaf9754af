//! Which run a call without a handle means.
//!
//! First the thread's own innermost run; else, if the process has exactly one top-level run, the innermost run of the
//! process. So a worker thread logs into the run that its program is in, never into a new hidden one.
//!
//! A run that autologging started belongs to one training: trainings on other threads do not join it.

use std::cell::RefCell;
use std::sync::Mutex;

use crate::error::{Error, Result};
use crate::fluent;
use crate::run::RunHandle;
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

thread_local! {
    static STACK: RefCell<Vec<RunHandle>> = const { RefCell::new(Vec::new()) };
}

/// Every run that this process started and has not ended, in the order of their starts.
static ACTIVE: Mutex<Vec<(RunHandle, Origin)>> = Mutex::new(Vec::new());

/// The run of the last `start_run` in the whole process; it does not keep the run's tracker open.
static LAST: Mutex<Option<(WeakTracker, String)>> = Mutex::new(None);

/// Makes `run` the innermost run of this thread.
pub(crate) fn push(run: &RunHandle, origin: Origin) {
    active().push((run.clone(), origin));
    let last = (run.tracker().downgrade(), run.run_id().to_owned());
    *lock(&LAST) = Some(last);
    STACK.with_borrow_mut(|stack| stack.push(run.clone()));
}

/// Takes an ended run out of the process's list; threads notice by themselves. Touches no thread-local.
pub(crate) fn remove(run: &RunHandle) {
    active().retain(|(other, _)| !other.is_same(run));
}

/// The innermost run that this thread started and that is still active.
pub(crate) fn of_this_thread() -> Option<RunHandle> {
    // A thread-local destructor may ask after the stack is gone.
    STACK
        .try_with(|stack| {
            let mut stack = stack.borrow_mut();
            stack.retain(RunHandle::is_active);
            stack.last().cloned()
        })
        .ok()
        .flatten()
}

/// The active runs that this thread started with `tracker`, outermost first.
pub(crate) fn of_this_thread_with(tracker: &Tracker) -> Vec<RunHandle> {
    let of_tracker = |run: &&RunHandle| run.is_active() && run.tracker().is_same(tracker);
    STACK.try_with(|stack| stack.borrow().iter().filter(of_tracker).cloned().collect()).unwrap_or_default()
}

/// The run that a fluent call on this thread means; `None` if the process has none.
///
/// # Errors
/// The process has several top-level runs, and none is this thread's.
pub(crate) fn find() -> Result<Option<RunHandle>> {
    find_where(|_| true)
}

/// The run that a training on this thread joins: as [`find`], but not what another training was given.
///
/// # Errors
/// As [`find`].
pub(crate) fn find_to_join() -> Result<Option<RunHandle>> {
    find_where(|origin| origin == Origin::User)
}

fn find_where(counts: impl Fn(Origin) -> bool) -> Result<Option<RunHandle>> {
    if let Some(run) = of_this_thread() {
        return Ok(Some(run));
    }
    // A thread with a tracker of its own does not mean the runs of another one.
    let local = fluent::local_tracker();
    let here = |run: &RunHandle| local.as_ref().is_none_or(|local| run.tracker().is_same(local));
    let active = active();
    let active: Vec<&RunHandle> = active
        .iter()
        .filter(|(run, origin)| run.is_active() && counts(*origin) && here(run))
        .map(|(run, _)| run)
        .collect();
    match active.iter().filter(|run| run.is_top_level()).count() {
        0 | 1 => Ok(active.last().copied().cloned()),
        several => Err(Error::invalid(format!(
            "this thread started no run and the process has {several}, so it is not clear which one is meant; pass a \
             `RunHandle` (`run.clone()`) to the thread and log through it"
        ))),
    }
}

/// Every active run of the process, innermost first.
pub(crate) fn all() -> Vec<RunHandle> {
    active().iter().rev().map(|(run, _)| run).filter(|run| run.is_active()).cloned().collect()
}

/// The run that was started last in this process, if its tracker is still open.
pub(crate) fn last() -> Option<(Tracker, String)> {
    let last = lock(&LAST);
    last.as_ref().and_then(|(tracker, run_id)| Some((tracker.upgrade()?, run_id.clone())))
}

/// Lets go of the runs of this thread that have ended.
pub(crate) fn forget_ended() {
    // Dropped outside: the last handle of a tracker closes it, which takes its time.
    let ended: Vec<RunHandle> = STACK
        .try_with(|stack| {
            let mut stack = stack.borrow_mut();
            let (active, ended) = stack.drain(..).partition(RunHandle::is_active);
            *stack = active;
            ended
        })
        .unwrap_or_default();
    drop(ended);
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
