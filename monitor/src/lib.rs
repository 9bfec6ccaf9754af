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
//! What a machine does not tell has no point; it is never 0. Means are over time, so a short sample weighs little. Totals
//! begin at 0 with the run; in a resumed run they go on from where it stopped, where MLflow begins at 0 again.
//!
//! # Windows and steps
//!
//! A window is 10 s long, sampled every second, and every 5 s where reading may block (GPUs, probes of the program's
//! own). If `interval` or `samples_before_logging` is set they mean what they mean in MLflow: a sample of everything each
//! interval (10 s unless given), a point each so many samples (1 unless given). An interval below 1 ms is taken as 1 ms.
//! `adaptive` makes windows of 1 s for 30 s, then of 10 s, and after 2000, 4000 and 6000 windows of 20, 40 and 60 s.
//!
//! The first reading of each key is logged at once, at the first step: gauges and totals at the start, rates one sample
//! later. Every window then has the next step, and the last one is logged when the run ends, however short it is. So a
//! run of half a second has two points of every gauge and total, of its start and its end, and one of every rate. A run
//! of 20 ms has that too; below it the kernel's clock may not have ticked, and then there is no CPU point. Timestamps are
//! milliseconds since the Unix epoch at the time of the sample, and never fall.
//!
//! | a run that is shorter than a window has | |
//! |---|---|
//! | gauges and peaks (memory, space, temperature, clocks, power) | twice |
//! | totals (network, energy, throttled seconds, events) | twice |
//! | rates (utilization, pressure, per second) | once |
//!
//! # Nodes and ranks
//!
//! In a job of torchrun, Open MPI, MPICH or Slurm only local rank 0 samples its node; the other processes log no system
//! metrics. Where the job is on several nodes, each one's keys begin with `system/node_<number>/` unless a node id is
//! set. If nodes have unlike numbers of processes, and the launcher does not number them, a number is above all that
//! nodes can have; it is then only unique.
//!
//! Of processes that no launcher numbers only one samples for a run on one machine (and in one node's name): a lock on a
//! file in the directory for temporary files keeps the others from it until that one stops.
//!
//! # Threads
//!
//! One thread, `runlog-monitor`, reads and logs for every run that is watched at the same time with the same tier and
//! GPUs; one sample serves them all. It wakes once an interval, by absolute deadlines, and on Linux allocates nothing
//! then. What may block has a thread of its own, named after it: a window that closes waits for it for a tenth of a
//! second at most, and not at all if it let the window before pass; what comes late goes into the next window. A stop
//! waits 4 ms for it and then takes what it has: of NVIDIA's GPUs MLflow's five metrics come first, of other probes only
//! the whole counts. Its thread is abandoned, and if it had nothing, the stop says which probe did not answer.
//!
//! When more than two deadlines were missed (the process was stopped, the machine slept), no rate is averaged over the
//! hole, and nothing is caught up with.
//!
//! # What is there
//!
//! Except in the tier `compat` each run has a tag `runlog.monitor` with the probes that found something to read, and for
//! the others why they did not: `cpu, memory, disk; without nvidia (…)`. What probes say of the hardware are tags
//! `runlog.<name>`. With a node id both have it in between: `runlog.<node_id>.monitor`.

mod counter;
mod ending;
mod group;
mod hub;
mod inbox;
mod metrics;
mod monitor;
mod node;
#[cfg(feature = "otel")]
mod otel;
mod pace;
mod plan;
mod probe;
#[cfg(feature = "testing")]
pub mod readers;
mod readings;
mod registry;
mod sampler;
mod schedule;
mod session;
mod slow;
mod summary;
mod survey;
#[cfg(test)]
mod testing;
mod window;

use runlog_core::Result;
use runlog_core::autolog::{Monitor, MonitorDriver, MonitorSink, Watch};

pub use crate::counter::{Counter, Sum};
use crate::hub::Hub;
pub use crate::metrics::describe;
#[cfg(feature = "openmetrics")]
pub use crate::probe::OpenMetrics;
pub use crate::probe::{Driver, Opened, Probe, ProbeError};
use crate::probe::{Machine, drivers};
pub use crate::readings::Sink;
pub use crate::registry::{Key, Kind, Registry};
use crate::sampler::Patience;
pub use crate::survey::{Measured, ProbeState, Survey, Surveyed, survey};

/// The target of this crate's `tracing` events.
const TARGET: &str = "runlog::monitor";

/// The monitor of the machine that the process runs on, as it is registered.
pub const DRIVER: MonitorDriver = MonitorDriver { name: "system", start };

inventory::submit!(DRIVER);

/// The sampling threads of this process.
static HUB: Hub = Hub::new(Patience::DEFAULT);

fn start(watch: &Watch, sink: Box<dyn MonitorSink>) -> Result<Box<dyn Monitor>> {
    node::one_a_node(watch, sink, |watch, sink| {
        #[cfg(feature = "otel")]
        let sink = otel::exported(sink, watch);
        Ok(Box::new(HUB.start(watch, sink, || (drivers(), Machine::of(watch)))?))
    })
}
