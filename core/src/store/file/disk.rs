//! How files come to lie in the store: whole or not at all, and on the disk when they are asked to be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::{Error, ErrorKind, Result};
use crate::sync::lock;

/// A file that is being written. It lies in the directory of a run, model or experiment, where MLflow looks at no
/// files but `meta.yaml`, and whoever writes it holds the lock of that directory.
const UNFINISHED: &str = ".runlog.new";

/// Files that are synced one by one. A thousand new params would take a second so; the whole file system takes as long
/// as it has to write, for others too.
const ONE_BY_ONE_MAX: usize = 32;
/// Files that are synced at once. File systems bring to the disk together what is asked for together; ten files one
/// after the other take ten times as long.
const AT_ONCE: usize = 8;

/// What was written and may not be on the disk yet.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// With whether the directory of each may be news to the disk too.
    unsynced: Mutex<BTreeMap<PathBuf, bool>>,
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

    /// Notes that `path` must be synced, which was made, replaced or removed.
    pub(super) fn wrote(&self, path: &Path) {
        self.note(path, true);
    }

    /// Notes that `path` must be synced, whose directory did not change since the last time.
    pub(super) fn appended(&self, path: &Path) {
        self.note(path, false);
    }

    fn note(&self, path: &Path, is_new: bool) {
        let mut unsynced = lock(&self.unsynced);
        match unsynced.get_mut(path) {
            Some(was_new) => *was_new |= is_new,
            None => {
                unsynced.insert(path.to_owned(), is_new);
            }
        }
    }

    /// Notes that what lies below `from` lies below `to` now.
    pub(super) fn moved(&self, from: &Path, to: &Path) {
        let mut unsynced = lock(&self.unsynced);
        let moved: Vec<PathBuf> = unsynced.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for path in moved {
            unsynced.remove(&path);
            unsynced.extend(path.strip_prefix(from).map(|below| (to.join(below), true)));
        }
        // So that the entries of both directories are synced.
        unsynced.extend([(from.to_owned(), true), (to.to_owned(), true)]);
    }

    /// Brings to the disk what was written since the last time, with the directories from there up to `root`.
    pub(super) fn sync(&self, root: &Path) -> Result<()> {
        let files = std::mem::take(&mut *lock(&self.unsynced));
        let mut directories = BTreeSet::new();
        for path in files.iter().filter_map(|(path, is_new)| is_new.then_some(path)) {
            directories.extend(path.ancestors().skip(1).take_while(|above| above.starts_with(root)));
        }
        let outcome = if files.len() > ONE_BY_ONE_MAX && sync_file_systems(files.keys()) {
            Ok(())
        } else {
            let mut all: Vec<Unsynced<'_>> = files.keys().map(|path| Unsynced::File(path)).collect();
            all.extend(directories.iter().filter(|_| cfg!(unix)).map(|path| Unsynced::Directory(path)));
            sync_each(&all)
        };
        if outcome.is_err() {
            for (path, is_new) in &files {
                self.note(path, *is_new);
            }
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

/// Brings everything on the file systems of these files to the disk, and says whether that was possible.
#[cfg(target_os = "linux")]
fn sync_file_systems<'a>(files: impl Iterator<Item = &'a PathBuf>) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let directories: BTreeSet<&Path> = files.filter_map(|path| path.parent()).collect();
    let mut done = BTreeSet::new();
    directories.iter().all(|path| {
        // One that is gone was moved, and is here under its new name too.
        let Ok(directory) = fs::File::open(path) else { return true };
        let device = directory.metadata().map(|metadata| metadata.dev());
        device.is_ok_and(|device| !done.insert(device) || rustix::fs::syncfs(&directory).is_ok())
    })
}

#[cfg(not(target_os = "linux"))]
fn sync_file_systems<'a>(_: impl Iterator<Item = &'a PathBuf>) -> bool {
    false
}

enum Unsynced<'a> {
    File(&'a Path),
    Directory(&'a Path),
}

/// Brings all of these to the disk, some at once.
fn sync_each(all: &[Unsynced<'_>]) -> Result<()> {
    let taken = AtomicUsize::new(0);
    let work = || {
        while let Some(next) = all.get(taken.fetch_add(1, Ordering::Relaxed)) {
            next.sync()?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let start = |_| thread::Builder::new().name("runlog-sync".to_owned()).spawn_scoped(scope, work).ok();
        // Where no thread can be had, this one does it all.
        let others: Vec<_> = (1..AT_ONCE.min(all.len())).filter_map(start).collect();
        let ended = |other: thread::ScopedJoinHandle<'_, Result<()>>| {
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        others.into_iter().map(ended).fold(work(), Result::and)
    })
}

impl Unsynced<'_> {
    fn sync(&self) -> Result<()> {
        let mut options = OpenOptions::new();
        let (path, options) = match self {
            // Windows flushes only what may be written.
            Self::File(path) => (path, options.write(true)),
            Self::Directory(path) => (path, options.read(true)),
        };
        match options.open(path).and_then(|file| file.sync_all()) {
            // Deleted or moved since; where it is now, its directory says.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            // A directory that was moved, or has taken the place of a file.
            Err(cause) if cause.kind() == io::ErrorKind::IsADirectory => Ok(()),
            outcome => outcome.map_err(|cause| Error::io("sync the file", path, cause)),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_sync_reaches_every_file_and_what_failed_is_tried_again() {
        let root = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        for number in 0..ONE_BY_ONE_MAX {
            disk.appended(&root.path().join(number.to_string()));
        }
        // Nothing can be opened below a link that leads to itself.
        let last = root.path().join("x");
        std::os::unix::fs::symlink(&last, &last).unwrap();
        disk.sync(root.path()).unwrap();
        for note in [Disk::wrote, Disk::appended] {
            (0..3).for_each(|number| disk.appended(&root.path().join(number.to_string())));
            note(&disk, &last.join("y"));
            disk.sync(root.path()).unwrap_err();
            disk.sync(root.path()).unwrap_err();
            fs::remove_file(&last).unwrap();
            disk.sync(root.path()).unwrap();
            assert!(lock(&disk.unsynced).is_empty());
            std::os::unix::fs::symlink(&last, &last).unwrap();
        }
    }
}
