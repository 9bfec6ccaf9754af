//! A segment: 65,536 slots in a preallocated file that is mapped into memory.
//!
//! ```text
//! 0      page 0    magic · format · number + 1 (0: free) · salt · 1 if the space is reserved
//! 4096   bitmap    one bit a slot: acknowledged
//! 12288  slots     65,536 × 64 bytes
//! ```
//!
//! The pages belong to the kernel, so what was published survives the process. Where the file system cannot reserve
//! space (NFS, btrfs, ZFS), a mapping could die of a full disk: there the slots live in anonymous memory and each is
//! also written to the file. Where there is no directory at all, they live in memory alone.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::memory::{BITMAP_AT, Memory, PAGE, SLOTS_AT};
pub(super) use super::memory::{Backing, FILE_BYTES, SLOTS, SLOTS_LOG2};
use super::slot::{self, WORDS};
use crate::error::{Error, ErrorKind, Result};

const MAGIC: u64 = u64::from_le_bytes(*b"runlogj\n");
const FORMAT: u64 = 1;
/// The number of a segment that holds nothing.
pub(super) const FREE: u64 = u64::MAX;

/// 65,536 slots.
#[derive(Debug)]
pub(super) struct Segment {
    memory: Memory,
    /// The segment's place in the journal, or [`FREE`].
    number: AtomicU64,
    salt: AtomicU64,
    acknowledged: AtomicU32,
    /// Set when a write to the file failed, for the shipper to tell.
    write_failed: AtomicU32,
    /// Whether header or bitmap changed since they were brought to the disk.
    head_changed: AtomicBool,
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
        segment.number.store(word(2).wrapping_sub(1), Ordering::Relaxed);
        segment.salt.store(word(3), Ordering::Relaxed);
        let acknowledged: u32 =
            (0..SLOTS / 64).map(|word| segment.bits(word).load(Ordering::Relaxed).count_ones()).sum();
        segment.acknowledged.store(acknowledged, Ordering::Relaxed);
        Ok(segment)
    }

    fn over(memory: Memory) -> Self {
        Self {
            memory,
            number: AtomicU64::new(FREE),
            salt: AtomicU64::new(0),
            acknowledged: AtomicU32::new(0),
            write_failed: AtomicU32::new(0),
            head_changed: AtomicBool::new(true),
        }
    }

    /// Gives the free segment a place in the journal.
    ///
    /// The header says "free" until the bitmap is empty: a crash in between must not bring old records back.
    pub(super) fn assign(&self, number: u64, salt: u64) {
        for word in 0..SLOTS / 64 {
            self.bits(word).store(0, Ordering::Relaxed);
        }
        self.write_back(BITMAP_AT, SLOTS_AT - BITMAP_AT);
        self.acknowledged.store(0, Ordering::Relaxed);
        self.salt.store(salt, Ordering::Relaxed);
        self.memory.word(3).store(salt, Ordering::Relaxed);
        self.memory.word(2).store(number + 1, Ordering::Release);
        self.write_header();
        self.head_changed.store(true, Ordering::Relaxed);
        self.number.store(number, Ordering::Release);
    }

    /// Takes the segment out of the journal: every slot is published and acknowledged.
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
    #[inline]
    pub(super) fn publish(&self, index: usize, words: &[u64; WORDS]) {
        slot::publish(self.memory.slot(index), words);
        if self.memory.backing() == Backing::Written {
            self.write_back(SLOTS_AT + index * slot::BYTES, slot::BYTES);
        }
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
        self.head_changed.store(true, Ordering::Relaxed);
        let words = slots.start / 64..slots.end.div_ceil(64);
        for word in words.clone() {
            let inside = |index: usize| index.clamp(word * 64, word * 64 + 64) - word * 64;
            let (from, to) = (inside(slots.start), inside(slots.end));
            let mask = u64::MAX >> (64 - (to - from)) << from;
            let new = mask & !self.bits(word).fetch_or(mask, Ordering::Relaxed);
            self.acknowledged.fetch_add(new.count_ones(), Ordering::Relaxed);
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
        self.acknowledged.load(Ordering::Relaxed) as usize == SLOTS
    }

    /// Whether a write to the file has failed since the last call.
    pub(super) fn take_write_failure(&self) -> bool {
        self.write_failed.swap(0, Ordering::Relaxed) != 0
    }

    /// Makes the pages of these slots writable now, so that no log call pays for the page fault.
    pub(super) fn warm(&self, from: usize, to: usize) {
        for index in (from..to.min(SLOTS)).step_by(PAGE / slot::BYTES) {
            self.memory.slot(index)[0].fetch_or(0, Ordering::Relaxed);
        }
    }

    /// Brings the slots `from..to` to the disk and leaves their pages writable; also header and bitmap, if they changed.
    pub(super) fn sync_slots(&self, from: usize, to: usize) {
        if self.head_changed.swap(false, Ordering::Relaxed) {
            self.memory.sync(0, SLOTS_AT);
        }
        if from >= to {
            return;
        }
        let start = (SLOTS_AT + from * slot::BYTES) & !(PAGE - 1);
        self.memory.sync(start, SLOTS_AT + to.min(SLOTS) * slot::BYTES - start);
        self.warm(to.saturating_sub(1), to + 1);
    }

    fn write_header(&self) {
        self.write_back(0, 40);
    }

    fn write_back(&self, from: usize, bytes: usize) {
        if self.memory.write_back(from, bytes).is_err() {
            self.write_failed.store(1, Ordering::Relaxed);
        }
    }

    fn bits(&self, word: usize) -> &AtomicU64 {
        assert!(word < SLOTS / 64, "the bitmap has a bit for each slot");
        self.memory.word(BITMAP_AT / 8 + word)
    }
}

#[cfg(test)]
mod tests {
    use super::super::slot::{Kind, seal};
    use super::*;

    fn put(segment: &Segment, index: usize) {
        let sequence = (segment.number() << SLOTS_LOG2) + index as u64;
        segment.publish(index, &seal(Kind::Metric, 0, sequence, [1, 2, 3, 4, 5, 6], segment.salt()));
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
