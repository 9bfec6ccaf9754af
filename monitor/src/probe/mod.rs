//! Probes: each reads one kind of hardware, in a file of its own.
//!
//! Invariants: a probe registers keys only for hardware that it found; it puts a value only where it has read one; it
//! neither logs nor measures itself, which is the sampler's part; a sample of a healthy probe of ours does not allocate.

#[cfg(target_os = "linux")]
mod cpu;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod network;
#[cfg(any(not(target_os = "linux"), test))]
mod portable;
#[cfg(target_os = "linux")]
mod pseudo;
mod traffic;

use std::path::PathBuf;

use runlog_core::{Error, ErrorKind};

pub(crate) use crate::window::{Aggregation, Key, Registry, Sink};

/// Bytes in a megabyte as MLflow counts them.
const MEGABYTE: f64 = 1e6;

/// Reads one kind of hardware.
pub(crate) trait Probe: Send {
    /// For messages.
    fn name(&self) -> &'static str;

    /// Reads once into the sink. Without a value to give, because a rate has no beginning yet, it puts nothing.
    ///
    /// # Errors
    /// What could not be read; the sampler warns of it once and asks again at the next sample.
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError>;
}

/// Why a probe has nothing to give.
#[derive(Debug)]
pub(crate) enum ProbeError {
    /// The hardware, or the system's account of it, is not there. No fault: its metrics simply do not exist.
    Absent(&'static str),
    /// It is there and cannot be read.
    Failed(Error),
}

impl From<Error> for ProbeError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Opens one kind of probe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Driver {
    /// For messages about a probe that did not open.
    pub(crate) name: &'static str,
    /// Finds the hardware and registers its keys.
    pub(crate) open: Open,
}

/// What a driver opens a probe with.
pub(crate) type Open = fn(&Roots, &mut Registry) -> Result<Box<dyn Probe>, ProbeError>;

/// Where the system is read from; tests point at a tree of their own.
#[derive(Clone, Debug)]
pub(crate) struct Roots {
    /// The `/proc` of Linux.
    #[cfg(target_os = "linux")]
    pub(crate) proc: PathBuf,
    /// A path on the disk whose space is reported; MLflow's is `/`.
    pub(crate) disk: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            proc: PathBuf::from("/proc"),
            disk: PathBuf::from(if cfg!(windows) { "C:\\" } else { "/" }),
        }
    }
}

/// Every probe there is, in the order in which they are read.
#[cfg(target_os = "linux")]
pub(crate) const PROBES: &[Driver] = &[cpu::DRIVER, memory::DRIVER, disk::DRIVER, network::DRIVER];

/// Every probe there is, in the order in which they are read.
#[cfg(not(target_os = "linux"))]
pub(crate) const PROBES: &[Driver] = portable::PROBES;

/// The keys of `system_memory_usage_*`, the same wherever the numbers come from.
struct MemoryKeys {
    used: Key,
    used_percentage: Key,
}

impl MemoryKeys {
    fn register(registry: &mut Registry) -> Self {
        Self {
            used: registry.key("system_memory_usage_megabytes", Aggregation::Mean),
            used_percentage: registry.key("system_memory_usage_percentage", Aggregation::Mean),
        }
    }

    /// Used is what is not available, as psutil 7 and so MLflow 3 have it.
    fn put(&self, sink: &mut Sink<'_>, total_bytes: u64, available_bytes: u64) -> Result<(), ProbeError> {
        let used = total_bytes
            .checked_sub(available_bytes)
            .ok_or_else(|| corrupt("more memory is said to be available than there is"))?;
        sink.put(self.used, float(used) / MEGABYTE);
        sink.put(self.used_percentage, float(used) / float(total_bytes) * 100.0);
        Ok(())
    }
}

/// The keys of `disk_*`, the same wherever the numbers come from.
struct DiskKeys {
    used: Key,
    used_percentage: Key,
    available: Key,
}

impl DiskKeys {
    fn register(registry: &mut Registry) -> Self {
        Self {
            used: registry.key("disk_usage_megabytes", Aggregation::Mean),
            used_percentage: registry.key("disk_usage_percentage", Aggregation::Mean),
            available: registry.key("disk_available_megabytes", Aggregation::Mean),
        }
    }

    /// The percentage is of what users may have, so it reaches 100 when they are out of space (`df` does the same).
    fn put(&self, sink: &mut Sink<'_>, used_bytes: u64, available_bytes: u64) {
        let (used, available) = (float(used_bytes), float(available_bytes));
        sink.put(self.used, used / MEGABYTE);
        sink.put(self.available, available / MEGABYTE);
        sink.put(self.used_percentage, used / (used + available) * 100.0);
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 bytes are 9 PB; beyond it a part in 10^16 is lost")]
fn float(count: u64) -> f64 {
    count as f64
}

fn corrupt(what: &'static str) -> ProbeError {
    ProbeError::Failed(Error::new(ErrorKind::Corrupt, what))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
pub(crate) mod testing {
    //! Opens a probe and reads it as the sampler would.

    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::{Driver, Probe, ProbeError, Registry, Roots};
    use crate::window::Window;

    pub(crate) struct Bench {
        pub(crate) probe: Box<dyn Probe>,
        window: Window,
    }

    impl Bench {
        pub(crate) fn open(driver: Driver, roots: &Roots) -> Result<Self, ProbeError> {
            let mut registry = Registry::new(None).unwrap();
            let probe = (driver.open)(roots, &mut registry)?;
            Ok(Self { probe, window: Window::new(registry) })
        }

        /// One reading, by key without `system/`.
        pub(crate) fn read(&mut self) -> Result<BTreeMap<String, f64>, ProbeError> {
            self.read_after(Some(Duration::from_secs(1)))
        }

        pub(crate) fn read_after(
            &mut self,
            since_last: Option<Duration>,
        ) -> Result<BTreeMap<String, f64>, ProbeError> {
            self.probe.sample(&mut self.window.sink(since_last, Duration::from_secs(1)))?;
            let mut values = BTreeMap::new();
            self.window.drain(|key, value| {
                values.insert(key.trim_start_matches("system/").to_owned(), value);
            });
            Ok(values)
        }
    }

    /// Roots in `dir`, with one file under its `proc`.
    pub(crate) fn tree(dir: &Path, file: &str, content: &str) -> Roots {
        let proc = dir.join("proc");
        let path = proc.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        Roots { proc, disk: dir.to_owned() }
    }
}
