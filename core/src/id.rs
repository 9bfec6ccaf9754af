//! Ids of runs, models and rows: random, in MLflow's form.
//!
//! The bytes come from the operating system at each call. A generator in this process would repeat itself in a forked
//! child, and two processes would write under one id.

use std::sync::atomic::{AtomicU64, Ordering};

/// A random UUID (version 4) as 32 hex digits, as MLflow names runs.
pub(crate) fn hex32() -> String {
    let mut bytes = random_bytes();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// A random UUID (version 4) with dashes, as MLflow names images.
#[cfg(feature = "image")]
pub(crate) fn uuid() -> String {
    let id = hex32();
    format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..])
}

/// 64 random bits.
pub(crate) fn random_u64() -> u64 {
    let [bytes @ .., _, _, _, _, _, _, _, _] = random_bytes();
    u64::from_le_bytes(bytes)
}

fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        bytes = without_system_randomness();
    }
    bytes
}

/// Unique where the system has no randomness to give: process, time and a counter, mixed.
fn without_system_randomness() -> [u8; 16] {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let place = format!(
        "{} {} {:?}",
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed),
        crate::clock::instant()
    );
    xxhash_rust::xxh3::xxh3_128_with_seed(place.as_bytes(), crate::clock::now_ms().unsigned_abs())
        .to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_uuids_and_never_the_same() {
        let ids: BTreeSet<_> = (0..1000).map(|_| hex32()).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            assert_eq!((id.len(), &id[12..13]), (32, "4"));
            assert!(id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
        }
        assert_ne!(without_system_randomness(), without_system_randomness());
    }
}
