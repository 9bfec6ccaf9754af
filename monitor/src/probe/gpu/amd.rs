//! AMD's GPUs, from the files of the kernel's driver amdgpu; no library, no privilege.
//!
//! Invariant: `pcie_bw` is never read, since the driver sleeps for a second in it.
//!
//! Sources: Documentation/gpu/amdgpu/thermal.rst ("GPU Power/Thermal Controls and Monitoring"), driver-misc.rst (memory),
//! and `hwmon_attributes_visible` in `drivers/gpu/drm/amd/pm/amdgpu_pm.c` for which card has what.
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
//! | memory errors | `ras/umc_err_count` | of the memory's controllers, on cards that have such an account (ras.rst) |

use super::card::{Card, Kernel, Presence, cards};
use super::card_file::{CardFile, Place, Value, every};
use crate::counter::{Integral, Sum};
use crate::metrics::{self, Metric};
use crate::probe::pseudo::{lines, number};
use crate::probe::{
    Driver, Key, MEGABYTE, Machine, Opened, Probe, ProbeError, Registry, Sink, absent, corrupt, float,
};

pub(in crate::probe) const DRIVER: Driver = Driver::built_in("amd", open).may_block();

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
    errors: Option<Errors>,
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

struct Errors {
    file: CardFile,
    corrected: Sum,
    uncorrected: Sum,
    corrected_key: Option<Key>,
    uncorrected_key: Option<Key>,
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
        let errors = CardFile::of(&card, Place::Device("ras/umc_err_count".to_owned())).map(|file| Errors {
            file,
            corrected: Sum::default(),
            uncorrected: Sum::default(),
            corrected_key: metric(&metrics::GPU_ECC_CORRECTED),
            uncorrected_key: metric(&metrics::GPU_ECC_UNCORRECTED),
        });
        if let Some(total) = card.text("mem_info_vram_total").and_then(|text| text.parse::<u64>().ok()) {
            registry.fact(format!("gpu.{}.memory_megabytes", card.index), total / 1_000_000);
        }
        if power.as_ref().is_some_and(|power| power.joules.is_some()) {
            registry.fact(format!("gpu.{}.energy_source", card.index), "power");
        }
        let errors = errors.filter(|errors| errors.corrected_key.or(errors.uncorrected_key).is_some());
        Self { card, plain, memory, power, fan, replays, errors }
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
        let errors = self.errors.as_mut().map_or(Ok(()), |errors| errors.sample(card, sink));
        every([plain, memory, power, fan, replays, errors])
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
        sink.put(self.joules, self.energy.advance(watts, sink.since_last().map(|time| time.as_secs_f64())));
        let Some(limit) = &mut self.limit else { return Ok(()) };
        if let Some(limit) = limit.get(card)?.filter(|limit| *limit > 0.0) {
            sink.put(self.percentage, watts / limit * 100.0);
            sink.put(self.limit_key, limit);
        }
        Ok(())
    }
}

impl Errors {
    fn sample(&mut self, card: &Card, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        if let Some((corrected, uncorrected)) = self.file.read(card, error_counts)? {
            sink.put(self.corrected_key, float(self.corrected.advance(corrected)));
            sink.put(self.uncorrected_key, float(self.uncorrected.advance(uncorrected)));
        }
        Ok(())
    }
}

