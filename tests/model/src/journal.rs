//! The protocol's files, and what stands in for the rest of the journal.

mod checksum;
mod maker;
mod memory;
#[expect(dead_code, reason = "what the rest of the journal needs too")]
#[path = "../../../core/src/journal/queue.rs"]
mod queue;
#[expect(dead_code, reason = "what the rest of the journal needs too")]
#[path = "../../../core/src/journal/reader.rs"]
mod reader;
mod record;
mod row;
#[expect(dead_code, unused_imports, reason = "a model opens no file and warms no page")]
#[path = "../../../core/src/journal/segment.rs"]
mod segment;
#[path = "../../../core/src/journal/slot.rs"]
mod slot;

pub use memory::SLOTS;
pub use row::{Row, Taken, Taker};
