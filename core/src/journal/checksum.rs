//! The checksum of a slot.
//!
//! Alone in its file: the concurrency model puts a weaker one in its place, which covers no payload, so that payloads are
//! whole by the order of loads and stores alone.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::slot::{BYTES, WORDS};

/// XXH3 over the slot with an empty checksum, folded to 32 bits.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are meant")]
pub(super) fn checksum(words: &[u64; WORDS], salt: u64) -> u32 {
    let mut bytes = [0; BYTES];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    let hash = xxh3_64_with_seed(&bytes, salt);
    (hash ^ hash >> 32) as u32
}
