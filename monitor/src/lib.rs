//! System metrics for runlog: CPU, memory, disk, network and GPU readings as metrics of a run, under MLflow's keys.
//!
//! Read this if you add a probe. If you train models, depend on `runlog` and set `log_system_metrics`; linking this crate
//! registers [`DRIVER`], which that flag switches on. What is read, what each number means and how readings become
//! points is in docs/system-metrics.md, which is the page `runlog::system_metrics` too.
//!
//! # A probe
//!
//! A [`Driver`] opens a [`Probe`], which registers a [`Key`] in the [`Registry`] for each metric of the hardware that it
//! found, and puts readings into a [`Sink`] at every sample. [`Kind`] says what becomes of them in a window. What a
//! machine does not tell is not put: it is never 0. A sample should allocate nothing, and neither logs nor waits longer
//! than it must. [`Counter`] and [`Sum`] are for counters that began before us and may begin anew.
//!
//! [`Driver::register`] has an example.
//!
//! # Threads
//!
//! One thread, `runlog-monitor`, reads and logs for every run that is watched at the same time with the same tier and
//! GPUs; one sample serves them all. It wakes once an interval, by absolute deadlines, and on Linux allocates nothing
//! then. What may block, and every registered probe, has a thread of its own, named after it: a window that closes waits
//! for it for a tenth of a second at most, and not at all if it let the window before pass; what comes late goes into
//! the next window. A stop waits 4 ms for it and then takes what it has handed over ([`Sink::hand_over`]; of NVIDIA's
//! GPUs that is MLflow's five metrics first). Its thread is abandoned, and if it had nothing, the stop says which probe
//! did not answer.
//!
//! When more than two deadlines were missed (the process was stopped, the machine slept), no rate is averaged over the
//! hole, and nothing is caught up with.
//!
//! # What is there
//!
//! Except in the tier `compat` each run has a tag `runlog.monitor` with the probes that found something to read, and for
//! the others why they did not: `cpu, memory, disk; without nvidia (…)`. What probes say of the hardware are tags
//! `runlog.<name>`. With a node id both have it in between: `runlog.<node_id>.monitor`. [`survey()`] tells the same, and a
//! first reading of everything, without a run.

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
