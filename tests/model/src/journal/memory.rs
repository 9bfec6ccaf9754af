//! The memory that a segment lies in: a few atomics, and for one that is written to a file, as many for the file.

use std::path::Path;

use super::slot::{self, Slot, WORDS};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::atomic::{AtomicU64, Ordering};

/// Few, so that records cross segments.
pub(super) const SLOTS_LOG2: u32 = 1;
/// Slots in a segment.
pub const SLOTS: usize = 1 << SLOTS_LOG2;

pub(super) const PAGE: usize = 64;
pub(super) const BITMAP_AT: usize = PAGE;
pub(super) const SLOTS_A_PAGE: usize = PAGE / slot::BYTES;
pub(super) const SLOTS_AT: usize = BITMAP_AT + PAGE;
pub(super) const FILE_BYTES: usize = SLOTS_AT + SLOTS * slot::BYTES;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backing {
    Mapped,
    Written,
    Memory,
}

#[derive(Debug)]
pub(super) struct Memory {
    /// Header and bitmap.
    words: Vec<AtomicU64>,
    slots: Vec<Slot>,
    copies: Vec<Slot>,
    file: Vec<AtomicU64>,
    backing: Backing,
}

fn zeros(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

impl Memory {
    #[expect(clippy::unnecessary_wraps, reason = "the core's may fail")]
    pub(super) fn create(_: &Path, backing: Backing) -> Result<Self> {
        let slots = |count| (0..count).map(|_| std::array::from_fn(|_| AtomicU64::new(0))).collect();
        Ok(Self {
            words: zeros(SLOTS_AT / 8),
            slots: slots(SLOTS),
            copies: slots(2 * SLOTS_A_PAGE),
            file: zeros(if backing == Backing::Written { FILE_BYTES / 8 } else { 0 }),
            backing,
        })
    }

    pub(super) fn open(_: &Path) -> Result<Self> {
        Err(Error::new(ErrorKind::Unsupported, "a model has no files"))
    }

    pub(super) fn backing(&self) -> Backing {
        self.backing
    }

    #[expect(clippy::unused_self, reason = "the core's takes it")]
    pub(super) fn sync(&self, _from: usize, _bytes: usize) {}

    #[expect(clippy::unnecessary_wraps, reason = "the core's may fail")]
    pub(super) fn write_back(&self, from: usize, bytes: usize) -> std::io::Result<()> {
        if self.backing == Backing::Written {
            for word in from / 8..(from + bytes) / 8 {
                self.file[word].store(self.at(word).load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the core's may fail")]
    pub(super) fn write_slot(&self, index: usize, words: &[u64; WORDS]) -> std::io::Result<()> {
        if self.backing == Backing::Written {
            let at = (SLOTS_AT + index * slot::BYTES) / 8;
            for (word, place) in words.iter().zip(&self.file[at..]) {
                place.store(*word, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    pub(super) fn slot(&self, index: usize) -> &Slot {
        &self.slots[index]
    }

    pub(super) fn copy(&self, index: usize) -> &Slot {
        &self.copies[index]
    }

    pub(super) fn word(&self, word: usize) -> &AtomicU64 {
        &self.words[word]
    }

    /// The word that stands at this place of the file.
    fn at(&self, word: usize) -> &AtomicU64 {
        match word.checked_sub(SLOTS_AT / 8) {
            None => self.word(word),
            Some(of_slots) => &self.slots[of_slots / WORDS][of_slots % WORDS],
        }
    }
}

impl Drop for Memory {
    /// At a model's end: a slot that the file misses, or holds an older record in, would be lost with the process.
    fn drop(&mut self) {
        if self.backing == Backing::Written && !std::thread::panicking() {
            for word in SLOTS_AT / 8..FILE_BYTES / 8 {
                let (memory, file) = (self.at(word), &self.file[word]);
                assert_eq!(
                    file.load(Ordering::Relaxed),
                    memory.load(Ordering::Relaxed),
                    "the file is behind at word {word}"
                );
            }
        }
    }
}
