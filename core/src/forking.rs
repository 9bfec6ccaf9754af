//! What a forked child must not get a copy of is put away before the fork, and opened again by whoever needs it next.
//!
//! SQLite keeps in its own memory which files it has open and locked. In a child that is a copy, and wrong: the child
//! has none of those locks, so another process takes the log away below it.
//!
//! Invariant: while a fork is made nobody holds a [`Pass`], so that what was put away stays so, and the child finds no
//! lock taken. Only a call that lasts longer than a fork is made to wait breaks this.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

#[cfg(unix)]
use crate::clock;
use crate::sync::lock;

/// How long a fork waits for calls that are on their way.
#[cfg(unix)]
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(1);

/// Calls on their way.
static PASSES: AtomicU32 = AtomicU32::new(0);
/// Forks that are being made.
static FORKS: AtomicU32 = AtomicU32::new(0);
static KNOWN: Mutex<Vec<Weak<dyn PutAway>>> = Mutex::new(Vec::new());

/// Something that a child must not get a copy of.
pub(crate) trait PutAway: Send + Sync {
    /// Puts it away; it is opened again when it is needed.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there are no forks"))]
    fn put_away(&self);
}

/// Held while something is in use that a child must not get a copy of.
#[derive(Debug)]
pub(crate) struct Pass(());

/// Waits while a fork is made.
pub(crate) fn enter() -> Pass {
    loop {
        PASSES.fetch_add(1, Ordering::SeqCst);
        if FORKS.load(Ordering::SeqCst) == 0 {
            return Pass(());
        }
        PASSES.fetch_sub(1, Ordering::SeqCst);
        std::thread::park_timeout(LOOK);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // A child has none of its parent's.
        PASSES.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |passes| passes.checked_sub(1)).ok();
    }
}

/// Puts `it` away before each fork from now on, as long as it lives.
pub(crate) fn put_away_before_forks(it: &Arc<impl PutAway + 'static>) {
    let _pass = enter();
    let mut known = lock(&KNOWN);
    known.retain(|known| known.strong_count() > 0);
    let it = Arc::downgrade(it);
    known.push(it);
}

/// Before a fork, on the thread that makes it.
#[cfg(unix)]
pub(crate) fn before() {
    let deadline = clock::instant() + PATIENCE;
    // One after the other: a child must not find a lock taken by a thread that was about to fork, too.
    while FORKS.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_err() {
        if clock::instant() >= deadline {
            FORKS.fetch_add(1, Ordering::SeqCst);
            return;
        }
        std::thread::park_timeout(LOOK);
    }
    while PASSES.load(Ordering::SeqCst) > 0 {
        if clock::instant() >= deadline {
            return;
        }
        std::thread::park_timeout(LOOK);
    }
    let known: Vec<_> = lock(&KNOWN).iter().filter_map(Weak::upgrade).collect();
    for it in known {
        it.put_away();
    }
}

/// After a fork, in the process that made it.
#[cfg(unix)]
pub(crate) fn after() {
    FORKS.fetch_sub(1, Ordering::SeqCst);
}

/// After a fork, in the child: its one thread is not on its way anywhere.
#[cfg(unix)]
pub(crate) fn in_child() {
    PASSES.store(0, Ordering::SeqCst);
    FORKS.store(0, Ordering::SeqCst);
}
