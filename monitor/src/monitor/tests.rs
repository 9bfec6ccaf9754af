//! The thread and its handle, with probes that hang, panic and wait to be let go.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex};

use runlog_core::autolog::{MonitorSink, SystemMetrics, Watch};
use runlog_core::config::Config;

use super::*;
use crate::hub::Hub;
use crate::probe::{Driver, Machine, Opened};
use crate::registry::{Kind, Registry};
use crate::sampler::Patience;
use crate::testing::probe;

/// A sink that sends the step of every point; its receiver learns when the thread has let go of it.
struct Sent(SyncSender<i64>);

impl MonitorSink for Sent {
    fn log(&mut self, _: &str, _: f64, _: i64, step: i64) {
        self.0.send(step).unwrap();
    }

    fn tag(&mut self, _: &str, _: &str) {}
}

fn start_into(
    sink: impl MonitorSink + 'static,
    driver: Driver,
    settings: SystemMetrics,
) -> Result<SystemMonitor> {
    start_in(&Hub::new(Patience::DEFAULT), sink, driver, settings)
}

fn start_in(
    hub: &Hub,
    sink: impl MonitorSink + 'static,
    driver: Driver,
    settings: SystemMetrics,
) -> Result<SystemMonitor> {
    let watch = Watch::new("", settings, Config::default());
    hub.start(&watch, Box::new(sink), || (vec![driver], Machine::default()))
}

fn start(driver: Driver) -> (SystemMonitor, Receiver<i64>) {
    let (sender, receiver) = sync_channel(1000);
    (start_into(Sent(sender), driver, SystemMetrics::new()).unwrap(), receiver)
}

fn open_steady(_: &Machine, registry: &mut Registry) -> Opened {
    let key = registry.key("steady", Kind::Gauge)?;
    Ok(probe(move |sink| {
        sink.put(key, 1.0);
        Ok(())
    }))
}

/// One gauge that is always there.
const STEADY: Driver = Driver::built_in("steady", open_steady);

#[test]
fn a_stop_and_a_drop_end_the_thread_and_nothing_is_logged_after() {
    let (monitor, points) = start(STEADY);
    assert_eq!(points.recv().unwrap(), 0, "the opening");
    Box::new(monitor).stop().unwrap();
    assert!(points.iter().count() <= 1, "at most a last window, and then the sink is gone");

    let (monitor, points) = start(STEADY);
    drop(monitor);
    assert_eq!(points.iter().next(), Some(0), "also when stopped before the thread had begun");
}

#[test]
fn in_a_forked_child_the_handle_does_nothing() {
    let (mut monitor, points) = start(STEADY);
    assert_eq!(points.recv().unwrap(), 0);
    let (inbox, fate, id) = (Arc::clone(&monitor.inbox), Arc::clone(&monitor.fate), monitor.id);
    // What a child sees: the process that started the thread is another one.
    monitor.owner = monitor.owner.wrapping_add(1);
    drop(monitor);
    assert!(!inbox.someone_goes());
    inbox.leave(id);
    assert_eq!(
        fate.wait(Duration::from_mins(1)),
        Some(Ok(())),
        "the parent's thread was there all the while"
    );
    assert!(points.iter().count() <= 1);
}

/// How far the stuck driver is, and the word that it changed.
static GATE: (Mutex<Gate>, Condvar) = (Mutex::new(Gate::Outside), Condvar::new());

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Outside,
    /// The driver is in its call.
    Shut,
    /// The driver may come back.
    Open,
}

fn set_gate(gate: Gate) {
    *GATE.0.lock().unwrap() = gate;
    GATE.1.notify_all();
}

fn wait_for_gate(gate: Gate) {
    drop(GATE.1.wait_while(GATE.0.lock().unwrap(), |now| *now != gate).unwrap());
}

/// The gate is one.
static EACH_BY_ITSELF: Mutex<()> = Mutex::new(());

