//! Probes: each reads one kind of hardware, in a file of its own.
//!
//! Invariants: a probe registers keys only for hardware that it found; it puts a value only where it has read one; it
//! neither logs nor measures itself, which is the sampler's part; a sample of a healthy probe of ours does not allocate.

#[cfg(target_os = "linux")]
mod block;
#[cfg(target_os = "linux")]
mod container;
#[cfg(target_os = "linux")]
mod cpu;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod energy;
#[cfg(target_os = "linux")]
mod frequency;
mod gpu;
#[cfg(target_os = "linux")]
mod host;
#[cfg(target_os = "linux")]
mod infiniband;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod network;
#[cfg(feature = "openmetrics")]
mod openmetrics;
#[cfg(any(not(target_os = "linux"), test))]
mod portable;
#[cfg(target_os = "linux")]
mod pressure;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod pseudo;
mod roll;
#[cfg(target_os = "linux")]
mod sysfs;
#[cfg(target_os = "linux")]
mod temperature;
mod traffic;

mod registered;

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(any(target_os = "linux", all(feature = "nvidia", windows)))]
use runlog_core::autolog::Gpus;
use runlog_core::autolog::Watch;
#[cfg(any(target_os = "linux", all(feature = "nvidia", windows)))]
use runlog_core::config::Config;
use runlog_core::{Error, ErrorKind};

use crate::metrics;
#[cfg(target_os = "linux")]
use crate::metrics::Metric;
pub(crate) use crate::readings::Sink;
pub(crate) use crate::registry::{Key, Registry};
#[cfg(feature = "openmetrics")]
pub use openmetrics::OpenMetrics;
use registered::registered;

/// Bytes in a megabyte as MLflow counts them.
const MEGABYTE: f64 = 1e6;

/// Reads one kind of hardware, or anything else that has numbers.
pub trait Probe: Send {
    /// Reads once into the sink. Without a value to give, because a rate has no beginning yet, it puts nothing.
    ///
    /// # Errors
    /// What could not be read; it is warned of once and asked again at the next sample. A probe that panics is not asked
    /// again.
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError>;
}

/// Why a probe has nothing to give.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProbeError {
    /// What it reads is not there; the text says what is missing. No fault: its metrics simply do not exist.
    Absent(Cow<'static, str>),
    /// It is there and cannot be read.
    Failed(Error),
}

impl From<Error> for ProbeError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(reason) => f.write_str(reason),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

/// A probe, or why there is none.
pub type Opened = Result<Box<dyn Probe>, ProbeError>;

/// Opens one kind of probe for each run that is sampled.
#[derive(Clone, Debug)]
pub struct Driver {
    /// For messages.
    pub(crate) name: Cow<'static, str>,
    /// Whether a reading may take long or hang: the probe then gets a thread of its own.
    pub(crate) may_block: bool,
    /// Finds the hardware and registers its keys.
    pub(crate) open: Open,
}

/// What a driver opens a probe with.
#[derive(Clone)]
pub(crate) enum Open {
    BuiltIn(fn(&Machine, &mut Registry) -> Opened),
    Registered(Arc<dyn Fn(&mut Registry) -> Opened + Send + Sync>),
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BuiltIn(_) => "BuiltIn",
            Self::Registered(_) => "Registered",
        })
    }
}

impl Driver {
    /// A built-in driver whose readings take microseconds.
    pub(crate) const fn built_in(name: &'static str, open: fn(&Machine, &mut Registry) -> Opened) -> Self {
        Self { name: Cow::Borrowed(name), may_block: false, open: Open::BuiltIn(open) }
    }

    /// The same, where a reading may wait for hardware.
    #[cfg(any(
        target_os = "linux",
        all(feature = "nvidia", windows),
        all(feature = "apple", target_os = "macos", target_arch = "aarch64")
    ))]
    pub(crate) const fn may_block(mut self) -> Self {
        self.may_block = true;
        self
    }

    pub(crate) fn open(&self, machine: &Machine, registry: &mut Registry) -> Opened {
        match &self.open {
            Open::BuiltIn(open) => open(machine, registry),
            Open::Registered(open) => open(registry),
        }
    }
}

