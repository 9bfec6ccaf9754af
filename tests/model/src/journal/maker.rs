//! Makes segments of a model's memory.

use std::path::Path;

use super::memory::Backing;
use super::segment::Segment;

#[derive(Debug)]
pub(super) struct Maker(pub(super) Backing);

impl Maker {
    pub(super) fn make(&self, _place: u32) -> Option<Segment> {
        Segment::create(Path::new(""), self.0).ok()
    }

    #[expect(clippy::unused_self, reason = "the core's takes it")]
    pub(super) fn degrade(&self, _cause: &dyn std::fmt::Display) {}
}
