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
//!
//! Invariants:
//! - a sequence is reserved once and belongs to whoever reserved it; a segment with an unpublished slot is never
//!   recycled, so a writer between reserving and publishing cannot be overtaken;
//! - a slot that is reserved but not published delays nobody: the reader passes over it and looks again.

mod definitions;
mod owner;
mod place;
pub(crate) mod record;
mod recovery;
mod segment;
mod slot;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

pub(crate) use definitions::{Definitions, RunDefinition};
pub(crate) use owner::Owner;
pub(crate) use place::Place;
use record::{Point, Record, Text};
pub(crate) use recovery::{Claim, dead_journals, waiting_journals};
use segment::{Backing, SLOTS, SLOTS_LOG2, Segment};
use slot::{Kind, PAYLOAD_BYTES};

use crate::error::{Error, Result};
use crate::notice;
use crate::sync::lock;

/// Segments that may be in use at once: 1 GiB.
const SEGMENTS_MAX: u16 = 256;
/// The slots in them.
const SLOTS_MAX: u64 = (SEGMENTS_MAX as u64) << SLOTS_LOG2;
/// Room beside those for what is reserved while the bound is being checked.
const SEGMENTS_SLACK: usize = 16;
/// Where a segment's number is looked up; more than can be in use.
const RING: usize = 512;
/// The share of the journal that only params, tags and ends may use: 1 %.
const RESERVE_SHARE: u64 = 100;
/// Segments that are made before they are needed.
const SEGMENTS_AHEAD: u64 = 2;
/// Slots whose pages are made writable before they are needed: 1 MiB.
const WARM_SLOTS: u64 = 1 << 14;
/// Longer records stand in files of their own.
const ASIDE_BYTES: usize = 64 * 1024;

/// The journal of this process for one store.
#[derive(Debug)]
pub(crate) struct Journal {
    /// The next sequence to reserve, alone on its cache line.
    tail: Aligned,
    /// How many slots may be in use at once.
    slots_max: u64,
    /// Metrics are dropped from this sequence on.
    metric_limit: AtomicU64,
    /// Everything is dropped from this sequence on.
    text_limit: AtomicU64,
    /// Place in `segments` plus one of the segment with this number, modulo its length.
    ring: Vec<AtomicU32>,
    segments: Vec<OnceLock<Segment>>,
    growth: Mutex<Growth>,
    backing: Backing,
    definitions: Definitions,
    home: Option<Home>,
    /// Nothing more is taken.
    sealed: AtomicBool,
    /// Something that was logged is not on disk, though there is a directory: the disk is full.
    degraded: AtomicBool,
}

#[derive(Debug)]
#[repr(align(128))]
struct Aligned(AtomicU64);

#[derive(Debug, Default)]
struct Growth {
    made: u32,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Home {
    dir: PathBuf,
    name: String,
    lock: Mutex<Option<File>>,
}

/// The journal is full, or sealed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Full;

/// A record with the sequences of its slots.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) first: u64,
    pub(crate) slots: u64,
    pub(crate) record: Record,
}

/// How far the one reader is.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    next: u64,
    /// Sequences that were reserved but not published when they were passed, or given back.
    passed: Vec<u64>,
    /// The number of the first segment that is not recycled.
    first_segment: u64,
    synced: u64,
    warmed: u64,
}

impl Reader {
    /// Everything below is stored or refused, once every record that was read is acknowledged or given back.
    pub(crate) fn done_below(&self) -> u64 {
        self.passed.iter().copied().min().unwrap_or(self.next).min(self.next)
    }

    /// Notes that these were read, but neither stored nor refused: they are still to be done.
    pub(crate) fn give_back(&mut self, entries: &[Entry]) {
        self.passed.extend(entries.iter().map(|entry| entry.first));
    }

    /// Whether a slot was reserved but not published when it was passed.
    pub(crate) fn has_passed(&self) -> bool {
        !self.passed.is_empty()
    }
}

impl Journal {
    /// Opens a journal of this process for the store at `address`.
    ///
    /// Where no directory can be written, it is kept in memory, and that is said once.
    pub(crate) fn open(place: &Place, address: &str) -> Self {
        Self::bounded(place, address, SLOTS_MAX)
    }

    /// As [`open`](Self::open), with room for so many slots.
    pub(crate) fn bounded(place: &Place, address: &str, slots_max: u64) -> Self {
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
        let (home, definitions) = match made {
            Some((home, definitions)) => (Some(home), definitions),
            None => (None, Definitions::default()),
        };
        let journal = Self {
            tail: Aligned(AtomicU64::new(0)),
            slots_max,
            metric_limit: AtomicU64::new(0),
            text_limit: AtomicU64::new(0),
            ring: (0..RING).map(|_| AtomicU32::new(0)).collect(),
            segments: (0..usize::from(SEGMENTS_MAX) + SEGMENTS_SLACK).map(|_| OnceLock::new()).collect(),
            growth: Mutex::default(),
            backing: home.as_ref().map_or(Backing::Memory, |home| place::backing_in(&home.dir)),
            definitions,
            home,
            sealed: AtomicBool::new(false),
            degraded: AtomicBool::new(false),
        };
        journal.set_limits(0);
        journal.prepare(0);
        journal
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
        self.home.is_some() && !self.degraded.load(Ordering::Relaxed)
    }