/// The errors that were corrected and those that were not: lines `ue: 0` and `ce: 1`, and newer kernels' `de: 0`.
fn error_counts(text: &[u8]) -> Option<(u64, u64)> {
    let of = |name: &[u8]| {
        let line = lines(text).find_map(|line| line.strip_prefix(name)?.strip_prefix(b":"))?;
        number(line.trim_ascii())
    };
    of(b"ce").zip(of(b"ue"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use runlog_core::autolog::Tier;

    use super::*;
    use crate::probe::gpu::card::testing::{plug, set, unplug};
    use crate::probe::testing::{Bench, empty};

    const FIRST: &str = "0000:03:00.0";
    const SECOND: &str = "0000:c3:00.0";
    const SECOND_TIME: Option<Duration> = Some(Duration::from_secs(1));

    /// A card for gaming.
    const NAVI: &[(&str, &str)] = &[
        ("vendor", "0x1002\n"),
        ("device", "0x744c\n"),
        ("power/runtime_status", "active\n"),
        ("gpu_busy_percent", "97\n"),
        ("mem_busy_percent", "41\n"),
        ("mem_info_vram_used", "6000000000\n"),
        ("mem_info_vram_total", "24000000000\n"),
        ("pcie_replay_count", "7\n"),
        // A directory where the file is that may not be read: reading it would fail.
        ("pcie_bw/is_not_read", ""),
        ("hwmon/hwmon5/name", "amdgpu\n"),
        ("hwmon/hwmon5/power1_average", "200000000\n"),
        ("hwmon/hwmon5/power1_cap", "400000000\n"),
        ("hwmon/hwmon5/temp1_label", "edge\n"),
        ("hwmon/hwmon5/temp1_input", "51000\n"),
        ("hwmon/hwmon5/temp2_label", "junction\n"),
        ("hwmon/hwmon5/temp2_input", "66500\n"),
        ("hwmon/hwmon5/temp3_label", "mem\n"),
        ("hwmon/hwmon5/temp3_input", "58000\n"),
        ("hwmon/hwmon5/freq1_label", "sclk\n"),
        ("hwmon/hwmon5/freq1_input", "2482000000\n"),
        ("hwmon/hwmon5/freq2_label", "mclk\n"),
        ("hwmon/hwmon5/freq2_input", "1249000000\n"),
        ("hwmon/hwmon5/fan1_input", "825\n"),
        ("hwmon/hwmon5/fan1_max", "3300\n"),
    ];

    /// A card for data centres: no edge, no fan, the power of the moment.
    const INSTINCT: &[(&str, &str)] = &[
        ("product_name", "AMD Instinct MI300X\n"),
        ("ras/umc_err_count", "ue: 4\nce: 100\n"),
        ("driver/module/version", "6.8.5\n"),
        ("gpu_busy_percent", "3\n"),
        ("mem_info_vram_used", "300000000\n"),
        ("mem_info_vram_total", "200000000000\n"),
        ("hwmon/hwmon2/name", "amdgpu\n"),
        ("hwmon/hwmon2/power1_input", "150000000\n"),
        ("hwmon/hwmon2/power1_cap", "750000000\n"),
        ("hwmon/hwmon2/temp2_label", "junction\n"),
        ("hwmon/hwmon2/temp2_input", "38000\n"),
    ];

    /// Two cards, of which the later one on the bus was found first.
    fn two_cards(dir: &std::path::Path) -> (Machine, Bench) {
        let machine = empty(dir);
        plug(&machine, "amdgpu", SECOND, INSTINCT);
        plug(&machine, "amdgpu", FIRST, NAVI);
        let bench = Bench::open(&DRIVER, &machine).unwrap();
        (machine, bench)
    }

    fn of(values: &BTreeMap<String, f64>, gpu: u32) -> BTreeMap<&str, f64> {
        let prefix = format!("gpu_{gpu}_");
        values.iter().filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?, *value))).collect()
    }

    #[test]
    fn every_reading_of_two_cards_in_the_order_of_the_bus() {
        let dir = tempfile::tempdir().unwrap();
        let (_machine, mut bench) = two_cards(dir.path());
        let values = bench.read_after(None).unwrap();
        let navi = [
            ("energy_joules", 0.0),
            ("fan_speed_percentage", 25.0),
            ("memory_clock_megahertz", 1249.0),
            ("memory_temperature_celsius", 58.0),
            ("memory_usage_megabytes", 6000.0),
            ("memory_usage_percentage", 25.0),
            ("memory_utilization_percentage", 41.0),
            ("pcie_replays", 0.0),
            ("power_limit_watts", 400.0),
            ("power_usage_percentage", 50.0),
            ("power_usage_watts", 200.0),
            ("sm_clock_megahertz", 2482.0),
            ("temperature_celsius", 66.5),
            ("utilization_percentage", 97.0),
        ];
        assert_eq!(of(&values, 0), BTreeMap::from(navi));
        let instinct = [
            ("ecc_corrected_errors", 0.0),
            ("ecc_uncorrected_errors", 0.0),
            ("energy_joules", 0.0),
            ("memory_usage_megabytes", 300.0),
            ("memory_usage_percentage", 0.15),
            ("power_limit_watts", 750.0),
            ("power_usage_percentage", 20.0),
            ("power_usage_watts", 150.0),
            ("temperature_celsius", 38.0),
            ("utilization_percentage", 3.0),
        ];
        assert_eq!(of(&values, 1), BTreeMap::from(instinct));
        let facts = [
            ("gpu.0.driver", "amdgpu"),
            ("gpu.0.energy_source", "power"),
            ("gpu.0.memory_megabytes", "24000"),
            ("gpu.0.name", "AMD GPU 1002:744c"),
            ("gpu.1.driver", "amdgpu 6.8.5"),
            ("gpu.1.energy_source", "power"),
            ("gpu.1.memory_megabytes", "200000"),
            ("gpu.1.name", "AMD Instinct MI300X"),
        ];
        assert_eq!(bench.facts(), facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn the_lowest_tier_has_mlflows_five() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        plug(&machine, "amdgpu", FIRST, NAVI);
        let values = Bench::open_in(Tier::Compat, &DRIVER, &machine).unwrap().read().unwrap();
        let expected = [
            "memory_usage_megabytes",
            "memory_usage_percentage",
            "power_usage_percentage",
            "power_usage_watts",
            "utilization_percentage",
        ];
        assert!(of(&values, 0).into_keys().eq(expected), "{values:?}");
    }

    #[test]
    fn an_apu_has_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        let apu = [
            ("gpu_busy_percent", "12\n"),
            ("mem_info_vram_used", "256000000\n"),
            ("mem_info_vram_total", "512000000\n"),
            ("hwmon/hwmon1/name", "amdgpu\n"),
            ("hwmon/hwmon1/in1_label", "vddnb\n"),
            ("hwmon/hwmon1/temp1_label", "edge\n"),
            ("hwmon/hwmon1/temp1_input", "-3000\n"),
            ("hwmon/hwmon1/power1_input", "garbage\n"),
            ("hwmon/hwmon1/power1_average", "9000000\n"),
        ];
        plug(&machine, "amdgpu", "0000:e5:00.0", &apu);
        let values = Bench::open(&DRIVER, &machine).unwrap().read().unwrap();
        let expected = [
            ("energy_joules", 0.0),
            ("memory_usage_megabytes", 256.0),
            ("memory_usage_percentage", 50.0),
            ("power_usage_watts", 9.0),
            ("temperature_celsius", -3.0),
            ("utilization_percentage", 12.0),
        ];
        assert_eq!(of(&values, 0), BTreeMap::from(expected), "no limit, so no share of it");
    }

    #[test]
    fn energy_is_power_over_the_times_in_which_it_was_known() {
        let dir = tempfile::tempdir().unwrap();
        let (machine, mut bench) = two_cards(dir.path());
        let mut joules = |watts: &str, secs| {
            set(&machine, FIRST, "hwmon/hwmon5/power1_average", watts);
            let values = bench.read_after(secs);
            values.ok().and_then(|values| values.get("gpu_0_energy_joules").copied())
        };
        let readings = [
            ("200000000", None),
            ("300000000", Some(Duration::from_secs(2))),
            ("?", SECOND_TIME),
            ("300000000", SECOND_TIME),
            ("300000000", None),
            ("300000000", SECOND_TIME),
        ];
        let joules = readings.map(|(watts, secs)| joules(watts, secs));
        assert_eq!(joules, [Some(0.0), Some(500.0), None, Some(500.0), Some(500.0), Some(800.0)]);
    }

    #[test]
    fn memory_errors_are_those_since_the_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let (machine, mut bench) = two_cards(dir.path());
        let mut errors = |text: &str| {
            set(&machine, SECOND, "ras/umc_err_count", text);
            let values = bench.read().unwrap_or_default();
            ["corrected", "uncorrected"].map(|kind| values.get(&format!("gpu_1_ecc_{kind}_errors")).copied())
        };
        assert_eq!(errors("ue: 4\nce: 100\n"), [Some(0.0), Some(0.0)]);
        assert_eq!(errors("ue: 5\nce: 103\nde: 9\n"), [Some(3.0), Some(1.0)]);
        for bad in ["", "ue: 5\n", "ue: x\nce: 1\n", "due: 5\nce: 104\n"] {
            assert_eq!(errors(bad), [None, None], "{bad:?}");
        }
        assert_eq!(errors("ue: 5\nce: 104\n"), [Some(4.0), Some(1.0)]);
        assert_eq!(errors("ue: 0\nce: 0\n"), [Some(4.0), Some(1.0)], "the driver was loaded anew");
    }

    #[test]
    fn garbage_in_one_file_costs_that_reading_alone_until_it_is_gone() {
        const FILES: [(&str, &str, &str); 6] = [
            ("gpu_busy_percent", "97", "utilization_percentage"),
            ("mem_info_vram_used", "6000000000", "memory_usage_megabytes"),
            ("hwmon/hwmon5/power1_average", "200000000", "power_usage_watts"),
            ("hwmon/hwmon5/temp2_input", "66500", "temperature_celsius"),
            ("hwmon/hwmon5/fan1_input", "825", "fan_speed_percentage"),
            ("pcie_replay_count", "7", "pcie_replays"),
        ];
        let dir = tempfile::tempdir().unwrap();
        let (machine, mut bench) = two_cards(dir.path());
        let healthy = bench.read().unwrap();
        for (file, good, name) in FILES {
            for bad in ["", "\n", "n/a", "1e3", "18446744073709551616", "0x10", "1 2"] {
                set(&machine, FIRST, file, bad);
                let (outcome, values) = (bench.read(), bench.values());
                assert!(matches!(outcome, Err(ProbeError::Failed(_))), "{file} {bad:?}");
                assert!(!values.contains_key(&format!("gpu_0_{name}")), "{file} {bad:?}");
                assert!(values.len() >= healthy.len() - 4, "{file} {bad:?}: {values:?}");
                assert_eq!(of(&values, 1).len(), of(&healthy, 1).len());
            }
            set(&machine, FIRST, file, good);
            assert_eq!(bench.read().unwrap().len(), healthy.len());
        }
    }

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (machine, mut bench) = two_cards(dir.path());
        for (file, bad, good) in [
            ("gpu_busy_percent", "101", "97"),
            ("mem_busy_percent", "-1", "41"),
            ("mem_info_vram_used", "24000000001", "6000000000"),
            ("mem_info_vram_used", "-6", "6000000000"),
        ] {
            set(&machine, FIRST, file, bad);
            assert!(matches!(bench.read(), Err(ProbeError::Failed(_))), "{file} {bad}");
            set(&machine, FIRST, file, good);
            bench.read().unwrap();
        }
    }

    #[test]
    fn a_card_that_sleeps_is_left_asleep_and_has_no_reading() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        plug(&machine, "amdgpu", FIRST, NAVI);
        // Any reading of it would fail.
        set(&machine, FIRST, "power/runtime_status", "suspended\n");
        for file in ["gpu_busy_percent", "mem_info_vram_used", "hwmon/hwmon5/power1_average"] {
            set(&machine, FIRST, file, "woken");
        }
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        assert_eq!(bench.read().unwrap(), BTreeMap::new());
        set(&machine, FIRST, "power/runtime_status", "active\n");
        assert!(bench.read().is_err(), "awake, it is read");
        for (file, content) in NAVI {
            set(&machine, FIRST, file, content);
        }
        assert_eq!(bench.read().unwrap().get("gpu_0_utilization_percentage"), Some(&97.0));
    }

    #[test]
    fn a_card_that_vanishes_is_lost_until_it_is_back() {
        let dir = tempfile::tempdir().unwrap();
        let (machine, mut bench) = two_cards(dir.path());
        let healthy = bench.read().unwrap();
        assert!(!healthy.contains_key("gpu_1_lost"));
        unplug(&machine, "amdgpu", SECOND);
        for _ in 0..2 {
            let values = bench.read().unwrap();
            assert_eq!(of(&values, 1), BTreeMap::from([("lost", 1.0)]));
            assert_eq!(of(&values, 0).len(), of(&healthy, 0).len(), "the other goes on");
        }
        // It comes back with other numbers of its own, and its sensors under another number.
        let back: Vec<_> =
            INSTINCT.iter().map(|(file, content)| (file.replace("hwmon2", "hwmon9"), *content)).collect();
        let back: Vec<_> = back.iter().map(|(file, content)| (file.as_str(), *content)).collect();
        plug(&machine, "amdgpu", SECOND, &back);
        set(&machine, SECOND, "gpu_busy_percent", "88");
        let values = bench.read().unwrap();
        let second = of(&values, 1);
        assert_eq!(
            (second["lost"], second["utilization_percentage"], second["energy_joules"]),
            (0.0, 88.0, 0.0)
        );
        assert_eq!(second.get("power_usage_watts"), Some(&150.0));
        assert_eq!(second.len(), of(&healthy, 1).len() + 1);
    }

    #[test]
    fn a_card_that_comes_back_between_two_samples_has_its_sensors_under_their_new_number() {
        let dir = tempfile::tempdir().unwrap();
        let (machine, mut bench) = two_cards(dir.path());
        let healthy = bench.read().unwrap();
        unplug(&machine, "amdgpu", FIRST);
        let back: Vec<_> =
            NAVI.iter().map(|(file, content)| (file.replace("hwmon5", "hwmon6"), *content)).collect();
        let back: Vec<_> = back.iter().map(|(file, content)| (file.as_str(), *content)).collect();
        plug(&machine, "amdgpu", FIRST, &back);
        set(&machine, FIRST, "hwmon/hwmon6/power1_average", "100000000");
        let values = bench.read().unwrap();
        assert_eq!(values.get("gpu_0_power_usage_watts"), Some(&100.0));
        assert!(values.keys().eq(healthy.keys()), "nobody saw that it was away");
    }

    #[test]
    fn without_a_card_it_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Absent(_))));
        plug(&machine, "xe", FIRST, &[]);
        assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Absent(_))));
    }
}
