//! The process that is sampled and its descendants, from `/proc/<pid>`.

mod numbered;
mod own;
mod processors;
mod spread;
mod stat;
mod threads;
mod tree;
mod turn;

use super::Driver;
pub(super) use processors::allowed;

/// This process alone.
pub(super) const DRIVER: Driver = Driver::built_in("process", own::open);

/// This process and its descendants.
pub(super) const TREE_DRIVER: Driver = Driver::built_in("process tree", tree::open);
