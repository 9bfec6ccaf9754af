//! How files come to lie in the store: whole or not at all, and on the disk when they are asked to be.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::sync::lock;

/// A file that is being written. It lies in the directory of a run, model or experiment, where MLflow looks at no
/// files but `meta.yaml`, and whoever writes it holds the lock of that directory.
const UNFINISHED: &str = ".runlog.new";

/// Files that are synced one by one. A thousand new params would take a second so; the whole file system takes as long
/// as it has to write, for others too.
const ONE_BY_ONE_MAX: usize = 32;

/// What was written and may not be on the disk yet.
#[derive(Debug, Default)]
pub(super) struct Disk {
    unsynced: Mutex<BTreeSet<PathBuf>>,
}

impl Disk {
    /// Puts a file with this content in the place of `path`, by way of `home`, the locked directory it belongs to.
    pub(super) fn put(&self, home: &Path, path: &Path, content: &[u8]) -> Result<()> {
        let unfinished = home.join(UNFINISHED);
        let write = || {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .open(&unfinished)?
                .write_all(content)?;
            if let Some(parent) = path.parent().filter(|parent| *parent != home) {
                fs::create_dir_all(parent)?;
            }
            fs::rename(&unfinished, path)
        };
        write().map_err(|cause| {
            fs::remove_file(&unfinished).ok();
            failed("write the file", path, cause)
        })?;
        self.wrote(path);
        Ok(())
    }

    /// Notes that `path` must be synced.
    pub(super) fn wrote(&self, path: &Path) {
        let mut unsynced = lock(&self.unsynced);
        if !unsynced.contains(path) {
            unsynced.insert(path.to_owned());
        }
    }

    /// Notes that what lies below `from` lies below `to` now.
    pub(super) fn moved(&self, from: &Path, to: &Path) {
        let mut unsynced = lock(&self.unsynced);
        let moved: Vec<PathBuf> = unsynced.iter().filter(|path| path.starts_with(from)).cloned().collect();
        for path in moved {
            unsynced.remove(&path);
            unsynced.extend(path.strip_prefix(from).map(|below| to.join(below)));
        }
        // So that the entries of both directories are synced.
        unsynced.extend([from.to_owned(), to.to_owned()]);
    }

    /// Brings to the disk what was written since the last time, with the directories from there up to `root`.
    pub(super) fn sync(&self, root: &Path) -> Result<()> {
        let files = std::mem::take(&mut *lock(&self.unsynced));
        let mut directories = BTreeSet::new();
        for path in &files {
            directories.extend(path.ancestors().skip(1).take_while(|above| above.starts_with(root)));
        }
        let outcome = if files.len() > ONE_BY_ONE_MAX && sync_file_systems(&directories) {
            Ok(())
        } else {
            // Writable, because Windows flushes only what it may write.
            let files = files.iter().try_for_each(|path| sync_one(path, OpenOptions::new().write(true)));
            let on_unix = directories.iter().filter(|_| cfg!(unix));
            files.and_then(|()| {
                on_unix.into_iter().try_for_each(|path| sync_one(path, OpenOptions::new().read(true)))
            })
        };
        if outcome.is_err() {
            lock(&self.unsynced).extend(files);
        }
        outcome
    }
}

/// An error from writing to `path`, whose directory was there a moment ago: where it is not any more, somebody moved it
/// or unmounted the file system, and the next attempt will see.
pub(super) fn failed(doing: &str, path: &Path, cause: io::Error) -> Error {
    let is_gone = cause.kind() == io::ErrorKind::NotFound;
    let error = Error::io(doing, path, cause);
    if is_gone { Error::new(ErrorKind::Unavailable, error.to_string()).because(error) } else { error }
}

/// Brings everything on the file systems of these directories to the disk, and says whether that was possible.
#[cfg(target_os = "linux")]
fn sync_file_systems(directories: &BTreeSet<&Path>) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let mut done = BTreeSet::new();
    directories.iter().all(|path| {
        // One that is gone was moved, and is here under its new name too.
        let Ok(directory) = File::open(path) else { return true };
        let device = directory.metadata().map(|metadata| metadata.dev());
        device.is_ok_and(|device| !done.insert(device) || rustix::fs::syncfs(&directory).is_ok())
    })
}

#[cfg(not(target_os = "linux"))]
fn sync_file_systems(_: &BTreeSet<&Path>) -> bool {
    false
}

fn sync_one(path: &Path, options: &OpenOptions) -> Result<()> {
    match options.open(path).and_then(|file| File::sync_all(&file)) {
        // Deleted or moved since; where it is now, its directory says.
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        // A directory that was moved, or has taken the place of a file.
        Err(cause) if cause.kind() == io::ErrorKind::IsADirectory => Ok(()),
        outcome => outcome.map_err(|cause| Error::io("sync the file", path, cause)),
    }
}
