//! The journal: the queue between log calls and the store, and it is on disk.
//!
//! ```text
//! <place>/<store>/<process>/   owner.json           who writes it, locked while that process lives
//!                              recovery.lock        locked while another process delivers it
//!                              alive                written to now and then, where other machines see it
//!                              definitions.jsonl    what the numbers in records mean
//!                              0.seg 1.seg …        slots, recycled
//!                              aside-N.json         records over 64 KiB
//! ```
//!
//! A log call reserves a sequence with one atomic add, writes its slot into a mapped segment and publishes it with a
//! release store: no lock, no system call, no allocation. One reader, the shipper, takes records in order, delivers
//! them and acknowledges each slot; a segment whose slots are all acknowledged is used again.

mod checksum;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod damage;
mod definitions;
mod keys;
mod maker;
mod memory;
mod observer;
mod owner;
mod place;
mod queue;
mod reader;
pub(crate) mod record;
mod recovery;
mod segment;
mod slot;
mod survey;
mod window;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use definitions::{Definitions, RunDefinition};
use maker::Maker;
use observer::Heartbeat;
pub(crate) use owner::Owner;
pub(crate) use place::Place;
pub(crate) use queue::Full;
use queue::{Queue, Share, index, split};
pub(crate) use reader::{Entry, Reader};
use record::{Point, Record, Text};
#[cfg(test)]
pub(crate) use recovery::all_journals;
pub(crate) use recovery::{Claim, Taken, dead_journals};
use segment::{FILE_BYTES, SLOTS};
use slot::{Kind, PAYLOAD_BYTES};
pub(crate) use survey::survey;
pub(crate) use window::{Slot, Window};

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::notice;
use crate::sync::lock;

/// Slots whose pages are at least made writable before they are needed: 256 KiB.
const WARM_MIN: u64 = 1 << 12;
/// And at most: 8 MiB.
const WARM_MAX: u64 = 1 << 17;
/// Slots whose pages are made writable again each time, as the kernel may have written them to the disk meanwhile.
const WARM_AGAIN: u64 = 1 << 10;
/// Slots that are done at which they are recycled at once: 32 MiB.
const SLOTS_WORTH: u64 = 1 << 19;
/// Slots that are synced at once: 64 MiB. A disk that writes more than that would keep the store waiting for seconds.
const SYNC_MAX: u64 = 1 << 20;
/// What a slot takes of memory and disk.
pub(crate) const SLOT_BYTES: u64 = slot::BYTES as u64;
/// Longer records stand in files of their own.
const ASIDE_BYTES: usize = 64 * 1024;
/// How their names begin.
const ASIDE: &str = "aside-";

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

/// Why a record that is no point of a metric was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The journal is full or sealed.
    Full,
    /// It is too large for slots, and no file could be written for it.
    Large,
}

/// The journal of this process for one store.
#[derive(Debug)]
pub(crate) struct Journal {
    queue: Queue,
    /// How many slots wait that are not the first of a record of a run.
    uncounted: AtomicU64,
    definitions: Definitions,
    home: Option<Home>,
}

