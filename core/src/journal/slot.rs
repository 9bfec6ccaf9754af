//! The 64 bytes of a slot.
//!
//! ```text
//! word 0   checksum (32) · kind (8) · extent (24)      written last: it publishes the slot
//! word 1   absolute sequence of the slot
//! 2 ..= 7  payload, 48 bytes
//! ```
//!
//! Invariant: user bytes stand only in words 2 to 7, and every slot, continuations too, carries its own sequence and a
//! checksum salted by its segment's generation. So a stale slot of a recycled segment, a torn one, or user bytes that
//! look like a slot are never taken for a record.

use super::checksum::checksum;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Words in a slot: one cache line.
pub(super) const WORDS: usize = 8;
/// Bytes in a slot.
pub(super) const BYTES: usize = WORDS * 8;
/// Payload bytes in a slot.
pub(super) const PAYLOAD_BYTES: usize = BYTES - 16;
/// The longest record: what the extent's 24 bits can say.
pub(super) const RECORD_BYTES_MAX: usize = (1 << 24) - 1;

/// One slot where it lies in memory.
pub(super) type Slot = [AtomicU64; WORDS];

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole metric point.
    Metric,
    /// The first slot of a text record; the extent is the record's length in bytes.
    Text,
    /// A further slot of a text record; the extent is its place, counted from 1.
    Continuation,
}

impl Kind {
    const fn code(self) -> u64 {
        match self {
            Self::Metric => 1,
            Self::Text => 2,
            Self::Continuation => 3,
        }
    }

    fn from_code(code: u64) -> Option<Self> {
        [Self::Metric, Self::Text, Self::Continuation].into_iter().find(|kind| kind.code() == code)
    }
}

/// A published slot, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) kind: Kind,
    pub(super) extent: usize,
    pub(super) payload: [u64; WORDS - 2],
}

/// The words of a slot, ready to be written.
#[inline]
pub(super) fn seal(
    kind: Kind,
    extent: usize,
    sequence: u64,
    payload: [u64; WORDS - 2],
    salt: u64,
) -> [u64; WORDS] {
    debug_assert!(extent <= RECORD_BYTES_MAX, "an extent has 24 bits");
    let mut words = [0; WORDS];
    words[0] = kind.code() << 32 | (extent as u64) << 40;
    words[1] = sequence;
    words[2..].copy_from_slice(&payload);
    words[0] |= u64::from(checksum(&words, salt));
    words
}

/// Writes a slot: the payload first, word 0 last, so that whoever sees word 0 sees all of it.
#[inline]
pub(super) fn publish(slot: &Slot, words: &[u64; WORDS]) {
    for word in 1..WORDS {
        slot[word].store(words[word], Ordering::Relaxed);
    }
    slot[0].store(words[0], Ordering::Release);
}

/// Copies a slot as it stands, published or not: the copy of one that is being published is read as none.
pub(super) fn copy(from: &Slot, to: &Slot) {
    let head = from[0].load(Ordering::Acquire);
    let words = std::array::from_fn(|word| if word == 0 { head } else { from[word].load(Ordering::Relaxed) });
    publish(to, &words);
}

/// The sequence that a slot says it has.
pub(super) fn sequence(slot: &Slot) -> u64 {
    slot[1].load(Ordering::Relaxed)
}

/// Reads the slot that should hold `sequence`; `None` if it is not published (yet), stale or torn.
pub(super) fn read(slot: &Slot, sequence: u64, salt: u64) -> Option<Read> {
    let head = slot[0].load(Ordering::Acquire);
    if head == 0 || slot[1].load(Ordering::Relaxed) != sequence {
        return None;
    }
    let mut words = [0; WORDS];
    words[0] = head & !CHECKSUM;
    words[1] = sequence;
    for (word, place) in words.iter_mut().zip(slot).skip(2) {
        *word = place.load(Ordering::Relaxed);
    }
    if head & CHECKSUM != u64::from(checksum(&words, salt)) {
        return None;
    }
    let kind = Kind::from_code(head >> 32 & 0xff)?;
    let extent = usize::try_from(head >> 40).ok()?;
    let [_, _, payload @ ..] = words;
    Some(Read { kind, extent, payload })
}

const CHECKSUM: u64 = 0xffff_ffff;

/// Packs up to 48 bytes into a payload, padded with zeros.
pub(super) fn pack(bytes: &[u8]) -> [u64; WORDS - 2] {
    let mut payload = [0; WORDS - 2];
    for (word, chunk) in payload.iter_mut().zip(bytes.chunks(8)) {
        let mut padded = [0; 8];
        padded[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_le_bytes(padded);
    }
    payload
}

/// Appends a payload's 48 bytes.
pub(super) fn unpack(payload: &[u64; WORDS - 2], into: &mut Vec<u8>) {
    into.extend(payload.iter().flat_map(|word| word.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slot_of(words: [u64; WORDS]) -> Slot {
        words.map(AtomicU64::new)
    }

    proptest! {
        #[test]
        fn what_is_published_is_read(payload: [u64; 6], sequence: u64, salt: u64, extent in 0..=RECORD_BYTES_MAX) {
            let slot = slot_of([0; WORDS]);
            prop_assert_eq!(read(&slot, sequence, salt), None);
            publish(&slot, &seal(Kind::Text, extent, sequence, payload, salt));
            prop_assert_eq!(read(&slot, sequence, salt), Some(Read { kind: Kind::Text, extent, payload }));
        }

        #[test]
        fn a_flipped_bit_a_stale_sequence_or_another_generation_is_no_record(
            payload: [u64; 6], sequence in 0..u64::MAX, salt in 0..u64::MAX, word in 0..WORDS, bit in 0..64_u32,
        ) {
            let mut words = seal(Kind::Metric, 0, sequence, payload, salt);
            prop_assert_eq!(read(&slot_of(words), sequence + 1, salt), None);
            prop_assert_eq!(read(&slot_of(words), sequence, salt + 1), None);
            words[word] ^= 1 << bit;
            prop_assert_eq!(read(&slot_of(words), sequence, salt), None);
        }

        #[test]
        fn packed_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..=PAYLOAD_BYTES)) {
            let mut unpacked = Vec::new();
            unpack(&pack(&bytes), &mut unpacked);
            prop_assert_eq!(&unpacked[..bytes.len()], &bytes[..]);
            prop_assert!(unpacked[bytes.len()..].iter().all(|byte| *byte == 0));
        }
    }
}
