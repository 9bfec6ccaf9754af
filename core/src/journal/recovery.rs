//! The journals of dead processes: found, claimed, read, removed.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::definitions::Definitions;
use super::owner::Owner;
use super::segment::{FREE, SLOTS, SLOTS_LOG2, Segment};
use super::{Entry, Found, Place, index, read_aside, read_record};
use crate::checkup::WaitingJournal;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::record::{Record, Text};

/// How a directory is called before it is locked.
pub(super) const NEW: &str = ".new-";
/// How a directory is called while it is being removed.
const GONE: &str = ".gone-";

/// The lock of who delivers a dead process's journal: beside the owner's, which a forked child may still hold.
///
/// It is made with the journal, never by who delivers it, so that nobody makes a file in a directory that is going.
pub(super) const LOCK: &str = "recovery.lock";

/// A dead process's journal, which nobody else will deliver while this is held.
#[derive(Debug)]
pub(crate) struct Claim {
    dir: PathBuf,
    name: String,
    owner: Owner,
    definitions: Definitions,
    segments: BTreeMap<u64, Segment>,
    _locks: [File; 2],
}

/// The directories of journals in `place` whose process is gone. What a kill left half made or half removed is swept.
pub(crate) fn dead_journals(place: &Place) -> Vec<PathBuf> {
    let Place::Directory(dir) = place else { return Vec::new() };
    let Ok(listing) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut dead = Vec::new();
    for path in listing.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()) {
        if is_named(&path, GONE) {
            std::fs::remove_dir_all(&path).ok();
        } else if Owner::read(&path).is_ok_and(|(owner, file)| owner.is_dead(&file)) {
            if is_named(&path, NEW) {
                std::fs::remove_dir_all(&path).ok();
            } else {
                dead.push(path);
            }
        }
    }
    dead.sort();
    dead
}

/// The journals in `place` whose process is gone, with the id that it had; nothing is swept.
pub(crate) fn waiting_journals(place: &Place) -> Vec<WaitingJournal> {
    let Place::Directory(dir) = place else { return Vec::new() };
    let Ok(listing) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut waiting: Vec<_> = listing
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| !is_named(path, GONE) && !is_named(path, NEW))
        .filter_map(|path| {
            let (owner, file) = Owner::read(&path).ok()?;
            owner.is_dead(&file).then(|| WaitingJournal::new(path, owner.pid()))
        })
        .collect();
    waiting.sort_by(|a, b| a.dir.cmp(&b.dir));
    waiting
}

fn is_named(path: &Path, prefix: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
}

impl Claim {
    /// Claims the journal in `dir`; `None` if its process lives or another one is delivering it.
    ///
    /// # Errors
    /// The journal is of an unknown format, or cannot be read.
    pub(crate) fn take(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(LOCK);
        let lock = match File::options().write(true).open(&path) {
            Ok(lock) => lock,
            // Delivered and removed by another one just now.
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(Error::io("claim a dead process's journal", &path, cause)),
        };
        if lock.try_lock().is_err() {
            return Ok(None);
        }
        let (owner, file) = match Owner::read(dir) {
            Ok(owner) => owner,
            // Delivered and removed by another one just now.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !owner.is_dead(&file) {
            return Ok(None);
        }
        let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let segments = read_segments(dir)?;
        let definitions = Definitions::read(dir)?;
        Ok(Some(Self { dir: dir.to_owned(), name, owner, definitions, segments, _locks: [lock, file] }))
    }

    /// The store that the journal is for.
    pub(crate) fn store(&self) -> &str {
        &self.owner.store
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

    /// Every record, acknowledged or not, in the order of their sequences.
    pub(crate) fn all(&self) -> impl Iterator<Item = Entry> {
        self.entries(|_, _| true)
    }

    /// The records that were not acknowledged, in the order of their sequences.
    pub(crate) fn unacknowledged(&self) -> impl Iterator<Item = Entry> {
        self.entries(|segment, slot| !segment.is_acknowledged(slot))
    }

    fn entries(&self, wanted: impl Fn(&Segment, usize) -> bool) -> impl Iterator<Item = Entry> {
        let get = |sequence: u64| self.segments.get(&(sequence >> SLOTS_LOG2))?.read(index(sequence));
        self.segments
            .iter()
            .flat_map(|(number, segment)| (0..SLOTS).map(move |slot| (*number, segment, slot)))
            .filter(move |(_, segment, slot)| wanted(segment, *slot))
            .filter_map(move |(number, _, slot)| {
                match read_record(get, (number << SLOTS_LOG2) + slot as u64) {
                    Found::Record(entry) => Some(self.fetch_aside(entry)),
                    Found::Continuation | Found::Nothing => None,
                }
            })
    }

    fn fetch_aside(&self, mut entry: Entry) -> Entry {
        if let Record::Text(Text::Aside { file }) = &entry.record
            && let Some(text) = read_aside(&self.dir, file)
        {
            entry.record = Record::Text(text);
        }
        entry
    }

    /// Notes that a record is stored or refused.
    pub(crate) fn acknowledge(&self, entry: &Entry) {
        for sequence in entry.first..entry.first + entry.slots {
            if let Some(segment) = self.segments.get(&(sequence >> SLOTS_LOG2)) {
                segment.acknowledge(index(sequence));
            }
        }
    }

    /// Removes the journal, whose records are all delivered.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub(crate) fn remove(self) -> Result<()> {
        remove(&self.dir).map_err(|cause| Error::io("remove a delivered journal", &self.dir, cause))
    }
}

/// Removes a journal's directory in one step, so that nobody finds half of it.
pub(super) fn remove(dir: &Path) -> std::io::Result<()> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let gone = dir.with_file_name(format!("{GONE}{name}"));
    std::fs::rename(dir, &gone)?;
    std::fs::remove_dir_all(&gone)
}

fn read_segments(dir: &Path) -> Result<BTreeMap<u64, Segment>> {
    let fail = |cause| Error::io("read a dead process's journal", dir, cause);
    let mut segments = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_none_or(|extension| extension != "seg") {
            continue;
        }
        match Segment::open(&path) {
            Ok(segment) if segment.number() == FREE => {}
            Ok(segment) => {
                segments.insert(segment.number(), segment);
            }
            // The process died while it made the file; nothing can be in it.
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::debug!(target: "runlog::journal", %error, "passed over");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(segments)
}
