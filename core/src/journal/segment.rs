//! A segment: 65,536 slots in a preallocated file that is mapped into memory.
//!
//! ```text
//! 0      page 0    magic · format · number + 1 (0: free) · salt · 1 if the space is reserved
//! 4096   bitmap    one bit a slot: acknowledged
//! 12288  copies    two pages: the slots of the page that was written to at the last sync, and at the one before
//! 20480  slots     65,536 × 64 bytes
//! ```
//!
//! The pages belong to the kernel, so what was published survives the process. Where the file system cannot reserve
//! space (NFS, btrfs, ZFS), a mapping could die of a full disk: there the slots live in anonymous memory and each is
//! also written to the file. Where there is no directory at all, they live in memory alone.
//!
//! A mapped page is write-protected while and after it is synced, and its next write faults, which costs a log call
//! more than a hundred times what it costs else. So the page that is being written to is never synced: its slots are
//! copied to one of two other pages, by turns, and that one is. Whoever opens the segment after a power cut puts back
//! what only a copy has.

use std::ops::Range;
use std::path::Path;

use super::memory::{BITMAP_AT, Memory, PAGE, SLOTS_A_PAGE, SLOTS_AT};
pub(super) use super::memory::{Backing, FILE_BYTES, SLOTS, SLOTS_LOG2};
use super::queue::index;
use super::slot::{self, WORDS};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"runlogj\n");
pub(super) const FORMAT: u64 = 1;
/// The highest number that is taken for one: no journal gets so far, and above it sequences would overflow.
const NUMBER_MAX: u64 = u64::MAX >> (SLOTS_LOG2 + 1);
/// The number of a segment that holds nothing.
pub(super) const FREE: u64 = u64::MAX;

/// 65,536 slots.
#[derive(Debug)]
pub(super) struct Segment {
    memory: Memory,
    /// The segment's place in the journal, or [`FREE`].
    number: AtomicU64,
    salt: AtomicU64,
    reading: Reading,
}

/// What changes while records are delivered and synced, on a cache line of its own: log calls read the rest.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Reading {
    acknowledged: AtomicU32,
    /// How many were acknowledged at the last sync.
    synced: AtomicU32,
    /// How often slots were copied.
    copied: AtomicU32,
    /// Set when a write to the file failed, for the shipper to tell.
    write_failed: AtomicBool,
}

impl Segment {
    /// Makes the file and reserves its space.
    pub(super) fn create(path: &Path, backing: Backing) -> Result<Self> {
        let segment = Self::over(Memory::create(path, backing)?);
        segment.memory.word(0).store(MAGIC, Ordering::Relaxed);
        segment.memory.word(1).store(FORMAT, Ordering::Relaxed);
        segment.write_header();
        Ok(segment)
    }

