//! Makes segments: on disk where that can be, else in memory, which is said once.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::segment::{Backing, Segment};
use crate::notice;

/// Says, once, that what is logged from here on may not be on disk; before the call that logs it returns.
pub(super) fn warn_of_kills(cause: &dyn fmt::Display) {
    notice::warn(
        "journal-durability",
        format_args!(
            "the journal cannot be written, so a kill will lose records that are not stored yet; free some space: {cause}"
        ),
    );
}

/// Where and how segments are made.
#[derive(Debug)]
pub(super) struct Maker {
    /// `None`: in memory.
    dir: Option<PathBuf>,
    backing: Backing,
    /// Something that was logged is not on disk, though there is a directory: the disk is full.
    degraded: AtomicBool,
}

impl Maker {
    /// Makes segments in files of `dir`.
    pub(super) fn in_dir(dir: PathBuf, backing: Backing) -> Self {
        Self { dir: Some(dir), backing, degraded: AtomicBool::new(false) }
    }

    /// Makes segments in memory.
    pub(super) fn in_memory() -> Self {
        Self { dir: None, backing: Backing::Memory, degraded: AtomicBool::new(false) }
    }

    /// Makes the segment number `place` of those that there are at once.
    pub(super) fn make(&self, place: u32) -> Option<Segment> {
        let path = self.dir.as_ref().map(|dir| dir.join(format!("{place}.seg"))).unwrap_or_default();
        let attempt = |backing| Segment::create(&path, backing);
        let made = match self.backing {
            Backing::Mapped => attempt(Backing::Mapped).or_else(|_unreserved| attempt(Backing::Written)),
            backing => attempt(backing),
        };
        made.or_else(|error| {
            self.degrade(&error);
            attempt(Backing::Memory)
        })
        .ok()
    }

    /// Notes that something that was logged is not on disk.
    #[cold]
    pub(super) fn degrade(&self, cause: &dyn fmt::Display) {
        self.degraded.store(true, Ordering::Relaxed);
        warn_of_kills(cause);
    }

    /// Whether everything that was logged is on disk, or on its way there.
    pub(super) fn is_durable(&self) -> bool {
        self.dir.is_some() && !self.degraded.load(Ordering::Relaxed)
    }
}
