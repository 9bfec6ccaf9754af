//! The checksum of a slot.
//!
//! Alone in its file: the concurrency model puts a weaker one in its place, which covers no payload, so that payloads are
//! whole by the order of loads and stores alone.

use super::slot::WORDS;

/// What whitens the words before they are multiplied: digits of pi.
const KEYS: [u64; WORDS] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7344,
    0xa409_3822_299f_31d0,
    0x082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377,
    0xbe54_66cf_34e9_0c6c,
    0xc0ac_29b7_c97c_50dd,
    0x3f84_d5b5_b547_0917,
];

/// Two words at a time by a 128-bit product whose halves are folded together, as in wyhash and XXH3; 32 bits of it.
///
/// The salt is random, so no user's bytes can make a factor zero, which would hide the other.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are meant")]
pub(super) fn checksum(words: &[u64; WORDS], salt: u64) -> u32 {
    let mut hash = salt;
    for (pair, keys) in words.as_chunks::<2>().0.iter().zip(KEYS.as_chunks::<2>().0) {
        hash = hash.wrapping_add(fold(pair[0] ^ keys[0] ^ salt, pair[1] ^ keys[1].wrapping_add(salt)));
    }
    fold(hash ^ KEYS[0], KEYS[1]) as u32
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
