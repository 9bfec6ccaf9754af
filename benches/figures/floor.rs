//! The cheapest things that a log call could be.
//!
//! An append to a mapped file is as safe from a kill, but has no key, no checksum, no second thread and nobody who reads
//! it. A push into a bounded channel has a reader, and is emptied by a kill.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use memmap2::{MmapOptions, MmapRaw};
use runlog_core::clock;

use crate::place::DISK;

/// As much as a segment of the journal.
const SLOTS: usize = 1 << 16;

/// A file that is mapped into memory, to append 64 bytes at a time; at its end it begins anew.
#[derive(Debug)]
pub(crate) struct Mapped {
    map: MmapRaw,
    tail: AtomicUsize,
}

impl Mapped {
    pub(crate) fn new() -> Self {
        let file = tempfile::tempfile_in(DISK).unwrap();
        file.set_len((SLOTS * 64) as u64).unwrap();
        let map = MmapOptions::new().map_raw(&file).unwrap();
        let mapped = Self { map, tail: AtomicUsize::new(0) };
        // Each page is touched before anything is measured.
        (0..SLOTS).for_each(|_| mapped.append());
        mapped
    }

    pub(crate) fn append(&self) {
        let place = self.tail.fetch_add(1, Ordering::Relaxed);
        #[expect(clippy::cast_ptr_alignment, reason = "a mapping begins at a page")]
        let slots = self.map.as_mut_ptr().cast::<[AtomicU64; 8]>();
        // SAFETY: the slot is inside the mapping, aligned as the page is, and only ever used as atomics.
        #[expect(unsafe_code, reason = "a slot in mapped memory")]
        let slot = unsafe { &*slots.wrapping_add(place % SLOTS) };
        let words = [clock::now_ms().cast_unsigned(), place as u64, 1, 2, 3, 4, 5, 6];
        for (at, word) in slot.iter().zip(words) {
            at.store(word, Ordering::Relaxed);
        }
    }
}

type Point = (i64, f64, i64);

/// A bounded channel with room for `calls` points, and nobody who takes them.
#[derive(Debug)]
pub(crate) struct Channel {
    sender: SyncSender<Point>,
    _receiver: Receiver<Point>,
}

impl Channel {
    pub(crate) fn new(calls: u64) -> Self {
        let (sender, receiver) = sync_channel(calls as usize);
        Self { sender, _receiver: receiver }
    }

    pub(crate) fn push(&self) {
        self.sender.try_send((clock::now_ms(), 0.25, 1)).unwrap();
    }
}
