//! The slots of a journal as one row without end: reserved and published by whoever logs, read and acknowledged by one
//! reader, and used again.
//!
//! Invariants:
//! - a sequence is reserved once and belongs to whoever reserved it; a segment with a slot that is neither published nor
//!   abandoned is never recycled, so a writer between reserving and publishing cannot be overtaken;
//! - a slot that is reserved but not published delays nobody: the reader passes over it and looks again.

use std::ops::Range;

use super::maker::Maker;
use super::segment::{SLOTS, SLOTS_LOG2, Segment};
use super::slot::{self, Kind, PAYLOAD_BYTES, WORDS};
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Mutex, OnceLock, lock};

/// Room beside the segments of the bound, for what is reserved while it is being checked.
const SEGMENTS_SLACK: u64 = 16;
/// The share of the journal that only params, tags and ends may use: 1 %.
const RESERVE_SHARE: u64 = 100;
/// Segments that are made before they are needed.
const SEGMENTS_AHEAD: u64 = 2;
/// Slots up to which one is enough: most processes never fill the first.
const SLOTS_FEW: u64 = 1024;

/// The row of slots.
#[derive(Debug)]
pub(super) struct Queue {
    /// The next sequence to reserve, alone on its cache line.
    tail: Aligned,
    /// How many slots may be in use at once.
    slots_max: u64,
    /// Metrics are dropped from this sequence on.
    metric_limit: AtomicU64,
    /// Everything is dropped from this sequence on.
    text_limit: AtomicU64,
    /// Place in `segments` plus one of the segment with this number, modulo its length, which is a power of two.
    ring: Vec<AtomicU32>,
    segments: Vec<OnceLock<Segment>>,
    growth: Mutex<Growth>,
    /// Slots that were reserved and cannot be published, as there was no memory for their segment.
    abandoned: Mutex<Vec<Range<u64>>>,
    pub(super) maker: Maker,
    /// Nothing more is taken.
    sealed: AtomicBool,
}

#[derive(Debug)]
#[repr(align(128))]
struct Aligned(AtomicU64);

#[derive(Debug, Default)]
struct Growth {
    made: u32,
    free: Vec<u32>,
}

/// The journal is full, or sealed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Full;

/// Which part of the journal a record may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// All but what is kept for the rest.
    Metrics,
    All,
}

impl Queue {
    /// A row with room for so many slots at once.
    pub(super) fn new(maker: Maker, slots_max: u64) -> Self {
        let segments = slots_max.div_ceil(SLOTS as u64) + SEGMENTS_SLACK;
        let queue = Self {
            tail: Aligned(AtomicU64::new(0)),
            slots_max,
            metric_limit: AtomicU64::new(0),
            text_limit: AtomicU64::new(0),
            ring: (0..segments.next_power_of_two()).map(|_| AtomicU32::new(0)).collect(),
            segments: (0..segments).map(|_| OnceLock::new()).collect(),
            growth: Mutex::default(),
            abandoned: Mutex::default(),
            maker,
            sealed: AtomicBool::new(false),
        };
        queue.set_limits(0);
        queue.prepare(0);
        queue
    }

    /// How many slots may be in use at once.
    pub(super) fn slots_max(&self) -> u64 {
        self.slots_max
    }

    /// The next sequence: everything logged so far is below it.
    pub(super) fn tail(&self) -> u64 {
        self.tail.0.load(Ordering::Acquire)
    }

    /// As [`tail`](Self::tail), after [`seal`](Self::seal): whatever is reserved later is refused.
    pub(super) fn final_tail(&self) -> u64 {
        // A change, not a load: all changes of one atomic stand in one order, so a reservation is either counted here, or
        // follows this one and sees the seal.
        self.tail.0.fetch_add(0, Ordering::AcqRel)
    }

