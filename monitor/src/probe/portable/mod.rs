//! The machine from sysinfo, for systems without a reader of our own; on Linux it is what tests compare ours with.
//!
//! Invariant: the keys are those of Linux. Numbers that differ a little: used memory on macOS is as Activity Monitor has
//! it; used disk space includes blocks that only root may take; what disks read and wrote is of the disk that holds `/`
//! (the volume `C:` on Windows) alone, since sysinfo repeats a disk's counters for each of its volumes; an interface with
//! a hardware address is taken for hardware.

mod facts;
#[cfg(not(target_os = "linux"))]
pub(super) mod gpu;
mod process;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sysinfo::{
    CpuRefreshKind, DiskRefreshKind, Disks, MINIMUM_CPU_UPDATE_INTERVAL, MacAddr, MemoryRefreshKind,
    Networks, System,
};

use runlog_core::{Error, ErrorKind};

use super::traffic::Traffic;
use super::{
    DiskKeys, Driver, Key, MEGABYTE, Machine, MemoryKeys, Opened, Probe, ProbeError, Registry, Sink, absent,
    float,
};
use crate::counter::Counter;
use crate::metrics;

/// The probes from sysinfo, in the order in which they are read.
pub(super) const PROBES: &[Driver] = &[
    facts::DRIVER,
    Driver::built_in("cpu", open_cpu),
    Driver::built_in("memory", open_memory),
    Driver::built_in("disk", open_disk),
    Driver::built_in("network", open_network),
    process::DRIVER,
    #[cfg(all(feature = "apple", target_os = "macos", target_arch = "aarch64"))]
    super::gpu::apple::DRIVER,
    #[cfg(not(any(
        target_os = "linux",
        all(feature = "apple", target_os = "macos", target_arch = "aarch64")
    )))]
    gpu::DRIVER,
];

fn failed(cause: sysinfo::Error) -> ProbeError {
    ProbeError::Failed(Error::new(ErrorKind::Unsupported, "sysinfo cannot read this system").because(cause))
}

struct Cpu {
    system: System,
    /// The time since the last refresh; `None` before the first, whose value is no reading.
    waited: Option<Duration>,
    utilization: Option<Key>,
    cores: Vec<Option<Key>>,
    load: Option<Key>,
}

fn open_cpu(_: &Machine, registry: &mut Registry) -> Opened {
    let mut system = System::new().map_err(failed)?;
    let utilization = registry.metric(&metrics::CPU_UTILIZATION);
    system.refresh_cpu_list(CpuRefreshKind::nothing());
    let core = |(core, _)| registry.metric_of("cpu", core, &metrics::CORE_UTILIZATION);
    let cores = (0..).zip(system.cpus()).map(core).collect();
    // Windows keeps none.
    let load = System::load_average().ok().and_then(|_| registry.metric(&metrics::LOAD_AVERAGE));
    Ok(Box::new(Cpu { system, waited: None, utilization, cores, load }))
}

impl Probe for Cpu {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        if let Some((key, load)) = self.load.zip(System::load_average().ok()) {
            sink.put(key, load.one);
        }
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
            for (key, core) in self.cores.iter().zip(self.system.cpus()) {
                sink.put(*key, f64::from(core.usage()));
            }
        }
        Ok(())
    }
}

struct Memory {
    system: System,
    keys: MemoryKeys,
    swap: Option<Key>,
    swap_percentage: Option<Key>,
}

fn open_memory(_: &Machine, registry: &mut Registry) -> Opened {
    let system = System::new().map_err(failed)?;
    let keys = MemoryKeys::register(registry);
    let swap = registry.metric(&metrics::SWAP_USED);
    Ok(Box::new(Memory {
        system,
        keys,
        swap,
        swap_percentage: registry.metric(&metrics::SWAP_USED_PERCENTAGE),
    }))
}

