//! The journal: the queue between log calls and the store, and it is on disk.
//!
//! ```text
//! <place>/<store>/<process>/   owner.json           who writes it, locked while that process lives
//!                              recovery.lock        locked while another process delivers it
//!                              definitions.jsonl    what the numbers in records mean
//!                              0.seg 1.seg …        slots, recycled
//!                              aside-N.json         records over 64 KiB
//! ```
//!
//! A log call reserves a sequence with one atomic add, writes its slot into a mapped segment and publishes it with a
//! release store: no lock, no system call, no allocation. One reader, the shipper, takes records in order, delivers
//! them and acknowledges each slot; a segment whose slots are all acknowledged is used again.

mod definitions;
mod maker;
mod memory;
mod owner;
mod place;
mod queue;
mod reader;
pub(crate) mod record;
mod recovery;
mod segment;
mod slot;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

pub(crate) use definitions::{Definitions, RunDefinition};
use maker::Maker;
pub(crate) use owner::Owner;
pub(crate) use place::Place;
pub(crate) use queue::Full;
use queue::{Queue, Share, index, split};
pub(crate) use reader::{Entry, Reader};
use reader::{Found, read_record};
use record::{Point, Record, Text};
pub(crate) use recovery::{Claim, dead_journals, waiting_journals};
use segment::{FILE_BYTES, SLOTS};
use slot::{Kind, PAYLOAD_BYTES};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::notice;
use crate::sync::lock;

/// Slots whose pages are made writable before they are needed: 1 MiB.
const WARM_SLOTS: u64 = 1 << 14;
/// Longer records stand in files of their own.
const ASIDE_BYTES: usize = 64 * 1024;

/// How large a journal may get, and how it is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// How many slots may be in use at once.
    pub(crate) slots_max: u64,
    /// Whether segments may be mapped into memory.
    pub(crate) may_map: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self::of_mib(1024)
    }
}

impl Shape {
    /// Segments that fill so many MiB, at least four: some are made before they are needed.
    fn of_mib(mib: u64) -> Self {
        const SEGMENTS_MIN: u64 = 4;
        let segments = (mib << 20) / FILE_BYTES as u64;
        Self { slots_max: segments.max(SEGMENTS_MIN) * SLOTS as u64, may_map: true }
    }

    /// What the environment asks for.
    pub(crate) fn of(config: &Config) -> Self {
        let shape = config.journal_mib_max.map(|mib| Self::of_mib(u64::from(mib))).unwrap_or_default();
        Self { may_map: !config.journal_unmapped, ..shape }
    }
}

/// The journal of this process for one store.
#[derive(Debug)]
pub(crate) struct Journal {
    queue: Queue,
    definitions: Definitions,
    home: Option<Home>,
}

#[derive(Debug)]
struct Home {
    dir: PathBuf,
    name: String,
    lock: Mutex<Option<File>>,
}

impl Journal {
    /// Opens a journal of this process for the store at `address`.
    ///
    /// Where no directory can be written, it is kept in memory, and that is said once.
    pub(crate) fn open(place: &Place, address: &str, shape: Shape) -> Self {
        let made = match place {
            Place::Memory => None,
            Place::Directory(dir) => Home::create(dir, address)
                .inspect_err(|error| {
                    notice::warn(
                        "journal-in-memory",
                        format_args!(
                            "no journal can be kept, so a kill will lose records that are not stored yet; point \
                             RUNLOG_JOURNAL_DIR at a directory that can be written: {error}"
                        ),
                    );
                })
                .ok(),
        };
        let (home, definitions, maker) = match made {
            Some((home, definitions)) => {
                let backing = place::backing_in(&home.dir, shape.may_map);
                let maker = Maker::in_dir(home.dir.clone(), backing);
                (Some(home), definitions, maker)
            }
            None => (None, Definitions::default(), Maker::in_memory()),
        };
        Self { queue: Queue::new(maker, shape.slots_max), definitions, home }
    }

    pub(crate) fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// What names this process in the tag `runlog.owner`; `None` if a kill leaves nothing to recover.
    pub(crate) fn owner_name(&self) -> Option<&str> {
        self.home.as_ref().map(|home| home.name.as_str())
    }

