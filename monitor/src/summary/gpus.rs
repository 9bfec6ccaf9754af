//! The quantities of the GPUs: utilization, hours, energy, memory, throttling and events.
//!
//! Invariant: sums are over all GPUs that are read, whatever probe reads them, and no part of a GPU (MIG) is in one beside
//! the whole; a GPU that does not answer adds nothing.

use super::accumulate::Spread;
use super::quantities as q;
use crate::counter::{Growth, Integral};
use crate::metrics::{self as m, Metric};

const SECS_PER_HOUR: f64 = 3600.0;
/// The source of an energy that is the integral of power.
const BY_POWER: &str = "power";
/// Sources of an energy that power cannot be compared with: the one is made of the other.
const OF_POWER: [&str; 2] = [BY_POWER, "counter of power"];
/// Two figures of the same energy that are further apart than this are told as such.
const ENERGY_APART_MAX: f64 = 0.1;

/// What the summary reads of one GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Utilization,
    Memory,
    Power,
    Energy,
    Counter(Counted),
    Lost,
    /// Only says that the GPU answers.
    Other,
}

/// Counters of a GPU that are summed as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    PowerThrottled,
    ThermalThrottled,
    Xids,
    EccCorrected,
    EccUncorrected,
    RowsCorrected,
    RowsUncorrected,
}

/// The counters by metric and quantity; two may make one quantity.
const COUNTED: [(Counted, &Metric, &str); 7] = [
    (Counted::PowerThrottled, &m::GPU_POWER_THROTTLED, q::GPU_POWER_THROTTLED),
    (Counted::ThermalThrottled, &m::GPU_THERMAL_THROTTLED, q::GPU_THERMAL_THROTTLED),
    (Counted::Xids, &m::GPU_XID_EVENTS, q::GPU_XIDS),
    (Counted::EccCorrected, &m::GPU_ECC_CORRECTED, q::GPU_ECC_CORRECTED),
    (Counted::EccUncorrected, &m::GPU_ECC_UNCORRECTED, q::GPU_ECC_UNCORRECTED),
    (Counted::RowsCorrected, &m::GPU_ROWS_REMAPPED_CORRECTED, q::GPU_ROWS_REMAPPED),
    (Counted::RowsUncorrected, &m::GPU_ROWS_REMAPPED_UNCORRECTED, q::GPU_ROWS_REMAPPED),
];

impl Reading {
    /// What the metric `name` of a GPU is here.
    pub(super) fn of(name: &str) -> Self {
        let simple = [
            (&m::GPU_UTILIZATION, Self::Utilization),
            (&m::GPU_MEMORY_USED, Self::Memory),
            (&m::GPU_POWER, Self::Power),
            (&m::GPU_ENERGY, Self::Energy),
            (&m::GPU_LOST, Self::Lost),
        ];
        let simple = simple.into_iter().find(|(metric, _)| metric.name == name).map(|(_, reading)| reading);
        let counted = || COUNTED.iter().find(|(_, metric, _)| metric.name == name);
        simple.or_else(|| counted().map(|(counted, ..)| Self::Counter(*counted))).unwrap_or(Self::Other)
    }

    /// Whether the GPU itself must have answered: a loss and the errors of a GPU are known without it.
    pub(super) fn is_answer(self) -> bool {
        !matches!(self, Self::Lost | Self::Counter(Counted::Xids))
    }
}

/// One GPU.
#[derive(Debug)]
struct Gpu {
    index: u32,
    /// Another one that is read has it as a part (MIG).
    part_of: Option<u32>,
    /// Seconds in which something of it was read.
    observed_secs: f64,
    /// Seconds times how busy it was in them.
    busy_secs: Option<f64>,
    memory_peak: Option<f64>,
    power: Integral,
    energy: Growth,
    counters: [Growth; COUNTED.len()],
    /// Whether the last sample found it lost; `None` where nobody would say.
    lost: Option<bool>,
    losses: f64,
    /// What the probe says its energy is from.
    energy_source: Option<String>,
}

