//! Intel's GPUs, from the files of the kernel's drivers i915 and xe; no library, no privilege.
//!
//! Invariant: a power is the difference of the energy's counter between two samples of which both were read, never over a
//! time in which the card slept or was away.
//!
//! How busy such a card is, only this process and its descendants can be told of (`drm.rs`); how much of its memory is
//! used, no file says.
//!
//! Sources: Documentation/ABI/testing/sysfs-driver-intel-i915-hwmon and sysfs-driver-intel-xe-hwmon (the counter of xe is
//! the card's in channel 1 and the package's in 2), `xe_gt_freq.c` and i915's `intel_gt_sysfs_pm.c` for clocks, the tests
//! of Intel's igt for `physical_vram_size_bytes`.

use super::card::{Card, Kernel, Place, Presence, Value, cards, every};
use super::{Driver, Key, Machine, Opened, Probe, ProbeError, Registry, Sink, absent, float};
use crate::counter::Counter;
use crate::metrics;

pub(super) const DRIVER: Driver = Driver::built_in("intel", open);

/// hwmon's units: microjoules and microwatts, millidegrees.
const MICRO: f64 = 1e-6;
const MILLI: f64 = 1e-3;

struct Intel {
    gpus: Vec<Gpu>,
}

struct Gpu {
    card: Card,
    /// Those that need nothing but their own file.
    plain: Vec<(Value, Key)>,
    energy: Option<Energy>,
}

struct Energy {
    file: Value,
    limit: Option<Value>,
    counter: Counter,
    microjoules: u64,
    /// Whether the sample before read the counter.
    continued: bool,
    joules_key: Option<Key>,
    watts_key: Option<Key>,
    percentage: Option<Key>,
    limit_key: Option<Key>,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    let cards = cards(machine).into_iter().filter(|card| card.kernel != Kernel::Amdgpu);
    let gpus: Vec<_> = cards.map(|card| Gpu::open(card, registry)).collect();
    if gpus.is_empty() {
        return Err(absent("the drivers i915 and xe have no card that is read"));
    }
    Ok(Box::new(Intel { gpus }))
}

impl Probe for Intel {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        every(self.gpus.iter_mut().map(|gpu| gpu.sample(sink)))
    }
}

impl Gpu {
    fn open(mut card: Card, registry: &mut Registry) -> Self {
        card.register(registry, "Intel");
        let sensor = |name: &str, scale| Value::of(&card, Place::Sensor(name.to_owned()), scale);
        let clock = match card.kernel {
            Kernel::Xe => vec![Place::Device("tile0/gt0/freq0/act_freq".to_owned())],
            _ => ["gt/gt0/rps_act_freq_mhz", "gt_act_freq_mhz"]
                .map(|name| Place::Node(name.to_owned()))
                .to_vec(),
        };
        let plain = [
            (clock.into_iter().find_map(|place| Value::of(&card, place, 1.0)), &metrics::GPU_SM_CLOCK),
            // The package's temperature is the second channel of xe and the first of i915.
            (
                ["temp2_input", "temp1_input"].into_iter().find_map(|name| sensor(name, MILLI)),
                &metrics::GPU_TEMPERATURE,
            ),
            (sensor("temp3_input", MILLI), &metrics::GPU_MEMORY_TEMPERATURE),
        ];
        let plain = plain.into_iter().filter_map(|(value, of)| Some((value?, card.metric(registry, of)?)));
        let plain = plain.collect();

        let file = (1..=2).find_map(|channel| {
            let file = sensor(&format!("energy{channel}_input"), MICRO)?;
            Some((file, sensor(&format!("power{channel}_max"), MICRO)))
        });
        let energy = file.map(|(file, limit)| Energy {
            file,
            counter: Counter::default(),
            microjoules: 0,
            continued: false,
            joules_key: card.metric(registry, &metrics::GPU_ENERGY),
            watts_key: card.metric(registry, &metrics::GPU_POWER),
            percentage: limit.as_ref().and_then(|_| card.metric(registry, &metrics::GPU_POWER_PERCENTAGE)),
            limit_key: limit.as_ref().and_then(|_| card.metric(registry, &metrics::GPU_POWER_LIMIT)),
            limit,
        });
        if let Some(bytes) = memory_bytes(&card) {
            registry.fact(format!("gpu.{}.memory_megabytes", card.index), bytes / 1_000_000);
        }
        Self { card, plain, energy }
    }

    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let presence = self.card.look(sink);
        if presence != Presence::Awake {
            if let Some(energy) = &mut self.energy {
                energy.continued = false;
                if presence == Presence::Gone {
                    energy.counter.rebase();
                }
            }
            return Ok(());
        }
        let card = &self.card;
        let plain = every(self.plain.iter_mut().map(|(value, key)| {
            if let Some(value) = value.get(card)? {
                sink.put(*key, value);
            }
            Ok(())
        }));
        plain.and(self.energy.as_mut().map_or(Ok(()), |energy| energy.sample(card, sink)))
    }
}

impl Energy {
    fn sample(&mut self, card: &Card, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let continued = std::mem::replace(&mut self.continued, false);
        let Some(now) = self.file.count(card)? else { return Ok(()) };
        self.continued = true;
        let more = self.counter.advance(now);
        self.microjoules = self.microjoules.saturating_add(more.unwrap_or(0));
        sink.put(self.joules_key, float(self.microjoules) * MICRO);
        let since_last = sink.since_last().filter(|since_last| continued && !since_last.is_zero());
        let watts = more.zip(since_last).map(|(more, secs)| float(more) * MICRO / secs.as_secs_f64());
        if let Some(watts) = watts {
            sink.put(self.watts_key, watts);
        }
        // 0 says that there is no limit.
        let limit = self.limit.as_mut().map_or(Ok(None), |limit| limit.get(card))?;
        if let Some(limit) = limit.filter(|limit| *limit > 0.0) {
            sink.put(self.limit_key, limit);
            if let Some(watts) = watts {
                sink.put(self.percentage, watts / limit * 100.0);
            }
        }
        Ok(())
    }
}

/// Memory of a card's own, all tiles together.
fn memory_bytes(card: &Card) -> Option<u64> {
    let tile = |tile: u32| card.text(&format!("tile{tile}/physical_vram_size_bytes"))?.parse::<u64>().ok();
    let tiles = (0..).map_while(tile).reduce(u64::saturating_add);
    tiles.or_else(|| card.node_text("lmem_total_bytes")?.parse().ok()).filter(|bytes| *bytes > 0)
}
