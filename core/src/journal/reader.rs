//! Records as they are read from slots, and how far their one reader is.

use super::queue::Queue;
use super::record::{Point, Record};
use super::slot::{self, Kind, PAYLOAD_BYTES};

/// A record with the sequences of its slots.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) first: u64,
    pub(crate) slots: u64,
    pub(crate) record: Record,
}

/// How far the one reader is.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(super) next: u64,
    /// Sequences that were reserved but not published when they were passed, or given back.
    pub(super) passed: Vec<u64>,
    /// The number of the first segment that is not recycled.
    pub(super) first_segment: u64,
    /// Below it everything was brought to the disk that was published by then.
    pub(super) synced: u64,
    /// Every slot below was published at the last sync.
    pub(super) sync_from: u64,
    /// How many definitions are known to be on the disk.
    pub(super) definitions_synced: usize,
    /// The tail when pages were last made writable.
    pub(super) seen: u64,
    /// Below it they were.
    pub(super) warmed: u64,
}

impl Reader {
    /// Takes up to `max` records that were published, in the order of their sequences.
    pub(super) fn take(&mut self, queue: &Queue, max: usize, into: &mut Vec<Entry>) {
        // First of all: whatever follows a record that is passed over now, from the thread that logs it or one that waited
        // for it, is not below.
        let tail = queue.tail();
        let get = |sequence| queue.read(sequence);
        self.passed.retain(|sequence| match read_record(get, *sequence) {
            Found::Record(entry) => {
                into.push(entry);
                false
            }
            Found::Continuation => false,
            Found::Nothing => !queue.is_acknowledged(*sequence),
        });
        while self.next < tail && into.len() < max {
            match read_record(get, self.next) {
                Found::Record(entry) => {
                    self.next += entry.slots;
                    into.push(entry);
                }
                // Its first slot was passed over, and brings this one along later.
                Found::Continuation => self.next += 1,
                Found::Nothing => {
                    if !queue.is_acknowledged(self.next) {
                        self.passed.push(self.next);
                    }
                    self.next += 1;
                }
            }
        }
    }

    /// Everything below is stored or refused, once every record that was read is acknowledged or given back.
    pub(crate) fn done_below(&self) -> u64 {
        self.passed.iter().copied().min().unwrap_or(self.next).min(self.next)
    }

    /// Notes that these were read, but neither stored nor refused: they are still to be done.
    pub(crate) fn give_back(&mut self, entries: &[Entry]) {
        self.passed.extend(entries.iter().map(|entry| entry.first));
    }

    /// Everything below was read, or passed because it was not published.
    pub(crate) fn read_below(&self) -> u64 {
        self.next
    }
}

/// What stands at a sequence.
pub(super) enum Found {
    Record(Entry),
    Continuation,
    Nothing,
}

/// Reads the record whose first slot is at `first`, through `get`, which reads slots.
pub(super) fn read_record(get: impl Fn(u64) -> Option<slot::Read>, first: u64) -> Found {
    let Some(head) = get(first) else { return Found::Nothing };
    match head.kind {
        Kind::Metric => {
            let record = Record::Metric(Point::from_words(head.payload));
            Found::Record(Entry { first, slots: 1, record })
        }
        Kind::Continuation => Found::Continuation,
        Kind::Text => {
            let slots = head.extent.div_ceil(PAYLOAD_BYTES).max(1);
            let mut bytes = Vec::with_capacity(slots * PAYLOAD_BYTES);
            slot::unpack(&head.payload, &mut bytes);
            for place in 1..slots {
                match get(first + place as u64) {
                    Some(part) if part.kind == Kind::Continuation && part.extent == place => {
                        slot::unpack(&part.payload, &mut bytes);
                    }
                    _ => return Found::Nothing,
                }
            }
            bytes.truncate(head.extent);
            match serde_json::from_slice(&bytes) {
                Ok(text) => Found::Record(Entry { first, slots: slots as u64, record: Record::Text(text) }),
                Err(_) => Found::Nothing,
            }
        }
    }
}