impl Probe for Memory {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        self.system.refresh_memory_specifics(MemoryRefreshKind::everything());
        let (swap, all_swap) = (float(self.system.used_swap()), float(self.system.total_swap()));
        if all_swap > 0.0 {
            sink.put(self.swap, swap / MEGABYTE);
            sink.put(self.swap_percentage, swap / all_swap * 100.0);
        }
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
    read_bytes: Counter,
    written_bytes: Counter,
    read: Option<Key>,
    written: Option<Key>,
}

fn open_disk(machine: &Machine, registry: &mut Registry) -> Opened {
    let storage = DiskRefreshKind::nothing().with_storage();
    let disks = Disks::new_with_refreshed_list_specifics(storage).map_err(failed)?;
    let path =
        mount_point(&disks, &machine.disk).ok_or(absent("no disk that sysinfo lists is mounted there"))?;
    Ok(Box::new(Disk {
        disks,
        path,
        keys: DiskKeys::register(registry),
        read_bytes: Counter::default(),
        written_bytes: Counter::default(),
        read: registry.metric(&metrics::DISK_READ_RATE),
        written: registry.metric(&metrics::DISK_WRITE_RATE),
    }))
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
        disk.refresh_specifics(DiskRefreshKind::nothing().with_storage().with_io_usage());
        let (total, available) = (disk.total_space(), disk.available_space());
        self.keys.put(sink, total.saturating_sub(available), available);
        let usage = disk.usage();
        // Of a disk without counters sysinfo says 0, which no disk that holds a system has.
        if usage.total_read_bytes > 0 {
            let read = self.read_bytes.advance(usage.total_read_bytes);
            let written = self.written_bytes.advance(usage.total_written_bytes);
            sink.put_rate(self.read, read.map(|bytes| float(bytes) / MEGABYTE));
            sink.put_rate(self.written, written.map(|bytes| float(bytes) / MEGABYTE));
        }
        Ok(())
    }
}

struct Network {
    networks: Networks,
    traffic: Traffic,
    received: Option<Key>,
    sent: Option<Key>,
}

fn open_network(_: &Machine, registry: &mut Registry) -> Opened {
    let networks = Networks::new().map_err(failed)?;
    let traffic = Traffic::register(registry);
    let received = registry.metric(&metrics::NETWORK_RECEIVE_RATE);
    let sent = registry.metric(&metrics::NETWORK_TRANSMIT_RATE);
    Ok(Box::new(Network { networks, traffic, received, sent }))
}

impl Probe for Network {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        self.networks.refresh(true);
        self.traffic.begin();
        let (mut received, mut sent) = (0, 0);
        for (name, data) in &self.networks {
            self.traffic.count(name.as_encoded_bytes(), data.total_received(), data.total_transmitted());
            if data.mac_address() != MacAddr::UNSPECIFIED {
                received += data.received();
                sent += data.transmitted();
            }
        }
        self.traffic.put(sink);
        sink.put_rate(self.received, Some(float(received) / MEGABYTE));
        sink.put_rate(self.sent, Some(float(sent) / MEGABYTE));
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

    /// A probe of this file, with all that it reads, read for the first time.
    fn theirs(name: &str) -> Bench {
        let driver = PROBES.iter().find(|driver| driver.name == name).unwrap();
        let mut bench = Bench::open(driver, &Machine::default()).unwrap();
        bench.read_after(None).unwrap();
        bench
    }

