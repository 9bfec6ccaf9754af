//! The whole run in a few figures and a verdict, told once at its end.
//!
//! docs/system-metrics.md defines each quantity ("The whole run") and the rules of the verdict ("What held it up").
//! Invariants: what was not read is not told, and nothing is estimated from what a device might do; taking a sample
//! allocates nothing; the tier `compat` has no summary.

mod accumulate;
mod earlier;
mod gpus;
mod quantities;
mod rules;
mod tally;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeSet;
use std::time::Duration;

use runlog_core::autolog::{Tier, Watch};

use crate::metrics as m;
use crate::readings::Readings;
use crate::registry::Entry;
use accumulate::Spread;
use earlier::Earlier;
use gpus::Gpus;
use quantities as q;
use tally::Tally;
use verdict::{GpuSignal, Signal, Verdict};

/// What a run's end has to tell.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Names, without `system/` and node, and values.
    pub(crate) metrics: Vec<(String, f64)>,
    /// Names, without `runlog.`, and values.
    pub(crate) tags: Vec<(String, String)>,
}

/// The summary in the making.
#[derive(Debug)]
pub(crate) struct Summary {
    /// `Compat` has none, and only `Full` tells of misfortunes that did not happen.
    tier: Tier,
    earlier: Earlier,
    gpu_price_per_hour: Option<f64>,
    co2_grams_per_kwh: Option<f64>,
    groups: Vec<Group>,
    /// The metrics of all groups: one name is one metric, the first that was registered.
    names: BTreeSet<Box<str>>,
    /// The group whose samples the verdict's windows follow: one that reads GPUs if there is any, else the host's.
    paced_by: Option<usize>,
    cpu: Spread,
    host_secs: f64,
    tallies: Vec<Tally>,
    gpus: Gpus,
    verdict: Verdict,
}

/// Probes that are sampled together.
#[derive(Debug, Default)]
struct Group {
    /// What is wanted of their readings, by place.
    wanted: Vec<(usize, Wanted)>,
    gpus: Vec<Presence>,
    is_host: bool,
    last_sample: Duration,
}

/// What one sample said of a GPU.
#[derive(Debug)]
struct Presence {
    place: usize,
    answered: bool,
    power_was_read: bool,
}

#[derive(Clone, Copy, Debug)]
enum Wanted {
    Cpu,
    /// By place among the tallies.
    Tally(usize),
    Signal(Signal),
    /// By place among the group's GPUs.
    Gpu(usize, gpus::Reading),
    GpuSignal(usize, GpuSignal),
}

impl Summary {
    pub(crate) fn new(watch: &Watch) -> Self {
        Self {
            tier: watch.settings.tier.unwrap_or_default(),
            earlier: Earlier::of(watch),
            gpu_price_per_hour: watch.settings.gpu_price_per_hour,
            co2_grams_per_kwh: watch.settings.co2_grams_per_kwh,
            groups: Vec::new(),
            names: BTreeSet::new(),
            paced_by: None,
            cpu: Spread::default(),
            host_secs: 0.0,
            tallies: Vec::new(),
            gpus: Gpus::default(),
            verdict: Verdict::default(),
        }
    }

