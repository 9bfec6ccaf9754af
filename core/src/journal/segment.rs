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
//!
//! Invariant: the mapping is made with the full length and never shrinks, moves or goes away while the segment lives.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use super::slot::{self, Slot, WORDS};
use crate::error::{Error, ErrorKind, Result};

/// Slots in a segment, as a power of two.
pub(super) const SLOTS_LOG2: u32 = 16;
/// Slots in a segment.
pub(super) const SLOTS: usize = 1 << SLOTS_LOG2;

const PAGE: usize = 4096;
const BITMAP_AT: usize = PAGE;
const SLOTS_AT: usize = BITMAP_AT + SLOTS / 8;
const FILE_BYTES: usize = SLOTS_AT + SLOTS * slot::BYTES;

const MAGIC: u64 = u64::from_le_bytes(*b"runlogj\n");
const FORMAT: u64 = 1;
/// The number of a segment that holds nothing.
pub(super) const FREE: u64 = u64::MAX;

/// How the slots of a journal are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backing {
    /// In files mapped into memory: safe from a kill.
    Mapped,
    /// In memory, and each slot written to its file: slower, as safe.
    Written,
    /// In memory alone: a kill loses what was not shipped.
    Memory,
}

/// 65,536 slots.
#[derive(Debug)]
pub(super) struct Segment {
    map: MmapRaw,
    file: Option<File>,
    backing: Backing,
    /// The segment's place in the journal, or [`FREE`].
    number: AtomicU64,
    salt: AtomicU64,
    acknowledged: AtomicU32,
    /// Set when a write to the file failed, for the shipper to tell.
    write_failed: AtomicU32,
}

impl Segment {
    /// Makes the file and reserves its space.
    pub(super) fn create(path: &Path, backing: Backing) -> Result<Self> {
        let fail = |cause: std::io::Error| Error::io("make a journal segment", path, cause);
        let file = match backing {
            Backing::Memory => None,
            Backing::Mapped | Backing::Written => {
                Some(OpenOptions::new().read(true).write(true).create_new(true).open(path).map_err(fail)?)
            }
        };
        let reserved = match (&file, backing) {
            (Some(file), Backing::Mapped) => reserve(file),
            (Some(file), _) => file.set_len(FILE_BYTES as u64),
            (None, _) => Ok(()),
        };
        if let Err(cause) = reserved {
            std::fs::remove_file(path).ok();
            return Err(fail(cause));
        }
        let map = match (&file, backing) {
            (Some(file), Backing::Mapped) => {
                MmapOptions::new().len(FILE_BYTES).map_raw(file).map_err(fail)?
            }
            _ => MmapRaw::from(MmapOptions::new().len(FILE_BYTES).map_anon().map_err(fail)?),
        };
        let segment = Self::over(map, file, backing);
        segment.word(0).store(MAGIC, Ordering::Relaxed);
        segment.word(1).store(FORMAT, Ordering::Relaxed);
        segment.word(4).store(u64::from(backing == Backing::Mapped), Ordering::Relaxed);
        segment.write_header();
        Ok(segment)
    }

