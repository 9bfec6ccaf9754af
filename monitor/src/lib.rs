//! System metrics for runlog: CPU, memory, disk and network readings as metrics of a run, under MLflow's keys.
//!
//! Read this if you add a probe or wonder what a number means. If you train models, depend on `runlog` and set
//! `log_system_metrics`; linking this crate registers [`DRIVER`], which that flag switches on.
//!
//! # Metrics
//!
//! Every key begins with `system/`, or `system/<node_id>/`. Names and formulas are those of MLflow 3 (which takes them
//! from psutil); values are not rounded, where MLflow keeps one decimal. A megabyte has 10⁶ bytes.
//!
//! | name | what | a window's point |
//! |---|---|---|
//! | `cpu_utilization_percentage` | time of all processors that was neither idle nor waiting for a disk | mean |
//! | `system_memory_usage_megabytes` | memory that is not available | mean |
//! | `system_memory_usage_percentage` | the same, of all memory | mean |
//! | `disk_usage_megabytes` | used space of the file system at `/` | mean |
//! | `disk_usage_percentage` | the same, of the used and the available space | mean |
//! | `disk_available_megabytes` | space that users may still take | mean |
//! | `network_receive_megabytes` | received by all interfaces since the monitor began | last |
//! | `network_transmit_megabytes` | sent by all interfaces since the monitor began | last |
//!
//! What a machine does not tell has no point; it is never 0. Means are over time, so a short sample weighs little. The
//! network's totals begin at 0 again when a run is resumed, as MLflow's do.
//!
//! # Windows and steps
//!
//! A window is 10 s long, sampled every second. If `interval` or `samples_before_logging` is set they mean what they
//! mean in MLflow: a sample each interval (10 s unless given), a point each so many samples (1 unless given). An
//! interval below 1 ms is taken as 1 ms.
//!
//! The first reading of each key is logged at once, at the first step: gauges at the start, rates one sample later.
//! Every window then has the next step, and the last one is logged when the run ends, however short it is. So a run of
//! 20 ms has a point of every key; below that the kernel's clock may not have ticked, and then there is no CPU point.
//! Timestamps are milliseconds since the Unix epoch at the time of logging.
//!
//! # Threads
//!
//! One thread, `runlog-monitor`, reads and logs; it wakes once an interval, by absolute deadlines, and on Linux
//! allocates nothing then. When more than two deadlines were missed (the process was stopped), no rate is averaged
//! over the hole.

mod counter;
mod ending;
mod group;
mod hub;
mod inbox;
mod metrics;
mod monitor;
mod pace;
mod plan;
mod probe;
mod readings;
mod registry;
mod sampler;
mod schedule;
mod session;
mod slow;
#[cfg(test)]
mod testing;
mod window;

use runlog_core::Result;
use runlog_core::autolog::{Monitor, MonitorDriver, MonitorSink, Watch};

pub use crate::counter::{Counter, Sum};
use crate::hub::Hub;
pub use crate::metrics::describe;
pub use crate::probe::{Driver, Opened, Probe, ProbeError};
use crate::probe::{Machine, drivers};
pub use crate::readings::Sink;
pub use crate::registry::{Key, Kind, Registry};
use crate::sampler::Patience;

/// The target of this crate's `tracing` events.
const TARGET: &str = "runlog::monitor";

/// The monitor of the machine that the process runs on, as it is registered.
pub const DRIVER: MonitorDriver = MonitorDriver { name: "system", start };

inventory::submit!(DRIVER);

/// The sampling threads of this process.
static HUB: Hub = Hub::new(Patience::DEFAULT);

fn start(watch: &Watch, sink: Box<dyn MonitorSink>) -> Result<Box<dyn Monitor>> {
    Ok(Box::new(HUB.start(watch, sink, || (drivers(), Machine::of(watch)))?))
}
