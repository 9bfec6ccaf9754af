//! The journals of dead processes: found, claimed, read, removed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Place;
use super::definitions::Definitions;
use super::observer::{NOW, Observer, Seen};
use super::owner::Owner;
use super::window::{Segments, Window};
#[cfg(any(test, feature = "testing"))]
use super::{Entry, Slot};
use crate::error::{Error, ErrorKind, Result};

/// How a directory is called before it is locked.
pub(super) const NEW: &str = ".new-";
/// How a directory is called while it is being removed.
const GONE: &str = ".gone-";

/// The lock of who delivers a dead process's journal: beside the owner's, which a forked child may still hold.
///
/// It is made with the journal, never by who delivers it, so that nobody makes a file in a directory that is going.
pub(super) const LOCK: &str = "recovery.lock";
/// How often a lock is tried for that somebody who only looks may hold for a moment.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// A dead process's journal, which nobody else will deliver while this is held.
#[derive(Debug)]
pub(crate) struct Claim {
    dir: PathBuf,
    name: String,
    owner: Owner,
    definitions: Definitions,
    segments: Segments,
    _lock: File,
}

/// The directories of journals in `place`, whoever writes them, in order.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn all_journals(place: &Place) -> Result<Vec<PathBuf>> {
    let Place::Directory(dir) = place else { return Ok(Vec::new()) };
    let fail = |cause| Error::io("look for journals", dir, cause);
    let listing = match std::fs::read_dir(dir) {
        Ok(listing) => listing,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(fail(cause)),
    };
    let mut found = Vec::new();
    for entry in listing {
        let path = entry.map_err(fail)?.path();
        if !is_named(&path, ".") && path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The directories of journals in `place` whose process is gone, or whose owner nobody can read. What a kill left half
/// made or half removed is swept.
pub(crate) fn dead_journals(place: &Place) -> Vec<PathBuf> {
    let Place::Directory(dir) = place else { return Vec::new() };
    sweep(dir);
    let observer = Observer::of(dir);
    let mut dead = all_journals(place).unwrap_or_default();
    dead.retain(|dir| matches!(observer.look(dir), Ok(Seen::Dead(_) | Seen::Unreadable(_))));
    dead
}

/// Removes what a kill left half made or half removed.
fn sweep(dir: &Path) {
    let Ok(listing) = std::fs::read_dir(dir) else { return };
    let observer = Observer::of(dir);
    for path in listing.filter_map(|entry| Some(entry.ok()?.path())) {
        if is_named(&path, GONE) || is_named(&path, NEW) && is_left_half_made(&observer, &path) {
            std::fs::remove_dir_all(&path).ok();
        } else if is_named(&path, NOW) {
            std::fs::remove_file(&path).ok();
        }
    }
}

/// Whether nobody goes on with a directory that has no journal's name yet: nothing was ever logged there.
fn is_left_half_made(observer: &Observer, dir: &Path) -> bool {
    match observer.look(dir) {
        Ok(seen) => {
            matches!(seen, Seen::Dead(_)) || matches!(seen, Seen::Unreadable(_)) && observer.is_old(dir)
        }
        // Its process was killed before it could say who it is.
        Err(error) => error.kind() == ErrorKind::NotFound && observer.is_old(dir),
    }
}

fn is_named(path: &Path, prefix: &str) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
}

/// What became of the attempt to claim a journal.
#[derive(Debug)]
pub(crate) enum Taken {
    Claim(Box<Claim>),
    /// Its process lives.
    Lives,
    /// Another process is delivering it.
    Busy,
    /// Another process has delivered it meanwhile.
    Gone,
}

