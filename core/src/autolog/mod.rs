//! Autologging: what integrations register, what users configure, and the [`Recorder`] through which adapters report.
//!
//! Adapters only translate: a framework's own callback becomes a call of a [`Training`] or its [`Recorder`], and the
//! policy (whose run, what to log, what an error means) lives here, so that all frameworks behave alike.

mod integration;
mod monitor;
mod options;
mod recorder;
mod registry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod training;
mod unseen;

pub use integration::Integration;
pub(crate) use monitor::monitor_driver;
pub use monitor::{
    Gpus, LogSystemMetrics, Monitor, MonitorDriver, MonitorSink, StartMonitor, SystemMetrics, Tier, Watch,
};
pub use options::AutologOptions;
pub use recorder::{Recorder, WeakRecorder};
pub use registry::{autolog, autolog_with, configure, integrations, register};
pub use training::Training;
pub(crate) use unseen::tell_if_nothing_was_seen;