    /// Opens the segment of a dead process, to read it and to acknowledge in it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let segment = Self::over(Memory::open(path)?);
        let word = |word| segment.memory.word(word).load(Ordering::Relaxed);
        if word(0) != MAGIC {
            return Err(Error::new(ErrorKind::Corrupt, "not a journal segment").with("path", path.display()));
        }
        let format = word(1);
        if format != FORMAT {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a journal segment has a format that this version does not know; deliver it with the version that wrote it",
            )
            .with("format", format)
            .with("path", path.display()));
        }
        let number = word(2).wrapping_sub(1);
        if number != FREE && number > NUMBER_MAX {
            return Err(Error::new(ErrorKind::Corrupt, "a journal segment has a number that none can have")
                .with("number", number)
                .with("path", path.display()));
        }
        segment.number.store(number, Ordering::Relaxed);
        segment.salt.store(word(3), Ordering::Relaxed);
        let acknowledged: u32 =
            (0..SLOTS.div_ceil(64)).map(|word| segment.bits(word).load(Ordering::Relaxed).count_ones()).sum();
        segment.reading.acknowledged.store(acknowledged, Ordering::Relaxed);
        segment.put_back();
        Ok(segment)
    }

    fn over(memory: Memory) -> Self {
        Self { memory, number: AtomicU64::new(FREE), salt: AtomicU64::new(0), reading: Reading::default() }
    }

    /// Gives the free segment a place in the journal.
    ///
    /// The header says "free" until the bitmap is empty: a crash in between must not bring old records back.
    pub(super) fn assign(&self, number: u64, salt: u64) {
        for word in 0..SLOTS.div_ceil(64) {
            self.bits(word).store(0, Ordering::Relaxed);
        }
        self.write_back(BITMAP_AT, SLOTS_AT - BITMAP_AT);
        self.reading.acknowledged.store(0, Ordering::Relaxed);
        self.salt.store(salt, Ordering::Relaxed);
        self.memory.word(3).store(salt, Ordering::Relaxed);
        self.memory.word(2).store(number + 1, Ordering::Release);
        self.write_header();
        self.number.store(number, Ordering::Release);
    }

    /// Takes the segment out of the journal: every slot is acknowledged.
    pub(super) fn release(&self) {
        self.number.store(FREE, Ordering::Release);
        self.memory.word(2).store(0, Ordering::Release);
        self.write_header();
        self.memory.sync(0, PAGE);
    }

    /// The segment's place in the journal, or [`FREE`].
    #[inline]
    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// What salts this generation's checksums.
    #[inline]
    pub(super) fn salt(&self) -> u64 {
        self.salt.load(Ordering::Relaxed)
    }

    /// Publishes a slot.
    ///
    /// # Errors
    /// It is published, but not in the file.
    #[inline]
    pub(super) fn publish(&self, index: usize, words: &[u64; WORDS]) -> std::io::Result<()> {
        // The file first: once memory shows the slot, it may be read, acknowledged and given to a later record, which a
        // write of this one must not cover.
        let written = match self.memory.backing() {
            Backing::Written => self.memory.write_slot(index, words),
            Backing::Mapped | Backing::Memory => Ok(()),
        };
        slot::publish(self.memory.slot(index), words);
        written
    }

    /// Reads the slot at `index`, if it is published for this generation.
    pub(super) fn read(&self, index: usize) -> Option<slot::Read> {
        let sequence = (self.number() << SLOTS_LOG2) + index as u64;
        slot::read(self.memory.slot(index), sequence, self.salt())
    }

    /// Notes that a slot is stored or refused; it will not be replayed.
    pub(super) fn acknowledge(&self, index: usize) {
        self.acknowledge_all(index..index + 1);
    }

    /// Notes that these slots are stored or refused, the first ones first.
    pub(super) fn acknowledge_all(&self, slots: Range<usize>) {
        if slots.is_empty() {
            return;
        }
        let words = slots.start / 64..slots.end.div_ceil(64);
        for word in words.clone() {
            let inside = |index: usize| index.clamp(word * 64, word * 64 + 64) - word * 64;
            let (from, to) = (inside(slots.start), inside(slots.end));
            let mask = u64::MAX >> (64 - (to - from)) << from;
            let new = mask & !self.bits(word).fetch_or(mask, Ordering::Relaxed);
            self.reading.acknowledged.fetch_add(new.count_ones(), Ordering::Relaxed);
        }
        if self.memory.backing() == Backing::Written {
            self.write_back(BITMAP_AT + words.start * 8, words.len() * 8);
        }
    }

    /// Whether the slot was acknowledged.
    pub(super) fn is_acknowledged(&self, index: usize) -> bool {
        self.bits(index / 64).load(Ordering::Relaxed) & 1 << (index % 64) != 0
    }

    /// Whether every slot was acknowledged.
    pub(super) fn is_done(&self) -> bool {
        self.reading.acknowledged.load(Ordering::Relaxed) as usize == SLOTS
    }

    /// Whether a write to the file has failed since the last call.
    pub(super) fn take_write_failure(&self) -> bool {
        self.reading.write_failed.swap(false, Ordering::Relaxed)
    }

    /// Makes the pages of these slots writable now, so that no log call pays for the page fault.
    pub(super) fn warm(&self, slots: Range<usize>) {
        let pages = slots.start / SLOTS_A_PAGE..slots.end.min(SLOTS).div_ceil(SLOTS_A_PAGE);
        for page in pages {
            let word = &self.memory.slot(page * SLOTS_A_PAGE)[0];
            let value = word.load(Ordering::Relaxed);
            // A write that changes nothing; one such as `fetch_or(0)` would be compiled to a read. If it fails, a log
            // call has written to the page just now.
            word.compare_exchange(value, value, Ordering::Relaxed, Ordering::Relaxed).ok();
        }
    }

    /// Whether a slot was acknowledged since the last sync.
    pub(super) fn needs_sync(&self) -> bool {
        self.reading.acknowledged.load(Ordering::Relaxed) != self.reading.synced.load(Ordering::Relaxed)
    }

    /// Brings header, bitmap and these slots to the disk, and touches no page that is still written to.
    pub(super) fn sync(&self, slots: Range<usize>) {
        let acknowledged = self.reading.acknowledged.load(Ordering::Relaxed);
        let page = |slot: usize| slot / SLOTS_A_PAGE * SLOTS_A_PAGE;
        let open_page = page(slots.end);
        if self.memory.backing() == Backing::Mapped && slots.start < slots.end && open_page < slots.end {
            let is_odd = self.reading.copied.fetch_add(1, Ordering::Relaxed) % 2 == 1;
            let half = if is_odd { SLOTS_A_PAGE } else { 0 };
            for place in 0..SLOTS_A_PAGE {
                slot::copy(self.memory.slot(open_page + place), self.memory.copy(half + place));
            }
        }
        self.memory.sync(0, SLOTS_AT);
        let (from, to) = (page(slots.start), open_page);
        if from < to {
            self.memory.sync(SLOTS_AT + from * slot::BYTES, (to - from) * slot::BYTES);
        }
        self.reading.synced.store(acknowledged, Ordering::Relaxed);
    }

    /// Writes the slots that only a copy has to where they belong.
    fn put_back(&self) {
        for copy in (0..2 * SLOTS_A_PAGE).map(|place| self.memory.copy(place)) {
            let sequence = slot::sequence(copy);
            let index = index(sequence);
            if sequence >> SLOTS_LOG2 == self.number()
                && slot::read(copy, sequence, self.salt()).is_some()
                && self.read(index).is_none()
            {
                slot::copy(copy, self.memory.slot(index));
            }
        }
    }

    fn write_header(&self) {
        self.write_back(0, 40);
    }

    fn write_back(&self, from: usize, bytes: usize) {
        self.note(&self.memory.write_back(from, bytes));
    }

    fn note(&self, written: &std::io::Result<()>) {
        if written.is_err() {
            self.reading.write_failed.store(true, Ordering::Relaxed);
        }
    }

    fn bits(&self, word: usize) -> &AtomicU64 {
        assert!(word < SLOTS.div_ceil(64), "the bitmap has a bit for each slot");
        self.memory.word(BITMAP_AT / 8 + word)
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::COPIES_AT;
    use super::super::slot::{Kind, seal};
    use super::*;

    fn put(segment: &Segment, index: usize) {
        let sequence = (segment.number() << SLOTS_LOG2) + index as u64;
        segment.publish(index, &seal(Kind::Metric, 0, sequence, [1, 2, 3, 4, 5, 6], segment.salt())).unwrap();
    }

    #[test]
    fn what_was_published_and_acknowledged_is_in_the_file() {
        for backing in [Backing::Mapped, Backing::Written] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("1.seg");
            let segment = Segment::create(&path, backing).unwrap();
            segment.assign(3, 99);
            put(&segment, 0);
            put(&segment, SLOTS - 1);
            segment.acknowledge(0);
            let reopened = Segment::open(&path).unwrap();
            assert_eq!(reopened.number(), 3);
            assert_eq!(reopened.read(0).unwrap().payload, [1, 2, 3, 4, 5, 6]);
            assert!(reopened.read(SLOTS - 1).is_some());
            assert!(reopened.read(1).is_none());
            assert!(reopened.is_acknowledged(0) && !reopened.is_acknowledged(SLOTS - 1));
        }
    }

    #[test]
    fn what_another_process_acknowledges_is_in_the_file_whether_it_may_be_mapped_or_not() {
        for backing in [Backing::Mapped, Backing::Written] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("1.seg");
            let segment = Segment::create(&path, backing).unwrap();
            segment.assign(0, 1);
            put(&segment, 9);
            drop(segment);
            let recovering = Segment::open(&path).unwrap();
            assert_eq!(
                recovering.memory.backing(),
                backing,
                "a file whose space is not reserved is never mapped"
            );
            recovering.acknowledge(9);
            assert!(Segment::open(&path).unwrap().is_acknowledged(9));
        }
    }

    #[test]
    fn a_recycled_segment_shows_none_of_its_old_slots() {
        let dir = tempfile::tempdir().unwrap();
        let segment = Segment::create(&dir.path().join("1.seg"), Backing::Mapped).unwrap();
        segment.assign(0, 1);
        put(&segment, 7);
        segment.acknowledge(7);
        segment.release();
        segment.assign(5, 2);
        assert!(segment.read(7).is_none());
        assert!(!segment.is_acknowledged(7));
    }

    #[test]
    fn what_was_synced_survives_a_power_cut_even_from_the_page_that_was_still_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.seg");
        let segment = Segment::create(&path, Backing::Mapped).unwrap();
        segment.assign(3, 99);
        let there = |segment: &Segment| -> Vec<usize> {
            (0..200).filter(|index| segment.read(*index).is_some()).collect()
        };
        // Of the pages from the one on that was written to at the last sync, nothing has reached the disk.
        let cut = |mut bytes: Vec<u8>, synced: usize| {
            bytes[SLOTS_AT + synced / SLOTS_A_PAGE * PAGE..].fill(0);
            let path = dir.path().join("cut.seg");
            std::fs::write(&path, bytes).unwrap();
            there(&Segment::open(&path).unwrap())
        };
        let mut synced = 0;
        for end in (1..200).step_by(7) {
            (synced..end).for_each(|index| put(&segment, index));
            let turn = segment.reading.copied.load(Ordering::Relaxed);
            segment.sync(0..end);
            assert_eq!(cut(std::fs::read(&path).unwrap(), end), (0..end).collect::<Vec<_>>());
            let mut cut_while_syncing = std::fs::read(&path).unwrap();
            if segment.reading.copied.load(Ordering::Relaxed) > turn {
                cut_while_syncing[COPIES_AT + turn as usize % 2 * PAGE..][..PAGE].fill(7);
            }
            assert_eq!(cut(cut_while_syncing, synced), (0..synced).collect::<Vec<_>>());
            synced = end;
        }
    }

    #[test]
    fn a_copy_of_another_generation_is_not_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.seg");
        let segment = Segment::create(&path, Backing::Mapped).unwrap();
        segment.assign(0, 1);
        put(&segment, 7);
        segment.sync(0..8);
        for (number, salt) in [(5, 1), (0, 2)] {
            segment.assign(number, salt);
            assert!(Segment::open(&path).unwrap().read(7).is_none());
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn writing_to_warm_pages_does_not_fault_and_syncing_does_not_change_that() {
        // Of this thread: the tenth field, the eighth after the program's name.
        let faults = || -> u64 {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            stat.rsplit(") ").next().unwrap().split(' ').nth(7).unwrap().parse().unwrap()
        };
        let before = faults();
        memmap2::MmapMut::map_anon(1 << 24).unwrap().fill(1);
        assert!(faults() > before, "faults are counted");
        let dir = tempfile::tempdir().unwrap();
        let attempt = |name: u32| -> u64 {
            let segment = Segment::create(&dir.path().join(name.to_string()), Backing::Mapped).unwrap();
            segment.assign(0, 1);
            segment.warm(0..1001);
            let rounds = (1..1000).step_by(100).map(|start| {
                let before = faults();
                (start..start + 100).for_each(|index| put(&segment, index));
                let faulted = faults() - before;
                segment.sync(0..start + 100);
                faulted
            });
            rounds.sum()
        };
        // The kernel may write pages to the disk by itself meanwhile, and the test's own code faults at first.
        assert!((0..10).any(|name| attempt(name) == 0));
    }

    #[test]
    fn what_is_no_segment_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.seg");
        std::fs::write(&path, b"short").unwrap();
        assert_eq!(Segment::open(&path).unwrap_err().kind(), ErrorKind::Corrupt);
        std::fs::write(&path, vec![7; FILE_BYTES]).unwrap();
        assert_eq!(Segment::open(&path).unwrap_err().kind(), ErrorKind::Corrupt);
        std::fs::remove_file(&path).unwrap();
        drop(Segment::create(&path, Backing::Mapped).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[8] = 9;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Segment::open(&path).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