impl Claim {
    /// Claims the journal in `dir`.
    ///
    /// # Errors
    /// The journal is of an unknown format, or cannot be read or written.
    pub(crate) fn take(dir: &Path) -> Result<Taken> {
        let gone =
            |error: Error| if error.kind() == ErrorKind::NotFound { Ok(Taken::Gone) } else { Err(error) };
        // Another version may have other files, so its owner comes first.
        let observer = Observer::of(dir.parent().unwrap_or(dir));
        match observer.look(dir) {
            Ok(Seen::Dead(_)) => {}
            Ok(Seen::Living(_)) => return Ok(Taken::Lives),
            Ok(Seen::Unreadable(error)) => return Err(error),
            Err(error) => return gone(error),
        }
        let path = dir.join(LOCK);
        let lock = match File::options().write(true).open(&path) {
            Ok(lock) => lock,
            Err(cause) if is_read_only(&cause) => return Err(read_only(dir, cause)),
            Err(cause) => return gone(Error::io("claim a dead process's journal", &path, cause)),
        };
        if !locks(&lock) {
            return Ok(Taken::Busy);
        }
        // Once more, since it may have been delivered and removed before it was locked here.
        let owner = match observer.look(dir) {
            Ok(Seen::Dead(owner)) => owner,
            Ok(Seen::Living(_)) => return Ok(Taken::Lives),
            Ok(Seen::Unreadable(error)) => return Err(error),
            Err(error) => return gone(error),
        };
        let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let segments = Segments::find(dir)?;
        let definitions = Definitions::read(dir)?;
        let claim = Self { dir: dir.to_owned(), name, owner, definitions, segments, _lock: lock };
        Ok(Taken::Claim(Box::new(claim)))
    }

    /// The store that the journal is for.
    pub(crate) fn store(&self) -> &str {
        &self.owner.store
    }

    /// Where the journal is.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the runs' tag `runlog.owner` says.
    pub(crate) fn owner_name(&self) -> &str {
        &self.name
    }

    /// The dead process, for messages.
    pub(crate) fn pid(&self) -> u32 {
        self.owner.pid()
    }

    pub(crate) fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// Shows every segment to `visit`, in order, and returns what cannot be read.
    ///
    /// # Errors
    /// What `visit` returns; the rest is not visited then.
    pub(crate) fn walk<'a, E>(
        &'a self,
        visit: impl FnMut(&Window<'a>) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        self.segments.walk(&self.dir, visit)
    }

    /// Every record, acknowledged or not, in the order of their sequences.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn all(&self) -> std::vec::IntoIter<Entry> {
        self.entries(|slot| match slot {
            Slot::Waiting(entry) | Slot::Acknowledged(entry) => Some(entry),
            Slot::Unreadable | Slot::Cut => None,
        })
    }

    /// The records that were not acknowledged, in the order of their sequences.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn unacknowledged(&self) -> std::vec::IntoIter<Entry> {
        self.entries(|slot| if let Slot::Waiting(entry) = slot { Some(entry) } else { None })
    }

    /// What of it can be read.
    #[cfg(any(test, feature = "testing"))]
    fn entries(&self, wanted: impl Fn(Slot) -> Option<Entry>) -> std::vec::IntoIter<Entry> {
        let mut entries = Vec::new();
        let walked = self.walk::<Error>(|window| {
            entries.extend(window.slots().filter_map(&wanted));
            Ok(())
        });
        debug_assert!(walked.is_ok(), "nothing here fails");
        entries.into_iter()
    }

    /// Removes the journal, whose records are all delivered.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub(crate) fn remove(self) -> Result<()> {
        remove(&self.dir).map_err(|cause| {
            if is_read_only(&cause) {
                read_only(&self.dir, cause)
            } else {
                Error::io("remove a delivered journal", &self.dir, cause)
            }
        })
    }
}

/// Takes the lock, if nobody delivers the journal.
fn locks(lock: &File) -> bool {
    for attempt in 0..LOCK_TRIES {
        if attempt > 0 {
            std::thread::park_timeout(LOCK_PAUSE);
        }
        if lock.try_lock().is_ok() {
            return true;
        }
    }
    false
}

/// Whether somebody delivers the journal in `dir` at this moment.
pub(super) fn is_being_delivered(dir: &Path) -> bool {
    let busy = |lock: File| matches!(lock.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock));
    File::open(dir.join(LOCK)).is_ok_and(busy)
}

fn is_read_only(cause: &std::io::Error) -> bool {
    matches!(cause.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem)
}

fn read_only(dir: &Path, cause: std::io::Error) -> Error {
    let message = "a dead process's journal cannot be written, so what is delivered of it could not be marked; give \
                   this user write permission on it, or copy it and name the copy by RUNLOG_JOURNAL_DIR";
    Error::new(ErrorKind::Denied, message).with("journal", dir.display()).because(cause)
}

/// Removes a journal's directory in one step, so that nobody finds half of it.
pub(super) fn remove(dir: &Path) -> std::io::Result<()> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let gone = dir.with_file_name(format!("{GONE}{name}"));
    std::fs::rename(dir, &gone)?;
    std::fs::remove_dir_all(&gone)
}