    /// The probes of `group`, numbered from 0, are open and will read `entries`.
    pub(crate) fn register(&mut self, group: usize, entries: &[Entry]) {
        if self.is_off() {
            return;
        }
        let mut known = Group::default();
        let registered = |name: &str| entries.iter().any(|entry| *entry.name == *name);
        for (place, entry) in entries.iter().enumerate() {
            if !self.names.insert(entry.name.clone()) {
                continue;
            }
            let mut want = |wanted| known.wanted.push((place, wanted));
            if let Some((index, name)) = gpu_metric(&entry.name) {
                let gpu = self.gpus.place(index);
                self.verdict.expect_gpu(gpu);
                let reading = gpus::Reading::of(name);
                if reading == gpus::Reading::Lost {
                    self.gpus.watch_losses(gpu);
                }
                let presence = known.gpus.iter().position(|known| known.place == gpu);
                let presence = presence.unwrap_or_else(|| {
                    known.gpus.push(Presence { place: gpu, answered: false, power_was_read: false });
                    known.gpus.len() - 1
                });
                want(Wanted::Gpu(presence, reading));
                if let Some(signal) = gpu_signal(name) {
                    want(Wanted::GpuSignal(gpu, signal));
                }
                continue;
            }
            if *entry.name == *m::CPU_UTILIZATION.name {
                want(Wanted::Cpu);
            }
            if let Some(tally) = Tally::of(&entry.name, registered) {
                self.tallies.push(tally);
                want(Wanted::Tally(self.tallies.len() - 1));
            }
            if let Some(signal) = signal(&entry.name, registered) {
                want(Wanted::Signal(signal));
            }
        }
        known.is_host = m::HOST.iter().any(|metric| registered(metric.name));
        let reads_gpus = |group: usize| self.groups.get(group).is_some_and(|group| !group.gpus.is_empty());
        if self.paced_by.is_none_or(|paced_by| !known.gpus.is_empty() && !reads_gpus(paced_by))
            && (known.is_host || !known.gpus.is_empty())
        {
            self.paced_by = Some(group);
        }
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, Group::default);
        }
        self.groups[group] = known;
    }

    /// What registered probes say of the hardware, by name without `runlog.`: `gpu.<i>.energy_source` is what the energy
    /// of a GPU is from, `gpu.<i>.instance_of` the GPU that this one is a part of.
    pub(crate) fn facts(&mut self, facts: &[(String, String)]) {
        for (name, value) in facts {
            let of_gpu = name.strip_prefix("gpu.").and_then(|rest| rest.split_once('.'));
            if let Some((index, name)) = of_gpu
                && let Ok(index) = index.parse()
            {
                self.gpus.fact(index, name, value);
            }
        }
    }

    /// Takes a sample of `group` at `now`, the time since the run began.
    pub(crate) fn take(&mut self, group: usize, readings: &Readings, now: Duration) {
        let paces = self.paced_by == Some(group);
        let Some(group) = self.groups.get_mut(group) else { return };
        // A sampler that was at work before the run began may look further back than the run goes.
        let since_last = now.saturating_sub(std::mem::replace(&mut group.last_sample, now));
        let secs = readings.since_last().map(|since| since.min(since_last).as_secs_f64());
        let weight = secs.unwrap_or(0.0);
        for presence in &mut group.gpus {
            (presence.answered, presence.power_was_read) = (false, false);
        }
        for (place, wanted) in &group.wanted {
            let Some(value) = readings.values().get(*place).copied().flatten() else { continue };
            match *wanted {
                Wanted::Cpu => self.cpu.add(value, weight),
                Wanted::Tally(tally) => self.tallies[tally].add(value, weight),
                Wanted::Signal(signal) => self.verdict.add(signal, value, weight),
                Wanted::Gpu(presence, reading) => {
                    let presence = &mut group.gpus[presence];
                    presence.answered |= reading.is_answer();
                    presence.power_was_read |= reading == gpus::Reading::Power;
                    self.gpus.add(presence.place, reading, value, secs);
                }
                Wanted::GpuSignal(gpu, signal) => self.verdict.add_gpu(gpu, signal, value, weight),
            }
        }
        for presence in &group.gpus {
            self.gpus.seen(presence.place, presence.answered, presence.power_was_read, weight);
        }
        if group.is_host {
            self.host_secs += weight;
        }
        if paces {
            self.verdict.pass(secs);
        }
    }

    fn is_off(&self) -> bool {
        self.tier == Tier::Compat
    }

    /// What the run was, `now` at its end.
    pub(crate) fn finish(&mut self, now: Duration) -> Told {
        let mut told = Told::default();
        if !self.is_off() {
            let wall_secs = now.as_secs_f64();
            told.metric(q::WALL, self.earlier.sum(q::WALL, wall_secs));
            self.tell_host(&mut told, wall_secs);
            if !self.gpus.is_empty() {
                self.tell_gpus(&mut told, wall_secs);
            }
            self.tell_emissions(&mut told);
            if self.tier < Tier::Full {
                told.metrics.retain(|(name, value)| *value > 0.0 || !q::MISFORTUNES.contains(&name.as_str()));
            }
            if let Some(ruling) = self.verdict.rule() {
                told.metric(q::EVIDENCE, ruling.evidence);
                told.tag("bottleneck", ruling.bottleneck.to_owned());
                told.tag("bottleneck_note", ruling.note);
            }
        }
        told
    }

    fn tell_host(&self, told: &mut Told, wall_secs: f64) {
        let host_secs = self.host_secs.min(wall_secs);
        if self.groups.iter().any(|group| group.is_host) {
            told.maybe(q::OBSERVED, self.earlier.observed(q::OBSERVED, host_secs, wall_secs));
        }
        let mean = self.cpu.mean().map(|mean| self.earlier.mean(q::CPU_MEAN, mean, host_secs, q::OBSERVED));
        told.maybe(q::CPU_MEAN, mean);
        told.maybe(q::CPU_P50, self.cpu.percentile(0.5));
        told.maybe(q::CPU_P95, self.cpu.percentile(0.95));
        for tally in &self.tallies {
            let earlier = if tally.is_peak() { Earlier::peak } else { Earlier::sum };
            let go_on = |value| earlier(&self.earlier, tally.quantity, value);
            told.maybe(tally.quantity, tally.get().map(go_on));
        }
    }

    fn tell_gpus(&self, told: &mut Told, wall_secs: f64) {
        let (earlier, gpus, used) = (&self.earlier, &self.gpus, self.gpus.utilization());
        let observed_secs = (gpus.observed_secs() / gpus.devices()).min(wall_secs);
        told.maybe(q::GPU_OBSERVED, earlier.observed(q::GPU_OBSERVED, observed_secs, wall_secs));
        let mean =
            |name: &str, value: Option<f64>| Some(earlier.mean(name, value?, observed_secs, q::GPU_OBSERVED));
        told.maybe(q::GPU_MEAN, mean(q::GPU_MEAN, used.mean()));
        told.maybe(q::GPU_P50, used.percentile(0.5));
        told.maybe(q::GPU_P95, used.percentile(0.95));
        told.maybe(q::GPU_IDLE, mean(q::GPU_IDLE, used.idle_fraction()));

        let hours = earlier.sum(q::GPU_HOURS, gpus.count() * wall_secs / 3600.0);
        told.metric(q::GPU_HOURS, hours);
        told.maybe(q::GPU_COST, self.gpu_price_per_hour.map(|price| hours * price));
        let sum = |name: &str, value: Option<f64>| value.map(|value| earlier.sum(name, value));
        told.maybe(q::GPU_HOURS_ACTIVE, sum(q::GPU_HOURS_ACTIVE, gpus.hours_active()));

        if let Some(energy) = gpus.energy() {
            told.metric(q::GPU_ENERGY, earlier.sum(q::GPU_ENERGY, energy.wh));
            told.maybe(q::GPU_ENERGY_BY_POWER, sum(q::GPU_ENERGY_BY_POWER, energy.by_power_wh));
            if let Some(note) = energy.disagreement() {
                told.tag("energy_note", note);
            }
            told.tag("energy_source", energy.source);
        }
        let highest = gpus.memory_peak().map(|peak| earlier.peak(q::GPU_MEMORY_PEAK, peak));
        told.maybe(q::GPU_MEMORY_PEAK, highest);
        for (quantity, value) in gpus.counted() {
            told.metric(quantity, earlier.sum(quantity, value));
        }
        told.maybe(q::GPU_LOSSES, sum(q::GPU_LOSSES, gpus.losses()));
    }

    /// Of the energy that was measured, in this session and before.
    fn tell_emissions(&self, told: &mut Told) {
        let measured = [q::GPU_ENERGY, q::CPU_ENERGY].into_iter().filter_map(|name| told.get(name));
        let wh = measured.reduce(|sum, one| sum + one);
        let grams = self.co2_grams_per_kwh.zip(wh).map(|(grams_per_kwh, wh)| wh / 1000.0 * grams_per_kwh);
        told.maybe(q::CO2, grams);
    }
}