/// All GPUs.
#[derive(Debug, Default)]
pub(super) struct Gpus {
    gpus: Vec<Gpu>,
    utilization: Spread,
}

impl Gpus {
    /// The place of the GPU `index`, which is made if it is new.
    pub(super) fn place(&mut self, index: u32) -> usize {
        self.gpus.iter().position(|gpu| gpu.index == index).unwrap_or_else(|| {
            self.gpus.push(Gpu {
                index,
                part_of: None,
                observed_secs: 0.0,
                busy_secs: None,
                memory_peak: None,
                power: Integral::default(),
                energy: Growth::default(),
                counters: [Growth::default(); COUNTED.len()],
                lost: None,
                losses: 0.0,
                energy_source: None,
            });
            self.gpus.len() - 1
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.gpus.is_empty()
    }

    /// The devices, parts of GPUs (MIG) too.
    pub(super) fn devices(&self) -> f64 {
        self.gpus.iter().map(|_| 1.0).sum()
    }

    /// The GPUs: parts do not count beside the GPU that they are of.
    pub(super) fn count(&self) -> f64 {
        self.whole().map(|_| 1.0).sum()
    }

    fn whole(&self) -> impl Iterator<Item = &Gpu> {
        let is_read = |index: u32| self.gpus.iter().any(|gpu| gpu.index == index);
        self.gpus.iter().filter(move |gpu| !gpu.part_of.is_some_and(is_read))
    }

    /// Somebody watches whether the GPU is there.
    pub(super) fn watch_losses(&mut self, place: usize) {
        if let Some(gpu) = self.gpus.get_mut(place) {
            gpu.lost.get_or_insert(false);
        }
    }

    /// Takes a fact of the GPU `index`: what its energy is from, or which GPU it is a part of.
    pub(super) fn fact(&mut self, index: u32, name: &str, value: &str) {
        if let Some(gpu) = self.gpus.iter_mut().find(|gpu| gpu.index == index) {
            match name {
                "energy_source" => gpu.energy_source = Some(value.to_owned()),
                "instance_of" => gpu.part_of = value.parse().ok(),
                _ => {}
            }
        }
    }

    /// Takes a reading of the GPU at `place`; `secs` since the one before, unless nobody looked in between.
    pub(super) fn add(&mut self, place: usize, reading: Reading, value: f64, secs: Option<f64>) {
        let Some(gpu) = self.gpus.get_mut(place) else { return };
        match reading {
            Reading::Utilization => {
                let secs = secs.unwrap_or(0.0);
                self.utilization.add(value, secs);
                if secs > 0.0 {
                    *gpu.busy_secs.get_or_insert(0.0) += value.clamp(0.0, 100.0) / 100.0 * secs;
                }
            }
            Reading::Memory => {
                gpu.memory_peak = Some(gpu.memory_peak.map_or(value, |before| before.max(value)));
            }
            Reading::Power => {
                gpu.power.advance(value, secs);
            }
            Reading::Energy => gpu.energy.add(value),
            Reading::Counter(counted) => {
                let slot = COUNTED.iter().position(|(known, ..)| *known == counted);
                if let Some(counter) = slot.and_then(|slot| gpu.counters.get_mut(slot)) {
                    counter.add(value);
                }
            }
            Reading::Lost => {
                let lost = value > 0.0;
                if lost && gpu.lost != Some(true) {
                    gpu.losses += 1.0;
                }
                gpu.lost = Some(lost);
            }
            Reading::Other => {}
        }
    }

    /// The GPU at `place` answered in a sample of `secs`, or not.
    pub(super) fn seen(&mut self, place: usize, answered: bool, power_was_read: bool, secs: f64) {
        if let Some(gpu) = self.gpus.get_mut(place) {
            if answered {
                gpu.observed_secs += secs;
            }
            if !power_was_read {
                gpu.power.rebase();
            }
        }
    }

    /// GPU-seconds that were read.
    pub(super) fn observed_secs(&self) -> f64 {
        self.gpus.iter().map(|gpu| gpu.observed_secs).sum()
    }

    pub(super) fn utilization(&self) -> &Spread {
        &self.utilization
    }

    /// The highest peak of a GPU's memory.
    pub(super) fn memory_peak(&self) -> Option<f64> {
        self.gpus.iter().filter_map(|gpu| gpu.memory_peak).reduce(f64::max)
    }

    /// The sums that counters came to, by quantity.
    pub(super) fn counted(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let mut quantities: Vec<_> = COUNTED.iter().map(|(.., quantity)| *quantity).collect();
        quantities.dedup();
        let of = |quantity: &'static str| {
            let sums = self.whole().flat_map(|gpu| gpu.counters.iter().zip(COUNTED));
            let sums = sums.filter(|(_, (.., of))| *of == quantity).filter_map(|(counter, _)| counter.get());
            sums.reduce(|sum, one| sum + one).map(|sum| (quantity, sum))
        };
        quantities.into_iter().filter_map(of).collect::<Vec<_>>().into_iter()
    }

    /// How often a GPU was lost; `None` where nobody would have noticed.
    pub(super) fn losses(&self) -> Option<f64> {
        let watched = self.whole().filter(|gpu| gpu.lost.is_some());
        watched.map(|gpu| gpu.losses).reduce(|sum, one| sum + one)
    }

    pub(super) fn hours_active(&self) -> Option<f64> {
        let busy = self.whole().filter_map(|gpu| gpu.busy_secs);
        busy.reduce(|sum, one| sum + one).map(|secs| secs / SECS_PER_HOUR)
    }

    /// The energy of all GPUs; `None` if of none it is known.
    pub(super) fn energy(&self) -> Option<Energy> {
        let known = self.whole().filter_map(Gpu::energy_joules);
        let joules = known.map(|(joules, _)| joules).reduce(|sum, one| sum + one)?;
        let mut sources: Vec<_> = self.whole().filter_map(Gpu::energy_joules).map(|(_, of)| of).collect();
        sources.sort_unstable();
        sources.dedup();
        // Only where both exist for every GPU that has any are the sums of the same thing, and only where the one is not
        // made of the other is there something to compare.
        let both =
            |(_, source): (f64, &str), gpu: &Gpu| gpu.power.get().filter(|_| !OF_POWER.contains(&source));
        let of_power = self.whole().filter_map(|gpu| Some(both(gpu.energy_joules()?, gpu)));
        let by_power: Option<f64> = of_power.sum();
        Some(Energy {
            wh: joules / SECS_PER_HOUR,
            source: sources.join(", "),
            by_power_wh: by_power.map(|joules| joules / SECS_PER_HOUR),
        })
    }
}

impl Gpu {
    /// Its energy and what that is from.
    fn energy_joules(&self) -> Option<(f64, &str)> {
        let source = self.energy_source.as_deref().unwrap_or("energy_joules");
        let metric = self.energy.get().map(|joules| (joules, source));
        metric.or_else(|| self.power.get().map(|joules| (joules, BY_POWER)))
    }
}

/// What the GPUs used.
#[derive(Debug, PartialEq)]
pub(super) struct Energy {
    pub(super) wh: f64,
    /// What it is from; several where GPUs differ.
    pub(super) source: String,
    /// The power over time, where there is an energy metric of every GPU to compare it with.
    pub(super) by_power_wh: Option<f64>,
}

impl Energy {
    /// Says so if the two figures are far apart.
    pub(super) fn disagreement(&self) -> Option<String> {
        let by_power = self.by_power_wh?;
        let apart = (self.wh - by_power).abs() / self.wh.max(by_power);
        (apart > ENERGY_APART_MAX).then(|| {
            format!(
                "{:.3} Wh by {}, {by_power:.3} Wh by power over time: {:.0} % apart",
                self.wh,
                self.source,
                apart * 100.0
            )
        })
    }
}
