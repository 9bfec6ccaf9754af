//! `disk_read_*`, `disk_write_*` and `disk_busy_percentage`: what the disks did between two readings of
//! `/proc/diskstats` (the format: `proc_diskstats(5)` and the kernel's `Documentation/admin-guide/iostats.rst`).
//!
//! Invariant: each byte counts once. A disk is hardware (`/sys/block/<name>/device`); partitions, and the layers above
//! disks (dm, md, loop, zram), repeat what disks do. Of an `NVMe` disk with several paths the paths count: kernels before
//! 6.5 do not count at the disk itself.

use std::path::{Path, PathBuf};

use super::pseudo::{Pseudo, lines, number, words};
use super::roll::Roll;
use super::sysfs::names;
use super::{
    Driver, Key, MEGABYTE, Machine, Opened, Probe, ProbeError, Registry, Sink, absent, corrupt, float, wanted,
};
use crate::counter::Counter;
use crate::metrics;

pub(super) const DRIVER: Driver = Driver::built_in("disk traffic", open);

/// Of a sector in this file, whatever the disk's own are.
const SECTOR_BYTES: f64 = 512.0;

/// Where each amount stands among the columns after the name.
const COLUMNS: [usize; AMOUNTS] = [0, 2, 4, 6, 9];
const AMOUNTS: usize = 5;
const READS: usize = 0;
const SECTORS_READ: usize = 1;
const WRITES: usize = 2;
const SECTORS_WRITTEN: usize = 3;
const BUSY_MILLIS: usize = 4;

struct Disks {
    diskstats: Pseudo,
    block: PathBuf,
    devices: Roll<Disk>,
    keys: [Option<Key>; AMOUNTS],
}

#[derive(Default)]
struct Disk {
    /// Whether it is a disk, and not part of one or above one.
    counts: bool,
    now: [u64; AMOUNTS],
    before: [Counter; AMOUNTS],
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    wanted(registry, &metrics::DISK_READ_RATE)?;
    let diskstats = Pseudo::open(machine.proc.join("diskstats"))?;
    let mut disks = Disks {
        diskstats,
        block: machine.sys.join("block"),
        devices: Roll::default(),
        keys: [None; AMOUNTS],
    };
    disks.list()?;
    if !disks.devices.known().any(|disk| disk.counts) {
        return Err(absent("no disk is hardware"));
    }
    let mut key = |metric| registry.metric(metric);
    disks.keys[READS] = key(&metrics::DISK_READ_OPERATIONS);
    disks.keys[SECTORS_READ] = key(&metrics::DISK_READ_RATE);
    disks.keys[WRITES] = key(&metrics::DISK_WRITE_OPERATIONS);
    disks.keys[SECTORS_WRITTEN] = key(&metrics::DISK_WRITE_RATE);
    disks.keys[BUSY_MILLIS] = key(&metrics::DISK_BUSY);
    Ok(Box::new(disks))
}

impl Probe for Disks {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        // After a failure there is no beginning that is one interval old.
        self.list().inspect_err(|_| self.devices.clear())?;
        let mut sums = [None; AMOUNTS];
        let mut busiest = None;
        for disk in self.devices.known().filter(|disk| disk.counts) {
            let mut passed = [None; AMOUNTS];
            for ((passed, before), now) in passed.iter_mut().zip(&mut disk.before).zip(disk.now) {
                *passed = before.advance(now);
            }
            for (sum, passed) in sums.iter_mut().zip(passed) {
                *sum = passed.map(|passed| sum.unwrap_or(0.0) + float(passed)).or(*sum);
            }
            busiest = busiest.max(passed[BUSY_MILLIS]);
        }
        sink.put_rate(self.keys[READS], sums[READS]);
        sink.put_rate(self.keys[WRITES], sums[WRITES]);
        for moved in [SECTORS_READ, SECTORS_WRITTEN] {
            sink.put_rate(self.keys[moved], sums[moved].map(|sectors| sectors * SECTOR_BYTES / MEGABYTE));
        }
        if let (Some(busy), Some(passed)) = (busiest, sink.since_last())
            && !passed.is_zero()
        {
            // The kernel's clock and ours are read a moment apart.
            sink.put(self.keys[BUSY_MILLIS], (float(busy) / 10.0 / passed.as_secs_f64()).min(100.0));
        }
        Ok(())
    }
}

