//! Where journals are kept: a private directory for each store, and in it one for each process.

use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::segment::Backing;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::file_system;

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
    pub(crate) fn of(address: &str, config: &Config) -> Self {
        Self::Directory(base(config).join(format!("{:016x}", xxh3_64(address.as_bytes()))))
    }

    /// The places of all stores that have one.
    ///
    /// # Errors
    /// The directory that they are in cannot be read.
    pub(crate) fn all(config: &Config) -> Result<Vec<Self>> {
        let base = base(config);
        let fail = |cause| Error::io("look for journals", &base, cause);
        let listing = match std::fs::read_dir(&base) {
            Ok(listing) => listing,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(fail(cause)),
        };
        let mut dirs = Vec::new();
        for entry in listing {
            let path = entry.map_err(fail)?.path();
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            if name.len() == 16 && name.iter().all(u8::is_ascii_hexdigit) && path.is_dir() {
                dirs.push(path);
            }
        }
        dirs.sort();
        Ok(dirs.into_iter().map(Self::Directory).collect())
    }
}

/// `RUNLOG_JOURNAL_DIR`, else in the user's state directory, else in the directory for temporary files.
fn base(config: &Config) -> PathBuf {
    match (&config.journal_dir, &config.state_home) {
        (Some(dir), _) => dir.clone(),
        (None, Some(state)) => state.join("runlog"),
        (None, None) => config.temp_dir.join(format!("runlog-{}", user_id())),
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
pub(super) fn backing_in(dir: &Path, may_map: bool) -> Backing {
    if may_map && file_system::keeps_reservations(dir) { Backing::Mapped } else { Backing::Written }
}

#[cfg(unix)]
fn user_id() -> u32 {
    rustix::process::getuid().as_raw()
}

#[cfg(not(unix))]
fn user_id() -> u32 {
    0
}