/// Where the machine is read from, and what of it; tests point at a tree of their own.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// The `/proc` of Linux.
    #[cfg(target_os = "linux")]
    pub(crate) proc: PathBuf,
    /// The `/sys` of Linux.
    #[cfg(target_os = "linux")]
    pub(crate) sys: PathBuf,
    /// Where the distribution says its name: `/etc`.
    #[cfg(target_os = "linux")]
    pub(crate) etc: PathBuf,
    /// A path on the disk whose space is reported; MLflow's is `/`.
    pub(crate) disk: PathBuf,
    /// NVIDIA's library, where it is not to be looked for as usual.
    #[cfg(all(feature = "nvidia", any(target_os = "linux", windows)))]
    pub(crate) nvml: Option<PathBuf>,
    /// Which GPUs are read.
    #[cfg(any(target_os = "linux", all(feature = "nvidia", windows)))]
    pub(crate) gpus: Gpus,
    /// The process's environment.
    #[cfg(any(target_os = "linux", all(feature = "nvidia", windows)))]
    pub(crate) config: Config,
}

impl Default for Machine {
    fn default() -> Self {
        Self::below(Path::new(if cfg!(windows) { "C:\\" } else { "/" }))
    }
}

impl Machine {
    /// The machine whose files are below `root`.
    pub(crate) fn below(root: &Path) -> Self {
        Self {
            #[cfg(target_os = "linux")]
            proc: root.join("proc"),
            #[cfg(target_os = "linux")]
            sys: root.join("sys"),
            #[cfg(target_os = "linux")]
            etc: root.join("etc"),
            disk: root.to_owned(),
            #[cfg(all(feature = "nvidia", any(target_os = "linux", windows)))]
            nvml: None,
            #[cfg(any(target_os = "linux", all(feature = "nvidia", windows)))]
            gpus: Gpus::default(),
            #[cfg(any(target_os = "linux", all(feature = "nvidia", windows)))]
            config: Config::default(),
        }
    }

    /// The machine that the process runs on, as `watch` wants it read.
    #[cfg(any(target_os = "linux", all(feature = "nvidia", windows)))]
    pub(crate) fn of(watch: &Watch) -> Self {
        Self { gpus: watch.settings.gpus, config: watch.config.clone(), ..Self::default() }
    }

    /// The machine that the process runs on.
    #[cfg(not(any(target_os = "linux", all(feature = "nvidia", windows))))]
    pub(crate) fn of(_: &Watch) -> Self {
        Self::default()
    }
}

/// Every probe there is, in the order in which they are read.
#[cfg(target_os = "linux")]
pub(crate) const PROBES: &[Driver] = &[
    host::DRIVER,
    cpu::DRIVER,
    memory::DRIVER,
    pressure::DRIVER,
    disk::DRIVER,
    block::DRIVER,
    network::DRIVER,
    infiniband::DRIVER,
    energy::DRIVER,
    temperature::DRIVER,
    frequency::DRIVER,
    process::DRIVER,
    process::TREE_DRIVER,
    container::DRIVER,
    gpu::amd::DRIVER,
    gpu::intel::DRIVER,
    gpu::drm::DRIVER,
    #[cfg(feature = "nvidia")]
    gpu::nvidia::DRIVER,
];

/// Every probe there is, in the order in which they are read.
#[cfg(not(target_os = "linux"))]
pub(crate) const PROBES: &[Driver] = portable::PROBES;

/// Every driver there is: the built-in ones, then those of the program.
pub(crate) fn drivers() -> Vec<Driver> {
    let mut drivers = PROBES.to_vec();
    #[cfg(all(feature = "nvidia", windows))]
    drivers.push(gpu::nvidia::DRIVER);
    drivers.extend(registered());
    drivers
}

/// The keys of `system_memory_usage_*`, the same wherever the numbers come from.
struct MemoryKeys {
    used: Option<Key>,
    used_percentage: Option<Key>,
}

