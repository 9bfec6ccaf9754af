//! Atomics, locks and waits, in one place that a concurrency model can replace.
//!
//! A lock that a panicking thread held is taken all the same: what these locks guard is changed in single steps, and
//! tracking must not end because some thread of the training did.

pub(crate) use std::sync::{Mutex, OnceLock, atomic};

use std::sync::{Condvar, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for `bell`, for at most `patience`.
pub(crate) fn wait<'a, T>(bell: &Condvar, guard: MutexGuard<'a, T>, patience: Duration) -> MutexGuard<'a, T> {
    bell.wait_timeout(guard, patience).unwrap_or_else(PoisonError::into_inner).0
}
