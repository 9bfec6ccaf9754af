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

use super::card::{Card, Kernel, Presence, cards};
use super::card_file::{Place, Value, every};
use crate::counter::Counter;
use crate::metrics;
use crate::probe::{Driver, Key, Machine, Opened, Probe, ProbeError, Registry, Sink, absent, float};

pub(in crate::probe) const DRIVER: Driver = Driver::built_in("intel", open).may_block();

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
        if energy.as_ref().is_some_and(|energy| energy.joules_key.is_some()) {
            registry.fact(format!("gpu.{}.energy_source", card.index), "counter of power");
        }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::probe::gpu::card::testing::{plug, set, unplug};
    use crate::probe::testing::{Bench, empty};

    const ARC: &str = "0000:03:00.0";
    const BATTLEMAGE: &str = "0000:0b:00.0";

    /// i915, with a directory of sensors for its tile beside that of the card.
    const I915: &[(&str, &str)] = &[
        ("vendor", "0x8086\n"),
        ("device", "0x56a0\n"),
        ("hwmon/hwmon3/name", "i915_gt0\n"),
        ("hwmon/hwmon3/energy1_input", "1\n"),
        ("hwmon/hwmon4/name", "i915\n"),
        ("hwmon/hwmon4/energy1_input", "5000000000\n"),
        ("hwmon/hwmon4/power1_max", "200000000\n"),
        ("hwmon/hwmon4/temp1_input", "45000\n"),
        ("drm/renderD128/uevent", ""),
        ("drm/card1/gt/gt0/rps_act_freq_mhz", "2050\n"),
        ("drm/card1/lmem_total_bytes", "17000000000\n"),
    ];

    /// xe, whose counter is the package's.
    const XE: &[(&str, &str)] = &[
        ("vendor", "0x8086\n"),
        ("device", "0xe20b\n"),
        ("power/runtime_status", "active\n"),
        ("hwmon/hwmon7/name", "xe\n"),
        ("hwmon/hwmon7/energy2_input", "1000000\n"),
        ("hwmon/hwmon7/power2_max", "0\n"),
        ("hwmon/hwmon7/temp2_input", "52000\n"),
        ("hwmon/hwmon7/temp3_input", "60000\n"),
        ("tile0/gt0/freq0/act_freq", "2400\n"),
        ("tile0/physical_vram_size_bytes", "12000000000\n"),
        ("tile1/physical_vram_size_bytes", "12000000000\n"),
        ("drm/card0/uevent", ""),
    ];

    fn both(dir: &std::path::Path) -> (Machine, Bench) {
        let machine = empty(dir);
        plug(&machine, "xe", BATTLEMAGE, XE);
        plug(&machine, "i915", ARC, I915);
        let bench = Bench::open(&DRIVER, &machine).unwrap();
        (machine, bench)
    }

    fn named<const N: usize>(values: [(&str, f64); N]) -> BTreeMap<String, f64> {
        values.map(|(name, value)| (name.to_owned(), value)).into()
    }

    #[test]
    fn every_reading_of_i915_and_xe() {
        let dir = tempfile::tempdir().unwrap();
        let (machine, mut bench) = both(dir.path());
        let at_once = [
            ("gpu_0_energy_joules", 0.0),
            ("gpu_0_power_limit_watts", 200.0),
            ("gpu_0_sm_clock_megahertz", 2050.0),
            ("gpu_0_temperature_celsius", 45.0),
            ("gpu_1_energy_joules", 0.0),
            ("gpu_1_memory_temperature_celsius", 60.0),
            ("gpu_1_sm_clock_megahertz", 2400.0),
            ("gpu_1_temperature_celsius", 52.0),
        ];
        assert_eq!(bench.read_after(None).unwrap(), named(at_once));
        set(&machine, ARC, "hwmon/hwmon4/energy1_input", "5100000000\n");
        set(&machine, BATTLEMAGE, "hwmon/hwmon7/energy2_input", "61000000\n");
        let values = bench.read_after(Some(Duration::from_secs(2))).unwrap();
        let mut expected = named(at_once);
        expected.extend(named([
            ("gpu_0_energy_joules", 100.0),
            ("gpu_0_power_usage_watts", 50.0),
            ("gpu_0_power_usage_percentage", 25.0),
            ("gpu_1_energy_joules", 60.0),
            ("gpu_1_power_usage_watts", 30.0),
        ]));
        assert_eq!(values, expected, "a limit of 0 is none");
        let facts = bench.facts();
        assert_eq!(facts["gpu.0.name"], "Intel GPU 8086:56a0");
        assert_eq!(facts["gpu.1.energy_source"], "counter of power");
        assert_eq!((&*facts["gpu.0.driver"], &*facts["gpu.1.driver"]), ("i915", "xe"));
        assert_eq!(
            (&*facts["gpu.0.memory_megabytes"], &*facts["gpu.1.memory_megabytes"]),
            ("17000", "24000")
        );
    }

    #[test]
    fn power_is_never_taken_over_a_time_that_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let (machine, mut bench) = both(dir.path());
        let mut read = |microjoules: &str, status: &str, secs| {
            set(&machine, ARC, "hwmon/hwmon4/energy1_input", microjoules);
            set(&machine, ARC, "power/runtime_status", status);
            let values = bench.read_after(secs).unwrap_or_else(|_| bench.values());
            ["energy_joules", "power_usage_watts"].map(|name| values.get(&format!("gpu_0_{name}")).copied())
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(read("1000000", "active", None), [Some(0.0), None]);
        assert_eq!(read("2000000", "active", second), [Some(1.0), Some(1.0)]);
        assert_eq!(read("3000000", "active", None), [Some(2.0), None], "after a gap");
        assert_eq!(read("4000000", "suspended", second), [None, None], "asleep");
        assert_eq!(read("9000000", "active", second), [Some(8.0), None], "awake again");
        assert_eq!(read("500000", "active", second), [Some(8.0), None], "the counter began anew");
        assert_eq!(read("1500000", "active", second), [Some(9.0), Some(1.0)]);
        assert_eq!(read("x", "active", second), [None, None]);
        assert_eq!(read("5500000", "active", second), [Some(13.0), None], "after garbage");
    }

    #[test]
    fn garbage_costs_that_reading_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (machine, mut bench) = both(dir.path());
        let healthy = bench.read_after(None).unwrap().len();
        for (file, lost) in [
            ("tile0/gt0/freq0/act_freq", 1),
            ("hwmon/hwmon7/temp2_input", 1),
            ("hwmon/hwmon7/energy2_input", 1),
        ] {
            let good = XE.iter().find(|(name, _)| *name == file).unwrap().1;
            for bad in ["", "12 MHz", "99999999999999999999"] {
                set(&machine, BATTLEMAGE, file, bad);
                let (outcome, values) = (bench.read_after(None), bench.values());
                assert!(matches!(outcome, Err(ProbeError::Failed(_))), "{file} {bad:?}");
                assert_eq!(values.len(), healthy - lost, "{file} {bad:?}");
            }
            set(&machine, BATTLEMAGE, file, good);
            assert_eq!(bench.read_after(None).unwrap().len(), healthy);
        }
    }

    #[test]
    fn a_card_that_comes_back_counts_from_there() {
        let dir = tempfile::tempdir().unwrap();
        let (machine, mut bench) = both(dir.path());
        bench.read().unwrap();
        unplug(&machine, "i915", ARC);
        assert_eq!(bench.read().unwrap().get("gpu_0_lost"), Some(&1.0));
        let back: Vec<_> =
            I915.iter().map(|(file, content)| (file.replace("card1", "card5"), *content)).collect();
        plug(
            &machine,
            "i915",
            ARC,
            &back.iter().map(|(file, content)| (&**file, *content)).collect::<Vec<_>>(),
        );
        set(&machine, ARC, "hwmon/hwmon4/energy1_input", "9000000000\n");
        let values = bench.read().unwrap();
        let of = ["lost", "energy_joules", "sm_clock_megahertz"]
            .map(|name| values.get(&format!("gpu_0_{name}")).copied());
        assert_eq!(of, [Some(0.0), Some(0.0), Some(2050.0)]);
        assert!(!values.contains_key("gpu_0_power_usage_watts"));
    }

    #[test]
    fn the_gpu_of_a_processor_has_its_clock() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        plug(&machine, "i915", "0000:00:02.0", &[("drm/card0/gt_act_freq_mhz", "350\n")]);
        let values = Bench::open(&DRIVER, &machine).unwrap().read().unwrap();
        assert_eq!(values, named([("gpu_0_sm_clock_megahertz", 350.0)]));
    }
}
