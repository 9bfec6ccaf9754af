//! The process that is sampled and its descendants, from `/proc/<pid>`.

mod numbered;
mod own;
mod processors;
mod spread;
mod stat;
mod threads;
mod tree;
mod turn;

#[cfg(feature = "nvidia")]
use self::stat::Stat;
use super::Driver;
pub(super) use processors::allowed;

/// Twenty small files take a twentieth of a millisecond: 0.005 % of a processor.
const FILES_PER_SECOND: u32 = 20;

/// This process alone.
pub(super) const DRIVER: Driver = Driver::built_in("process", own::open);

/// This process and its descendants.
pub(super) const TREE_DRIVER: Driver = Driver::built_in("process tree", tree::open);

/// The parent in `/proc/<pid>/stat`.
#[cfg(feature = "nvidia")]
pub(super) fn parent(stat: &[u8]) -> Option<u32> {
    Stat::parse(stat).map(|stat| stat.parent)
}
