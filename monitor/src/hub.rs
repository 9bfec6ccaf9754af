//! The sampling threads of the process: runs that want the same read share one, with its probes.
//!
//! Invariants: a thread ends with its last run; a run is watched by a thread of its own process, so that a forked child
//! begins anew.

use std::mem::{self, ManuallyDrop};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use runlog_core::autolog::{Gpus, MonitorSink, Tier, Watch};
use runlog_core::{Error, ErrorKind, Result, clock};

use crate::ending::Ending;
use crate::group::Group;
use crate::inbox::Inbox;
use crate::monitor::{SystemMonitor, on_sampling_thread};
use crate::pace::RealPace;
use crate::probe::{Driver, Machine};
use crate::sampler::{Patience, Sampler};
use crate::session::Session;
use crate::slow::Slow;

/// Gives each run that is watched its number.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The sampling threads there are.
#[derive(Debug)]
pub(crate) struct Hub {
    threads: Mutex<Vec<Thread>>,
    patience: Patience,
}

/// One of them, and what it reads.
#[derive(Debug)]
struct Thread {
    /// The process that it lives in.
    owner: u32,
    reads: (Tier, Gpus),
    inbox: Arc<Inbox>,
}

impl Hub {
    pub(crate) const fn new(patience: Patience) -> Self {
        Self { threads: Mutex::new(Vec::new()), patience }
    }

    /// Starts to watch a run; `open` gives what is read if no thread reads it yet.
    ///
    /// # Errors
    /// Parameters that mean nothing, a node id that cannot stand in a key, or no thread to be had.
    pub(crate) fn start(
        &self,
        watch: &Watch,
        sink: Box<dyn MonitorSink>,
        open: impl FnOnce() -> (Vec<Driver>, Machine),
    ) -> Result<SystemMonitor> {
        let ending = Ending::default();
        let fate = Arc::clone(ending.fate());
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut session = Box::new(Session::new(id, watch, sink, ending)?);

        let (owner, tier) = (process::id(), watch.settings.tier.unwrap_or_default());
        let reads = (tier, watch.settings.gpus);
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if threads.iter().any(|thread| thread.owner != owner) {
            // After a fork. Their locks may have been copied while they were held, and their stacks are gone.
            let _left_to_the_parent = ManuallyDrop::new(mem::take(&mut *threads));
        }
        threads.retain(|thread| !thread.inbox.is_closed());
        for Thread { inbox, .. } in threads.iter().filter(|thread| thread.reads == reads) {
            match inbox.join(session) {
                Ok(()) => return Ok(SystemMonitor::new(id, Arc::clone(inbox), fate)),
                Err(refused) => session = refused,
            }
        }
        let inbox = Arc::new(Inbox::default());
        // Nobody has closed it yet.
        inbox.join(session).ok();
        let (drivers, machine) = open();
        spawn(drivers, machine, tier, Arc::clone(&inbox), self.patience)?;
        threads.push(Thread { owner, reads, inbox: Arc::clone(&inbox) });
        Ok(SystemMonitor::new(id, inbox, fate))
    }
}

fn spawn(
    drivers: Vec<Driver>,
    machine: Machine,
    tier: Tier,
    inbox: Arc<Inbox>,
    patience: Patience,
) -> Result<()> {
    let start = clock::instant();
    let sample = move || {
        on_sampling_thread();
        let _closing = Closing(Arc::clone(&inbox));
        let (slow, fast): (Vec<_>, Vec<_>) = drivers.into_iter().partition(|driver| driver.may_block);
        let start_slow = |driver| Slow::start(driver, machine.clone(), tier, start, Arc::clone(&inbox));
        let slow = slow.into_iter().map(start_slow).collect();
        let host = Group::open(&fast, &machine, tier);
        let mut pace = RealPace::new(start, Arc::clone(&inbox));
        Sampler::new(host, slow, inbox, patience).run(&mut pace);
    };
    // It is not joined: whoever stops a run waits for that run's last window, and for nothing else.
    thread::Builder::new().name("runlog-monitor".to_owned()).spawn(sample).map(drop).map_err(|cause| {
        Error::new(ErrorKind::Unavailable, "cannot start the thread of the system monitor").because(cause)
    })
}

/// Lets no run wait for a thread that has ended, also when it panicked.
struct Closing(Arc<Inbox>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
        drop(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use runlog_core::autolog::{Monitor, SystemMetrics};
    use runlog_core::config::Config;

    use super::*;
    use crate::testing::Kept;

    fn start(hub: &Hub, settings: SystemMetrics, opened: &mut u32) -> SystemMonitor {
        let watch = Watch::new("", settings, Config::default());
        let open = || {
            *opened += 1;
            (Vec::new(), Machine::default())
        };
        hub.start(&watch, Box::new(Kept::default()), open).unwrap()
    }

    #[test]
    fn runs_that_read_the_same_share_probes_until_the_last_has_ended() {
        let (hub, mut opened) = (Hub::new(Patience::DEFAULT), 0);
        let first = start(&hub, SystemMetrics::new(), &mut opened);
        let second =
            start(&hub, SystemMetrics::new().node_id("node_1").samples_before_logging(3), &mut opened);
        assert_eq!(opened, 1);
        let other = start(&hub, SystemMetrics::new().tier(Tier::Full), &mut opened);
        let visible = start(&hub, SystemMetrics::new().gpus(Gpus::Visible), &mut opened);
        assert_eq!(opened, 3);
        Box::new(first).stop().unwrap();
        let third = start(&hub, SystemMetrics::new(), &mut opened);
        assert_eq!(opened, 3, "the second run is still there");
        Box::new(second).stop().unwrap();
        Box::new(third).stop().unwrap();
        let after = start(&hub, SystemMetrics::new(), &mut opened);
        assert_eq!(opened, 4, "what was registered in the meantime is found");
        for monitor in [other, visible, after] {
            Box::new(monitor).stop().unwrap();
        }
    }

    #[test]
    fn a_forked_child_begins_anew() {
        let (hub, mut opened) = (Hub::new(Patience::DEFAULT), 0);
        let parents = start(&hub, SystemMetrics::new(), &mut opened);
        // What a child sees: the thread is another process's.
        for thread in hub.threads.lock().unwrap().iter_mut() {
            thread.owner = thread.owner.wrapping_add(1);
        }
        let childs = start(&hub, SystemMetrics::new(), &mut opened);
        assert_eq!(opened, 2);
        Box::new(childs).stop().unwrap();
        Box::new(parents).stop().unwrap();
    }
}
