//! Async tasks: which run a task is in, whatever thread polls it.
//!
//! A scope is the thread's only while its future is polled or dropped, so no runtime is needed, and any will do.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::current::{Entered, Scope};
use crate::run::RunHandle;

/// Puts futures into runs: calls without a handle, such as `log_metric`, then mean that run inside of them.
///
/// The runs that a *thread* started say nothing in a runtime, where a task moves between threads and shares each of them
/// with other tasks. Inside `in_run` and [`in_own_scope`](Self::in_own_scope), `start_run`, `end_run` and all other calls
/// look at the task's own runs instead.
///
/// A task that such a future spawns has no part in its scope; put it into the run as well.
pub trait InRun: Future + Sized {
    /// Runs the future in `run`, which it logs to even after the run has ended.
    ///
    /// ```
    /// use runlog_core::{InRun as _, Tracker, fluent};
    ///
    /// # let block_on = |future: std::pin::Pin<Box<dyn Future<Output = ()>>>| {
    /// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// #     let mut future = future;
    /// #     while future.as_mut().poll(&mut context).is_pending() {}
    /// # };
    /// let tracker = Tracker::open("memory:")?;
    /// let run = tracker.start_run("served")?;
    /// let step = async {
    ///     fluent::log_metric("loss", 0.5, 1); // to `served`, on whatever thread this is polled
    /// };
    /// block_on(Box::pin(step.in_run(&run)));
    /// # assert_eq!(tracker.get_run(run.run_id())?.metric("loss"), Some(0.5));
    /// run.finish()?;
    /// # Ok::<(), runlog_core::Error>(())
    /// ```
    fn in_run(self, run: &RunHandle) -> InScope<Self> {
        InScope { future: Some(Box::pin(self)), scope: Scope::of_task(Some(run.clone())) }
    }

    /// Runs the future in a scope of its own, so that the runs that it starts are current in it and nowhere else.
    ///
    /// For tasks that each start a run: without it, two of them on one thread would be in each other's way.
    fn in_own_scope(self) -> InScope<Self> {
        InScope { future: Some(Box::pin(self)), scope: Scope::of_task(None) }
    }
}

impl<F: Future> InRun for F {}

/// A future that runs in a scope of its own; made by [`InRun`].
#[must_use = "futures do nothing unless polled"]
pub struct InScope<F> {
    /// `None` only while it is dropped.
    future: Option<Pin<Box<F>>>,
    scope: Scope,
}

impl<F: Future> Future for InScope<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, scope } = &mut *self;
        let _entered = Entered::new(scope);
        future.as_mut().map_or(Poll::Pending, |future| future.as_mut().poll(context))
    }
}

/// What the future holds is dropped in its scope too.
impl<F> Drop for InScope<F> {
    fn drop(&mut self) {
        let _entered = Entered::new(&mut self.scope);
        drop(self.future.take());
    }
}

impl<F> fmt::Debug for InScope<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InScope").field("scope", &self.scope).finish_non_exhaustive()
    }
}
