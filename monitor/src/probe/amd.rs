//! AMD's GPUs, from the files of the kernel's driver amdgpu; no library, no privilege.
//!
//! Invariant: `pcie_bw` is never read, since the driver sleeps for a second in it.
//!
//! Sources: Documentation/gpu/amdgpu/thermal.rst ("GPU Power/Thermal Controls and Monitoring"), driver-misc.rst (memory),
//! and `hwmon_attributes_visible` in drivers/gpu/drm/amd/pm/amdgpu_pm.c for which card has what.
//!
//! | metric | file | note |
//! |---|---|---|
//! | utilization, memory utilization | `gpu_busy_percent`, `mem_busy_percent` | of the moment, as the firmware has it |
//! | memory | `mem_info_vram_used`, `mem_info_vram_total` | what the driver reserves is in it |
//! | power | `power1_average`, else `power1_input` | newer cards have the second only |
//! | its limit | `power1_cap` | |
//! | energy | power over time | the counter stands in a table without a stable form |
//! | temperature | `junction`, else `edge` | the hottest point: what clocks follow, and all that MI300 has |
//! | temperature of the memory | `mem` | |
//! | clocks | `sclk`, `mclk` | |
//! | fan | `fan1_input` of `fan1_max` | |
//! | PCIe's replays | `pcie_replay_count` | |

use super::card::{Card, Kernel, Place, Presence, Value, cards, every};
use super::{
    Driver, Key, MEGABYTE, Machine, Opened, Probe, ProbeError, Registry, Sink, absent, corrupt, float,
};
use crate::counter::{Integral, Sum};
use crate::metrics::{self, Metric};

pub(super) const DRIVER: Driver = Driver::built_in("amd", open);

/// Temperatures and clocks that a card may have, by their labels.
const CHANNELS: std::ops::RangeInclusive<u32> = 1..=8;
/// hwmon's units: microwatts, millidegrees, hertz.
const MICRO: f64 = 1e-6;
const MILLI: f64 = 1e-3;

struct Amd {
    gpus: Vec<Gpu>,
}

struct Gpu {
    card: Card,
    /// Those that need nothing but their own file.
    plain: Vec<(Value, Key, &'static Metric)>,
    memory: Option<Memory>,
    power: Option<Power>,
    /// The speed, the full speed.
    fan: Option<(Value, Value, Key)>,
    replays: Option<(Value, Sum, Key)>,
}

struct Memory {
    used: Value,
    total: Value,
    used_key: Option<Key>,
    percentage: Option<Key>,
}

struct Power {
    watts: Value,
    limit: Option<Value>,
    energy: Integral,
    watts_key: Option<Key>,
    percentage: Option<Key>,
    limit_key: Option<Key>,
    joules: Option<Key>,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    let cards = cards(machine).into_iter().filter(|card| card.kernel == Kernel::Amdgpu);
    let gpus: Vec<_> = cards.map(|card| Gpu::open(card, registry)).collect();
    if gpus.is_empty() {
        return Err(absent("the driver amdgpu has no card that is read"));
    }
    Ok(Box::new(Amd { gpus }))
}

impl Probe for Amd {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        every(self.gpus.iter_mut().map(|gpu| gpu.sample(sink)))
    }
}

