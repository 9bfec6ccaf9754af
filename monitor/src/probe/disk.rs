//! `disk_*`: the space of the file system that holds `/`, from `statvfs(3)`.
//!
//! Invariant: used counts the blocks that only root may still take as free but not as available, as `df` and psutil do.

use std::path::PathBuf;

use runlog_core::Error;
use rustix::fs::StatVfs;

use super::{DiskKeys, Driver, Machine, Opened, Probe, ProbeError, Registry, Sink, absent, corrupt};

pub(super) const DRIVER: Driver = Driver::built_in("disk", open);

struct Disk {
    path: PathBuf,
    keys: DiskKeys,
}

fn open(machine: &Machine, registry: &mut Registry) -> Opened {
    let path = machine.disk.clone();
    space(&stat(&path)?)?;
    Ok(Box::new(Disk { path, keys: DiskKeys::register(registry) }))
}

impl Probe for Disk {
    fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let (used, available) = space(&stat(&self.path)?)?;
        self.keys.put(sink, used, available);
        Ok(())
    }
}

fn stat(path: &PathBuf) -> Result<StatVfs, ProbeError> {
    rustix::fs::statvfs(path)
        .map_err(|errno| Error::io("read the space of the disk", path, errno.into()).into())
}

/// The used bytes, and those available to users.
fn space(stat: &StatVfs) -> Result<(u64, u64), ProbeError> {
    if stat.f_blocks == 0 {
        return Err(absent("the root file system has no size"));
    }
    let bytes = |blocks: u64| blocks.checked_mul(stat.f_frsize);
    stat.f_blocks
        .checked_sub(stat.f_bfree)
        .and_then(bytes)
        .zip(bytes(stat.f_bavail))
        .ok_or_else(|| corrupt("the file system's numbers of blocks contradict each other"))
}

#[cfg(test)]
mod tests {
    use rustix::fs::StatVfsMountFlags;

    use super::*;
    use crate::probe::testing::{Bench, tree};

    fn of(blocks: u64, free: u64, available: u64, fragment: u64) -> Result<(u64, u64), ProbeError> {
        space(&StatVfs {
            f_bsize: 1,
            f_frsize: fragment,
            f_blocks: blocks,
            f_bfree: free,
            f_bavail: available,
            f_files: 0,
            f_ffree: 0,
            f_favail: 0,
            f_fsid: 0,
            f_flag: StatVfsMountFlags::empty(),
            f_namemax: 255,
        })
    }

    #[test]
    fn reserved_blocks_are_neither_used_nor_available() {
        assert_eq!(of(1000, 600, 300, 4096).unwrap(), (400 * 4096, 300 * 4096));
    }

    #[test]
    fn a_file_system_without_a_size_is_absent_and_a_mad_one_fails() {
        assert!(matches!(of(0, 0, 0, 4096), Err(ProbeError::Absent(_))));
        assert!(matches!(of(10, 11, 5, 4096), Err(ProbeError::Failed(_))));
        assert!(matches!(of(u64::MAX, 1, 1, 4096), Err(ProbeError::Failed(_))));
    }

    #[test]
    fn the_percentage_is_of_what_users_may_have() {
        let dir = tempfile::tempdir().unwrap();
        let values = Bench::open(&DRIVER, &tree(dir.path(), "x", "")).unwrap().read().unwrap();
        let (used, available) = (values["disk_usage_megabytes"], values["disk_available_megabytes"]);
        let expected = 100.0 * used / (used + available);
        assert!((values["disk_usage_percentage"] - expected).abs() < 1e-9);
        assert_eq!(values.len(), 3);
    }

    #[test]
    fn a_path_that_is_gone_fails() {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = tree(dir.path(), "x", "");
        machine.disk = dir.path().join("gone");
        assert!(matches!(Bench::open(&DRIVER, &machine), Err(ProbeError::Failed(_))));
    }
}