impl Told {
    fn metric(&mut self, name: &str, value: f64) {
        if value.is_finite() {
            self.metrics.push((name.to_owned(), value));
        }
    }

    fn maybe(&mut self, name: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.metric(name, value);
        }
    }

    fn tag(&mut self, name: &str, value: String) {
        self.tags.push((name.to_owned(), value));
    }

    fn get(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// The index of the GPU and the rest, of a name such as `gpu_0_utilization_percentage`.
fn gpu_metric(name: &str) -> Option<(u32, &str)> {
    let (index, rest) = name.strip_prefix("gpu_")?.split_once('_')?;
    Some((index.parse().ok()?, rest))
}

/// What the verdict makes of a metric. Pressure is the cgroup's where that is registered too.
fn signal(name: &str, registered: impl Fn(&str) -> bool) -> Option<Signal> {
    let unless = |other: &m::Metric, signal| (!registered(other.name)).then_some(signal);
    match name {
        _ if name == m::MEMORY_PRESSURE.name => unless(&m::CONTAINER_MEMORY_PRESSURE, Signal::MemoryPressure),
        _ if name == m::IO_PRESSURE.name => unless(&m::CONTAINER_IO_PRESSURE, Signal::IoPressure),
        _ if name == m::CONTAINER_MEMORY_PRESSURE.name => Some(Signal::MemoryPressure),
        _ if name == m::CONTAINER_IO_PRESSURE.name => Some(Signal::IoPressure),
        _ if name == m::TREE_CPU.name => Some(Signal::TreeCpu),
        _ if name == m::BUSIEST_THREAD.name => Some(Signal::BusiestThread),
        _ if name == m::CONTAINER_OOM_KILLS.name => Some(Signal::OomKills),
        _ => None,
    }
}

fn gpu_signal(name: &str) -> Option<GpuSignal> {
    let signals = [
        (&m::GPU_UTILIZATION, GpuSignal::Utilization),
        (&m::GPU_SM_ACTIVE, GpuSignal::SmActive),
        (&m::GPU_POWER_THROTTLED, GpuSignal::PowerThrottled),
        (&m::GPU_THERMAL_THROTTLED, GpuSignal::ThermalThrottled),
    ];
    signals.into_iter().find(|(metric, _)| metric.name == name).map(|(_, signal)| signal)
}