#[derive(Debug)]
struct Home {
    dir: PathBuf,
    name: String,
    lock: Mutex<Option<File>>,
    heartbeat: Option<Heartbeat>,
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
                        "journal-durability",
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
        let uncounted = AtomicU64::new(0);
        Self { queue: Queue::new(maker, shape.slots_max), uncounted, definitions, home }
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
        self.queue.maker.is_durable() && self.definitions.are_written()
    }

    /// The directory of this journal, if it has one.
    pub(crate) fn dir(&self) -> Option<&Path> {
        self.home.as_ref().map(|home| home.dir.as_path())
    }

    /// How many slots may be in use at once.
    pub(crate) fn slots_max(&self) -> u64 {
        self.queue.slots_max()
    }

    /// How many of the slots that wait are not the first of a record of a run.
    pub(crate) fn uncounted(&self) -> u64 {
        self.uncounted.load(Ordering::Relaxed)
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
        self.queue
            .publish(sequence, Kind::Metric, 0, point.to_words())
            .map_err(|Full| self.queue.abandon(sequence..sequence + 1))?;
        Ok(sequence)
    }

    /// Gives up the lock that says that this process lives.
    #[cfg(test)]
    pub(crate) fn unlock(&self) {
        lock(&self.home.as_ref().unwrap().lock).take();
    }

    /// Reserves a slot and never publishes it, as a thread that died in between.
    #[cfg(test)]
    pub(crate) fn leave_a_hole(&self) {
        self.queue.reserve(1, Share::Metrics).unwrap();
    }

    /// Appends any other record and returns its sequences.
    ///
    /// # Errors
    /// There is no room for it; the record is dropped.
    pub(crate) fn text(&self, text: &Text) -> Result<Range<u64>, NotTaken> {
        let mut bytes = serde_json::to_vec(text).map_err(|_never| NotTaken::Full)?;
        if bytes.len() > ASIDE_BYTES
            && let Some(home) = &self.home
        {
            match home.put_aside(&bytes) {
                Ok(named) => bytes = named,
                Err(error) if bytes.len() > slot::RECORD_BYTES_MAX => {
                    notice::error("journal-aside", format_args!("a large record is lost: {error}"));
                    return Err(NotTaken::Large);
                }
                // There may be no space for the file, and yet many slots that are free.
                Err(error) => {
                    tracing::debug!(target: "runlog::journal", %error, "a large record goes into slots");
                }
            }
        }
        if bytes.len() > slot::RECORD_BYTES_MAX {
            return Err(NotTaken::Large);
        }
        // Before they are published: who acknowledges them takes them off again.
        let uncounted = uncounted(text, bytes.len().div_ceil(PAYLOAD_BYTES) as u64);
        self.uncounted.fetch_add(uncounted, Ordering::Relaxed);
        self.queue.publish_text(&bytes).map_err(|Full| {
            self.uncounted.fetch_sub(uncounted, Ordering::Relaxed);
            NotTaken::Full
        })
    }

    /// Takes up to `max` records that were published, in the order of their sequences.
    pub(crate) fn read(&self, reader: &mut Reader, max: usize, into: &mut Vec<Entry>) {
        reader.take(&self.queue, max, into);
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

    /// Notes that records are stored or refused. The first slot of each first: a crash in between must not leave a head
    /// without its rest.
    pub(crate) fn acknowledge(&self, entries: &[Entry]) {
        for neighbours in entries.chunk_by(|one, next| one.first + one.slots == next.first) {
            if let [first, ..] = neighbours
                && let [.., last] = neighbours
            {
                self.queue.acknowledge(first.first..last.first + last.slots);
            }
        }
        for entry in entries {
            if let Record::Text(text) = &entry.record {
                self.uncounted.fetch_sub(uncounted(text, entry.slots), Ordering::Relaxed);
            }
        }
    }

    /// Whether segments should be recycled now: many are done, and half of those in use. A sync of the store for each
    /// would cost more than what they hold is worth.
    pub(crate) fn is_worth_recycling(&self, reader: &Reader) -> bool {
        let first = reader.first_segment << segment::SLOTS_LOG2;
        let (in_use, done) = (self.tail() - first, reader.done_below().saturating_sub(first));
        done >= SLOTS_WORTH.min(self.queue.slots_max() / 4)
            && done >= in_use / 2
            && self.has_done_segments(reader)
    }

    /// Whether a segment waits to be recycled.
    fn has_done_segments(&self, reader: &Reader) -> bool {
        self.queue.is_done(reader.first_segment)
    }

    /// Whether anything was logged, or can be recycled, since the last sync, or could not be written then.
    pub(crate) fn needs_sync(&self, reader: &Reader) -> bool {
        let tail = self.tail();
        // A slot that was published after the last sync, though reserved before, is acknowledged since.
        let is_behind = |number| self.queue.find(number).is_some_and(segment::Segment::needs_sync);
        tail != reader.synced
            || self.has_done_segments(reader)
            || !self.definitions.are_written()
            || (reader.first_segment..=tail >> segment::SLOTS_LOG2).any(is_behind)
    }

    /// Frees the segments whose slots are all acknowledged; the caller has synced the store.
    pub(crate) fn recycle(&self, reader: &mut Reader) {
        reader.first_segment = self.queue.recycle(reader.first_segment);
    }

    /// Makes the next segments and pages ready, so that log calls find them so: the more, the faster they come.
    pub(crate) fn stay_ahead(&self, reader: &mut Reader) {
        self.queue.prepare_ahead(reader.first_segment);
        let tail = self.tail();
        let ahead = (4 * (tail - reader.seen)).clamp(WARM_MIN, WARM_MAX);
        reader.seen = tail;
        self.warm(tail..tail + WARM_AGAIN);
        self.warm(reader.warmed.max(tail)..tail + ahead);
        reader.warmed = reader.warmed.max(tail + ahead);
    }

    fn warm(&self, sequences: Range<u64>) {
        for (number, slots) in split(sequences) {
            if let Some(segment) = self.queue.find(number) {
                segment.warm(slots);
            }
        }
    }

    /// Brings what was logged to the disk, against a power cut: the oldest first, as far as [`SYNC_MAX`] goes. What is
    /// below `safe_below` is safe without it.
    pub(crate) fn sync(&self, reader: &mut Reader, safe_below: u64) {
        let definitions = self.definitions.count();
        if definitions != reader.definitions_synced && self.definitions.sync() {
            reader.definitions_synced = definitions;
        }
        let from = reader.sync_from.max(safe_below);
        let tail = self.tail().min(from.max(reader.synced) + SYNC_MAX);
        let unpublished = (from..tail).find(|sequence| self.queue.read(*sequence).is_none());
        for number in reader.first_segment..=tail >> segment::SLOTS_LOG2 {
            let Some(segment) = self.queue.find(number) else { continue };
            let slots = split(from..tail).find(|(of, _)| *of == number).map_or(0..0, |(_, slots)| slots);
            if !slots.is_empty() || segment.needs_sync() {
                segment.sync(slots);
            }
            if segment.take_write_failure() {
                self.queue.maker.degrade(&"writing to it failed");
            }
        }
        reader.synced = tail;
        // What was not published yet is synced next time.
        reader.sync_from = unpublished.unwrap_or(tail);
    }

    /// Gives a sign of life where other machines see the journal and no lock of this one.
    pub(crate) fn beat(&self) {
        if let Some(heartbeat) = self.home.as_ref().and_then(|home| home.heartbeat.as_ref()) {
            heartbeat.beat();
        }
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
        let dir = place.join(&name);
        let made = Self::fill(&temporary, address).and_then(|made| {
            std::fs::rename(&temporary, &dir)
                .map_err(|cause| Error::io("make the journal's directory", &dir, cause))?;
            Ok(made)
        });
        let (lock, definitions) = made.inspect_err(|_| drop(std::fs::remove_dir_all(&temporary)))?;
        let heartbeat = Heartbeat::of(&dir);
        Ok((Self { dir, name, lock: Mutex::new(Some(lock)), heartbeat }, definitions))
    }

    /// Makes a directory with all that is in a journal from its beginning.
    fn fill(dir: &Path, address: &str) -> Result<(File, Definitions)> {
        place::make_private(dir)?;
        let lock = Owner::this_process(address).write(dir)?;
        let recovery_lock = dir.join(recovery::LOCK);
        std::fs::write(&recovery_lock, "")
            .map_err(|cause| Error::io("make the journal's directory", &recovery_lock, cause))?;
        Ok((lock, Definitions::create(Some(dir))?))
    }

    /// Writes a large record to a file of its own and returns the record that names it.
    fn put_aside(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let file = format!("{ASIDE}{:016x}.json", crate::id::random_u64());
        let path = self.dir.join(&file);
        std::fs::write(&path, bytes).map_err(|cause| {
            std::fs::remove_file(&path).ok();
            Error::io("write a large record", &path, cause)
        })?;
        serde_json::to_vec(&Text::Aside { file })
            .map_err(|cause| Error::io("name a large record", &path, cause.into()))
    }
}

