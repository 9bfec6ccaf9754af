//! The thread that samples, and the handle that ends it.
//!
//! Invariants: once a stop has returned nothing more is logged; a stop waits for a stuck driver at most [`PATIENCE`];
//! in a forked child, which has no such thread, the handle does nothing.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use runlog_core::autolog::{Monitor, MonitorSink, Watch};
use runlog_core::{Error, ErrorKind, Result};

use crate::pace::{Bell, RealPace};
use crate::plan::Plan;
use crate::probe::{Driver, Machine};
use crate::readings::Readings;
use crate::registry::Registry;
use crate::sampler::{Sampler, open_probes};
use crate::window::{self, Window};

/// How long a stop waits for the last window. A healthy host answers within a millisecond; this is for a machine so
/// busy that the thread is not scheduled, and bounds what a hung file system costs at the end of a run.
const PATIENCE: Duration = Duration::from_millis(200);

/// The sampling of one run. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct SystemMonitor {
    bell: Arc<Bell>,
    abandoned: Arc<AtomicBool>,
    /// Gone once stopped.
    thread: Option<JoinHandle<()>>,
    /// The process that the thread lives in.
    owner: u32,
    patience: Duration,
}

impl SystemMonitor {
    /// Starts sampling `drivers` into `sink`, on a thread of its own; the probes are opened there too.
    ///
    /// # Errors
    /// Parameters that mean nothing, a node id that cannot stand in a key, or no thread to be had.
    pub(crate) fn start(
        drivers: Vec<Driver>,
        machine: Machine,
        watch: &Watch,
        sink: Box<dyn MonitorSink>,
    ) -> Result<Self> {
        let plan = Plan::new(watch)?;
        let prefix = window::prefix(watch.settings.node_id.as_deref())?;
        let mut registry = Registry::new(watch.settings.tier.unwrap_or_default());
        let earlier = watch.earlier.clone();
        let bell = Arc::new(Bell::default());
        let abandoned = Arc::new(AtomicBool::new(false));
        let mut pace = RealPace::new(Arc::clone(&bell));
        let done = Done(Arc::clone(&bell));
        let sink = Box::new(UntilAbandoned { sink, abandoned: Arc::clone(&abandoned) });
        let sample = move || {
            SAMPLES.set(true);
            let _done = done;
            let probes = open_probes(&drivers, &machine, &mut registry);
            let earlier = |key: &str| earlier.iter().find(|(known, _)| known == key).map(|(_, value)| *value);
            let window = Window::new(&registry, &prefix, earlier);
            Sampler::new(plan, probes, Readings::new(&registry), window, sink).run(&mut pace);
        };
        let thread =
            thread::Builder::new().name("runlog-monitor".to_owned()).spawn(sample).map_err(|cause| {
                Error::new(ErrorKind::Unavailable, "cannot start the thread of the system monitor")
                    .because(cause)
            })?;
        Ok(Self { bell, abandoned, thread: Some(thread), owner: std::process::id(), patience: PATIENCE })
    }
}

impl Monitor for SystemMonitor {
    fn stop(mut self: Box<Self>) -> Result<()> {
        self.end()
    }
}

impl Drop for SystemMonitor {
    fn drop(&mut self) {
        // Whoever drops it does not ask what is missing.
        self.end().ok();
    }
}

thread_local! {
    /// Whether this is the thread of a monitor. Without a destructor, so that it can be asked while the process exits.
    static SAMPLES: Cell<bool> = const { Cell::new(false) };
}

impl SystemMonitor {
    fn end(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        if self.owner != std::process::id() {
            // Its lock may have been copied while the thread held it, and its stack is gone.
            let _left_to_the_parent = ManuallyDrop::new(thread);
            return Ok(());
        }
        if SAMPLES.get() {
            // The sink held the last handle of the run: the thread cannot wait for itself.
            self.bell.ask_to_stop();
            return Ok(());
        }
        let incomplete = |why: &str| Err(Error::new(ErrorKind::Unavailable, why));
        if !self.bell.stop(self.patience) {
            self.abandoned.store(true, Ordering::Release);
            return incomplete("a reading hangs, and was not waited for");
        }
        if thread.join().is_err() {
            return incomplete("the monitor's thread panicked");
        }
        Ok(())
    }
}

/// Tells the owner that the thread is at its end, also when it panics.
struct Done(Arc<Bell>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.done();
    }
}

/// Keeps a thread that comes back late from logging into a run that is over.
struct UntilAbandoned {
    sink: Box<dyn MonitorSink>,
    abandoned: Arc<AtomicBool>,
}

impl MonitorSink for UntilAbandoned {
    fn log(&mut self, key: &str, value: f64, timestamp: i64, step: i64) {
        if !self.abandoned.load(Ordering::Acquire) {
            self.sink.log(key, value, timestamp, step);
        }
    }

    fn tag(&mut self, key: &str, value: &str) {
        if !self.abandoned.load(Ordering::Acquire) {
            self.sink.tag(key, value);
        }
    }
}

#[cfg(test)]
mod tests;
