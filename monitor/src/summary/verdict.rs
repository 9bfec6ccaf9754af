//! What held the run up: a rule over windows of ten seconds, weighted by their time.
//!
//! Invariants: a verdict rests on at least half of the time that was read, or it is `unclear`; about a GPU nothing is
//! said unless one was read. It is a correlation, so it is worded "while", never "because".

use super::accumulate::Mean;
use super::rules::{Bottleneck, Evidence, Measure};
use crate::counter::Growth;

/// The time over which readings are averaged before a rule looks at them: MLflow's window.
const WINDOW_SECS: f64 = 10.0;
/// The share of the time that a verdict needs.
const SHARE_MIN: f64 = 0.5;

/// What the verdict reads of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    MemoryPressure,
    IoPressure,
    TreeCpu,
    BusiestThread,
    OomKills,
}

/// What it reads of a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GpuSignal {
    Utilization,
    SmActive,
    PowerThrottled,
    ThermalThrottled,
}

/// One GPU in the window under way.
#[derive(Debug, Default)]
struct Gpu {
    utilization: Mean,
    sm_active: Mean,
    power_throttled: Growth,
    thermal_throttled: Growth,
}

/// The verdict in the making.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    memory_pressure: Mean,
    io_pressure: Mean,
    tree_cpu: Mean,
    busiest_thread: Mean,
    oom_kills: Growth,
    gpus: Vec<Gpu>,
    /// The time that the window has seen.
    window_secs: f64,
    /// Seconds of each bottleneck, in the order of [`Bottleneck::ALL`].
    held_secs: [f64; Bottleneck::ALL.len()],
    /// Seconds of windows that told something.
    all_secs: f64,
    /// Seconds by what the GPUs' work was measured with.
    measured_secs: [f64; Measure::ALL.len()],
}

/// What was found.
#[derive(Debug, PartialEq)]
pub(super) struct Ruling {
    /// The verdict.
    pub(super) bottleneck: &'static str,
    /// The share of the time that speaks for it, or for the next best if it is unclear.
    pub(super) evidence: f64,
    /// The same in words.
    pub(super) note: String,
}

impl Verdict {
    /// There is a GPU at `place`.
    pub(super) fn expect_gpu(&mut self, place: usize) {
        if self.gpus.len() <= place {
            self.gpus.resize_with(place + 1, Gpu::default);
        }
    }

    /// Takes a reading of the machine that stands for `secs`.
    pub(super) fn add(&mut self, signal: Signal, value: f64, secs: f64) {
        match signal {
            Signal::MemoryPressure => self.memory_pressure.add(value, secs),
            Signal::IoPressure => self.io_pressure.add(value, secs),
            Signal::TreeCpu => self.tree_cpu.add(value, secs),
            Signal::BusiestThread => self.busiest_thread.add(value, secs),
            Signal::OomKills => self.oom_kills.add(value),
        }
    }

    /// Takes a reading of the GPU at `place`.
    pub(super) fn add_gpu(&mut self, place: usize, signal: GpuSignal, value: f64, secs: f64) {
        let Some(gpu) = self.gpus.get_mut(place) else { return };
        match signal {
            GpuSignal::Utilization => gpu.utilization.add(value, secs),
            GpuSignal::SmActive => gpu.sm_active.add(value, secs),
            GpuSignal::PowerThrottled => gpu.power_throttled.add(value),
            GpuSignal::ThermalThrottled => gpu.thermal_throttled.add(value),
        }
    }

    /// A sample of `secs` is over, of the probes that the windows follow; the window may be too. `None` after a time in
    /// which those did not look: what others saw meanwhile stands alone and is left out.
    pub(super) fn pass(&mut self, secs: Option<f64>) {
        let Some(secs) = secs else { return self.clear() };
        self.window_secs += secs;
        if self.window_secs >= WINDOW_SECS {
            self.judge();
        }
    }

    /// Judges the window under way and begins the next.
    fn judge(&mut self) {
        let (secs, measure, evidence) = (self.window_secs, self.measure(), self.evidence());
        self.clear();
        if evidence.is_empty() {
            return;
        }
        self.all_secs += secs;
        if let Some(bottleneck) = evidence.judge() {
            self.held_secs[bottleneck as usize] += secs;
        }
        if let Some(measure) = measure {
            self.measured_secs[measure as usize] += secs;
        }
    }

    fn clear(&mut self) {
        self.window_secs = 0.0;
        for mean in
            [&mut self.memory_pressure, &mut self.io_pressure, &mut self.tree_cpu, &mut self.busiest_thread]
        {
            *mean = Mean::default();
        }
        for gpu in &mut self.gpus {
            (gpu.utilization, gpu.sm_active) = (Mean::default(), Mean::default());
            gpu.power_throttled.take();
            gpu.thermal_throttled.take();
        }
        self.oom_kills.take();
    }