    /// The next sequence: everything logged so far is below it.
    pub(crate) fn tail(&self) -> u64 {
        self.tail.0.load(Ordering::Acquire)
    }

    /// Appends a metric point and returns its sequence.
    ///
    /// # Errors
    /// The journal is full or sealed; the point is dropped.
    #[inline]
    pub(crate) fn metric(&self, point: Point) -> Result<u64, Full> {
        let sequence = self.reserve(1, &self.metric_limit)?;
        let segment = self.segment(sequence).ok_or(Full)?;
        segment.publish(
            index(sequence),
            &slot::seal(Kind::Metric, 0, sequence, point.to_words(), segment.salt()),
        );
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
        let first = self.reserve(slots, &self.text_limit)?;
        // The first slot last: until then the reader passes over all of them.
        for (place, chunk) in bytes.chunks(PAYLOAD_BYTES).enumerate().rev() {
            let sequence = first + place as u64;
            let segment = self.segment(sequence).ok_or(Full)?;
            let (kind, extent) =
                if place == 0 { (Kind::Text, bytes.len()) } else { (Kind::Continuation, place) };
            segment.publish(
                index(sequence),
                &slot::seal(kind, extent, sequence, slot::pack(chunk), segment.salt()),
            );
        }
        Ok(first..first + slots)
    }

    #[inline]
    fn reserve(&self, slots: u64, limit: &AtomicU64) -> Result<u64, Full> {
        // Threads that pass here together may overshoot the limit by a slot or a record each; the slack holds them.
        if self.tail.0.load(Ordering::Relaxed) + slots > limit.load(Ordering::Relaxed) {
            return Err(Full);
        }
        let first = self.tail.0.fetch_add(slots, Ordering::SeqCst);
        // Either this is seen here, or whoever closes the journal sees the reservation and leaves it to the next process.
        if self.is_sealed() { Err(Full) } else { Ok(first) }
    }

    /// The segment that holds a sequence, made now if the shipper was not fast enough.
    #[inline]
    fn segment(&self, sequence: u64) -> Option<&Segment> {
        let number = sequence >> SLOTS_LOG2;
        self.find(number).or_else(|| self.prepare(number))
    }

    #[inline]
    fn find(&self, number: u64) -> Option<&Segment> {
        let place = self.ring[ring_index(number)].load(Ordering::Acquire) as usize;
        let segment = self.segments.get(place.wrapping_sub(1))?.get()?;
        (segment.number() == number).then_some(segment)
    }

    /// Puts a segment at `number`: a free one, or a new one.
    #[cold]
    fn prepare(&self, number: u64) -> Option<&Segment> {
        let mut growth = lock(&self.growth);
        if let Some(segment) = self.find(number) {
            return Some(segment);
        }
        let place = if let Some(place) = growth.free.pop() {
            place
        } else {
            let place = growth.made;
            let segment = self.create(place)?;
            self.segments.get(place as usize)?.set(segment).ok()?;
            growth.made += 1;
            place
        };
        let segment = self.segments.get(place as usize)?.get()?;
        segment.assign(number, crate::id::random_u64());
        self.ring[ring_index(number)].store(place + 1, Ordering::Release);
        Some(segment)
    }

    fn create(&self, place: u32) -> Option<Segment> {
        let path = self.home.as_ref().map(|home| home.dir.join(format!("{place}.seg"))).unwrap_or_default();
        let attempt = |backing| Segment::create(&path, backing);
        let made = match self.backing {
            Backing::Mapped => attempt(Backing::Mapped).or_else(|_unreserved| attempt(Backing::Written)),
            backing => attempt(backing),
        };
        made.or_else(|error| {
            notice::warn(
                "journal-segment-in-memory",
                format_args!(
                    "the journal cannot grow on disk, so a kill will lose records that are not stored yet; free some \
                     space: {error}"
                ),
            );
            self.degraded.store(true, Ordering::Relaxed);
            attempt(Backing::Memory)
        })
        .ok()
    }

    fn set_limits(&self, first_segment: u64) {
        let end = (first_segment << SLOTS_LOG2) + self.slots_max;
        self.text_limit.store(end, Ordering::Relaxed);
        self.metric_limit.store(end - self.slots_max / RESERVE_SHARE, Ordering::Relaxed);
        if self.is_sealed() {
            self.seal();
        }
    }

    /// Takes nothing more: what other threads log from now on is refused, so that nothing is taken that is not kept.
    pub(crate) fn seal(&self) {
        self.sealed.store(true, Ordering::SeqCst);
        self.text_limit.store(0, Ordering::SeqCst);
        self.metric_limit.store(0, Ordering::SeqCst);
    }

