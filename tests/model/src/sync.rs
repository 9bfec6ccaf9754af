//! Atomics and locks that loom schedules, under the names of the core's.

pub(crate) use loom::sync::{Mutex, MutexGuard};

/// Atomics that show what a weakly ordered memory may show.
pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::Ordering;

    /// An atomic whose every access, loads too, counts as in conflict with every other thread's.
    ///
    /// loom remembers only the last access to an object, so that a thread's own load before its change hides that the
    /// change races with another thread's load, and that order is never tried. A relaxed change of a second object, which
    /// orders no memory, brings it back.
    macro_rules! atomic {
        ($name:ident, $of:ty) => {
            #[derive(Debug, Default)]
            pub(crate) struct $name {
                value: loom::sync::atomic::$name,
                turn: loom::sync::atomic::AtomicBool,
            }

            impl $name {
                pub(crate) fn new(value: $of) -> Self {
                    Self { value: loom::sync::atomic::$name::new(value), turn: Default::default() }
                }

                fn turn(&self) -> &loom::sync::atomic::$name {
                    self.turn.swap(false, Ordering::Relaxed);
                    &self.value
                }

                pub(crate) fn load(&self, order: Ordering) -> $of {
                    self.turn().load(order)
                }

                pub(crate) fn store(&self, value: $of, order: Ordering) {
                    self.turn().store(value, order);
                }
            }
        };
    }

    /// Further operations of the same kind.
    macro_rules! changes {
        ($name:ident, $of:ty, $($change:ident),*) => {
            impl $name {
                $(pub(crate) fn $change(&self, value: $of, order: Ordering) -> $of {
                    self.turn().$change(value, order)
                })*
            }
        };
    }

    atomic!(AtomicBool, bool);
    atomic!(AtomicU32, u32);
    atomic!(AtomicU64, u64);
    changes!(AtomicBool, bool, swap);
    changes!(AtomicU32, u32, fetch_add);
    changes!(AtomicU64, u64, fetch_add, fetch_or);

    impl AtomicU64 {
        pub(crate) fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.turn().compare_exchange(current, new, success, failure)
        }
    }
}

use atomic::{AtomicBool, Ordering};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A cell that is set once, ordered as std's: whoever sees that it is set sees all of what was set.
///
/// Nobody waits for it, as std's would for one that is being set: it is set under a lock.
#[derive(Debug, Default)]
pub(crate) struct OnceLock<T> {
    is_set: AtomicBool,
    value: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self { is_set: AtomicBool::new(false), value: std::sync::OnceLock::new() }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.is_set.load(Ordering::Acquire).then(|| self.value.get())?
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        self.value.set(value)?;
        self.is_set.store(true, Ordering::Release);
        Ok(())
    }
}
