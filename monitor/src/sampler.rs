//! Reads every probe, and turns what a window has seen into points with steps.
//!
//! Invariants: no key has two points at one step; steps rise by one a window and timestamps never fall; a probe that
//! panics ends alone.
//!
//! The steps of a run whose first step is `s`:
//!
//! ```text
//!  step s      the opening: every key's first reading, at once. Gauges at the start, rates at the first sample after
//!              it (unless that sample closes a window, which then is their first point)
//!  step s + 1  the first whole window (MLflow's step s, whose sample is taken at its start)
//!  step s + k  the k-th window; the last one is logged at the end however short it is
//! ```

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use runlog_core::autolog::MonitorSink;
use runlog_core::notice;

use crate::TARGET;
use crate::pace::{Pace, Wake};
use crate::plan::Plan;
use crate::probe::{Driver, Machine, Probe, ProbeError};
use crate::readings::Readings;
use crate::registry::Registry;
use crate::schedule::Schedule;
use crate::window::Window;

/// A last window with nothing but this much time in it repeats the window before and is left out, unless a key would
/// have no point at all without it: over a few ticks of the kernel's clock a rate is mostly noise.
const SLIVER: Duration = Duration::from_millis(100);

/// The probes of one run, their window, and where its points go.
pub(crate) struct Sampler {
    plan: Plan,
    probes: Vec<Armed>,
    readings: Readings,
    window: Window,
    sink: Box<dyn MonitorSink>,
    /// The number of whole windows logged.
    windows: i64,
    /// The samples in the window under way.
    taken: u32,
    last_sample: Duration,
    last_timestamp: i64,
}

pub(crate) struct Armed {
    name: String,
    probe: Box<dyn Probe>,
    health: Health,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    /// It has failed at least once, which was said; it is asked again.
    Failing,
    /// It panicked and is not asked again: what it had half done cannot be known.
    Ended,
}

/// Opens every probe whose hardware is there.
pub(crate) fn open_probes(drivers: &[Driver], machine: &Machine, registry: &mut Registry) -> Vec<Armed> {
    let mut probes = Vec::with_capacity(drivers.len());
    for driver in drivers {
        match catch_unwind(AssertUnwindSafe(|| driver.open(machine, registry))) {
            Ok(Ok(probe)) => {
                probes.push(Armed { name: driver.name.clone().into_owned(), probe, health: Health::Well });
            }
            Ok(Err(ProbeError::Absent(reason))) => {
                tracing::debug!(target: TARGET, probe = &*driver.name, reason = &*reason, "not there, so without metrics");
            }
            Ok(Err(ProbeError::Failed(error))) => {
                warn(&driver.name, format_args!("cannot be read, so there are no metrics of it: {error}"));
            }
            Err(_panic) => {
                warn(&driver.name, format_args!("panicked while opening, so there are no metrics of it"));
            }
        }
    }
    probes
}

impl Sampler {
    pub(crate) fn new(
        plan: Plan,
        probes: Vec<Armed>,
        readings: Readings,
        window: Window,
        sink: Box<dyn MonitorSink>,
    ) -> Self {
        Self {
            plan,
            probes,
            readings,
            window,
            sink,
            windows: 0,
            taken: 0,
            last_sample: Duration::ZERO,
            last_timestamp: 0,
        }
    }

    /// Samples until told to stop, then logs the last window.
    pub(crate) fn run(mut self, pace: &mut impl Pace) {
        let mut schedule = Schedule::new(self.plan.interval);
        self.sample(pace.elapsed(), None);
        self.log_opening(pace.now_ms());
        self.window.clear();
        while pace.wait_until(schedule.deadline()) == Wake::Due {
            let now = pace.elapsed();
            let gap = schedule.arrive(now);
            self.sample(now, self.since_last(now, gap));
            self.taken += 1;
            if self.taken >= self.plan.samples {
                self.log_window(pace.now_ms());
            } else if self.windows == 0 {
                self.log_opening(pace.now_ms());
            }
        }
        let now = pace.elapsed();
        let gap = now >= schedule.deadline() && schedule.arrive(now);
        self.finish(now, gap, pace);
    }

    fn finish(&mut self, now: Duration, gap: bool, pace: &impl Pace) {
        let sliver = now.saturating_sub(self.last_sample) < SLIVER.min(self.plan.interval);
        if self.taken == 0 && sliver && !self.window.has_unlogged() {
            return;
        }
        self.sample(now, self.since_last(now, gap));
        self.log_window(pace.now_ms());
    }

    /// The time that the sample at `now` stands for; unknown after a gap, so that no rate is averaged over the hole.
    fn since_last(&self, now: Duration, gap: bool) -> Option<Duration> {
        (!gap).then(|| now.saturating_sub(self.last_sample))
    }

    fn sample(&mut self, now: Duration, since_last: Option<Duration>) {
        self.last_sample = now;
        self.readings.begin(since_last);
        for Armed { name, probe, health } in &mut self.probes {
            if *health == Health::Ended {
                continue;
            }
            match catch_unwind(AssertUnwindSafe(|| probe.sample(&mut self.readings.sink()))) {
                Ok(Ok(()) | Err(ProbeError::Absent(_))) => {}
                Ok(Err(ProbeError::Failed(error))) => {
                    if *health == Health::Well {
                        *health = Health::Failing;
                        warn(name, format_args!("failed, so its metrics have holes: {error}"));
                    }
                }
                Err(_panic) => {
                    *health = Health::Ended;
                    warn(name, format_args!("panicked, so its metrics end here"));
                }
            }
        }
        self.window.take(&self.readings, self.plan.interval);
    }

    fn log_opening(&mut self, now_ms: i64) {
        let timestamp = self.timestamp(now_ms);
        let Self { window, sink, plan, .. } = self;
        window.first_values(|key, value| sink.log(key, value, timestamp, plan.first_step));
    }

    fn log_window(&mut self, now_ms: i64) {
        self.windows = self.windows.saturating_add(1);
        self.taken = 0;
        let step = self.plan.first_step.saturating_add(self.windows);
        let timestamp = self.timestamp(now_ms);
        let Self { window, sink, .. } = self;
        window.drain(|key, value| sink.log(key, value, timestamp, step));
    }

    /// The wall clock may be set back during a run; the points of a metric must not be.
    fn timestamp(&mut self, now_ms: i64) -> i64 {
        self.last_timestamp = self.last_timestamp.max(now_ms);
        self.last_timestamp
    }
}

fn warn(probe: &str, what: fmt::Arguments<'_>) {
    notice::warn(
        &format!("monitor {probe} {what}"),
        format_args!("the system monitor's probe `{probe}` {what}"),
    );
}

#[cfg(test)]
mod tests;
