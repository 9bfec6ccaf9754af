//! The eight metrics from sysinfo, for systems without a reader of our own; on Linux it is what tests compare ours with.
//!
//! Invariant: the keys are those of Linux. Two numbers differ a little from MLflow's: used memory on macOS is as
//! Activity Monitor has it, and used disk space includes blocks that only root may take.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sysinfo::{DiskRefreshKind, Disks, MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind, Networks, System};

use runlog_core::{Error, ErrorKind};

use super::traffic::Traffic;
use super::{DiskKeys, Driver, Key, Machine, MemoryKeys, Opened, Probe, ProbeError, Registry, Sink, absent};
use crate::metrics;

/// The probes of this file, in the order in which they are read.
pub(super) const PROBES: &[Driver] = &[
    super::hardware::DRIVER,
    Driver::built_in("cpu", open_cpu),
    Driver::built_in("memory", open_memory),
    Driver::built_in("disk", open_disk),
    Driver::built_in("network", open_network),
];

fn failed(cause: sysinfo::Error) -> ProbeError {
    ProbeError::Failed(Error::new(ErrorKind::Unsupported, "sysinfo cannot read this system").because(cause))
}

struct Cpu {
    system: System,
    /// The time since the last refresh; `None` before the first, whose value is no reading.
    waited: Option<Duration>,
    utilization: Option<Key>,
}

fn open_cpu(_: &Machine, registry: &mut Registry) -> Opened {
    let system = System::new().map_err(failed)?;
    let utilization = registry.metric(&metrics::CPU_UTILIZATION);
    Ok(Box::new(Cpu { system, waited: None, utilization }))
}

impl Probe for Cpu {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let waited = self.waited.zip(sink.since_last()).map(|(waited, more)| waited + more);
        if waited.is_some_and(|waited| waited < MINIMUM_CPU_UPDATE_INTERVAL) {
            // sysinfo would repeat its last value without saying so.
            self.waited = waited;
            return Ok(());
        }
        self.system.refresh_cpu_usage();
        self.waited = Some(Duration::ZERO);
        if waited.is_some() {
            sink.put(self.utilization, f64::from(self.system.global_cpu_usage()));
        }
        Ok(())
    }
}

struct Memory {
    system: System,
    keys: MemoryKeys,
}

fn open_memory(_: &Machine, registry: &mut Registry) -> Opened {
    let system = System::new().map_err(failed)?;
    Ok(Box::new(Memory { system, keys: MemoryKeys::register(registry) }))
}

impl Probe for Memory {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        self.system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let total = self.system.total_memory();
        if total == 0 {
            return Err(absent("sysinfo does not know this system's memory"));
        }
        self.keys.put(sink, total, total.saturating_sub(self.system.used_memory()))
    }
}

struct Disk {
    disks: Disks,
    path: PathBuf,
    keys: DiskKeys,
}

fn open_disk(machine: &Machine, registry: &mut Registry) -> Opened {
    let storage = DiskRefreshKind::nothing().with_storage();
    let disks = Disks::new_with_refreshed_list_specifics(storage).map_err(failed)?;
    let path =
        mount_point(&disks, &machine.disk).ok_or(absent("no disk that sysinfo lists is mounted there"))?;
    Ok(Box::new(Disk { disks, path, keys: DiskKeys::register(registry) }))
}

/// The mount point that `path` is on: the longest that it begins with.
fn mount_point(disks: &Disks, path: &Path) -> Option<PathBuf> {
    let mounts = disks.iter().map(sysinfo::Disk::mount_point);
    mounts
        .filter(|mount| path.starts_with(mount))
        .max_by_key(|mount| mount.as_os_str().len())
        .map(Path::to_path_buf)
}

impl Probe for Disk {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let disk = self.disks.iter_mut().find(|disk| disk.mount_point() == self.path);
        let Some(disk) = disk else { return Err(absent("the disk is gone")) };
        disk.refresh_specifics(DiskRefreshKind::nothing().with_storage());
        let (total, available) = (disk.total_space(), disk.available_space());
        self.keys.put(sink, total.saturating_sub(available), available);
        Ok(())
    }
}