impl MemoryKeys {
    fn register(registry: &mut Registry) -> Self {
        Self {
            used: registry.metric(&metrics::MEMORY_USED),
            used_percentage: registry.metric(&metrics::MEMORY_USED_PERCENTAGE),
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
    used: Option<Key>,
    used_percentage: Option<Key>,
    available: Option<Key>,
}

impl DiskKeys {
    fn register(registry: &mut Registry) -> Self {
        Self {
            used: registry.metric(&metrics::DISK_USED),
            used_percentage: registry.metric(&metrics::DISK_USED_PERCENTAGE),
            available: registry.metric(&metrics::DISK_AVAILABLE),
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

/// Refuses to open a probe whose first metric, of its lowest tier, the tier leaves out: then nothing is to be read.
#[cfg(target_os = "linux")]
fn wanted(registry: &Registry, metric: &Metric) -> Result<(), ProbeError> {
    (metric.tier <= registry.tier()).then_some(()).ok_or_else(|| absent("the tier leaves it out"))
}

fn absent(what: &'static str) -> ProbeError {
    ProbeError::Absent(Cow::Borrowed(what))
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
    #[cfg(feature = "nvidia")]
    use std::sync::Mutex;
    use std::time::Duration;

    use runlog_core::autolog::Tier;

    use super::{Driver, Machine, Probe, ProbeError, Registry};
    use crate::readings::Readings;

    pub(crate) struct Bench {
        pub(crate) probe: Box<dyn Probe>,
        pub(crate) registry: Registry,
        readings: Readings,
    }

    impl Bench {
        /// Opens the probe in the highest tier.
        pub(crate) fn open(driver: &Driver, machine: &Machine) -> Result<Self, ProbeError> {
            Self::open_in(Tier::Full, driver, machine)
        }

        pub(crate) fn open_in(tier: Tier, driver: &Driver, machine: &Machine) -> Result<Self, ProbeError> {
            let mut registry = Registry::new(tier);
            let probe = driver.open(machine, &mut registry)?;
            Ok(Self { probe, readings: Readings::new(&registry), registry })
        }

        /// One reading a second after the one before, by name.
        pub(crate) fn read(&mut self) -> Result<BTreeMap<String, f64>, ProbeError> {
            self.read_after(Some(Duration::from_secs(1)))
        }

        pub(crate) fn read_after(
            &mut self,
            since_last: Option<Duration>,
        ) -> Result<BTreeMap<String, f64>, ProbeError> {
            self.readings.begin(since_last);
            self.probe.sample(&mut self.readings.sink())?;
            Ok(self.values())
        }

        /// What the probe hands over in the middle of a reading, each time.
        #[cfg(feature = "nvidia")]
        pub(crate) fn handed_over(&mut self) -> Vec<BTreeMap<String, f64>> {
            let (registry, handed) = (&self.registry, Mutex::new(Vec::new()));
            let so_far = |readings: &Readings| handed.lock().unwrap().push(named(registry, readings));
            self.readings.begin(None);
            self.probe.sample(&mut self.readings.shared_sink(&so_far)).unwrap();
            handed.into_inner().unwrap()
        }

        /// What the last reading put, also where it failed.
        pub(crate) fn values(&self) -> BTreeMap<String, f64> {
            named(&self.registry, &self.readings)
        }

        /// What the probe said of the hardware.
        pub(crate) fn facts(&self) -> BTreeMap<String, String> {
            self.registry.facts().iter().cloned().collect()
        }
    }

    fn named(registry: &Registry, readings: &Readings) -> BTreeMap<String, f64> {
        let named = registry.entries().iter().zip(readings.values());
        named.filter_map(|(entry, value)| Some((entry.name.to_string(), (*value)?))).collect()
    }

    /// A machine in `dir`, with one file under its `proc`.
    pub(crate) fn tree(dir: &Path, file: &str, content: &str) -> Machine {
        let machine = empty(dir);
        write(&machine.proc.join(file), content);
        machine
    }

    /// A machine whose files are all below `dir`, where there is none yet.
    pub(crate) fn empty(dir: &Path) -> Machine {
        let machine = Machine::below(dir);
        for dir in [&machine.proc, &machine.sys, &machine.etc] {
            fs::create_dir_all(dir).unwrap();
        }
        machine
    }

    /// Writes a file of a fixture, with its directories.
    pub(crate) fn write(path: &Path, content: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}
