//! What each metric is called in OpenTelemetry: its semantic conventions' names, units and attributes (v1.44,
//! <https://opentelemetry.io/docs/specs/semconv/>), or a name of ours below `runlog.system.` where they have none.
//!
//! Invariants: units are base units (bytes, seconds, joules, a ratio of 1), whatever ours are; no two metrics are the
//! same series; series of one name are parts of one thing, told apart by the same attributes, so that they can be put together.

use std::borrow::Cow;

use opentelemetry::{Key, KeyValue};

use crate::metrics::{self as m, Metric};
use crate::registry::Kind;

/// What a metric's points are recorded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instrument {
    Gauge,
    /// A gauge of a thing that can be added up.
    UpDown,
    /// What the sum of a run grew by.
    Counter,
    /// What a rate a second came to since the last point.
    Flow,
}

/// A series of OpenTelemetry's.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: Cow<'static, str>,
    /// What it is, the same for all series of the name; empty where only the program knows.
    pub(super) description: Cow<'static, str>,
    pub(super) unit: &'static str,
    /// What one of our unit is in this one.
    pub(super) scale: f64,
    pub(super) instrument: Instrument,
    pub(super) attributes: Vec<KeyValue>,
}

type Row = (&'static Metric, &'static str, &'static str, Instrument, &'static [(&'static str, &'static str)]);

use Instrument::{Counter, Flow, Gauge, UpDown};

const USED_MEMORY: &[(&str, &str)] = &[("system.memory.state", "used")];
const USED_SWAP: &[(&str, &str)] = &[("system.paging.state", "used")];
const ROOT: &str = if cfg!(windows) { "C:\\" } else { "/" };
const USED_DISK: &[(&str, &str)] =
    &[("system.filesystem.mountpoint", ROOT), ("system.filesystem.state", "used")];
const FREE_DISK: &[(&str, &str)] =
    &[("system.filesystem.mountpoint", ROOT), ("system.filesystem.state", "free")];
const READ: &[(&str, &str)] = &[("disk.io.direction", "read")];
const WRITE: &[(&str, &str)] = &[("disk.io.direction", "write")];
const RECEIVE: &[(&str, &str)] = &[("network.io.direction", "receive")];
const TRANSMIT: &[(&str, &str)] = &[("network.io.direction", "transmit")];
const INFINIBAND_RECEIVE: &[(&str, &str)] = &[("hw.id", "infiniband"), ("network.io.direction", "receive")];
const INFINIBAND_TRANSMIT: &[(&str, &str)] = &[("hw.id", "infiniband"), ("network.io.direction", "transmit")];
const PACKAGES: &[(&str, &str)] = &[("hw.id", "cpu"), ("hw.type", "cpu")];
const PACKAGES_SENSOR: &[(&str, &str)] =
    &[("hw.id", "cpu"), ("hw.type", "cpu"), ("hw.sensor_location", "package")];