struct Network {
    networks: Networks,
    traffic: Traffic,
}

fn open_network(_: &Machine, registry: &mut Registry) -> Opened {
    let networks = Networks::new().map_err(failed)?;
    Ok(Box::new(Network { networks, traffic: Traffic::register(registry) }))
}

impl Probe for Network {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        self.networks.refresh(true);
        self.networks.iter().for_each(|(name, data)| {
            self.traffic.count(name.as_encoded_bytes(), data.total_received(), data.total_transmitted());
        });
        self.traffic.put(sink);
        Ok(())
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    //! Our readers against sysinfo, on the machine that runs the tests.

    use std::collections::BTreeMap;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use runlog_core::autolog::Tier;
    use runlog_core::clock;

    use super::*;
    use crate::probe::testing::Bench;

    /// Ours and sysinfo's probe of one kind, opened and read for the first time.
    fn both(name: &str) -> (Bench, Bench) {
        let of = |drivers: &[Driver]| drivers.iter().find(|driver| driver.name == name).unwrap().clone();
        let mut ours = Bench::open_in(Tier::Compat, &of(crate::probe::PROBES), &Machine::default()).unwrap();
        let mut theirs = Bench::open_in(Tier::Compat, &of(PROBES), &Machine::default()).unwrap();
        ours.read_after(None).unwrap();
        theirs.read_after(None).unwrap();
        (ours, theirs)
    }

    /// Whether the two have the same keys with values that differ by less than `tolerance`.
    fn agree(ours: &BTreeMap<String, f64>, theirs: &BTreeMap<String, f64>, tolerance: f64) -> bool {
        assert!(!ours.is_empty() && ours.keys().eq(theirs.keys()), "{ours:?} and {theirs:?}");
        ours.values().zip(theirs.values()).all(|(ours, theirs)| (ours - theirs).abs() < tolerance)
    }

    /// The two are never read at quite the same time, and the machine does not stand still in between.
    const ROUNDS: usize = 20;

    #[test]
    fn memory_agrees_with_sysinfo() {
        let (mut ours, mut theirs) = both("memory");
        let megabytes = 100.0;
        assert!((0..ROUNDS).any(|_| agree(&ours.read().unwrap(), &theirs.read().unwrap(), megabytes)));
    }

    #[test]
    fn available_disk_space_agrees_with_sysinfo() {
        let (mut ours, mut theirs) = both("disk");
        let available = |bench: &mut Bench| bench.read().unwrap()["disk_available_megabytes"];
        assert!((0..ROUNDS).any(|_| (available(&mut ours) - available(&mut theirs)).abs() < 100.0));
        let (ours, theirs) = (ours.read().unwrap(), theirs.read().unwrap());
        assert!(ours.keys().eq(theirs.keys()));
        assert!(
            ours["disk_usage_megabytes"] <= theirs["disk_usage_megabytes"] + 100.0,
            "reserved is not used"
        );
    }

    #[test]
    fn processor_time_agrees_with_sysinfo() {
        let (mut ours, mut theirs) = both("cpu");
        let percentage_points = 5.0;
        let agreed = (0..ROUNDS).any(|_| {
            let start = clock::instant();
            while start.elapsed() < MINIMUM_CPU_UPDATE_INTERVAL {
                std::hint::spin_loop();
            }
            agree(&ours.read().unwrap(), &theirs.read().unwrap(), percentage_points)
        });
        assert!(agreed);
    }

    #[test]
    fn traffic_over_loopback_is_counted_as_sysinfo_counts_it() {
        let (mut ours, mut theirs) = both("network");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut receiver = listener.accept().unwrap().0;
        let mut chunk = vec![0; 10_000];
        for _ in 0..300 {
            sender.write_all(&chunk).unwrap();
            receiver.read_exact(&mut chunk).unwrap();
        }
        let megabytes = 2.0;
        assert!((0..ROUNDS).any(|_| agree(&ours.read().unwrap(), &theirs.read().unwrap(), megabytes)));
        assert!(ours.read().unwrap().values().all(|moved| *moved >= 3.0), "what was sent was received too");
    }
}
