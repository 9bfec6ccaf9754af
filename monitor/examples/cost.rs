//! What the monitor costs on this machine: processor time a tick and at one sample a second, and the time of a stop,
//! also with a driver that hangs.
//!
//! `cargo run --release -p runlog-monitor --example cost` (Linux; takes about half a minute)

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runlog_core::autolog::{Monitor, MonitorSink, SystemMetrics, Watch};
use runlog_core::config::Config;
use runlog_core::{Error, clock};
use runlog_monitor::{Driver, Kind, Probe, ProbeError, Sink};

type Result<T, E = Error> = std::result::Result<T, E>;

/// Sends, once a window, where the system accounts for the thread that logs it.
struct Windows {
    sender: SyncSender<PathBuf>,
}

impl MonitorSink for Windows {
    fn log(&mut self, key: &str, _: f64, _: i64, _: i64) {
        if key == "system/disk_usage_megabytes" {
            let thread = fs::read_link("/proc/thread-self").unwrap_or_default();
            // The receiver is gone once it has seen enough.
            self.sender.send(thread).unwrap_or_default();
        }
    }

    fn tag(&mut self, _: &str, _: &str) {}
}

fn start(interval: Option<Duration>) -> Result<(Box<dyn Monitor>, Receiver<PathBuf>)> {
    let (sender, receiver) = sync_channel(16);
    let mut asked = SystemMetrics::new();
    asked.interval = interval;
    let watch = Watch::new(std::process::id().to_string(), asked, Config::default());
    Ok(((runlog_monitor::DRIVER.start)(&watch, Box::new(Windows { sender }))?, receiver))
}

/// Nanoseconds that the thread has been on a processor, in its own code and in the kernel's.
fn processor_nanos(thread: &PathBuf) -> Option<f64> {
    let schedstat = fs::read_to_string(PathBuf::from("/proc").join(thread).join("schedstat")).ok()?;
    schedstat.split_whitespace().next()?.parse().ok()
}

/// The processor time of one of `ticks` ticks in seconds, and its share of the wall time.
fn cost(interval: Duration, ticks: u32) -> Result<(f64, f64)> {
    let unreadable = || Error::invalid("this example reads /proc, which only Linux has");
    let (monitor, points) = start(Some(interval))?;
    // The first ticks grow buffers and fault pages in.
    let thread = points.iter().nth(3).ok_or_else(unreadable)?;
    let (started, before) = (clock::instant(), processor_nanos(&thread).ok_or_else(unreadable)?);
    for _ in 0..ticks {
        points.recv().map_err(|gone| Error::invalid("the monitor has ended").because(gone))?;
    }
    let spent = (processor_nanos(&thread).ok_or_else(unreadable)? - before) / 1e9;
    let share = spent / started.elapsed().as_secs_f64();
    drop(points);
    monitor.stop().ok();
    Ok((spent / f64::from(ticks), share))
}

#[expect(clippy::print_stdout, reason = "an example shows its figures")]
fn main() -> Result<()> {
    let (tick, _) = cost(Duration::from_millis(2), 2000)?;
    println!("a tick with its wake-up:   {:.1} µs of processor time", tick * 1e6);
    let (tick, share) = cost(Duration::from_secs(1), 20)?;
    println!("one sample a second:       {:.4} % of a core ({:.1} µs a tick)", share * 100.0, tick * 1e6);

    stops("a stop with a last sample:", 500, || ())?;
    Driver::new("stuck", |registry| {
        registry.key("stuck", Kind::Gauge)?;
        Ok(Box::new(Stuck))
    })
    .register();
    stops("a stop, a driver stuck:   ", 200, wait_until_stuck)
}

/// The times of stops, each of a run of its own.
#[expect(clippy::print_stdout, reason = "an example shows its figures")]
fn stops(what: &str, count: usize, ready: impl Fn()) -> Result<()> {
    let mut stops = Vec::new();
    for _ in 0..count {
        let (monitor, points) = start(None)?;
        drop(points.recv());
        ready();
        // The sampling thread sleeps, as it does nearly always.
        drop(STUCK.1.wait_timeout(stuck(), Duration::from_millis(3)));
        let asked = clock::instant();
        monitor.stop().ok();
        stops.push(asked.elapsed());
    }
    stops.sort_unstable();
    let (p50, p99, max) = (stops[count / 2], stops[count * 99 / 100], stops[count - 1]);
    println!("{what} p50 {p50:?}, p99 {p99:?}, max {max:?}");
    Ok(())
}

/// A probe whose driver never comes back.
struct Stuck;

/// How many readings are stuck by now, and the word that one more is.
static STUCK: (Mutex<u32>, Condvar) = (Mutex::new(0), Condvar::new());

fn stuck() -> MutexGuard<'static, u32> {
    STUCK.0.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Probe for Stuck {
    fn sample(&mut self, _: &mut Sink<'_>) -> Result<(), ProbeError> {
        let mut stuck = stuck();
        *stuck += 1;
        STUCK.1.notify_all();
        loop {
            stuck = STUCK.1.wait(stuck).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Waits until the driver of the run that was started last is stuck.
fn wait_until_stuck() {
    let mut stuck = STUCK.1.wait_while(stuck(), |stuck| *stuck == 0).unwrap_or_else(PoisonError::into_inner);
    *stuck = 0;
}
