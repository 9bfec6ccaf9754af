//! The memory that a segment lies in: a mapped file, anonymous memory beside a file, or anonymous memory alone.
//!
//! Everything in it is read and written as 64-bit atomics.
//!
//! Invariant: a mapping is made with the full length, and never shrinks, moves or goes away while its `Memory` lives.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use super::slot::{self, Slot, WORDS};
use crate::error::{Error, ErrorKind, Result};

/// Slots in a segment, as a power of two. Few under a fuzzer, which reads all of them each time.
pub(super) const SLOTS_LOG2: u32 = if cfg!(fuzzing) { 9 } else { 16 };
/// Slots in a segment.
pub(super) const SLOTS: usize = 1 << SLOTS_LOG2;

pub(super) const PAGE: usize = 4096;
/// Slots in a page.
pub(super) const SLOTS_A_PAGE: usize = PAGE / slot::BYTES;
pub(super) const BITMAP_AT: usize = PAGE;
/// Two pages for copies of slots.
pub(super) const COPIES_AT: usize = BITMAP_AT + SLOTS / 8;
pub(super) const SLOTS_AT: usize = COPIES_AT + 2 * PAGE;
/// The length of a segment's file.
pub(super) const FILE_BYTES: usize = SLOTS_AT + SLOTS * slot::BYTES;

/// Where the header says whether the file's space is reserved.
const RESERVED_WORD: usize = 4;
const HEADER_BYTES: usize = (RESERVED_WORD + 1) * 8;

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

/// The memory of a segment, and its file.
#[derive(Debug)]
pub(super) struct Memory {
    map: MmapRaw,
    file: Option<File>,
    backing: Backing,
}

impl Memory {
    /// Makes the file and reserves its space.
    pub(super) fn create(path: &Path, backing: Backing) -> Result<Self> {
        let fail = |cause: std::io::Error| Error::io("make a journal segment", path, cause);
        let file = match backing {
            Backing::Memory => None,
            Backing::Mapped | Backing::Written => {
                Some(OpenOptions::new().read(true).write(true).create_new(true).open(path).map_err(fail)?)
            }
        };
        let is_made = file.is_some();
        Self::prepare(file, backing)
            // Else there is no space, or no memory, and the next attempt wants the name.
            .inspect_err(|_| drop(is_made.then(|| std::fs::remove_file(path))))
            .map_err(fail)
    }

    /// Reserves the file's space, if there is a file, and maps it.
    fn prepare(file: Option<File>, backing: Backing) -> std::io::Result<Self> {
        match (&file, backing) {
            (Some(file), Backing::Mapped) => reserve(file)?,
            // Where space cannot be reserved the file has holes, and a write to it may fail later.
            (Some(file), _) => match reserve(file) {
                Err(cause) if !is_full(&cause) => file.set_len(FILE_BYTES as u64)?,
                reserved => reserved?,
            },
            (None, _) => {}
        }
        let map = match (&file, backing) {
            (Some(file), Backing::Mapped) => MmapOptions::new().len(FILE_BYTES).map_raw(file)?,
            _ => MmapRaw::from(MmapOptions::new().len(FILE_BYTES).map_anon()?),
        };
        // Without read-ahead, which would fill the whole file with zeros at the first touch: pages come one by one, before
        // they are needed. It is advice: what becomes of it does not matter.
        #[cfg(unix)]
        map.advise(memmap2::Advice::Random).ok();
        let memory = Self { map, file, backing };
        memory.word(RESERVED_WORD).store(u64::from(backing == Backing::Mapped), Ordering::Relaxed);
        Ok(memory)
    }

    /// Opens the file of a dead process.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let fail = |cause: std::io::Error| Error::io("open a journal segment", path, cause);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        if length != FILE_BYTES as u64 {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "a journal segment has the wrong length; it was cut or is not one",
            )
            .with("path", path.display()));
        }
        let mut header = [0; HEADER_BYTES];
        read_exact_at(&file, &mut header, 0).map_err(fail)?;
        // A file whose space is not reserved must not be mapped: writing to it on a full disk kills the process. A copy of
        // one that was reserved may have holes.
        if header[RESERVED_WORD * 8] == 1 && reserve(&file).is_ok() {
            let map = MmapOptions::new().len(FILE_BYTES).map_raw(&file).map_err(fail)?;
            Ok(Self { map, file: Some(file), backing: Backing::Mapped })
        } else {
            let mut copy = MmapOptions::new().len(FILE_BYTES).map_anon().map_err(fail)?;
            read_exact_at(&file, &mut copy, 0).map_err(fail)?;
            Ok(Self { map: MmapRaw::from(copy), file: Some(file), backing: Backing::Written })
        }
    }

    pub(super) fn backing(&self) -> Backing {
        self.backing
    }

    /// Brings these bytes to the disk.
    pub(super) fn sync(&self, from: usize, bytes: usize) {
        // A failed sync costs durability against a power cut only, and the next one tries again.
        match self.backing {
            Backing::Mapped => drop(self.map.flush_range(from, bytes)),
            Backing::Written => drop(self.file.as_ref().map(File::sync_data)),
            Backing::Memory => {}
        }
    }

    /// Copies `bytes` of memory to the file, where the memory is not the file.
    pub(super) fn write_back(&self, from: usize, bytes: usize) -> std::io::Result<()> {
        let (Backing::Written, Some(file)) = (self.backing, &self.file) else { return Ok(()) };
        let mut copy = Vec::with_capacity(bytes);
        for word in from / 8..(from + bytes) / 8 {
            copy.extend(self.word(word).load(Ordering::Relaxed).to_le_bytes());
        }
        write_all_at(file, &copy, from as u64)
    }

    /// One of the slots of the two pages for copies.
    pub(super) fn copy(&self, index: usize) -> &Slot {
        assert!(index < 2 * SLOTS_A_PAGE, "two pages of slots");
        self.slot_at(COPIES_AT + index * slot::BYTES)
    }

    /// Writes the words of a slot to the file, where the memory is not the file.
    pub(super) fn write_slot(&self, index: usize, words: &[u64; WORDS]) -> std::io::Result<()> {
        let (Backing::Written, Some(file)) = (self.backing, &self.file) else { return Ok(()) };
        let mut bytes = [0; slot::BYTES];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        write_all_at(file, &bytes, (SLOTS_AT + index * slot::BYTES) as u64)
    }

    #[inline]
    pub(super) fn slot(&self, index: usize) -> &Slot {
        self.slot_at(SLOTS_AT + (index & (SLOTS - 1)) * slot::BYTES)
    }

    #[inline]
    fn slot_at(&self, at: usize) -> &Slot {
        assert!(at.is_multiple_of(slot::BYTES) && at < FILE_BYTES, "inside the mapping");
        #[expect(
            unsafe_code,
            clippy::cast_ptr_alignment,
            reason = "a slot in mapped memory, which is aligned"
        )]
        // SAFETY: the mapping is FILE_BYTES long, a multiple of 64, and lives as long as `self` (the file's invariant), so
        // the 64 bytes at `at` are inside it and aligned; everyone, other processes too, touches them as atomics.
        unsafe {
            &*self.map.as_mut_ptr().add(at).cast::<Slot>()
        }
    }

    #[inline]
    pub(super) fn word(&self, word: usize) -> &AtomicU64 {
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

fn is_full(cause: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(cause.kind(), StorageFull | QuotaExceeded)
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