impl Disks {
    /// Reads what every device has done since boot.
    fn list(&mut self) -> Result<(), ProbeError> {
        let mut some_new = false;
        self.devices.begin();
        for line in lines(self.diskstats.whole()?).filter(|line| !line.is_empty()) {
            let (name, now) =
                parse(line).ok_or_else(|| corrupt("/proc/diskstats has a line that is no disk"))?;
            let (disk, new) = self.devices.list(name, Disk::default);
            disk.now = now;
            some_new |= new;
        }
        self.devices.end();
        if some_new {
            self.decide();
        }
        Ok(())
    }

    /// Which of the devices count. What one of them is depends on the others.
    fn decide(&mut self) {
        let all: Vec<_> =
            self.devices.names().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        // Some containers have no `/sys`.
        let in_sysfs = !names(&self.block).is_empty();
        for (disk, name) in self.devices.known().zip(&all) {
            let is_disk = if in_sysfs { is_hardware(&self.block, name) } else { is_disk_by_name(name, &all) };
            disk.counts = is_disk && !all.iter().any(|path| nvme_disk(path).as_ref() == Some(name));
        }
    }
}

/// The name of the device and its amounts. Columns of newer kernels follow.
fn parse(line: &[u8]) -> Option<(&[u8], [u64; AMOUNTS])> {
    let mut words = words(line).skip(2);
    let name = words.next()?;
    let mut amounts = [0; AMOUNTS];
    let mut next = 0;
    for (amount, column) in amounts.iter_mut().zip(COLUMNS) {
        *amount = words.nth(column - next).and_then(number)?;
        next = column + 1;
    }
    Some((name, amounts))
}

/// Whether a device of this name is hardware. Partitions have no directory of their own there.
fn is_hardware(block: &Path, name: &str) -> bool {
    // `cciss/c0d0` is the name of a disk, and `..` is none.
    !name.starts_with('.') && block.join(name.replace('/', "!")).join("device").exists()
}

/// Names of what stands above disks, or is none.
const LAYERS: [&str; 10] = ["loop", "ram", "zram", "dm-", "md", "nbd", "bcache", "drbd", "zd", "sr"];

/// What `is_hardware` says, where only the names are known.
fn is_disk_by_name(name: &str, all: &[String]) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_part_of = |disk: &String| {
        let part = name.strip_prefix(disk.as_str()).filter(|part| !part.is_empty());
        part.is_some_and(|part| {
            if disk.ends_with(|last: char| last.is_ascii_digit()) {
                part.strip_prefix('p').is_some_and(digits)
            } else {
                digits(part)
            }
        })
    };
    !LAYERS.iter().any(|layer| name.starts_with(layer)) && !all.iter().any(is_part_of)
}