    /// Reserves slots and returns the sequence of the first.
    ///
    /// # Errors
    /// The journal is full or sealed.
    #[inline]
    pub(super) fn reserve(&self, slots: u64, share: Share) -> Result<u64, Full> {
        let limit = match share {
            Share::Metrics => &self.metric_limit,
            Share::All => &self.text_limit,
        };
        // Threads that pass here together may overshoot the limit by a slot or a record each; the slack holds them.
        if self.tail.0.load(Ordering::Relaxed) + slots > limit.load(Ordering::Relaxed) {
            return Err(Full);
        }
        let first = self.tail.0.fetch_add(slots, Ordering::SeqCst);
        // Either this is seen here, or whoever closes the journal sees the reservation and leaves it to the next process.
        if self.is_sealed() { Err(Full) } else { Ok(first) }
    }

    /// Publishes a slot that was reserved.
    ///
    /// # Errors
    /// There is no memory for it.
    #[inline]
    pub(super) fn publish(
        &self,
        sequence: u64,
        kind: Kind,
        extent: usize,
        payload: [u64; WORDS - 2],
    ) -> Result<(), Full> {
        let segment = self.segment(sequence).ok_or(Full)?;
        let words = slot::seal(kind, extent, sequence, payload, segment.salt());
        if let Err(cause) = segment.publish(index(sequence), &words) {
            self.maker.degrade(&cause);
        }
        Ok(())
    }

    /// Reserves and publishes a text record.
    ///
    /// # Errors
    /// The journal is full or sealed, or there is no memory for it.
    pub(super) fn publish_text(&self, bytes: &[u8]) -> Result<Range<u64>, Full> {
        let slots = bytes.len().div_ceil(PAYLOAD_BYTES) as u64;
        let first = self.reserve(slots, Share::All)?;
        // The first slot last: until then the reader passes over all of them.
        for (place, chunk) in bytes.chunks(PAYLOAD_BYTES).enumerate().rev() {
            let (kind, extent) =
                if place == 0 { (Kind::Text, bytes.len()) } else { (Kind::Continuation, place) };
            self.publish(first + place as u64, kind, extent, slot::pack(chunk))
                .map_err(|Full| self.abandon(first..first + slots))?;
        }
        Ok(first..first + slots)
    }

    /// Notes that not all of these slots, which were reserved, could be published.
    #[cold]
    pub(super) fn abandon(&self, slots: Range<u64>) -> Full {
        lock(&self.abandoned).push(slots);
        Full
    }

    /// Acknowledges what was abandoned, as soon as there is memory for it: else its segments would never be done.
    fn acknowledge_abandoned(&self) {
        lock(&self.abandoned).retain(|slots| {
            let can_be = split(slots.clone()).all(|(number, _)| self.segment(number << SLOTS_LOG2).is_some());
            if can_be {
                self.acknowledge(slots.clone());
            }
            !can_be
        });
    }

    /// Reads a slot, if it is published.
    pub(super) fn read(&self, sequence: u64) -> Option<slot::Read> {
        self.find(sequence >> SLOTS_LOG2)?.read(index(sequence))
    }

    /// Whether a slot is acknowledged. One that nobody has published was abandoned.
    pub(super) fn is_acknowledged(&self, sequence: u64) -> bool {
        self.find(sequence >> SLOTS_LOG2).is_some_and(|segment| segment.is_acknowledged(index(sequence)))
    }

    /// Notes that slots are stored or refused, the first ones first.
    pub(super) fn acknowledge(&self, sequences: Range<u64>) {
        for (number, slots) in split(sequences) {
            if let Some(segment) = self.find(number) {
                segment.acknowledge_all(slots);
            }
        }
    }

    /// The segment that holds a sequence, made now if the shipper was not fast enough.
    #[inline]
    fn segment(&self, sequence: u64) -> Option<&Segment> {
        let number = sequence >> SLOTS_LOG2;
        self.find(number).or_else(|| self.prepare(number))
    }