    /// Opens the segment of a dead process, to read it and to acknowledge in it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let fail = |cause: std::io::Error| Error::io("open a journal segment", path, cause);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        if length != FILE_BYTES as u64 {
            return Err(corrupt("a journal segment has the wrong length; it was cut or is not one", path));
        }
        let mut header = [0; 40];
        read_exact_at(&file, &mut header, 0).map_err(fail)?;
        // A file whose space is not reserved must not be mapped: writing to it on a full disk kills the process.
        let segment = if header[32] == 1 {
            let map = MmapOptions::new().len(FILE_BYTES).map_raw(&file).map_err(fail)?;
            Self::over(map, Some(file), Backing::Mapped)
        } else {
            let mut copy = MmapOptions::new().len(FILE_BYTES).map_anon().map_err(fail)?;
            read_exact_at(&file, &mut copy, 0).map_err(fail)?;
            Self::over(MmapRaw::from(copy), Some(file), Backing::Written)
        };
        if segment.word(0).load(Ordering::Relaxed) != MAGIC {
            return Err(corrupt("not a journal segment", path));
        }
        let format = segment.word(1).load(Ordering::Relaxed);
        if format != FORMAT {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a journal segment has a format that this version does not know; deliver it with the version that wrote it",
            )
            .with("format", format)
            .with("path", path.display()));
        }
        let number = segment.word(2).load(Ordering::Relaxed).wrapping_sub(1);
        segment.number.store(number, Ordering::Relaxed);
        segment.salt.store(segment.word(3).load(Ordering::Relaxed), Ordering::Relaxed);
        let acknowledged: u32 =
            (0..SLOTS / 64).map(|word| segment.bits(word).load(Ordering::Relaxed).count_ones()).sum();
        segment.acknowledged.store(acknowledged, Ordering::Relaxed);
        Ok(segment)
    }

    fn over(map: MmapRaw, file: Option<File>, backing: Backing) -> Self {
        Self {
            map,
            file,
            backing,
            number: AtomicU64::new(FREE),
            salt: AtomicU64::new(0),
            acknowledged: AtomicU32::new(0),
            write_failed: AtomicU32::new(0),
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
        self.word(3).store(salt, Ordering::Relaxed);
        self.word(2).store(number + 1, Ordering::Release);
        self.write_header();
        self.number.store(number, Ordering::Release);
    }

    /// Takes the segment out of the journal: every slot is published and acknowledged.
    pub(super) fn release(&self) {
        self.number.store(FREE, Ordering::Release);
        self.word(2).store(0, Ordering::Release);
        self.write_header();
        self.sync(0, PAGE);
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
        slot::publish(self.slot(index), words);
        if self.backing == Backing::Written {
            self.write_back(SLOTS_AT + index * slot::BYTES, slot::BYTES);
        }
    }

    /// Reads the slot at `index`, if it is published for this generation.
    pub(super) fn read(&self, index: usize) -> Option<slot::Read> {
        let sequence = (self.number() << SLOTS_LOG2) + index as u64;
        slot::read(self.slot(index), sequence, self.salt())
    }

    /// Notes that a slot is stored or refused; it will not be replayed.
    pub(super) fn acknowledge(&self, index: usize) {
        let (word, bit) = (index / 64, 1 << (index % 64));
        if self.bits(word).fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        if self.backing == Backing::Written {
            self.write_back(BITMAP_AT + word * 8, 8);
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
            self.slot(index)[0].fetch_or(0, Ordering::Relaxed);
        }
    }

    /// Brings header, bitmap and the slots `from..to` to the disk, and leaves their pages writable.
    pub(super) fn sync_slots(&self, from: usize, to: usize) {
        self.sync(0, SLOTS_AT);
        let start = (SLOTS_AT + from * slot::BYTES) & !(PAGE - 1);
        self.sync(start, SLOTS_AT + to.min(SLOTS) * slot::BYTES - start);
        self.warm(to.saturating_sub(1), to + 1);
    }

    fn sync(&self, from: usize, bytes: usize) {
        // A failed sync costs durability against a power cut only, and the next one tries again.
        match self.backing {
            Backing::Mapped => drop(self.map.flush_range(from, bytes)),
            Backing::Written => drop(self.file.as_ref().map(File::sync_data)),
            Backing::Memory => {}
        }
    }

    fn write_header(&self) {
        if self.backing == Backing::Written {
            self.write_back(0, 40);
        }
    }

    /// Copies `bytes` of memory to the file, where the memory is not the file.
    fn write_back(&self, from: usize, bytes: usize) {
        let (Backing::Written, Some(file)) = (self.backing, &self.file) else { return };
        let mut copy = Vec::with_capacity(bytes);
        for word in from / 8..(from + bytes) / 8 {
            copy.extend(self.word(word).load(Ordering::Relaxed).to_le_bytes());
        }
        if write_all_at(file, &copy, from as u64).is_err() {
            self.write_failed.store(1, Ordering::Relaxed);
        }
    }

    #[inline]
    fn slot(&self, index: usize) -> &Slot {
        assert!(index < SLOTS, "a segment has 65,536 slots");
        #[expect(
            unsafe_code,
            clippy::cast_ptr_alignment,
            reason = "a slot in mapped memory, which is aligned"
        )]
        // SAFETY: the mapping is FILE_BYTES long and lives as long as `self` (type's invariant), SLOTS_AT + index · 64
        // is inside it and 64-byte aligned, and everyone, other processes too, touches these bytes as atomics.
        unsafe {
            &*self.map.as_mut_ptr().add(SLOTS_AT + index * slot::BYTES).cast::<Slot>()
        }
    }

    fn bits(&self, word: usize) -> &AtomicU64 {
        assert!(word < SLOTS / 64, "the bitmap has a bit for each slot");
        self.word(BITMAP_AT / 8 + word)
    }

    #[inline]
    fn word(&self, word: usize) -> &AtomicU64 {
        assert!(word < FILE_BYTES / 8, "inside the mapping");
        #[expect(
            unsafe_code,
            clippy::cast_ptr_alignment,
            reason = "a word in mapped memory, which is aligned"
        )]
        // SAFETY: as in `slot`; a word is 8 bytes and 8-byte aligned.
        unsafe {
            &*self.map.as_mut_ptr().add(word * 8).cast::<AtomicU64>()
        }
    }
}

fn corrupt(what: &str, path: &Path) -> Error {
    Error::new(ErrorKind::Corrupt, what).with("path", path.display())
}

/// Reserves the file's space, so that a later write through the mapping cannot die of a full disk.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn reserve(file: &File) -> std::io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    Ok(fallocate(file, FallocateFlags::empty(), 0, FILE_BYTES as u64)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn reserve(_: &File) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(windows)]
fn read_exact_at(file: &File, bytes: &mut [u8], at: u64) -> std::io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match std::os::windows::fs::FileExt::seek_read(file, &mut bytes[done..], at + done as u64)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => done += read,
        }
    }
    Ok(())
}

#[cfg(windows)]
fn write_all_at(file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        done += std::os::windows::fs::FileExt::seek_write(file, &bytes[done..], at + done as u64)?;
    }
    Ok(())
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
            assert_eq!(recovering.backing, backing, "a file whose space is not reserved is never mapped");
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
