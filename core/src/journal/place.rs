//! Where journals are kept: a private directory for each store, and in it one for each process.

use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::segment::Backing;
use crate::config::Config;
use crate::error::{Error, Result};

/// The journals of one store.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A directory, which may have to be made.
    Directory(PathBuf),
    /// Memory: for stores that end with the process anyway.
    Memory,
}

impl Place {
    /// Where the journals for the store at `address` are.
    ///
    /// `RUNLOG_JOURNAL_DIR`, else the user's state directory, else the directory for temporary files.
    pub(crate) fn of(address: &str, config: &Config) -> Self {
        let base = match (&config.journal_dir, &config.state_home) {
            (Some(dir), _) => dir.clone(),
            (None, Some(state)) => state.join("runlog"),
            (None, None) => config.temp_dir.join(format!("runlog-{}", user_id())),
        };
        Self::Directory(base.join(format!("{:016x}", xxh3_64(address.as_bytes()))))
    }
}

/// Makes `dir`, for this user alone.
pub(super) fn make_private(dir: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|cause| Error::io("make the journal's directory", dir, cause))
}

/// How slots are kept in files of `dir`.
///
/// Mapped only if that is wanted, and where reserving space means that a write cannot fail later.
#[cfg(target_os = "linux")]
pub(super) fn backing_in(dir: &Path, may_map: bool) -> Backing {
    // From linux/magic.h: ext4, XFS, tmpfs, overlayfs.
    const RESERVING: [u32; 4] = [0xef53, 0x5846_5342, 0x0102_1994, 0x794c_7630];
    match rustix::fs::statfs(dir) {
        Ok(stat) if may_map && u32::try_from(stat.f_type).is_ok_and(|kind| RESERVING.contains(&kind)) => {
            Backing::Mapped
        }
        _ => Backing::Written,
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn backing_in(_: &Path, _: bool) -> Backing {
    Backing::Written
}

#[cfg(unix)]
fn user_id() -> u32 {
    rustix::process::getuid().as_raw()
}

#[cfg(not(unix))]
fn user_id() -> u32 {
    0
}
