//! The whole run in a few figures and a verdict, told once at its end.
//!
//! Invariants: what was not read is not told, and nothing is estimated from what a device might do; taking a sample
//! allocates nothing; the tier `compat` has no summary.
//!
//! # Quantities
//!
//! Each is a metric of the run, below `system/` or `system/<node_id>/`: it is this machine's. *Read* means what the
//! metrics of the same names say; a sum or a mean is over the time in which somebody looked, whose share of the whole is
//! `observed_fraction`. In a resumed run sums go on from the summary before, peaks are the highest of both, means are
//! weighted by the time that was read, and percentiles and the verdict are of the last session; a session that was
//! killed has no summary and is in none.
//!
//! | quantity | definition | from |
//! |---|---|---|
//! | `summary/wall_seconds` | the time from the run's start to its end | a clock that is never set |
//! | `summary/observed_fraction` | share of it that samples of the host cover: gaps, as when the machine slept, are missing | the host's samples |
//! | `summary/gpu_observed_fraction` | the same of the GPUs, averaged over them; missing is also what a lost GPU did not tell | their samples |
//! | `summary/cpu_utilization_mean_percentage` | mean over time | `cpu_utilization_percentage` |
//! | `summary/cpu_utilization_p50_percentage` | not exceeded in half of the time, to one decimal | the same |
//! | `summary/cpu_utilization_p95_percentage` | not exceeded in 95 % of the time, to one decimal | the same |
//! | `summary/gpu_utilization_mean_percentage` | mean over time and all GPUs | `gpu_<i>_utilization_percentage` |
//! | `summary/gpu_utilization_p50_percentage` | not exceeded in half of the GPUs' time, to one decimal | the same |
//! | `summary/gpu_utilization_p95_percentage` | not exceeded in 95 % of it | the same |
//! | `summary/idle_gpu_fraction` | share of the GPUs' time with a utilization below 5 % | the same |
//! | `summary/gpu_hours_allocated` | wall time × GPUs that are read (all of the machine, or the visible ones); parts of a GPU (MIG) do not count beside it | their number |
//! | `summary/gpu_hours_active` | Σ time × utilization of the same: a GPU half busy for an hour has half an hour | `gpu_<i>_utilization_percentage` |
//! | `summary/gpu_energy_wh` | energy of all GPUs; the tag `energy_source` says what it is from: `counter`, `counter of power` where power is read from it too, `power` over time, or `energy_joules` where the probe does not say | `gpu_<i>_energy_joules`, else `gpu_<i>_power_usage_watts` over time (trapezoids) |
//! | `summary/gpu_energy_by_power_wh` | the same from power over time, where every GPU has a counter beside it; the tag `energy_note` says so if the two are more than 10 % apart | `gpu_<i>_power_usage_watts` |
//! | `summary/cpu_energy_wh` | energy of the processor packages | `cpu_energy_joules` (RAPL); never estimated |
//! | `summary/system_memory_peak_megabytes` | highest reading | `system_memory_usage_megabytes` |
//! | `summary/process_memory_peak_megabytes` | most memory of this process in RAM, since it began | the kernel's own peak (`VmHWM`), else the highest `process_memory_rss_megabytes` |
//! | `summary/process_tree_memory_peak_megabytes` | highest reading | `process_tree_memory_rss_megabytes` |
//! | `summary/container_memory_peak_megabytes` | most memory of the cgroup, file caches included, since it was made | the kernel's own peak (`memory.peak`) |
//! | `summary/container_memory_working_set_peak_megabytes` | highest reading | `container_memory_working_set_megabytes` |
//! | `summary/gpu_<i>_memory_peak_megabytes` | highest reading of one GPU | `gpu_<i>_memory_usage_megabytes` |
//! | `summary/gpu_memory_peak_megabytes` | the highest of these | the same |
//! | `summary/gpu_power_throttled_seconds` | GPU-seconds, summed over the GPUs | `gpu_<i>_power_throttled_seconds` |
//! | `summary/gpu_thermal_throttled_seconds` | GPU-seconds, summed over the GPUs | `gpu_<i>_thermal_throttled_seconds` |
//! | `summary/container_cpu_throttled_seconds` | time in which the quota stopped tasks of the cgroup | `container_cpu_throttled_seconds` |
//! | `summary/network_received_megabytes` | Σ rate × time, so what the counters of the hardware's interfaces grew by; of the whole machine | `network_receive_megabytes_per_second` |
//! | `summary/network_sent_megabytes` | likewise | `network_transmit_megabytes_per_second` |
//! | `summary/infiniband_received_megabytes` | likewise, RDMA included | `infiniband_receive_megabytes_per_second` |
//! | `summary/infiniband_sent_megabytes` | likewise | `infiniband_transmit_megabytes_per_second` |
//! | `summary/disk_read_megabytes` | likewise, of all disks | `disk_read_megabytes_per_second` |
//! | `summary/disk_written_megabytes` | likewise | `disk_write_megabytes_per_second` |
//! | `summary/container_oom_kills` | events | `container_oom_kills` |
//! | `summary/gpu_xid_events` | events, summed over the GPUs | `gpu_<i>_xid_events` |
//! | `summary/gpu_ecc_corrected_errors` | events, summed over the GPUs | `gpu_<i>_ecc_corrected_errors` |
//! | `summary/gpu_ecc_uncorrected_errors` | events, summed over the GPUs | `gpu_<i>_ecc_uncorrected_errors` |
//! | `summary/gpu_remapped_rows` | events, summed over the GPUs; in the tier `full` | `gpu_<i>_remapped_rows_*` |
//! | `summary/gpu_losses` | how often a GPU stopped answering | `gpu_<i>_lost` |
//! | `summary/gpu_cost` | `gpu_hours_allocated` × the price that the settings give; absent without one | `gpu_price_per_hour` |
//! | `summary/co2_grams` | (`gpu_energy_wh` + `cpu_energy_wh`) / 1000 × the factor that the settings give, of what energy was measured; absent without one | `co2_grams_per_kwh` |
//! | `summary/bottleneck_evidence` | share of the time that speaks for the verdict, or for the next best if it is `unclear` | below |
//!
//! # The verdict
//!
//! The tag `bottleneck` names what the readings say, `bottleneck_note` the same in a sentence. Windows of ten seconds
//! are judged by the first rule that holds:
//!
//! | verdict | holds when |
//! |---|---|
//! | `memory_pressure` | some task waited for memory in ≥ 10 % of the time (PSI), or one was killed for want of it |
//! | `throttled` | power or heat held clocks down in ≥ 25 % of the time while utilization was ≥ 50 % |
//! | `gpu_bound` | utilization ≥ 85 % |
//! | `input_bound_io` | utilization < 70 %, and some task waited for a disk in ≥ 20 % of the time (PSI) |
//! | `input_bound_cpu` | utilization < 70 %, and this process and its descendants used ≥ 80 % of the processors that they may use, or one thread ≥ 90 % of one |
//! | `gpu_idle` | utilization < 5 % |
//! | `unclear` | none of these in at least half of the time |
//!
//! What it can and cannot say:
//!
//! - Utilization means that *some kernel was there*. Where the GPU tells `gpu_<i>_sm_active_percentage`, that is taken
//!   in its place, and the note says which it was.
//! - It is the mean of the GPUs that did anything in the window (≥ 5 %); others of the machine do not count, but a GPU
//!   that somebody else keeps busy does.
//! - Pressure is that of the process's cgroup where it has its own, else of the whole machine.
//! - It is a correlation: the GPU waited *while* tasks waited for disks.
//! - Without a GPU there is one verdict to be had, `memory_pressure`; else there is none.
//!
//! Samples or tokens a watt-hour, and the share of the hardware's FLOPS, need counts that only the training has.

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
    /// Whether there is to be none.
    off: bool,
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
            off: watch.settings.tier.unwrap_or_default() == Tier::Compat,
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
        if self.off {
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
        let Some(group) = self.groups.get_mut(group).filter(|_| !self.off) else { return };
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
                    presence.answered |= reading != gpus::Reading::Lost;
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

    /// What the run was, `now` at its end.
    pub(crate) fn finish(&mut self, now: Duration) -> Told {
        let mut told = Told::default();
        if !self.off {
            let wall_secs = now.as_secs_f64();
            told.metric(q::WALL, self.earlier.sum(q::WALL, wall_secs));
            self.tell_host(&mut told, wall_secs);
            if !self.gpus.is_empty() {
                self.tell_gpus(&mut told, wall_secs);
            }
            self.tell_emissions(&mut told);
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
        for (index, peak) in gpus.memory_peaks() {
            let name = q::gpu_memory_peak(index);
            told.metric(&name, earlier.peak(&name, peak));
        }
        let highest = gpus.memory_peaks().map(|(_, peak)| peak).reduce(f64::max);
        told.maybe(q::GPU_MEMORY_PEAK, highest.map(|peak| earlier.peak(q::GPU_MEMORY_PEAK, peak)));
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
