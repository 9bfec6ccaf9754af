//! The queue as a model uses it: records are small numbers, written so that a torn one shows.

use super::maker::Maker;
use super::memory::{Backing, SLOTS};
use super::queue::{Queue, Share};
use super::reader::{Entry, Reader};
use super::record::Record;
use super::slot::{Kind, PAYLOAD_BYTES};

/// The queue of a journal.
#[derive(Debug)]
pub struct Row(Queue);

/// The one who reads it.
#[derive(Debug, Default)]
pub struct Taker(Reader);

/// A record that was taken and not acknowledged yet.
#[derive(Debug)]
pub struct Taken {
    /// The number that was logged.
    pub number: u64,
    entry: Entry,
}

impl Row {
    /// A queue with room for so many segments in use at once, one of which is made.
    pub fn new(segments: usize) -> Self {
        Self(Queue::new(Maker(Backing::Memory), (segments * SLOTS) as u64))
    }

    /// As [`new`](Self::new), each slot also written to a file, which at the end must hold what the memory holds.
    pub fn in_files(segments: usize) -> Self {
        Self(Queue::new(Maker(Backing::Written), (segments * SLOTS) as u64))
    }

    /// Logs a number as a metric; whether the journal has taken it.
    pub fn log(&self, number: u64) -> bool {
        self.reserve().is_some_and(|sequence| self.publish(sequence, number))
    }

    /// The first half of [`log`](Self::log).
    pub fn reserve(&self) -> Option<u64> {
        self.0.reserve(1, Share::Metrics).ok()
    }

    /// The second half of [`log`](Self::log).
    pub fn publish(&self, sequence: u64, number: u64) -> bool {
        self.0.publish(sequence, Kind::Metric, 0, [number; 6]).is_ok()
    }

    /// Logs a number as a text of several slots; whether the journal has taken it.
    pub fn log_text(&self, number: u64, slots: usize) -> bool {
        let digits = slots * PAYLOAD_BYTES - 2;
        let text = format!("\"{number:0digits$}\"");
        self.0.publish_text(text.as_bytes()).is_ok_and(|range| range.end - range.start == slots as u64)
    }

    /// Takes nothing more, and says where the last record ends.
    pub fn close(&self) -> u64 {
        self.0.seal();
        self.0.final_tail()
    }

    /// Makes the next segments ready.
    pub fn prepare_ahead(&self, taker: &Taker) {
        self.0.prepare_ahead(taker.0.first_segment);
    }

    /// Frees segments that are done; how many.
    pub fn recycle(&self, taker: &mut Taker) -> u64 {
        let before = taker.0.first_segment;
        taker.0.first_segment = self.0.recycle(before);
        taker.0.first_segment - before
    }
}

impl Taker {
    /// Takes what is published.
    ///
    /// # Panics
    /// A record is torn.
    pub fn take(&mut self, row: &Row) -> Vec<Taken> {
        let mut entries = Vec::new();
        self.0.take(&row.0, usize::MAX, &mut entries);
        entries.into_iter().map(|entry| Taken { number: number(&entry.record), entry }).collect()
    }

    /// Takes what is published and acknowledges it.
    pub fn finish(&mut self, row: &Row) -> Vec<u64> {
        let taken = self.take(row);
        for Taken { entry, .. } in &taken {
            for sequence in entry.first..entry.first + entry.slots {
                row.0.acknowledge(sequence..sequence + 1);
            }
        }
        taken.into_iter().map(|taken| taken.number).collect()
    }

    /// Everything below is taken.
    pub fn done_below(&self) -> u64 {
        self.0.done_below()
    }
}

#[expect(clippy::panic, reason = "this is a test's")]
fn number(record: &Record) -> u64 {
    match record {
        Record::Metric(point) => {
            assert!(point.0.iter().all(|word| *word == point.0[0]), "a torn record was read: {point:?}");
            point.0[0]
        }
        Record::Text(text) => text.0.parse().unwrap_or_else(|_| panic!("a torn record was read: {text:?}")),
    }
}