/// How many slots of a record do not count as a record of a run.
fn uncounted(text: &Text, slots: u64) -> u64 {
    match text {
        Text::Note { .. } => slots,
        _ => slots - 1,
    }
}

/// What to say of a journal in `dir` of which some files or records cannot be read; `None` if all can.
pub(crate) fn partly_unreadable(dir: &Path, files: &[String], records: u64) -> Option<Error> {
    if files.is_empty() && records == 0 {
        return None;
    }
    let what = match (records, files.len()) {
        (records, 0) => format!("{records} record(s)"),
        (0, files) => format!("{files} file(s)"),
        (records, files) => format!("{records} record(s) and {files} file(s)"),
    };
    let message = format!(
        "{what} of a journal cannot be read and stay, the rest is delivered; look at them, and remove the journal if \
         they are of no use"
    );
    let error = Error::new(ErrorKind::Corrupt, message).with("journal", dir.display());
    Some(files.iter().fold(error, |error, why| error.with("because", why)))
}

/// A large record from its file, which is one of the journal's own and nothing else that a name may lead to.
fn read_aside(dir: &Path, file: &str) -> Option<Text> {
    let digits = file.strip_prefix(ASIDE)?.strip_suffix(".json")?;
    let path = dir.join(file);
    let is_ours = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_ours || !std::fs::symlink_metadata(&path).ok()?.is_file() {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests;
