//! The journal's queue, from the very files that ship, under loom: a scheduler that tries the orders in which threads may
//! run, and the values that a weakly ordered memory may show them.
//!
//! The files of `core/src/journal` named in [`journal`] are compiled here a second time, over other atomics and locks
//! (`sync`), other memory and a weaker checksum. `cargo test -p runlog-model` checks what `tests/queue.rs` promises.
//!
//! Whoever changes those files keeps this:
//! - atomics, `Mutex` and `OnceLock` come from `crate::sync`, and so does nothing that a thread may wait for without it;
//! - no thread-local, no clock, no message, no file: these stand in the journal's other files;
//! - what a segment lies in is reached through `Memory` alone, and how many slots it has is said in `memory.rs` alone;
//! - what is shared between threads is ordered by acquire and release on atomics, not by a load or store that is
//!   sequentially consistent: loom takes those for no more than acquire and release, and reports what leans on them;
//! - what loom does not know is left out: that nothing comes between the read and the write of a change such as `fetch_or`
//!   when another thread stores to the same atomic (`Segment::warm` beside `slot::publish`);
//! - a new operation on the queue's slots that several threads may call gets a model.
//!
//! Invariant: nothing here is a copy of the protocol; what is replaced holds no step of it.

mod error;
mod id;
pub mod journal;
mod sync;
