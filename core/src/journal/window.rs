//! The segments of another process's journal, read in order with no more than two of them in memory.
//!
//! Two, because a text record may begin in one and end in the next; none is longer than that, since large ones stand in
//! files of their own.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::reader::{Entry, Found, read_record};
use super::record::{Record, Text};
use super::segment::{FILE_BYTES, FREE, SLOTS, SLOTS_LOG2, Segment};
use super::slot::{Kind, PAYLOAD_BYTES};
use super::{index, read_aside};
use crate::error::{Error, ErrorKind, Result};

/// The segments in a journal's directory, by number.
#[derive(Debug)]
pub(super) struct Segments {
    files: BTreeMap<u64, PathBuf>,
    /// What is there and cannot be read.
    damaged: Vec<Error>,
}

/// A segment, and what of the next one its last record needs.
#[derive(Debug)]
pub(crate) struct Window<'a> {
    dir: &'a Path,
    number: u64,
    segment: Segment,
    next: Option<Segment>,
    /// Whether there is no next one.
    is_last: bool,
}

/// What stands in a slot.
#[derive(Debug)]
pub(crate) enum Slot {
    /// A record that is stored or refused already.
    Acknowledged(Entry),
    /// A record that waits.
    Waiting(Entry),
    /// A record that waits and cannot be read.
    Unreadable,
    /// The beginning of a record whose rest was in memory only, as the disk was full: it is lost.
    Cut,
}

impl Segments {
    /// Finds those in `dir`.
    ///
    /// # Errors
    /// The directory cannot be read, or a segment is of an unknown format, and so the journal another version's.
    pub(super) fn find(dir: &Path) -> Result<Self> {
        let fail = |cause| Error::io("read a dead process's journal", dir, cause);
        let mut found = Self { files: BTreeMap::new(), damaged: Vec::new() };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(fail)? {
            paths.push(entry.map_err(fail)?.path());
        }
        // Of two with one number it is the same that counts, whoever looks.
        paths.sort();
        for path in paths {
            if path.extension().is_none_or(|extension| extension != "seg") {
                continue;
            }
            match Segment::open(&path) {
                Ok(segment) if segment.number() == FREE => {}
                Ok(segment) => match found.files.entry(segment.number()) {
                    Place::Vacant(place) => drop(place.insert(path)),
                    Place::Occupied(first) => {
                        let message = "another segment of the journal has the same number";
                        let twice = Error::new(ErrorKind::Corrupt, message).with("path", path.display());
                        found.damaged.push(twice.with("the other", first.get().display()));
                    }
                },
                Err(error) if error.kind() == ErrorKind::Unsupported => return Err(error),
                // The process died while it made the file, or recycled it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::Corrupt && holds_nothing(&path) => {}
                Err(error) => found.damaged.push(error),
            }
        }
        Ok(found)
    }

    /// Shows every segment to `visit`, in order, and returns what cannot be read.
    ///
    /// # Errors
    /// What `visit` returns; the rest is not visited then.
    pub(super) fn walk<'a, E>(
        &'a self,
        dir: &'a Path,
        mut visit: impl FnMut(&Window<'a>) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        let mut damaged: Vec<_> = self.damaged.iter().map(Error::to_string).collect();
        let mut ahead: Option<(u64, Segment)> = None;
        for (number, path) in &self.files {
            let mut open =
                |path: &Path| Segment::open(path).inspect_err(|error| damaged.push(error.to_string())).ok();
            let segment = match ahead.take() {
                Some((of, segment)) if of == *number => Some(segment),
                _ => open(path),
            };
            let Some(segment) = segment else { continue };
            let following = number + 1;
            let path = self.files.get(&following);
            let next = path.and_then(|path| open(path));
            let is_last = path.is_none() && self.damaged.is_empty();
            let mut window = Window { dir, number: *number, segment, next, is_last };
            visit(&window)?;
            ahead = window.next.take().map(|next| (following, next));
        }
        Ok(damaged)
    }
}

/// Whether a file that is no segment never was one: its space was reserved, and nothing written.
fn holds_nothing(path: &Path) -> bool {
    const CHUNK_BYTES: usize = 64 * 1024;
    let Ok(mut file) = std::fs::File::open(path) else { return false };
    // What is longer is no segment, and a link may lead to something without an end.
    if !file.metadata().is_ok_and(|found| found.is_file() && found.len() <= FILE_BYTES as u64) {
        return false;
    }
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return true,
            Ok(read) if chunk[..read].iter().all(|byte| *byte == 0) => {}
            _ => return false,
        }
    }
}

impl Window<'_> {
    /// What stands in the slots, in the order of their sequences.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> {
        (0..SLOTS).filter_map(|slot| self.slot(slot))
    }

    /// What waits in the slots, in the order of their sequences.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Slot> {
        (0..SLOTS).filter(|slot| !self.segment.is_acknowledged(*slot)).filter_map(|slot| self.slot(slot))
    }

    fn slot(&self, slot: usize) -> Option<Slot> {
        let is_acknowledged = self.segment.is_acknowledged(slot);
        let first = (self.number << SLOTS_LOG2) + slot as u64;
        let get = |sequence: u64| match (sequence >> SLOTS_LOG2) - self.number {
            0 => self.segment.read(index(sequence)),
            1 => self.next.as_ref()?.read(index(sequence)),
            _ => None,
        };
        let unreadable = (!is_acknowledged).then_some(Slot::Unreadable);
        match read_record(get, first) {
            Found::Record(entry) if is_acknowledged => Some(Slot::Acknowledged(entry)),
            Found::Record(entry) => self.whole(entry).map_or(unreadable, |entry| Some(Slot::Waiting(entry))),
            Found::Continuation => None,
            // Its first slot is published last, so all of it was there.
            Found::Nothing => {
                let head = get(first).filter(|head| head.kind == Kind::Text)?;
                let end = slot + head.extent.div_ceil(PAYLOAD_BYTES);
                let is_cut = self.is_last && end > SLOTS && !is_acknowledged;
                if is_cut { Some(Slot::Cut) } else { unreadable }
            }
        }
    }

    /// The record with what stands in a file of its own; `None` if that file is there and cannot be read.
    fn whole(&self, mut entry: Entry) -> Option<Entry> {
        if let Record::Text(Text::Aside { file }) = &entry.record {
            match read_aside(self.dir, file) {
                Some(text) => entry.record = Record::Text(text),
                // Lost, as whoever delivers the record is told.
                None if !self.dir.join(file).exists() => {}
                None => return None,
            }
        }
        Some(entry)
    }

    /// Notes that a record is stored or refused.
    pub(crate) fn acknowledge(&self, entry: &Entry) {
        for sequence in entry.first..entry.first + entry.slots {
            match (sequence >> SLOTS_LOG2) - self.number {
                0 => self.segment.acknowledge(index(sequence)),
                _ => {
                    if let Some(next) = &self.next {
                        next.acknowledge(index(sequence));
                    }
                }
            }
        }
    }
}