    fn evidence(&self) -> Evidence {
        let (utilization, throttled) = self.gpu_means();
        Evidence {
            memory_pressure: self.memory_pressure.get(),
            oom_killed: self.oom_kills.get().is_some_and(|kills| kills > 0.0),
            io_pressure: self.io_pressure.get(),
            tree_cpu: self.tree_cpu.get(),
            busiest_thread: self.busiest_thread.get(),
            utilization,
            throttled,
        }
    }

    /// How busy the GPUs were that did something, and in which share of the time they were held back. GPUs that did
    /// nothing are nobody's bottleneck while others work; if none did anything, all count.
    fn gpu_means(&self) -> (Option<f64>, Option<f64>) {
        let works = |gpu: &&Gpu| gpu.busy().is_some_and(|busy| busy.get() >= Some(Evidence::IDLE));
        let some_work = self.gpus.iter().any(|gpu| works(&gpu));
        let counted = || self.gpus.iter().filter(move |gpu| !some_work || works(gpu));
        let mean = |values: &mut dyn Iterator<Item = f64>| {
            let mut mean = Mean::default();
            values.for_each(|value| mean.add(value, 1.0));
            mean.get()
        };
        let utilization = mean(&mut counted().filter_map(|gpu| gpu.busy()?.get()));
        let throttled = mean(&mut counted().filter_map(Gpu::throttled_fraction));
        (utilization, throttled)
    }

    fn measure(&self) -> Option<Measure> {
        let read = || self.gpus.iter().filter(|gpu| gpu.busy().is_some());
        let by_sm = read().filter(|gpu| gpu.tells_sm_active()).count();
        match (by_sm, read().count()) {
            (_, 0) => None,
            (0, _) => Some(Measure::Utilization),
            (some, all) if some == all => Some(Measure::SmActive),
            _ => Some(Measure::Mixed),
        }
    }

    /// What held the run up; `None` where there was no GPU to be held up and no want of memory either.
    pub(super) fn rule(&mut self) -> Option<Ruling> {
        if self.window_secs > 0.0 {
            self.judge();
        }
        if self.all_secs <= 0.0 {
            return None;
        }
        let measured = Measure::ALL.iter().zip(self.measured_secs).filter(|(_, secs)| *secs > 0.0);
        let measure = measured.reduce(|most, next| if next.1 > most.1 { next } else { most });
        let held = Bottleneck::ALL.iter().zip(self.held_secs);
        let (leading, secs) = held.reduce(|most, next| if next.1 > most.1 { next } else { most })?;
        let evidence = (secs / self.all_secs).clamp(0.0, 1.0);
        if evidence < SHARE_MIN {
            let (measure, _) = measure?;
            let note = if secs > 0.0 {
                format!(
                    "nothing stood out for half of the time; for {} of the time {} ({})",
                    percent(evidence),
                    leading.in_words(),
                    measure.in_words()
                )
            } else {
                format!("nothing stood out at any time ({})", measure.in_words())
            };
            return Some(Ruling { bottleneck: Bottleneck::UNCLEAR, evidence, note });
        }
        let by = measure.map(|(measure, _)| format!(" ({})", measure.in_words())).unwrap_or_default();
        let note = format!("for {} of the time {}{by}", percent(evidence), leading.in_words());
        Some(Ruling { bottleneck: leading.name(), evidence, note })
    }
}

impl Gpu {
    /// How busy it was: its multiprocessors where they are read, else the time in which a kernel was there at all.
    fn busy(&self) -> Option<&Mean> {
        let by_sm = Some(&self.sm_active).filter(|_| self.tells_sm_active());
        by_sm.or_else(|| Some(&self.utilization).filter(|mean| mean.get().is_some()))
    }

    /// Whether it says how many of its multiprocessors had work. None at all for a whole window beside kernels that ran is
    /// a counter that does not count, as when another program holds it.
    fn tells_sm_active(&self) -> bool {
        let kernels_ran = self.utilization.get() >= Some(Evidence::IDLE);
        self.sm_active.get().is_some_and(|active| active > 0.0 || !kernels_ran)
    }

    /// The share of its time in which power or heat held it back. The two may hold at once, so the longer one counts.
    fn throttled_fraction(&self) -> Option<f64> {
        let both = [self.power_throttled.get(), self.thermal_throttled.get()];
        let secs = both.into_iter().flatten().reduce(f64::max)?;
        self.busy().map(|busy| (secs / busy.secs()).clamp(0.0, 1.0))
    }
}

fn percent(fraction: f64) -> String {
    format!("{:.0} %", fraction * 100.0)
}