fn open_stuck(_: &Machine, registry: &mut Registry) -> Opened {
    let key = registry.key("stuck", Kind::Gauge)?;
    let mut readings = 0;
    Ok(probe(move |sink| {
        readings += 1;
        if readings == 2 {
            set_gate(Gate::Shut);
            wait_for_gate(Gate::Open);
            set_gate(Gate::Outside);
        }
        sink.put(key, 1.0);
        Ok(())
    }))
}

#[test]
fn a_stop_does_not_wait_for_a_stuck_driver_which_then_logs_nothing() {
    let held = EACH_BY_ITSELF.lock().unwrap();
    const STUCK: Driver = Driver::built_in("stuck", open_stuck);
    let (sender, points) = sync_channel(1000);
    let asked = SystemMetrics::new().interval(Duration::from_millis(1));
    let mut monitor = start_into(Sent(sender), STUCK, asked).unwrap();
    assert_eq!(points.recv().unwrap(), 0);
    wait_for_gate(Gate::Shut);
    monitor.patience = Duration::from_millis(1);
    Box::new(monitor).stop().unwrap_err();
    set_gate(Gate::Open);
    assert_eq!(points.iter().count(), 0, "the run is over when the driver comes back");
    drop(held);
}

#[test]
fn a_stuck_driver_that_may_block_holds_up_nothing_and_is_named_at_the_end() {
    let held = EACH_BY_ITSELF.lock().unwrap();
    let mut stuck = Driver::built_in("stuck", open_stuck);
    stuck.may_block = true;
    let (sender, points) = sync_channel(1000);
    let asked = SystemMetrics::new().interval(Duration::from_millis(1));
    let hub = Hub::new(Patience { window: Duration::ZERO, stop: Duration::from_millis(1) });
    let watch = Watch::new("", asked, Config::default());
    let open = || (vec![STEADY, stuck], Machine::default());
    let mut monitor = hub.start(&watch, Box::new(Sent(sender)), open).unwrap();
    wait_for_gate(Gate::Shut);
    assert!(points.iter().take(100).count() == 100, "the others go on");
    monitor.patience = Duration::from_mins(1);
    let error = Box::new(monitor).stop().unwrap_err();
    assert!(error.to_string().contains("`stuck`"), "{error}");
    while points.recv().is_ok() {}
    set_gate(Gate::Open);
    wait_for_gate(Gate::Outside);
    drop(held);
}

/// A sink that holds the last handle of its own monitor.
struct Owning(Arc<Mutex<Option<SystemMonitor>>>, SyncSender<i64>);

impl MonitorSink for Owning {
    fn log(&mut self, _: &str, _: f64, _: i64, step: i64) {
        drop(self.0.lock().unwrap().take());
        self.1.send(step).unwrap();
    }

    fn tag(&mut self, _: &str, _: &str) {}
}

#[test]
fn a_handle_dropped_by_the_sink_does_not_wait_for_itself() {
    let (sender, points) = sync_channel(1000);
    let slot = Arc::new(Mutex::new(None));
    let mut held = slot.lock().unwrap();
    *held = Some(start_into(Owning(Arc::clone(&slot), sender), STEADY, SystemMetrics::new()).unwrap());
    drop(held);
    assert_eq!(points.iter().next(), Some(0));
    assert!(slot.lock().unwrap().is_none());
}

struct Panicking;

impl MonitorSink for Panicking {
    fn log(&mut self, _: &str, _: f64, _: i64, _: i64) {
        panic!("a sink's own fault");
    }

    fn tag(&mut self, _: &str, _: &str) {}
}

#[test]
fn a_sink_that_panics_ends_the_monitor_with_a_warning_and_the_stop_returns() {
    let monitor = start_into(Panicking, STEADY, SystemMetrics::new()).unwrap();
    Box::new(monitor).stop().unwrap_err();
}

#[test]
fn what_means_nothing_is_refused_before_a_thread_starts() {
    let (sender, points) = sync_channel(1);
    assert!(start_into(Sent(sender), STEADY, SystemMetrics::new().node_id("node*1")).is_err());
    assert!(points.recv().is_err());
}