/// The machine's, the process's and the container's.
///
/// Two are of OpenTelemetry's meaning only in part: `system.cpu.utilization` without a mode is the time that was neither
/// idle nor waiting, and free space is what users may still take.
const PLAIN: &[Row] = &[
    (&m::CPU_UTILIZATION, "system.cpu.utilization", "1", Gauge, &[]),
    (&m::CPU_FREQUENCY, "system.cpu.frequency", "Hz", Gauge, &[]),
    (&m::CPU_POWER, "hw.power", "W", Gauge, PACKAGES),
    (&m::CPU_ENERGY, "hw.energy", "J", Counter, PACKAGES),
    (&m::CPU_TEMPERATURE, "hw.temperature", "Cel", Gauge, PACKAGES_SENSOR),
    (&m::MEMORY_USED, "system.memory.usage", "By", UpDown, USED_MEMORY),
    (&m::MEMORY_USED_PERCENTAGE, "system.memory.utilization", "1", Gauge, USED_MEMORY),
    (&m::SWAP_USED, "system.paging.usage", "By", UpDown, USED_SWAP),
    (&m::SWAP_USED_PERCENTAGE, "system.paging.utilization", "1", Gauge, USED_SWAP),
    (&m::DISK_USED, "system.filesystem.usage", "By", UpDown, USED_DISK),
    (&m::DISK_AVAILABLE, "system.filesystem.usage", "By", UpDown, FREE_DISK),
    (&m::DISK_USED_PERCENTAGE, "system.filesystem.utilization", "1", Gauge, USED_DISK),
    (&m::DISK_READ_RATE, "system.disk.io", "By", Flow, READ),
    (&m::DISK_WRITE_RATE, "system.disk.io", "By", Flow, WRITE),
    (&m::DISK_READ_OPERATIONS, "system.disk.operations", "{operation}", Flow, READ),
    (&m::DISK_WRITE_OPERATIONS, "system.disk.operations", "{operation}", Flow, WRITE),
    (&m::NETWORK_RECEIVED, "system.network.io", "By", Counter, RECEIVE),
    (&m::NETWORK_SENT, "system.network.io", "By", Counter, TRANSMIT),
    (&m::NETWORK_ERRORS, "system.network.errors", "{error}", Counter, &[]),
    (&m::NETWORK_DROPS, "system.network.packet.dropped", "{packet}", Counter, &[]),
    (&m::INFINIBAND_RECEIVE_RATE, "hw.network.io", "By", Flow, INFINIBAND_RECEIVE),
    (&m::INFINIBAND_TRANSMIT_RATE, "hw.network.io", "By", Flow, INFINIBAND_TRANSMIT),
    (&m::PROCESS_CPU, "process.cpu.utilization", "1", Gauge, &[]),
    (&m::PROCESS_RSS, "process.memory.usage", "By", UpDown, &[]),
    (&m::PROCESS_THREADS, "process.thread.count", "{thread}", UpDown, &[]),
    (&m::PROCESS_FILES, "process.unix.file_descriptor.count", "{file_descriptor}", UpDown, &[]),
    (&m::PROCESS_READ_RATE, "process.disk.io", "By", Flow, READ),
    (&m::PROCESS_WRITE_RATE, "process.disk.io", "By", Flow, WRITE),
    (&m::MAJOR_FAULTS, "process.paging.faults", "{fault}", Flow, &[("system.paging.fault.type", "major")]),
    (&m::CONTAINER_MEMORY, "container.memory.working_set", "By", UpDown, &[]),
];

/// A GPU's, which have `hw.id` and `hw.type` too.
const GPU: &[Row] = &[
    (&m::GPU_UTILIZATION, "hw.gpu.utilization", "1", Gauge, &[("hw.gpu.task", "general")]),
    (&m::GPU_ENCODER, "hw.gpu.utilization", "1", Gauge, &[("hw.gpu.task", "encoder")]),
    (&m::GPU_DECODER, "hw.gpu.utilization", "1", Gauge, &[("hw.gpu.task", "decoder")]),
    (&m::GPU_MEMORY_USED, "hw.gpu.memory.usage", "By", UpDown, &[]),
    (&m::GPU_MEMORY_USED_PERCENTAGE, "hw.gpu.memory.utilization", "1", Gauge, &[]),
    (&m::GPU_POWER, "hw.power", "W", Gauge, &[]),
    (&m::GPU_ENERGY, "hw.energy", "J", Counter, &[]),
    (&m::GPU_TEMPERATURE, "hw.temperature", "Cel", Gauge, &[("hw.sensor_location", "gpu")]),
    (&m::GPU_MEMORY_TEMPERATURE, "hw.temperature", "Cel", Gauge, &[("hw.sensor_location", "memory")]),
    (&m::GPU_FAN, "hw.fan.speed_ratio", "1", Gauge, &[]),
    (&m::GPU_PCIE_RECEIVE_RATE, "hw.gpu.io", "By", Flow, RECEIVE),
    (&m::GPU_PCIE_TRANSMIT_RATE, "hw.gpu.io", "By", Flow, TRANSMIT),
    (&m::GPU_ECC_CORRECTED, "hw.errors", "{error}", Counter, &[("error.type", "corrected")]),
    (&m::GPU_ECC_UNCORRECTED, "hw.errors", "{error}", Counter, &[("error.type", "uncorrected")]),
    (&m::GPU_LOST, "hw.status", "1", UpDown, &[("hw.state", "failed")]),
];

/// Our units by the ends of names: OpenTelemetry's, and what one of ours is in it.
const UNITS: &[(&str, &str, f64)] = &[
    ("_percentage", "1", 0.01),
    ("_megabytes_per_second", "By/s", 1e6),
    ("_megabytes", "By", 1e6),
    ("_megahertz", "Hz", 1e6),
    ("_seconds", "s", 1.0),
    ("_joules", "J", 1.0),
    ("_watts", "W", 1.0),
    ("_celsius", "Cel", 1.0),
];

