//! Whether a file lies on a disk of this machine.
//!
//! SQLite's WAL mode keeps an index in shared memory, which other machines do not see: on a network share it corrupts
//! the database as soon as two of them write.

use std::path::Path;

/// Magic numbers of file systems whose files another kernel may change as well, as `statfs(2)` reports them.
///
/// FUSE stands for whatever is behind it (sshfs, a cloud bucket, a virtual machine's share), so it counts as remote.
#[cfg(target_os = "linux")]
const REMOTE: [(u32, &str); 15] = [
    (0x6969, "nfs"),
    (0x517B, "smb"),
    (0xFF53_4D42, "cifs"),
    (0xFE53_4D42, "smb2"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
    (0x00C3_6400, "ceph"),
    (0x0BD0_0BD0, "lustre"),
    (0x4750_4653, "gpfs"),
    (0x1983_0326, "beegfs"),
    (0x5346_414F, "afs"),
    (0x6B41_4653, "kafs"),
    (0x7375_7245, "coda"),
    (0x564C, "ncp"),
    (0x786F_4256, "vboxsf"),
];

/// Whether `path` is on a local file system; what cannot be told is not.
#[cfg(target_os = "linux")]
pub(super) fn is_local(path: &Path) -> bool {
    let Ok(stat) = rustix::fs::statfs(path) else { return false };
    // The field is signed or not and 32 or 64 bits wide, by architecture; the magic is its low half.
    let magic = i128::from(stat.f_type) & 0xFFFF_FFFF;
    !REMOTE.iter().any(|(remote, _)| i128::from(*remote) == magic)
}

/// Elsewhere working directories are on local disks as a rule, and there is no portable question to ask.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_local(_path: &Path) -> bool {
    true
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_directory_is_local_and_nowhere_is_not() {
        assert!(is_local(&std::env::temp_dir()));
        assert!(!is_local(Path::new("/does/not/exist")));
    }
}
