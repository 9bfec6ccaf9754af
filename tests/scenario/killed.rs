//! Programs that log as fast as they can until they are killed, and count what the calls took.

use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use runlog::{Config, Logged, MetricHandle, Result, RunHandle, Tracker};

use crate::counters::Counters;
use crate::records::{Kind, Mix, SAFE, STOP, THREADS};

/// Logs from four threads, each with a pause of so many microseconds between two records; each thread counts its
/// records in shared memory after the call returned. `told` is the file that the warnings of this process go to.
pub(crate) fn log_and_count(counters: &Path, mix: &str, pause_us: &str, told: &Path) -> Result<()> {
    let (mix, pause) = (Mix::named(mix), Duration::from_micros(pause_us.parse().unwrap()));
    let counters = Counters::open(counters);
    let run = runlog::start_run("log-and-count")?;
    println!("{}", run.run_id());
    // The test says when the store is as it wants it.
    std::io::stdin().read_exact(&mut [0]).unwrap();
    let said = Said { of: told, bytes: AtomicU64::new(0), is: AtomicBool::new(false) };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let logger = Logger::new(run.handle(), mix, thread);
            let (counters, said) = (&counters, &said);
            scope.spawn(move || {
                for number in 0.. {
                    logger.log_until_taken(number);
                    counters.at(thread).store(number + 1, Ordering::Release);
                    if !said.is() {
                        counters.at(SAFE + thread).store(number + 1, Ordering::Release);
                    }
                    if counters.at(STOP).load(Ordering::Acquire) != 0 {
                        return;
                    }
                    if !pause.is_zero() {
                        // The pace of a training, not a wait for something.
                        std::thread::sleep(pause);
                    }
                }
            });
        }
    });
    run.finish()
}

/// Logs a point each millisecond, and counts those whose call returned.
pub(crate) fn log_slowly(counters: &Path) -> Result<()> {
    let counters = Counters::open(counters);
    let run = runlog::start_run("log-slowly")?;
    println!("{}", run.run_id());
    std::io::stdin().read_exact(&mut [0]).unwrap();
    let loss = run.metric("loss");
    for step in 0_u64.. {
        loss.log(0.5, step);
        counters.at(0).store(step + 1, Ordering::Release);
        // The pace of a training, not a wait for something.
        std::thread::sleep(Duration::from_millis(1));
    }
    run.finish()
}

/// Whether it was said that a kill will lose records.
struct Said<'a> {
    of: &'a Path,
    bytes: AtomicU64,
    is: AtomicBool,
}

impl Said<'_> {
    fn is(&self) -> bool {
        let bytes = std::fs::metadata(self.of).unwrap().len();
        if self.bytes.load(Ordering::Acquire) != bytes {
            if std::fs::read_to_string(self.of).unwrap().contains("a kill will lose") {
                self.is.store(true, Ordering::Relaxed);
            }
            self.bytes.store(bytes, Ordering::Release);
        }
        self.is.load(Ordering::Relaxed)
    }
}

/// Logs from this process and from a child that it forks, each from one thread, and each counts its records.
pub(crate) fn fork_and_count(counters: &Path) -> Result<()> {
    let counters = Counters::open(counters);
    let run = runlog::start_run("fork-and-count")?;
    println!("{}", run.run_id());
    std::io::stdin().read_exact(&mut [0]).unwrap();
    // The parent is in the middle of it: there are records in its journal, and its threads are running.
    let parents = Logger::new(run.handle(), Mix::Points, 0);
    parents.log_until_taken(0);
    counters.at(0).store(1, Ordering::Release);
    // SAFETY: the child only uses what runlog promises to work after a fork, and never returns.
    #[expect(unsafe_code, reason = "there is no safe fork")]
    let child = unsafe { libc::fork() };
    let (thread, first) = if child == 0 { (1, 0) } else { (0, 1) };
    if child != 0 {
        println!("{child}");
    }
    let logger = Logger::new(run.handle(), Mix::Points, thread);
    for number in first.. {
        logger.log_until_taken(number);
        counters.at(thread).store(number + 1, Ordering::Release);
        // The pace of a training, not a wait for something.
        std::thread::sleep(Duration::from_micros(100));
    }
    run.finish()
}

/// Delivers what dead processes left, until the journal in `dir` is gone.
pub(crate) fn recover(dir: &Path) -> Result<()> {
    let tracker = Tracker::with_config(None, Config::from_env()?)?;
    while dir.exists() {
        // Nothing is left to it where another process, or the recovery in the background, is at it.
        tracker.recover()?;
        std::thread::yield_now();
    }
    Ok(())
}

/// One thread that logs.
struct Logger {
    run: RunHandle,
    handle: MetricHandle,
    mix: Mix,
    thread: u64,
}

impl Logger {
    fn new(run: RunHandle, mix: Mix, thread: u64) -> Self {
        Self { handle: run.metric(&format!("handle.{thread}")), run, mix, thread }
    }

    fn log(&self, number: u64) -> Logged {
        let Self { run, mix, thread, .. } = self;
        match mix.kind(number) {
            Kind::Handle => self.handle.log(number, number),
            Kind::Key => run.log_metric(&format!("key.{thread}"), number, number),
            Kind::Param => run.log_param(&format!("param.{thread}.{number}"), mix.text(number)),
            Kind::Tag => run.set_tag(&format!("tag.{thread}"), mix.text(number)),
        }
    }

    /// Logs the record again while the journal is full.
    fn log_until_taken(&self, number: u64) {
        while self.log(number).is_refused() {
            // Time for the store, not a wait for something.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
