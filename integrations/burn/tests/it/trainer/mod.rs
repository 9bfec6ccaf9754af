//! burn's own trainer.

mod agents;
mod ended;
mod evaluated;
mod faults;
mod folder;
mod heard;
mod recorded;
mod saved;
mod setup;
mod untouched;