    /// Whether what is not shipped survives the process.
    pub(crate) fn is_durable(&self) -> bool {
        self.queue.maker.is_durable()
    }

    /// The next sequence: everything logged so far is below it.
    pub(crate) fn tail(&self) -> u64 {
        self.queue.tail()
    }

    /// Takes nothing more: what other threads log from now on is refused, so that nothing is taken that is not kept.
    pub(crate) fn seal(&self) {
        self.queue.seal();
    }

    #[inline]
    pub(crate) fn is_sealed(&self) -> bool {
        self.queue.is_sealed()
    }

    /// Appends a metric point and returns its sequence.
    ///
    /// # Errors
    /// The journal is full or sealed; the point is dropped.
    #[inline]
    pub(crate) fn metric(&self, point: Point) -> Result<u64, Full> {
        let sequence = self.queue.reserve(1, Share::Metrics)?;
        self.queue.publish(sequence, Kind::Metric, 0, point.to_words())?;
        Ok(sequence)
    }

    /// Appends any other record and returns its sequences.
    ///
    /// # Errors
    /// The journal is full or sealed; the record is dropped.
    pub(crate) fn text(&self, text: &Text) -> Result<Range<u64>, Full> {
        let mut bytes = serde_json::to_vec(text).map_err(|_never| Full)?;
        if bytes.len() > ASIDE_BYTES
            && let Some(home) = &self.home
        {
            bytes = home.put_aside(&bytes).map_err(|error| {
                notice::warn("journal-aside", format_args!("a large record is lost: {error}"));
                Full
            })?;
        }
        if bytes.len() > slot::RECORD_BYTES_MAX {
            return Err(Full);
        }
        let slots = bytes.len().div_ceil(PAYLOAD_BYTES) as u64;
        let first = self.queue.reserve(slots, Share::All)?;
        // The first slot last: until then the reader passes over all of them.
        for (place, chunk) in bytes.chunks(PAYLOAD_BYTES).enumerate().rev() {
            let (kind, extent) =
                if place == 0 { (Kind::Text, bytes.len()) } else { (Kind::Continuation, place) };
            self.queue.publish(first + place as u64, kind, extent, slot::pack(chunk))?;
        }
        Ok(first..first + slots)
    }

    /// Takes up to `max` records that were published, in the order of their sequences.
    pub(crate) fn read(&self, reader: &mut Reader, max: usize, into: &mut Vec<Entry>) {
        let tail = self.tail();
        let get = |sequence| self.queue.read(sequence);
        reader.passed.retain(|sequence| match read_record(get, *sequence) {
            Found::Record(entry) => {
                into.push(entry);
                false
            }
            Found::Continuation => false,
            Found::Nothing => true,
        });
        while reader.next < tail && into.len() < max {
            match read_record(get, reader.next) {
                Found::Record(entry) => {
                    reader.next += entry.slots;
                    into.push(entry);
                }
                // Its first slot was passed over, and brings this one along later.
                Found::Continuation => reader.next += 1,
                Found::Nothing => {
                    reader.passed.push(reader.next);
                    reader.next += 1;
                }
            }
        }
        for entry in into {
            self.fetch_aside(entry);
        }
    }

    fn fetch_aside(&self, entry: &mut Entry) {
        if let (Record::Text(Text::Aside { file }), Some(home)) = (&entry.record, &self.home)
            && let Some(text) = read_aside(&home.dir, file)
        {
            entry.record = Record::Text(text);
        }
    }

    /// Notes that a record is stored or refused. The first slot first: a crash in between must not leave a head
    /// without its rest.
    pub(crate) fn acknowledge(&self, entry: &Entry) {
        self.acknowledge_all(entry.first..entry.first + entry.slots);
    }

    /// As [`acknowledge`](Self::acknowledge), of all records in these slots.
    pub(crate) fn acknowledge_all(&self, slots: Range<u64>) {
        self.queue.acknowledge(slots);
    }

    /// Whether a segment waits to be recycled.
    pub(crate) fn has_done_segments(&self, reader: &Reader) -> bool {
        self.queue.is_done(reader.first_segment)
    }

