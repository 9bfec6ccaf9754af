//! What a file system promises: whether it is this machine's alone, and whether space that it reserves is kept.
//!
//! SQLite's WAL mode keeps an index in shared memory, which other machines do not see: on a network share it corrupts
//! the database as soon as two of them write. A lock may be this machine's alone there, too, so a free one says nothing
//! about a process of another machine.

use std::path::Path;

/// Magic numbers of file systems whose files another kernel may change as well, as `statfs(2)` reports them.
///
/// FUSE stands for whatever is behind it (sshfs, a cloud bucket, a virtual machine's share), so it counts as remote.
#[cfg(target_os = "linux")]
const REMOTE: [u32; 18] = [
    0x6969,      // nfs
    0x517B,      // smb
    0xFF53_4D42, // cifs
    0xFE53_4D42, // smb2
    0x6573_5546, // fuse
    0x0102_1997, // 9p
    0x00C3_6400, // ceph
    0x0BD0_0BD0, // lustre
    0x4750_4653, // gpfs
    0x1983_0326, // beegfs
    0x5346_414F, // afs
    0x6B41_4653, // kafs
    0x7375_7245, // coda
    0x564C,      // ncp
    0x786F_4256, // vboxsf
    0x0116_1970, // gfs2
    0x7461_636F, // ocfs2
    0xAAD7_AAEA, // panfs
];

/// Those on which a write to space that `fallocate(2)` reserved cannot fail: ext4, XFS, tmpfs, overlayfs.
#[cfg(target_os = "linux")]
const RESERVING: [u32; 4] = [0xef53, 0x5846_5342, 0x0102_1994, 0x794c_7630];

#[cfg(target_os = "linux")]
fn magic(path: &Path) -> Option<u32> {
    let stat = rustix::fs::statfs(path).ok()?;
    // The field is signed or not and 32 or 64 bits wide, by architecture; the magic is its low half.
    u32::try_from(i128::from(stat.f_type) & 0xFFFF_FFFF).ok()
}

/// Whether `path` is on a file system of this machine alone; what cannot be told is not.
#[cfg(target_os = "linux")]
pub(crate) fn is_local(path: &Path) -> bool {
    magic(path).is_some_and(|magic| !REMOTE.contains(&magic))
}

/// Elsewhere working directories are on local disks as a rule, and there is no portable question to ask.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_local(_path: &Path) -> bool {
    true
}

/// Whether space that is reserved at `path` is kept, so that a write to it cannot fail later.
#[cfg(target_os = "linux")]
pub(crate) fn keeps_reservations(path: &Path) -> bool {
    magic(path).is_some_and(|magic| RESERVING.contains(&magic))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn keeps_reservations(_path: &Path) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_directory_is_local_and_nowhere_is_not() {
        assert!(is_local(&std::env::temp_dir()));
        assert!(!is_local(Path::new("/does/not/exist")));
        assert!(!keeps_reservations(Path::new("/does/not/exist")));
    }
}