    #[inline]
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::SeqCst)
    }

    /// Takes up to `max` records that were published, in the order of their sequences.
    pub(crate) fn read(&self, reader: &mut Reader, max: usize, into: &mut Vec<Entry>) {
        let tail = self.tail();
        let get = |sequence: u64| self.find(sequence >> SLOTS_LOG2)?.read(index(sequence));
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
        for sequence in entry.first..entry.first + entry.slots {
            if let Some(segment) = self.find(sequence >> SLOTS_LOG2) {
                segment.acknowledge(index(sequence));
            }
        }
    }

    /// Whether a segment waits to be recycled.
    pub(crate) fn has_done_segments(&self, reader: &Reader) -> bool {
        self.find(reader.first_segment).is_some_and(Segment::is_done)
    }

    /// Whether anything was logged, or can be recycled, since the last sync.
    pub(crate) fn needs_sync(&self, reader: &Reader) -> bool {
        self.tail() != reader.synced || self.has_done_segments(reader)
    }

    /// Frees the segments whose slots are all acknowledged; the caller has synced the store.
    pub(crate) fn recycle(&self, reader: &mut Reader) {
        let mut free = Vec::new();
        while let Some(segment) = self.find(reader.first_segment).filter(|segment| segment.is_done()) {
            free.push(self.ring[ring_index(reader.first_segment)].load(Ordering::Relaxed) - 1);
            segment.release();
            reader.first_segment += 1;
        }
        // A log call that needs a segment must not wait for the disk.
        lock(&self.growth).free.append(&mut free);
        self.set_limits(reader.first_segment);
    }

    /// Makes the next segments and their first pages ready, so that log calls find them so.
    pub(crate) fn stay_ahead(&self, reader: &mut Reader) {
        let tail = self.tail();
        for number in 1..=SEGMENTS_AHEAD {
            self.segment(tail + (number << SLOTS_LOG2));
        }
        let from = reader.warmed.max(tail);
        reader.warmed = tail + WARM_SLOTS;
        for (number, slots) in split(from..reader.warmed) {
            if let Some(segment) = self.find(number) {
                segment.warm(slots.start, slots.end);
            }
        }
    }

    /// Brings everything logged so far to the disk, against a power cut.
    pub(crate) fn sync(&self, reader: &mut Reader) {
        let tail = self.tail();
        self.definitions.sync();
        for number in reader.first_segment..=tail >> SLOTS_LOG2 {
            if let Some(segment) = self.find(number) {
                let slots =
                    split(reader.synced..tail).find(|(of, _)| *of == number).map_or(0..0, |(_, slots)| slots);
                segment.sync_slots(slots.start, slots.end);
                if segment.take_write_failure() {
                    self.degraded.store(true, Ordering::Relaxed);
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
        let done = reader.done_below() >= self.tail.0.load(Ordering::SeqCst);
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

enum Found {
    Record(Entry),
    Continuation,
    Nothing,
}

/// Reads the record whose first slot is at `first`, through `get`, which reads slots.
fn read_record(get: impl Fn(u64) -> Option<slot::Read>, first: u64) -> Found {
    let Some(head) = get(first) else { return Found::Nothing };
    match head.kind {
        Kind::Metric => {
            let record = Record::Metric(Point::from_words(head.payload));
            Found::Record(Entry { first, slots: 1, record })
        }
        Kind::Continuation => Found::Continuation,
        Kind::Text => {
            let slots = head.extent.div_ceil(PAYLOAD_BYTES).max(1);
            let mut bytes = Vec::with_capacity(slots * PAYLOAD_BYTES);
            slot::unpack(&head.payload, &mut bytes);
            for place in 1..slots {
                match get(first + place as u64) {
                    Some(part) if part.kind == Kind::Continuation && part.extent == place => {
                        slot::unpack(&part.payload, &mut bytes);
                    }
                    _ => return Found::Nothing,
                }
            }
            bytes.truncate(head.extent);
            match serde_json::from_slice(&bytes) {
                Ok(text) => Found::Record(Entry { first, slots: slots as u64, record: Record::Text(text) }),
                Err(_) => Found::Nothing,
            }
        }
    }
}

/// The slots of a range, by segment.
fn split(range: Range<u64>) -> impl Iterator<Item = (u64, Range<usize>)> {
    let segments =
        if range.is_empty() { 0..0 } else { range.start >> SLOTS_LOG2..((range.end - 1) >> SLOTS_LOG2) + 1 };
    segments.map(move |number| {
        let start = number << SLOTS_LOG2;
        let inside =
            |sequence: u64| usize::try_from(sequence.saturating_sub(start)).unwrap_or(SLOTS).min(SLOTS);
        (number, inside(range.start)..inside(range.end))
    })
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are meant")]
fn index(sequence: u64) -> usize {
    sequence as usize & (SLOTS - 1)
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
fn ring_index(number: u64) -> usize {
    number as usize % RING
}

#[cfg(test)]
mod tests;
