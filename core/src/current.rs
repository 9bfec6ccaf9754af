//! Which run a call without a handle means.
//!
//! First the thread's own innermost run; else, if the process has exactly one top-level run, the innermost run of the
//! process. So a worker thread logs into the run that its program is in, never into a new hidden one.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::run::RunHandle;

thread_local! {
    static STACK: RefCell<Vec<RunHandle>> = const { RefCell::new(Vec::new()) };
}

/// Every run that this process started and has not ended, in the order of their starts.
static ACTIVE: Mutex<Vec<RunHandle>> = Mutex::new(Vec::new());

/// The run of the last `start_run` that has ended, or is still active, in the whole process.
static LAST: Mutex<Option<RunHandle>> = Mutex::new(None);

/// Makes `run` the innermost run of this thread.
pub(crate) fn push(run: &RunHandle) {
    active().push(run.clone());
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(run.clone());
    STACK.with_borrow_mut(|stack| stack.push(run.clone()));
}

/// Takes an ended run out of the process's list; threads notice by themselves. Touches no thread-local.
pub(crate) fn remove(run: &RunHandle) {
    active().retain(|other| !other.is_same(run));
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

/// The outermost run that this thread started and that is still active.
pub(crate) fn outermost_of_this_thread() -> Option<RunHandle> {
    of_this_thread()?;
    STACK.with_borrow(|stack| stack.first().cloned())
}

/// The run that a fluent call on this thread means; `None` if the process has none.
///
/// # Errors
/// The process has several top-level runs, and none is this thread's.
pub(crate) fn find() -> Result<Option<RunHandle>> {
    if let Some(run) = of_this_thread() {
        return Ok(Some(run));
    }
    let active = active();
    let active: Vec<&RunHandle> = active.iter().filter(|run| run.is_active()).collect();
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
    active().iter().rev().filter(|run| run.is_active()).cloned().collect()
}

/// The run that was started last in this process.
pub(crate) fn last() -> Option<RunHandle> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn active() -> std::sync::MutexGuard<'static, Vec<RunHandle>> {
    ACTIVE.lock().unwrap_or_else(PoisonError::into_inner)
}