impl Gpu {
    fn open(mut card: Card, registry: &mut Registry) -> Self {
        card.register(registry, "AMD");
        let device = |name: &str, scale| Value::of(&card, Place::Device(name.to_owned()), scale);
        let sensor = |name: String, scale| Value::of(&card, Place::Sensor(name), scale);
        let labelled = |kind: &str, label: &str, scale| {
            let is_it =
                |channel: &u32| card.label(&format!("{kind}{channel}_label")).as_deref() == Some(label);
            sensor(format!("{kind}{}_input", CHANNELS.into_iter().find(is_it)?), scale)
        };
        let mut metric = |metric| card.metric(registry, metric);

        let chip = || labelled("temp", "junction", MILLI).or_else(|| labelled("temp", "edge", MILLI));
        let plain = [
            (device("gpu_busy_percent", 1.0), &metrics::GPU_UTILIZATION),
            (device("mem_busy_percent", 1.0), &metrics::GPU_MEMORY_BUSY),
            (chip(), &metrics::GPU_TEMPERATURE),
            (labelled("temp", "mem", MILLI), &metrics::GPU_MEMORY_TEMPERATURE),
            (labelled("freq", "sclk", MICRO), &metrics::GPU_SM_CLOCK),
            (labelled("freq", "mclk", MICRO), &metrics::GPU_MEMORY_CLOCK),
        ];
        let plain = plain.into_iter().filter_map(|(value, of)| Some((value?, metric(of)?, of))).collect();
        let memory = device("mem_info_vram_used", 1.0).zip(device("mem_info_vram_total", 1.0));
        let memory = memory.map(|(used, total)| Memory {
            used,
            total,
            used_key: metric(&metrics::GPU_MEMORY_USED),
            percentage: metric(&metrics::GPU_MEMORY_USED_PERCENTAGE),
        });
        let watts =
            ["power1_average", "power1_input"].into_iter().find_map(|name| sensor(name.to_owned(), MICRO));
        let power = watts.map(|watts| {
            let limit = sensor("power1_cap".to_owned(), MICRO);
            Power {
                watts,
                watts_key: metric(&metrics::GPU_POWER),
                percentage: limit.as_ref().and_then(|_| metric(&metrics::GPU_POWER_PERCENTAGE)),
                limit_key: limit.as_ref().and_then(|_| metric(&metrics::GPU_POWER_LIMIT)),
                limit,
                energy: Integral::default(),
                joules: metric(&metrics::GPU_ENERGY),
            }
        });
        let fan = sensor("fan1_input".to_owned(), 1.0).zip(sensor("fan1_max".to_owned(), 1.0));
        let fan = fan.and_then(|(speed, full)| Some((speed, full, metric(&metrics::GPU_FAN)?)));
        let replays = device("pcie_replay_count", 1.0);
        let replays =
            replays.and_then(|value| Some((value, Sum::default(), metric(&metrics::GPU_PCIE_REPLAYS)?)));
        if let Some(total) = card.text("mem_info_vram_total").and_then(|text| text.parse::<u64>().ok()) {
            registry.fact(format!("gpu.{}.memory_megabytes", card.index), total / 1_000_000);
        }
        Self { card, plain, memory, power, fan, replays }
    }

    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        if self.card.look(sink) != Presence::Awake {
            // Nothing is known of the time until it can be read again.
            if let Some(power) = &mut self.power {
                power.energy.rebase();
            }
            return Ok(());
        }
        let card = &self.card;
        let plain = every(self.plain.iter_mut().map(|(value, key, metric)| {
            let Some(value) = value.get(card)? else { return Ok(()) };
            if metric.name.ends_with("_percentage") && !(0.0..=100.0).contains(&value) {
                return Err(corrupt("amdgpu gives a percentage that is none"));
            }
            sink.put(*key, value);
            Ok(())
        }));
        let memory = self.memory.as_mut().map_or(Ok(()), |memory| memory.sample(card, sink));
        let power = self.power.as_mut().map_or(Ok(()), |power| power.sample(card, sink));
        let fan = self.fan.as_mut().map_or(Ok(()), |(speed, full, key)| {
            if let Some((speed, full)) = speed.get(card)?.zip(full.get(card)?) {
                sink.put(*key, speed / full * 100.0);
            }
            Ok(())
        });
        let replays = self.replays.as_mut().map_or(Ok(()), |(value, sum, key)| {
            if let Some(count) = value.count(card)? {
                sink.put(*key, float(sum.advance(count)));
            }
            Ok(())
        });
        every([plain, memory, power, fan, replays])
    }
}

impl Memory {
    fn sample(&mut self, card: &Card, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let Some((used, total)) = self.used.count(card)?.zip(self.total.count(card)?) else { return Ok(()) };
        if used > total {
            return Err(corrupt("amdgpu says that more memory is used than there is"));
        }
        sink.put(self.used_key, float(used) / MEGABYTE);
        sink.put(self.percentage, float(used) / float(total) * 100.0);
        Ok(())
    }
}

impl Power {
    fn sample(&mut self, card: &Card, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let watts = self.watts.get(card);
        let Ok(Some(watts)) = watts else {
            self.energy.rebase();
            return watts.map(|_none| ());
        };
        sink.put(self.watts_key, watts);
        sink.put(self.joules, self.energy.advance(watts, sink.since_last()));
        let Some(limit) = &mut self.limit else { return Ok(()) };
        if let Some(limit) = limit.get(card)?.filter(|limit| *limit > 0.0) {
            sink.put(self.percentage, watts / limit * 100.0);
            sink.put(self.limit_key, limit);
        }
        Ok(())
    }
}
