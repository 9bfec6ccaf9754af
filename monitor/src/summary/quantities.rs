//! The names of the summary's quantities, which docs/system-metrics.md defines.
//!
//! Invariant: every name begins with [`PREFIX`] and ends with its unit, if it has one.

pub(super) const PREFIX: &str = "summary/";

pub(super) const WALL: &str = "summary/wall_seconds";
pub(super) const OBSERVED: &str = "summary/observed_fraction";
pub(super) const GPU_OBSERVED: &str = "summary/gpu_observed_fraction";

pub(super) const CPU_MEAN: &str = "summary/cpu_utilization_mean_percentage";
pub(super) const CPU_P50: &str = "summary/cpu_utilization_p50_percentage";
pub(super) const CPU_P95: &str = "summary/cpu_utilization_p95_percentage";
pub(super) const GPU_MEAN: &str = "summary/gpu_utilization_mean_percentage";
pub(super) const GPU_P50: &str = "summary/gpu_utilization_p50_percentage";
pub(super) const GPU_P95: &str = "summary/gpu_utilization_p95_percentage";
pub(super) const GPU_IDLE: &str = "summary/idle_gpu_fraction";
pub(super) const GPU_HOURS: &str = "summary/gpu_hours_allocated";
pub(super) const GPU_HOURS_ACTIVE: &str = "summary/gpu_hours_active";

pub(super) const GPU_ENERGY: &str = "summary/gpu_energy_wh";
pub(super) const GPU_ENERGY_BY_POWER: &str = "summary/gpu_energy_by_power_wh";
pub(super) const CPU_ENERGY: &str = "summary/cpu_energy_wh";

pub(super) const MEMORY_PEAK: &str = "summary/system_memory_peak_megabytes";
pub(super) const PROCESS_PEAK: &str = "summary/process_memory_peak_megabytes";
pub(super) const TREE_PEAK: &str = "summary/process_tree_memory_peak_megabytes";
pub(super) const CONTAINER_PEAK: &str = "summary/container_memory_peak_megabytes";
pub(super) const CONTAINER_WORKING_SET_PEAK: &str = "summary/container_memory_working_set_peak_megabytes";
pub(super) const GPU_MEMORY_PEAK: &str = "summary/gpu_memory_peak_megabytes";

pub(super) const GPU_POWER_THROTTLED: &str = "summary/gpu_power_throttled_seconds";
pub(super) const GPU_THERMAL_THROTTLED: &str = "summary/gpu_thermal_throttled_seconds";
pub(super) const CONTAINER_THROTTLED: &str = "summary/container_cpu_throttled_seconds";

pub(super) const NETWORK_RECEIVED: &str = "summary/network_received_megabytes";
pub(super) const NETWORK_SENT: &str = "summary/network_sent_megabytes";
pub(super) const INFINIBAND_RECEIVED: &str = "summary/infiniband_received_megabytes";
pub(super) const INFINIBAND_SENT: &str = "summary/infiniband_sent_megabytes";
pub(super) const DISK_READ: &str = "summary/disk_read_megabytes";
pub(super) const DISK_WRITTEN: &str = "summary/disk_written_megabytes";

pub(super) const OOM_KILLS: &str = "summary/container_oom_kills";
pub(super) const GPU_XIDS: &str = "summary/gpu_xid_events";
pub(super) const GPU_ECC_CORRECTED: &str = "summary/gpu_ecc_corrected_errors";
pub(super) const GPU_ECC_UNCORRECTED: &str = "summary/gpu_ecc_uncorrected_errors";
pub(super) const GPU_ROWS_REMAPPED: &str = "summary/gpu_remapped_rows";
pub(super) const GPU_LOSSES: &str = "summary/gpu_losses";

pub(super) const GPU_COST: &str = "summary/gpu_cost";
pub(super) const CO2: &str = "summary/co2_grams";

pub(super) const EVIDENCE: &str = "summary/bottleneck_evidence";

/// What counts misfortunes, of which a run is better without: each 0 would be one more chart of nothing.
pub(super) const MISFORTUNES: [&str; 9] = [
    GPU_POWER_THROTTLED,
    GPU_THERMAL_THROTTLED,
    CONTAINER_THROTTLED,
    OOM_KILLS,
    GPU_XIDS,
    GPU_ECC_CORRECTED,
    GPU_ECC_UNCORRECTED,
    GPU_ROWS_REMAPPED,
    GPU_LOSSES,
];