    #[inline]
    pub(super) fn find(&self, number: u64) -> Option<&Segment> {
        let place = self.ring[self.ring_index(number)].load(Ordering::Acquire) as usize;
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
            let segment = self.maker.make(place)?;
            self.segments.get(place as usize)?.set(segment).ok()?;
            growth.made += 1;
            place
        };
        let segment = self.segments.get(place as usize)?.get()?;
        segment.assign(number, crate::id::random_u64());
        if segment.take_write_failure() {
            self.maker.degrade(&"writing to it failed");
        }
        self.ring[self.ring_index(number)].store(place + 1, Ordering::Release);
        Some(segment)
    }

    /// Makes the next segments ready, as far as the bound lets them be used, so that log calls find them so.
    pub(super) fn prepare_ahead(&self, first_segment: u64) {
        self.acknowledge_abandoned();
        let end = (first_segment << SLOTS_LOG2) + self.slots_max;
        let tail = self.tail();
        let segments = if tail < SLOTS_FEW { 1 } else { SEGMENTS_AHEAD };
        for ahead in 0..=segments {
            let sequence = tail + (ahead << SLOTS_LOG2);
            if (sequence >> SLOTS_LOG2 << SLOTS_LOG2) < end {
                self.segment(sequence);
            }
        }
    }

    /// How many segments there are.
    #[cfg(test)]
    pub(super) fn segments_made(&self) -> u32 {
        lock(&self.growth).made
    }

    /// Whether every slot of the segment is acknowledged.
    pub(super) fn is_done(&self, number: u64) -> bool {
        self.find(number).is_some_and(Segment::is_done)
    }

    /// Frees the segments from `first_segment` on whose slots are all acknowledged, and returns the first that stays.
    pub(super) fn recycle(&self, mut first_segment: u64) -> u64 {
        let mut free = Vec::new();
        while let Some(segment) = self.find(first_segment).filter(|segment| segment.is_done()) {
            free.push(self.ring[self.ring_index(first_segment)].load(Ordering::Relaxed) - 1);
            segment.release();
            first_segment += 1;
        }
        // A log call that needs a segment must not wait for the disk.
        lock(&self.growth).free.append(&mut free);
        self.set_limits(first_segment);
        first_segment
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
    pub(super) fn seal(&self) {
        self.sealed.store(true, Ordering::SeqCst);
        self.text_limit.store(0, Ordering::SeqCst);
        self.metric_limit.store(0, Ordering::SeqCst);
    }

    #[inline]
    pub(super) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::SeqCst)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
    fn ring_index(&self, number: u64) -> usize {
        number as usize & (self.ring.len() - 1)
    }
}

/// The slots of a range, by segment.
pub(super) fn split(range: Range<u64>) -> impl Iterator<Item = (u64, Range<usize>)> {
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
pub(super) fn index(sequence: u64) -> usize {
    sequence as usize & (SLOTS - 1)
}

#[cfg(test)]
mod tests {
    use super::super::reader::Reader;
    use super::*;

    #[test]
    fn what_there_is_no_memory_for_is_refused_and_does_not_keep_segments_from_being_used_again() {
        let queue = Queue::new(Maker::in_memory(), SLOTS as u64);
        let mut reader = Reader::default();
        let all = queue.segments.len() as u64;
        let end = all << SLOTS_LOG2;
        // As threads that overshot the limit together.
        queue.text_limit.store(u64::MAX, Ordering::Relaxed);
        let used = queue.reserve(end - 1, Share::All).unwrap()..end - 1;
        assert!((0..all).all(|number| queue.segment(number << SLOTS_LOG2).is_some()));
        assert!(queue.publish_text(&[b'x'; 2 * PAYLOAD_BYTES]).is_err(), "its second slot has no segment");

        queue.prepare_ahead(0);
        reader.next = end - 1;
        reader.take(&queue, usize::MAX, &mut Vec::new());
        assert_eq!(reader.done_below(), end - 1, "it may be published still");
        queue.acknowledge(used);
        reader.first_segment = queue.recycle(0);
        assert_eq!(reader.first_segment, all - 1);
        queue.prepare_ahead(reader.first_segment);
        reader.take(&queue, usize::MAX, &mut Vec::new());
        assert_eq!(reader.done_below(), queue.tail());
        assert_eq!(queue.recycle(reader.first_segment), all);
    }
}
