//! The numbers of metric keys: looked up by every log call, without a lock.
//!
//! Names stand in a vector that only grows; tables of their hashes, each twice the size of the one before, say where. A
//! full table is left as it is and a larger one takes its place, so whoever reads one is never disturbed.
//!
//! Invariant: an entry is written once, after the name that it points to; one thread inserts at a time.

use std::hash::BuildHasher as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::fast::FixedState;

/// Metric keys in one journal; a run that makes up keys without end is a mistake that must not eat all memory.
pub(super) const KEYS_MAX: usize = 65_536;
/// The first table's entries, of which at most half are used.
const FIRST: usize = 256;
/// Tables until the last has room for every key.
const TABLES: usize = (2 * KEYS_MAX / FIRST).ilog2() as usize + 1;

/// What stands for a number that no key has: no key is empty.
const UNNAMED: &str = "";

/// The upper half of an entry is the upper half of the key's hash, the lower half its number plus one; 0 is no entry.
type Table = Box<[AtomicU64]>;

/// Names and their numbers.
#[derive(Debug, Default)]
pub(super) struct Keys {
    names: boxcar::Vec<Box<str>>,
    tables: [OnceLock<Table>; TABLES],
    /// Which table is used.
    current: AtomicUsize,
}

impl Keys {
    /// The number of a key, if it has one.
    #[inline]
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        let table = self.tables.get(self.current.load(Ordering::Acquire))?.get()?;
        let hash = hash(name);
        for place in places(hash, table) {
            let entry = table.get(place)?.load(Ordering::Acquire);
            if entry == 0 {
                return None;
            }
            let id = low(entry) - 1;
            if (entry ^ hash) >> 32 == 0 && self.name(id) == Some(name) {
                return Some(id);
            }
        }
        None
    }

    /// The name of a number.
    #[inline]
    pub(super) fn name(&self, id: u32) -> Option<&str> {
        self.names.get(id as usize).map(|name| &**name).filter(|name| *name != UNNAMED)
    }

    pub(super) fn count(&self) -> usize {
        self.names.count()
    }

    /// Gives the next numbers, below `id`, to no key.
    pub(super) fn skip_to(&self, id: usize) {
        while self.count() < id {
            self.names.push(UNNAMED.into());
        }
    }

    /// Gives the next number to a key that has none; the caller sees to it that no other thread does the same.
    pub(super) fn push(&self, name: Box<str>) {
        let hash = hash(&name);
        let id = self.names.push(name);
        let mut current = self.current.load(Ordering::Relaxed);
        let size = |current: usize| FIRST << current;
        if 2 * (id + 1) > size(current) && current + 1 < TABLES {
            current += 1;
        }
        let Some(place) = self.tables.get(current) else { return };
        if let Some(table) = place.get() {
            insert(table, hash, id);
        } else {
            let table: Table = (0..size(current)).map(|_| AtomicU64::new(0)).collect();
            for (id, name) in self.names.iter().filter(|(_, name)| !name.is_empty()) {
                insert(&table, self::hash(name), id);
            }
            place.get_or_init(|| table);
            self.current.store(current, Ordering::Release);
        }
    }
}

fn insert(table: &Table, hash: u64, id: usize) {
    let entry = hash >> 32 << 32 | (id as u64 + 1);
    let mut free = places(hash, table).filter_map(|place| table.get(place));
    if let Some(place) = free.find(|place| place.load(Ordering::Relaxed) == 0) {
        place.store(entry, Ordering::Release);
    }
}

#[inline]
fn hash(name: &str) -> u64 {
    FixedState::default().hash_one(name.as_bytes())
}

/// Where a key's entry may stand, in the order of looking.
#[inline]
fn places(hash: u64, table: &Table) -> impl Iterator<Item = usize> + use<> {
    let mask = table.len() - 1;
    (0..=mask).map(move |step| (low(hash) as usize).wrapping_add(step) & mask)
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn low(bits: u64) -> u32 {
    bits as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_own_number_through_all_tables() {
        let keys = Keys::default();
        assert_eq!(keys.find("0"), None);
        for n in 0..u32::try_from(KEYS_MAX).unwrap() {
            let name = n.to_string();
            assert_eq!(keys.find(&name), None);
            keys.push(name.as_str().into());
            assert_eq!(keys.find(&name), Some(n));
        }
        for n in 0..u32::try_from(KEYS_MAX).unwrap() {
            let name = n.to_string();
            assert_eq!(keys.name(n), Some(&*name));
            assert_eq!(keys.find(&name), Some(n));
        }
        assert_eq!(keys.find("one more"), None);
        assert_eq!(keys.name(u32::MAX), None);
    }

    #[test]
    fn a_key_that_has_a_number_is_found_while_others_are_added() {
        let keys = Keys::default();
        keys.push("loss".into());
        std::thread::scope(|scope| {
            let adding = scope.spawn(|| {
                for n in 1..20_000 {
                    keys.push(format!("key {n}").into());
                }
            });
            while !adding.is_finished() {
                assert_eq!(keys.find("loss"), Some(0));
                let newest = u32::try_from(keys.count()).unwrap() - 1;
                assert!(keys.find(&format!("key {newest}")).is_none_or(|found| found == newest));
            }
        });
    }
}