impl Named {
    /// The series of the metric `name`, without `system/` and node.
    pub(super) fn of(name: &str) -> Self {
        if let Some((index, rest)) = device("gpu_", name)
            && let Some(mut named) = known(rest, GPU, m::GPU, "runlog.system.gpu.")
        {
            named.attributes.push(KeyValue::new("hw.id", index.to_string()));
            named.attributes.push(KeyValue::new("hw.type", "gpu"));
            return named;
        }
        if let Some((index, rest)) = device("cpu_", name)
            && rest == m::CORE_UTILIZATION.name
        {
            // Not beside the total under the conventions' name, where the two would be added up.
            return Self {
                name: Cow::Borrowed("runlog.system.cpu.utilization"),
                description: Cow::Borrowed(m::CORE_UTILIZATION.what),
                unit: "1",
                scale: 0.01,
                instrument: Gauge,
                attributes: vec![KeyValue::new("cpu.logical_number", i64::from(index))],
            };
        }
        let plain = [m::HOST, m::PROCESS, m::CONTAINER];
        let known = plain.into_iter().find_map(|metrics| known(name, PLAIN, metrics, "runlog.system."));
        known.unwrap_or_else(|| Self {
            // A registered probe's or the summary's: only the program knows what they are.
            name: Cow::Owned(format!("runlog.system.{}", in_alphabet(name))),
            description: Cow::Borrowed(""),
            unit: "",
            scale: 1.0,
            instrument: Gauge,
            attributes: Vec::new(),
        })
    }
}

/// The series of one of `metrics`, by the table, or else by a name below `own`.
fn known(name: &str, rows: &[Row], metrics: &[&Metric], own: &str) -> Option<Named> {
    if let Some((metric, name, unit, instrument, attributes)) =
        rows.iter().find(|(metric, ..)| metric.name == name)
    {
        let (_, _, scale) = unit_of(metric.name);
        let attributes =
            attributes.iter().map(|(key, value)| KeyValue::new(Key::new(*key), *value)).collect();
        let (description, name) = (description(name), Cow::Borrowed(*name));
        return Some(Named { name, description, unit, scale, instrument: *instrument, attributes });
    }
    let range = [("_min", ".min", "the lowest of a window"), ("_max", ".max", "the highest of a window")];
    let of_range =
        range.into_iter().find_map(|(suffix, end, which)| Some((name.strip_suffix(suffix)?, end, which)));
    let (of, end, which) = of_range.unwrap_or((name, "", ""));
    let metric = metrics.iter().find(|metric| metric.name == of && (end.is_empty() || metric.ranged))?;
    let (base, unit, scale) = unit_of(metric.name);
    let instrument = if metric.kind == Kind::Total { Counter } else { Gauge };
    let name = Cow::Owned(format!("{own}{base}{end}"));
    let description = if which.is_empty() {
        Cow::Borrowed(metric.what)
    } else {
        format!("{}; {which}", metric.what).into()
    };
    Some(Named { name, description, unit, scale, instrument, attributes: Vec::new() })
}

/// What the metrics of one of OpenTelemetry's names are: with a description each, they would be several instruments.
fn description(name: &str) -> Cow<'static, str> {
    let rows = PLAIN.iter().chain(GPU).filter(|row| row.1 == name);
    let whats: Vec<_> = rows.map(|(metric, ..)| metric.what).collect();
    match whats[..] {
        [what] => Cow::Borrowed(what),
        _ => whats.join("; ").into(),
    }
}

/// The name without its unit, the unit, and the scale.
fn unit_of(name: &str) -> (&str, &'static str, f64) {
    let unit =
        |(end, unit, scale): &(&str, &'static str, f64)| Some((name.strip_suffix(end)?, *unit, *scale));
    UNITS.iter().find_map(unit).unwrap_or((name, "1", 1.0))
}

/// The index of a numbered device and the metric's own name.
fn device<'a>(kind: &str, name: &'a str) -> Option<(u32, &'a str)> {
    let (index, rest) = name.strip_prefix(kind)?.split_once('_')?;
    Some((index.parse().ok()?, rest))
}