    /// Whether anything was logged, or can be recycled, since the last sync.
    pub(crate) fn needs_sync(&self, reader: &Reader) -> bool {
        self.tail() != reader.synced || self.has_done_segments(reader)
    }

    /// Frees the segments whose slots are all acknowledged; the caller has synced the store.
    pub(crate) fn recycle(&self, reader: &mut Reader) {
        reader.first_segment = self.queue.recycle(reader.first_segment);
    }

    /// Makes the next segments and their first pages ready, so that log calls find them so.
    pub(crate) fn stay_ahead(&self, reader: &mut Reader) {
        self.queue.prepare_ahead(reader.first_segment);
        let tail = self.tail();
        let from = reader.warmed.max(tail);
        reader.warmed = tail + WARM_SLOTS;
        for (number, slots) in split(from..reader.warmed) {
            if let Some(segment) = self.queue.find(number) {
                segment.warm(slots.start, slots.end);
            }
        }
    }

    /// Brings everything logged so far to the disk, against a power cut; what is below `safe_below` is safe without it.
    pub(crate) fn sync(&self, reader: &mut Reader, safe_below: u64) {
        let tail = self.tail();
        let definitions = self.definitions.count();
        if definitions != reader.definitions_synced {
            self.definitions.sync();
            reader.definitions_synced = definitions;
        }
        reader.synced = reader.synced.max(safe_below).min(tail);
        for number in reader.first_segment..=tail >> segment::SLOTS_LOG2 {
            if let Some(segment) = self.queue.find(number) {
                let slots =
                    split(reader.synced..tail).find(|(of, _)| *of == number).map_or(0..0, |(_, slots)| slots);
                segment.sync_slots(slots.start, slots.end);
                if segment.take_write_failure() {
                    self.queue.maker.degrade();
                    notice::warn(
                        "journal-write",
                        format_args!(
                            "writing to the journal failed, so a kill will lose records; free some space"
                        ),
                    );
                }
            }
        }
        reader.synced = tail;
    }

    /// Removes the journal, which is sealed, if everything in it is stored or refused.
    pub(crate) fn close(&self, reader: &Reader) {
        let Some(home) = &self.home else { return };
        let done = reader.done_below() >= self.queue.final_tail();
        let lock = lock(&home.lock).take();
        if done && let Err(cause) = recovery::remove(&home.dir) {
            tracing::debug!(target: "runlog::journal", %cause, "a delivered journal stays behind");
        }
        drop(lock);
    }
}

impl Home {
    /// Makes the directory under a temporary name, so that nobody sees it before it is locked.
    fn create(place: &Path, address: &str) -> Result<(Self, Definitions)> {
        place::make_private(place)?;
        let name = format!("{}-{:016x}", std::process::id(), crate::id::random_u64());
        let temporary = place.join(format!("{}{name}", recovery::NEW));
        place::make_private(&temporary)?;
        let lock = Owner::this_process(address).write(&temporary)?;
        let recovery_lock = temporary.join(recovery::LOCK);
        std::fs::write(&recovery_lock, "")
            .map_err(|cause| Error::io("make the journal's directory", &recovery_lock, cause))?;
        let definitions = Definitions::create(Some(&temporary))?;
        let dir = place.join(&name);
        std::fs::rename(&temporary, &dir)
            .map_err(|cause| Error::io("make the journal's directory", &dir, cause))?;
        Ok((Self { dir, name, lock: Mutex::new(Some(lock)) }, definitions))
    }

    /// Writes a large record to a file of its own and returns the record that names it.
    fn put_aside(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let file = format!("aside-{:016x}.json", crate::id::random_u64());
        let path = self.dir.join(&file);
        std::fs::write(&path, bytes).map_err(|cause| Error::io("write a large record", &path, cause))?;
        serde_json::to_vec(&Text::Aside { file })
            .map_err(|cause| Error::io("name a large record", &path, cause.into()))
    }
}

/// A large record from its file.
fn read_aside(dir: &Path, file: &str) -> Option<Text> {
    serde_json::from_slice(&std::fs::read(dir.join(file)).ok()?).ok()
}

#[cfg(test)]
mod tests;