/// The `NVMe` disk that `path` is one path to: `nvme0n1` of `nvme0c3n1`, as `nvme_mpath_set_disk_name` in the kernel has it.
fn nvme_disk(path: &str) -> Option<String> {
    let (subsystem, rest) = path.strip_prefix("nvme")?.split_once('c')?;
    let (controller, namespace) = rest.split_once('n')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    [subsystem, controller, namespace].into_iter().all(digits).then(|| format!("nvme{subsystem}n{namespace}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use proptest::prelude::*;
    use runlog_core::autolog::Tier;

    use super::*;
    use crate::probe::testing::{Bench, empty, tree, write};

    /// Reads, megabytes read, writes, megabytes written, seconds busy.
    type Did<'a> = (&'a str, [u64; 5]);

    fn table(disks: &[Did<'_>]) -> String {
        let line = |(name, [reads, read, writes, written, busy]): &Did<'_>| {
            let sectors = |megabytes: u64| megabytes * 1_000_000 / 512;
            let (read, written) = (sectors(*read), sectors(*written));
            format!(" 259 0 {name} {reads} 1 {read} 5 {writes} 2 {written} 6 0 {busy}000 77 0 0 0 0 0 0\n")
        };
        disks.iter().map(line).collect()
    }

    fn hardware(machine: &Machine, disks: &[&str]) {
        for disk in disks {
            fs::create_dir_all(machine.sys.join("block").join(disk).join("device")).unwrap();
        }
        fs::create_dir_all(machine.sys.join("block/loop0")).unwrap();
    }

    /// The names that count of those in a table.
    fn counted(machine: &Machine, all: &[&str]) -> Vec<String> {
        write(
            &machine.proc.join("diskstats"),
            &table(&all.iter().map(|name| (*name, [0; 5])).collect::<Vec<_>>()),
        );
        let mut disks = Disks {
            diskstats: Pseudo::open(machine.proc.join("diskstats")).unwrap(),
            block: machine.sys.join("block"),
            devices: Roll::default(),
            keys: [None; AMOUNTS],
        };
        disks.list().unwrap();
        let counts: Vec<_> = disks.devices.known().map(|disk| disk.counts).collect();
        let names = disks.devices.names().zip(counts).filter(|(_, counts)| *counts);
        names.map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
    }

    #[test]
    fn rates_of_all_disks_and_the_busiest_one() {
        let dir = tempfile::tempdir().unwrap();
        let first =
            [("sda", [10, 64, 5, 128, 1]), ("sda1", [10, 64, 5, 128, 1]), ("nvme0n1", [0, 0, 0, 0, 0])];
        let machine = tree(dir.path(), "diskstats", &table(&first));
        hardware(&machine, &["sda", "nvme0n1"]);
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        assert!(bench.read_after(None).unwrap().is_empty());
        let then =
            [("sda", [14, 128, 5, 128, 3]), ("sda1", [14, 128, 5, 128, 3]), ("nvme0n1", [4, 64, 2, 256, 1])];
        write(&machine.proc.join("diskstats"), &table(&then));
        let values = bench.read_after(Some(Duration::from_secs(4))).unwrap();
        let expected = [
            ("disk_busy_percentage", 50.0),
            ("disk_read_megabytes_per_second", 32.0),
            ("disk_read_operations_per_second", 2.0),
            ("disk_write_megabytes_per_second", 64.0),
            ("disk_write_operations_per_second", 0.5),
        ];
        assert!(values.iter().map(|(name, value)| (name.as_str(), *value)).eq(expected), "{values:?}");
        assert!(bench.read_after(None).unwrap().is_empty(), "no rate over a gap");
    }

    #[test]
    fn partitions_and_layers_above_disks_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        hardware(&machine, &["sda", "nvme0n1", "mmcblk0", "cciss!c0d0", "vda"]);
        let all = [
            "loop0",
            "sda",
            "sda1",
            "sda10",
            "nvme0n1",
            "nvme0n1p1",
            "mmcblk0",
            "mmcblk0p2",
            "cciss/c0d0",
            "vda",
            "dm-0",
            "md127",
            "zram0",
            "..",
        ];
        assert_eq!(counted(&machine, &all), ["sda", "nvme0n1", "mmcblk0", "cciss/c0d0", "vda"]);
    }

    #[test]
    fn without_sysfs_names_decide() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        let all = [
            "loop0",
            "ram0",
            "zram0",
            "dm-0",
            "md0",
            "md0p1",
            "sr0",
            "sda",
            "sda1",
            "sdaa",
            "sdaa2",
            "nvme0n1",
            "nvme0n1p1",
            "nvme0n2",
            "mmcblk0",
            "mmcblk0p2",
            "vda",
            "xvda1",
        ];
        assert_eq!(
            counted(&machine, &all),
            ["sda", "sdaa", "nvme0n1", "nvme0n2", "mmcblk0", "vda", "xvda1"],
            "a disk may look like a partition where there is nothing that it is part of"
        );
    }

    #[test]
    fn of_an_nvme_disk_with_several_paths_the_paths_count() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        let all = ["nvme0c0n1", "nvme0n1", "nvme0c1n1", "nvme1n1"];
        assert_eq!(counted(&machine, &all), ["nvme0c0n1", "nvme0c1n1", "nvme1n1"]);
        hardware(&machine, &all);
        assert_eq!(counted(&machine, &all), ["nvme0c0n1", "nvme0c1n1", "nvme1n1"]);
    }

    #[test]
    fn disks_may_come_and_go_and_begin_anew() {
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "diskstats", &table(&[("sda", [0, 0, 0, 0, 0])]));
        hardware(&machine, &["sda", "sdb"]);
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read_after(None).unwrap();
        let mut read = |disks: &[Did<'_>]| {
            write(&machine.proc.join("diskstats"), &table(disks));
            bench.read().unwrap().get("disk_read_megabytes_per_second").copied()
        };
        assert_eq!(read(&[("sda", [0, 64, 0, 0, 0])]), Some(64.0));
        assert_eq!(
            read(&[("sda", [0, 128, 0, 0, 0]), ("sdb", [0, 640, 0, 0, 0])]),
            Some(64.0),
            "its first look"
        );
        assert_eq!(read(&[("sdb", [0, 768, 0, 0, 0]), ("sda", [0, 128, 0, 0, 0])]), Some(128.0));
        assert_eq!(
            read(&[("sdb", [0, 832, 0, 0, 0]), ("sda", [0, 64, 0, 0, 0])]),
            Some(64.0),
            "it ran backwards"
        );
        assert_eq!(read(&[("sda", [0, 128, 0, 0, 0])]), Some(64.0));
        assert_eq!(read(&[]), None, "no disk moves nothing, which is not 0");
    }

    #[test]
    fn garbage_fails_and_is_no_interval_when_it_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let machine = tree(dir.path(), "diskstats", &table(&[("sda", [0, 0, 0, 0, 0])]));
        let mut bench = Bench::open(&DRIVER, &machine).unwrap();
        bench.read_after(None).unwrap();
        for bad in ["garbage\n", "8 0 sda 1 2 3 4\n", "8 0 sda a b c d e f g h i j k\n", "\u{0}\u{1}"] {
            write(&machine.proc.join("diskstats"), bad);
            assert!(matches!(bench.read(), Err(ProbeError::Failed(_))), "{bad:?}");
            assert!(bench.values().is_empty());
            write(&machine.proc.join("diskstats"), &table(&[("sda", [0, 640, 0, 0, 0])]));
            assert!(bench.read().unwrap().is_empty(), "two intervals are not one");
            assert_eq!(bench.read().unwrap().len(), 5);
        }
    }

    #[test]
    fn a_machine_without_disks_has_no_metric() {
        let dir = tempfile::tempdir().unwrap();
        let machine = empty(dir.path());
        let absent = |tier| matches!(Bench::open_in(tier, &DRIVER, &machine), Err(ProbeError::Absent(_)));
        assert!(absent(Tier::Full));
        write(&machine.proc.join("diskstats"), &table(&[("loop0", [0; 5])]));
        assert!(absent(Tier::Full));
        write(&machine.proc.join("diskstats"), &table(&[("sda", [0; 5])]));
        assert!(absent(Tier::Compat) && !absent(Tier::Standard));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_do_not(bytes: Vec<u8>, name: String) {
            let _parsed = parse(&bytes);
            let _disk = nvme_disk(&name);
            let _is_disk = is_disk_by_name(&name, &[name.clone(), format!("{name}1")]);
        }
    }
}