/// A name in the characters that names of instruments have, 255 with what stands before it.
fn in_alphabet(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    name.chars()
        .map(|c| {
            if plain(c) {
                c
            } else if c == '/' {
                '.'
            } else {
                '_'
            }
        })
        .take(240)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The metrics for which OpenTelemetry has no name.
    const NAMELESS: &[&str] = &[
        // Parts of processor time beside a total without parts would be added up with it.
        m::CPU_WAITING.name,
        m::CPU_STOLEN.name,
        "cpu_0_utilization_percentage",
        // The conventions know no pressure, load or busiest disk.
        m::CPU_PRESSURE.name,
        m::MEMORY_PRESSURE.name,
        m::IO_PRESSURE.name,
        m::MEMORY_FULL_PRESSURE.name,
        m::IO_FULL_PRESSURE.name,
        m::LOAD_AVERAGE.name,
        m::DISK_BUSY.name,
        // `system.network.io` is told by the totals of all interfaces; these are some of them.
        m::NETWORK_RECEIVE_RATE.name,
        m::NETWORK_TRANSMIT_RATE.name,
        // Processes are one by one there.
        m::TREE_CPU.name,
        m::TREE_RSS.name,
        m::TREE_PROCESSES.name,
        m::TREE_READ_RATE.name,
        m::TREE_WRITE_RATE.name,
        m::TREE_THREADS.name,
        m::BUSIEST_THREAD.name,
        // The kernel's own peaks.
        "process_memory_peak_megabytes",
        "container_memory_peak_megabytes",
        // `container.cpu.usage` counts processors, and a share of a quota does not say how many.
        m::CONTAINER_CPU.name,
        m::CONTAINER_MEMORY_PERCENTAGE.name,
        m::CONTAINER_THROTTLED.name,
        m::CONTAINER_OOM_KILLS.name,
        m::CONTAINER_CPU_PRESSURE.name,
        m::CONTAINER_MEMORY_PRESSURE.name,
        m::CONTAINER_IO_PRESSURE.name,
        m::GPU_POWER_PERCENTAGE.name,
        m::GPU_MEMORY_BUSY.name,
        m::GPU_SM_CLOCK.name,
        m::GPU_MEMORY_CLOCK.name,
        m::GPU_GRAPHICS_CLOCK.name,
        m::GPU_POWER_THROTTLED.name,
        m::GPU_THERMAL_THROTTLED.name,
        m::GPU_POWER_LIMITED.name,
        m::GPU_THERMAL_LIMITED.name,
        m::GPU_HARDWARE_SLOWDOWN.name,
        m::GPU_POWER_LIMIT.name,
        m::GPU_PERFORMANCE_STATE.name,
        m::GPU_LINK_RECEIVE_RATE.name,
        m::GPU_LINK_TRANSMIT_RATE.name,
        m::GPU_SM_ACTIVE.name,
        m::GPU_TENSOR_ACTIVE.name,
        m::GPU_DRAM_ACTIVE.name,
        m::GPU_SM_OCCUPANCY.name,
        m::GPU_FP64_ACTIVE.name,
        m::GPU_FP32_ACTIVE.name,
        m::GPU_FP16_ACTIVE.name,
        m::GPU_PROCESS_MEMORY.name,
        m::GPU_PROCESS_SM.name,
        m::GPU_XID_EVENTS.name,
        m::GPU_PCIE_GENERATION.name,
        m::GPU_PCIE_WIDTH.name,
        m::GPU_PCIE_REPLAYS.name,
        m::GPU_ROWS_REMAPPED_CORRECTED.name,
        m::GPU_ROWS_REMAPPED_UNCORRECTED.name,
        m::GPU_ROW_REMAP_PENDING.name,
    ];

    /// Every metric, by the name that it has on a machine.
    fn all() -> Vec<(String, &'static Metric)> {
        let plain = [m::HOST, m::PROCESS, m::CONTAINER].concat();
        let plain = plain.into_iter().map(|metric| (metric.name.to_owned(), metric));
        let of = |device: &'static str, metrics: &'static [&'static Metric]| {
            metrics.iter().map(move |metric| (m::of_device(device, 0, metric.name), *metric))
        };
        plain.chain(of("cpu", m::CORE)).chain(of("gpu", m::GPU)).collect()
    }

    fn is_nameless(name: &str, metric: &Metric) -> bool {
        NAMELESS.contains(&name) || NAMELESS.contains(&metric.name)
    }

    #[test]
    fn every_metric_has_opentelemetrys_name_or_is_known_to_have_none() {
        for (name, metric) in all() {
            let named = Named::of(&name);
            assert_eq!(
                named.name.starts_with("runlog."),
                is_nameless(&name, metric),
                "{name} is {}",
                named.name
            );
        }
    }

    #[test]
    fn units_are_base_units_and_counters_count_what_only_grows() {
        for (name, metric) in all() {
            let Named { unit, instrument, scale, .. } = Named::of(&name);
            assert_eq!(instrument == Counter, metric.kind == Kind::Total, "{name}");
            assert!(instrument != Flow || metric.kind == Kind::Rate, "{name}");
            let (_, expected, expected_scale) = unit_of(metric.name);
            let fits = unit == expected || (expected == "By/s" && unit == "By") || unit.starts_with('{');
            assert!(fits && scale.to_bits() == expected_scale.to_bits(), "{name} in {unit} by {scale}");
            assert_eq!(expected == "By/s" && unit == "By", instrument == Flow && unit == "By", "{name}");
        }
    }

    #[test]
    fn no_two_metrics_are_one_series_and_one_name_has_one_instrument_unit_and_description() {
        let (mut series, mut instruments) = (BTreeSet::new(), std::collections::BTreeMap::new());
        for (name, metric) in all() {
            let range = metric.ranged.then(|| [format!("{name}_min"), format!("{name}_max")]);
            for name in range.into_iter().flatten().chain([name]) {
                let named = Named::of(&name);
                let mut attributes: Vec<_> =
                    named.attributes.iter().map(|pair| format!("{pair:?}")).collect();
                attributes.sort();
                assert!(series.insert((named.name.clone(), attributes)), "{name} as {}", named.name);
                assert!(named.description.contains(metric.what), "{name} as {}", named.name);
                let instrument = (
                    named.instrument == Gauge,
                    named.instrument == UpDown,
                    named.unit,
                    named.description.into_owned(),
                );
                let known = instruments.entry(named.name.clone()).or_insert_with(|| instrument.clone());
                assert_eq!(*known, instrument, "{}", named.name);
            }
        }
    }

    #[test]
    fn series_of_one_name_are_told_apart_by_the_same_attributes() {
        let mut known = std::collections::BTreeMap::new();
        for (name, _) in all() {
            let named = Named::of(&name);
            let keys: BTreeSet<_> = named.attributes.iter().map(|pair| pair.key.to_string()).collect();
            let of_name = known.entry(named.name.clone()).or_insert_with(|| keys.clone());
            assert_eq!(*of_name, keys, "{name} as {}", named.name);
        }
    }

    #[test]
    fn names_and_attributes_say_which_device() {
        let gpu = Named::of("gpu_3_temperature_celsius");
        let attributes: Vec<_> = gpu.attributes.iter().map(|of| format!("{}={}", of.key, of.value)).collect();
        assert_eq!((gpu.name.as_ref(), gpu.unit), ("hw.temperature", "Cel"));
        assert_eq!(attributes, ["hw.sensor_location=gpu", "hw.id=3", "hw.type=gpu"]);
        let core = Named::of("cpu_12_utilization_percentage");
        assert_eq!(
            (core.name.as_ref(), core.attributes[0].value.to_string()),
            ("runlog.system.cpu.utilization", "12".to_owned())
        );
        assert_eq!(Named::of("gpu_0_utilization_percentage_max").name, "runlog.system.gpu.utilization.max");
        assert_eq!(Named::of("gpu_0_sm_active_percentage").name, "runlog.system.gpu.sm_active");
    }

    #[test]
    fn what_a_program_registers_has_a_name_that_instruments_may_have() {
        for (name, expected) in [
            ("batches_waiting", "runlog.system.batches_waiting"),
            ("openmetrics/queue kind.a", "runlog.system.openmetrics.queue_kind.a"),
            ("summary/gpu_energy_wh", "runlog.system.summary.gpu_energy_wh"),
            ("größe:x_max", "runlog.system.gr__e_x_max"),
        ] {
            assert_eq!(Named::of(name).name, expected);
        }
    }
}