    /// The number that follows a word in one of the kernel's files.
    fn kernel(file: &str, word: &str) -> f64 {
        let text = std::fs::read_to_string(file).unwrap();
        let line = text.lines().find(|line| line.starts_with(word)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Spins until sysinfo looks at the processors again.
    fn burn() {
        let start = clock::instant();
        while start.elapsed() < MINIMUM_CPU_UPDATE_INTERVAL {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn every_core_has_its_time_and_the_load_is_the_kernels() {
        let mut bench = theirs("cpu");
        burn();
        let values = bench.read().unwrap();
        let cores =
            values.iter().filter(|(name, _)| metrics::describe(name) == Some(metrics::CORE_UTILIZATION.what));
        let cores: Vec<_> = cores.map(|(_, percentage)| *percentage).collect();
        assert_eq!(Some(cores.len()), System::new_all().ok().map(|system| system.cpus().len()));
        assert!(cores.iter().all(|percentage| (0.0..=100.0).contains(percentage)), "{cores:?}");
        let mean = cores.iter().sum::<f64>() / float(cores.len() as u64);
        assert!((mean - values["cpu_utilization_percentage"]).abs() < 5.0, "{values:?}");
        let load = std::fs::read_to_string("/proc/loadavg").unwrap();
        let load: f64 = load.split(' ').next().unwrap().parse().unwrap();
        assert!((values["load_average_1m"] - load).abs() < 1.0);
    }

    #[test]
    fn swap_agrees_with_the_kernel_and_is_absent_without_any() {
        let mut bench = theirs("memory");
        let agrees = (0..ROUNDS).any(|_| {
            let used = bench.read().unwrap().get("swap_usage_megabytes").copied();
            let all = kernel("/proc/meminfo", "SwapTotal:");
            let expected = (all - kernel("/proc/meminfo", "SwapFree:")) * 1024.0 / MEGABYTE;
            used.map_or(all == 0.0, |used| (used - expected).abs() < 10.0)
        });
        assert!(agrees);
    }

    #[test]
    fn the_process_agrees_with_the_kernel() {
        let mut bench = theirs("process");
        let agrees = (0..ROUNDS).any(|_| {
            let values = bench.read().unwrap();
            let rss = kernel("/proc/self/status", "VmRSS:") * 1024.0 / MEGABYTE;
            (values["process_memory_rss_megabytes"] - rss).abs() < 10.0
        });
        assert!(agrees);
        assert!(bench.read().unwrap()["process_open_files"] >= 3.0);
    }

    #[test]
    fn the_processs_time_agrees_with_the_kernel() {
        let ticks_a_second = float(rustix::param::clock_ticks_per_second());
        let cpu_secs = || {
            let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
            let after_name = stat.rsplit(')').next().unwrap();
            let times = after_name.split_whitespace().skip(11).take(2);
            times.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / ticks_a_second
        };
        let processors = float(std::thread::available_parallelism().unwrap().get() as u64);
        let mut bench = theirs("process");
        let agrees = (0..ROUNDS).any(|_| {
            bench.read().unwrap();
            let before = cpu_secs();
            burn();
            let told = bench.read().unwrap()["process_cpu_utilization_percentage"] / 100.0 * processors;
            let expected = cpu_secs() - before;
            expected > 0.0 && (told - expected).abs() < 0.05
        });
        assert!(agrees);
    }

    #[test]
    fn what_a_process_writes_is_told_as_a_rate() {
        let dir = tempfile::tempdir().unwrap();
        let mut bench = theirs("process");
        assert!(!bench.values().contains_key("process_disk_write_megabytes_per_second"), "no rate at first");
        std::fs::write(dir.path().join("file"), vec![1; 5_000_000]).unwrap();
        let values = bench.read().unwrap();
        let written = kernel("/proc/self/io", "write_bytes:");
        let told = values["process_disk_write_megabytes_per_second"];
        assert!(
            told * MEGABYTE <= written && values["process_disk_read_megabytes_per_second"] >= 0.0,
            "{values:?}"
        );
    }

    #[test]
    fn disks_and_networks_have_rates_from_the_second_reading_on() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (driver, rates) in [
            ("disk", names(&["disk_read_megabytes_per_second", "disk_write_megabytes_per_second"])),
            (
                "network",
                names(&["network_receive_megabytes_per_second", "network_transmit_megabytes_per_second"]),
            ),
        ] {
            let mut bench = theirs(driver);
            assert!(rates.iter().all(|rate| !bench.values().contains_key(rate)), "{driver}");
            let values = bench.read().unwrap();
            let told: Vec<_> = rates.iter().filter_map(|rate| values.get(rate)).collect();
            // Disks of some virtual machines have no counters.
            assert!(told.len() == rates.len() || (driver == "disk" && told.is_empty()), "{values:?}");
            assert!(told.iter().all(|rate| **rate >= 0.0));
        }
    }
}
