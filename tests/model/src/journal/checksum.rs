//! A checksum over what names a slot, and over none of its payload: that a payload is whole must come from the order of
//! loads and stores alone, and not from a checksum that finds it torn.

use super::slot::WORDS;

pub(super) fn checksum(words: &[u64; WORDS], salt: u64) -> u32 {
    (words[0] >> 32).wrapping_add(words[1].wrapping_mul(0x9e37_79b9)).wrapping_add(salt) as u32
}
