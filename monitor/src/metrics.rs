//! Every metric of the built-in probes: its name, how its readings become points, and from which tier on it is read.
//!
//! Invariants: a name of MLflow's stands in the tier `compat` and means what it means there; a name says its unit last;
//! names of GPUs stand here without `gpu_<index>_`, since MLflow's UI looks for exactly that form; every vendor's driver
//! uses these same names.
//!
//! A megabyte has 10⁶ bytes. A percentage is of time unless it says of what.

use runlog_core::autolog::Tier::{self, Compat, Full, Standard};

use crate::registry::Kind::{self, Gauge, Peak, Rate, Total};

/// One metric that a built-in probe may put.
#[derive(Debug)]
pub(crate) struct Metric {
    /// The name after `system/` and the node, and after `gpu_<index>_` where it is one of [`GPU`].
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The tier from which on it is read.
    pub(crate) tier: Tier,
    /// Whether a window has its lowest and highest reading too, as `<name>_min` and `<name>_max`; not in `compat`.
    pub(crate) ranged: bool,
    /// For the documentation and the command's report.
    pub(crate) what: &'static str,
}

macro_rules! metrics {
    ($(#[$doc:meta])* $list:ident: $($metric:ident = $name:literal $kind:ident $tier:ident $($ranged:ident)?, $what:literal;)+) => {
        $(pub(crate) const $metric: Metric = Metric {
            name: $name,
            kind: $kind,
            tier: $tier,
            ranged: false $(|| metrics!(@$ranged))?,
            what: $what,
        };)+
        $(#[$doc])*
        pub(crate) const $list: &[&Metric] = &[$(&$metric),+];
    };
    (@ranged) => { true };
}

metrics! {
    /// The machine's.
    HOST:
    CPU_UTILIZATION = "cpu_utilization_percentage" Rate Compat, "time of all processors that was neither idle nor waiting for a disk";
    MEMORY_USED = "system_memory_usage_megabytes" Gauge Compat ranged, "memory that is not available";
    MEMORY_USED_PERCENTAGE = "system_memory_usage_percentage" Gauge Compat, "the same, of all memory";
    DISK_USED = "disk_usage_megabytes" Gauge Compat, "used space of the file system at `/`";
    DISK_USED_PERCENTAGE = "disk_usage_percentage" Gauge Compat, "the same, of the used and the available space";
    DISK_AVAILABLE = "disk_available_megabytes" Gauge Compat, "space that users may still take";
    NETWORK_RECEIVED = "network_receive_megabytes" Total Compat, "received by all interfaces, loopback and virtual ones too";
    NETWORK_SENT = "network_transmit_megabytes" Total Compat, "sent by all interfaces, loopback and virtual ones too";

    CPU_PRESSURE = "cpu_pressure_percentage" Rate Standard, "time in which some task waited for a processor (PSI, of the whole machine)";
    MEMORY_PRESSURE = "memory_pressure_percentage" Rate Standard, "time in which some task waited for memory";
    IO_PRESSURE = "io_pressure_percentage" Rate Standard, "time in which some task waited for a disk";
    SWAP_USED = "swap_usage_megabytes" Gauge Standard, "swap in use; absent without swap";
    DISK_READ_RATE = "disk_read_megabytes_per_second" Rate Standard, "read from all disks, partitions and layers counted once";
    DISK_WRITE_RATE = "disk_write_megabytes_per_second" Rate Standard, "written to all disks";
    NETWORK_RECEIVE_RATE = "network_receive_megabytes_per_second" Rate Standard, "received by interfaces that are hardware (all but loopback where none is)";
    NETWORK_TRANSMIT_RATE = "network_transmit_megabytes_per_second" Rate Standard, "sent by the same";
    INFINIBAND_RECEIVE_RATE = "infiniband_receive_megabytes_per_second" Rate Standard, "received by all InfiniBand and RoCE ports, RDMA included";
    INFINIBAND_TRANSMIT_RATE = "infiniband_transmit_megabytes_per_second" Rate Standard, "sent by the same";
    CPU_POWER = "cpu_power_watts" Rate Standard, "power of all processor packages (RAPL; on Apple silicon all cores), where the system lets it be read";
    CPU_ENERGY = "cpu_energy_joules" Total Standard, "energy of the same";

    MEMORY_FULL_PRESSURE = "memory_full_pressure_percentage" Rate Full, "time in which every task waited for memory";
    IO_FULL_PRESSURE = "io_full_pressure_percentage" Rate Full, "time in which every task waited for a disk";
    CPU_WAITING = "cpu_iowait_percentage" Rate Full, "time of all processors that waited for a disk";
    CPU_STOLEN = "cpu_steal_percentage" Rate Full, "time that the hypervisor gave to others";
    LOAD_AVERAGE = "load_average_1m" Gauge Full, "tasks that run or wait, averaged over a minute by the kernel";
    CPU_FREQUENCY = "cpu_frequency_megahertz" Gauge Full, "clock of the processors, averaged";
    CPU_TEMPERATURE = "cpu_temperature_celsius" Gauge Full, "the hottest processor package";
    SWAP_USED_PERCENTAGE = "swap_usage_percentage" Gauge Full, "swap in use, of all swap";
    DISK_READ_OPERATIONS = "disk_read_operations_per_second" Rate Full, "reads of all disks";
    DISK_WRITE_OPERATIONS = "disk_write_operations_per_second" Rate Full, "writes of all disks";
    DISK_BUSY = "disk_busy_percentage" Rate Full, "time in which the busiest disk had something to do";
    NETWORK_ERRORS = "network_errors" Total Full, "packets that the same interfaces received or sent with errors";
    NETWORK_DROPS = "network_drops" Total Full, "packets that the same interfaces dropped";
}

metrics! {
    /// One processor's, between `cpu_<index>_` and here.
    CORE:
    CORE_UTILIZATION = "utilization_percentage" Rate Full, "as `cpu_utilization_percentage`, of one processor";
}

metrics! {
    /// The training process's own, and its descendants'.
    PROCESS:
    PROCESS_CPU = "process_cpu_utilization_percentage" Rate Standard, "processor time of this process, of all that it may use";
    PROCESS_RSS = "process_memory_rss_megabytes" Gauge Standard ranged, "memory of this process that is in RAM";
    PROCESS_THREADS = "process_threads" Gauge Standard, "threads of this process";
    PROCESS_FILES = "process_open_files" Gauge Standard, "file descriptors of this process, those of the monitor among them";
    TREE_CPU = "process_tree_cpu_utilization_percentage" Rate Standard, "processor time of this process and all its descendants, of all that it may use; the tree is looked at every second up to 50 processes, every n/50 seconds for n";
    TREE_RSS = "process_tree_memory_rss_megabytes" Gauge Standard, "memory of the same in RAM; pages that processes share count for each";
    TREE_PROCESSES = "process_tree_processes" Gauge Standard, "this process and its descendants";
    BUSIEST_THREAD = "process_busiest_thread_percentage" Rate Standard, "processor time of this process's busiest thread, of one processor; looked at every second up to 20 threads, every n/20 seconds for n";
    PROCESS_READ_RATE = "process_disk_read_megabytes_per_second" Rate Standard, "read from disks for this process, children that ended before they were seen included";
    PROCESS_WRITE_RATE = "process_disk_write_megabytes_per_second" Rate Standard, "written to disks for this process, as above";
    TREE_READ_RATE = "process_tree_disk_read_megabytes_per_second" Rate Full, "read from disks for this process and its descendants";
    TREE_WRITE_RATE = "process_tree_disk_write_megabytes_per_second" Rate Full, "written to disks for the same";
    TREE_THREADS = "process_tree_threads" Gauge Full, "threads of the same";
    MAJOR_FAULTS = "process_major_faults_per_second" Rate Full, "page faults of this process that had to read a disk";
    PROCESS_RSS_PEAK = "process_memory_peak_megabytes" Peak Standard, "highest memory of this process in RAM since it began, as the kernel kept it";
}

metrics! {
    /// The container's or job's, from the cgroup of this process and those above it.
    CONTAINER:
    CONTAINER_MEMORY = "container_memory_working_set_megabytes" Gauge Standard ranged, "memory of the cgroup without what the kernel can drop at once (as Kubernetes counts)";
    CONTAINER_MEMORY_PERCENTAGE = "container_memory_usage_percentage" Gauge Standard, "the same, of its limit, or of the limit above it that is nearer to being reached, with what counts against that; absent without a limit";
    CONTAINER_CPU = "container_cpu_utilization_percentage" Rate Standard, "processor time of the cgroup, of its quota or else of all processors of its set; of the cgroup above it whose quota is nearer to being used up, if there is one";
    CONTAINER_THROTTLED = "container_cpu_throttled_seconds" Total Standard, "time in which its quota and those above it stopped the cgroup, summed over processors; absent without a quota";
    CONTAINER_OOM_KILLS = "container_oom_kills" Total Standard, "processes of the cgroup that the kernel killed for want of memory";
    CONTAINER_CPU_PRESSURE = "container_cpu_pressure_percentage" Rate Standard, "as `cpu_pressure_percentage`, of the cgroup";
    CONTAINER_MEMORY_PRESSURE = "container_memory_pressure_percentage" Rate Standard, "as `memory_pressure_percentage`, of the cgroup";
    CONTAINER_IO_PRESSURE = "container_io_pressure_percentage" Rate Standard, "as `io_pressure_percentage`, of the cgroup";
    CONTAINER_MEMORY_PEAK = "container_memory_peak_megabytes" Peak Standard, "highest memory of the cgroup since it was made, page cache included, as the kernel kept it";
}

metrics! {
    /// One GPU's, after `gpu_<index>_`.
    GPU:
    GPU_UTILIZATION = "utilization_percentage" Rate Compat ranged, "time in which a kernel ran";
    GPU_MEMORY_USED = "memory_usage_megabytes" Gauge Compat ranged, "memory in use, with what the driver reserves";
    GPU_MEMORY_USED_PERCENTAGE = "memory_usage_percentage" Gauge Compat, "the same, of all its memory";
    GPU_POWER = "power_usage_watts" Gauge Compat, "power of the board";
    GPU_POWER_PERCENTAGE = "power_usage_percentage" Gauge Compat, "the same, of its enforced limit";

    GPU_MEMORY_BUSY = "memory_utilization_percentage" Rate Standard, "time in which its memory was read or written";
    GPU_TEMPERATURE = "temperature_celsius" Gauge Standard, "temperature of the chip";
    GPU_MEMORY_TEMPERATURE = "memory_temperature_celsius" Gauge Standard, "temperature of its memory";
    GPU_SM_CLOCK = "sm_clock_megahertz" Gauge Standard, "clock of the compute units";
    GPU_MEMORY_CLOCK = "memory_clock_megahertz" Gauge Standard, "clock of its memory";
    GPU_POWER_THROTTLED = "power_throttled_seconds" Total Standard, "time in which clocks were lowered to stay within the power limit";
    GPU_THERMAL_THROTTLED = "thermal_throttled_seconds" Total Standard, "time in which clocks were lowered for heat";
    GPU_ENERGY = "energy_joules" Total Standard, "energy of the board, by its counter or else by its power over time";
    GPU_PCIE_RECEIVE_RATE = "pcie_receive_megabytes_per_second" Rate Standard, "over PCIe to the GPU";
    GPU_PCIE_TRANSMIT_RATE = "pcie_transmit_megabytes_per_second" Rate Standard, "over PCIe from the GPU";
    GPU_LINK_RECEIVE_RATE = "nvlink_receive_megabytes_per_second" Rate Standard, "over all NVLinks to the GPU";
    GPU_LINK_TRANSMIT_RATE = "nvlink_transmit_megabytes_per_second" Rate Standard, "over all NVLinks from the GPU";
    GPU_SM_ACTIVE = "sm_active_percentage" Rate Standard, "time in which its multiprocessors had work, averaged over them (Hopper and newer)";
    GPU_TENSOR_ACTIVE = "tensor_active_percentage" Rate Standard, "time in which its tensor cores worked";
    GPU_DRAM_ACTIVE = "dram_active_percentage" Rate Standard, "bandwidth of its memory in use, of the most that it can be";
    GPU_PROCESS_MEMORY = "process_memory_megabytes" Gauge Standard, "its memory that this process and its descendants hold";
    GPU_PROCESS_SM = "process_sm_percentage" Rate Standard, "time in which kernels of this process and its descendants ran";
    GPU_LOST = "lost" Peak Standard, "1 while the GPU does not answer; no point before it was lost for the first time";
    GPU_XID_EVENTS = "xid_events" Total Standard, "errors that the driver reported (XID)";
    GPU_ECC_CORRECTED = "ecc_corrected_errors" Total Standard, "memory errors that were corrected";
    GPU_ECC_UNCORRECTED = "ecc_uncorrected_errors" Total Standard, "memory errors that were not";

    GPU_SM_OCCUPANCY = "sm_occupancy_percentage" Rate Full, "warps in flight, of those that fit";
    GPU_FP64_ACTIVE = "fp64_active_percentage" Rate Full, "time in which its 64-bit units worked";
    GPU_FP32_ACTIVE = "fp32_active_percentage" Rate Full, "time in which its 32-bit units worked";
    GPU_FP16_ACTIVE = "fp16_active_percentage" Rate Full, "time in which its 16-bit units worked, tensor cores aside";
    GPU_ENCODER = "encoder_utilization_percentage" Gauge Full, "time in which its video encoder worked";
    GPU_DECODER = "decoder_utilization_percentage" Gauge Full, "time in which its video decoder worked";
    GPU_GRAPHICS_CLOCK = "graphics_clock_megahertz" Gauge Full, "clock of the graphics units";
    GPU_POWER_LIMIT = "power_limit_watts" Gauge Full, "enforced power limit";
    GPU_FAN = "fan_speed_percentage" Gauge Full, "the fastest fan, of its full speed";
    GPU_POWER_LIMITED = "power_limited_percentage" Gauge Full, "readings in which the power limit lowered clocks";
    GPU_THERMAL_LIMITED = "thermal_limited_percentage" Gauge Full, "readings in which heat lowered clocks";
    GPU_HARDWARE_SLOWDOWN = "hardware_slowdown_percentage" Gauge Full, "readings in which the hardware slowed itself down";
    GPU_PERFORMANCE_STATE = "performance_state" Gauge Full, "0 is the fastest (P0)";
    GPU_PCIE_GENERATION = "pcie_link_generation" Gauge Full, "generation of the PCIe link at the moment";
    GPU_PCIE_WIDTH = "pcie_link_width" Gauge Full, "lanes of the PCIe link at the moment";
    GPU_PCIE_REPLAYS = "pcie_replays" Total Full, "packets that PCIe had to send again";
    GPU_ROWS_REMAPPED_CORRECTED = "remapped_rows_corrected" Total Full, "rows of memory replaced after corrected errors";
    GPU_ROWS_REMAPPED_UNCORRECTED = "remapped_rows_uncorrected" Total Full, "rows of memory replaced after uncorrected errors";
    GPU_ROW_REMAP_PENDING = "row_remap_pending" Peak Full, "1 if a replaced row waits for a reset";
}

/// What the built-in metric `name` (without `system/` and node) is: `None` for those of registered probes.
pub fn describe(name: &str) -> Option<&'static str> {
    let of = |list: &[&'static Metric], name: &str| {
        list.iter().find(|metric| metric.name == name).map(|metric| metric.what)
    };
    let of_device = |device: &str, list| {
        let (index, name) = name.strip_prefix(device)?.split_once('_')?;
        index.bytes().all(|byte| byte.is_ascii_digit()).then(|| of(list, name))?
    };
    let plain = [HOST, PROCESS, CONTAINER].into_iter().find_map(|list| of(list, name));
    plain.or_else(|| of_device("gpu_", GPU)).or_else(|| of_device("cpu_", CORE))
}

/// Names of metrics of one numbered device: `gpu_0_utilization_percentage`.
pub(crate) fn of_device(kind: &str, index: u32, name: &str) -> String {
    format!("{kind}_{index}_{name}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write;

    use super::*;

    #[test]
    fn compat_is_what_mlflow_logs() {
        let compat = |list: &[&'static Metric]| -> BTreeSet<_> {
            list.iter().filter(|metric| metric.tier == Compat).map(|metric| metric.name).collect()
        };
        let mlflow = [
            "cpu_utilization_percentage",
            "disk_available_megabytes",
            "disk_usage_megabytes",
            "disk_usage_percentage",
            "network_receive_megabytes",
            "network_transmit_megabytes",
            "system_memory_usage_megabytes",
            "system_memory_usage_percentage",
        ];
        assert!(compat(HOST).into_iter().eq(mlflow));
        let mlflow = [
            "memory_usage_megabytes",
            "memory_usage_percentage",
            "power_usage_percentage",
            "power_usage_watts",
            "utilization_percentage",
        ];
        assert!(compat(GPU).into_iter().eq(mlflow));
        assert!(compat(PROCESS).is_empty() && compat(CONTAINER).is_empty() && compat(CORE).is_empty());
    }

    #[test]
    fn every_name_can_be_described() {
        assert_eq!(describe("cpu_utilization_percentage"), Some(CPU_UTILIZATION.what));
        assert_eq!(describe("cpu_12_utilization_percentage"), Some(CORE_UTILIZATION.what));
        assert_eq!(describe(&of_device("gpu", 3, "lost")), Some(GPU_LOST.what));
        assert_eq!([describe("gpu_x_lost"), describe("gpu_3_"), describe("queue")], [None; 3]);
    }

    #[test]
    fn no_name_stands_twice_and_none_is_too_long() {
        let mut seen = BTreeSet::new();
        for metric in [HOST, PROCESS, CONTAINER].concat() {
            assert!(seen.insert(metric.name), "{}", metric.name);
            assert!(metric.name.len() <= crate::registry::NAME_CHARS_MAX);
        }
    }

    /// Where docs/system-metrics.md has the tables.
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/system-metrics.md");
    const BEGIN: &str = "<!-- metrics: written by `UPDATE_PAGE=1 cargo test -p runlog-monitor page` -->\n";
    const END: &str = "<!-- /metrics -->\n";

    fn tables() -> String {
        let lists: [(&str, &[&Metric]); 5] = [
            ("The machine", HOST),
            ("One processor, after `cpu_<index>_`", CORE),
            ("The training process", PROCESS),
            ("Its container or job", CONTAINER),
            ("One GPU, after `gpu_<index>_`", GPU),
        ];
        let mut page = String::new();
        for (title, list) in lists {
            write!(page, "\n## {title}\n\n| name | kind | tier | what |\n|---|---|---|---|\n").unwrap();
            for Metric { name, kind, tier, ranged, what } in list {
                let range = if *ranged { ", with `_min` and `_max`" } else { "" };
                let (kind, tier) = (format!("{kind:?}").to_lowercase(), format!("{tier:?}").to_lowercase());
                writeln!(page, "| `{name}` | {kind}{range} | {tier} | {what} |").unwrap();
            }
        }
        page + "\n"
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the variable is this test's own")]
    fn the_page_has_every_metric() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (found, after) = rest.split_once(END).unwrap();
        if std::env::var_os("UPDATE_PAGE").is_some() {
            std::fs::write(PAGE, format!("{before}{BEGIN}{}{END}{after}", tables())).unwrap();
        } else {
            let tables = tables();
            let differs = found.lines().zip(tables.lines()).find(|(found, wanted)| found != wanted);
            let same = differs.is_none() && found.len() == tables.len();
            assert!(same, "run `UPDATE_PAGE=1 cargo test -p runlog-monitor page`: {differs:?}");
        }
    }
}
