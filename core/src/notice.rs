//! How runlog is heard: through `tracing`, or on stderr while nobody listens there.
//!
//! A warning is said once per kind in a process: a loop that logs a million points must not print a million lines.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Write as _;
use std::sync::Mutex;

use crate::sync::lock;

/// What is remembered of a kind.
const KIND_CHARS_MAX: usize = 500;

static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Says nothing on this thread while `call` runs, if `silent`.
pub(crate) fn silenced<T>(silent: bool, call: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            SILENT.try_with(|now| now.set(self.0)).ok();
        }
    }
    // Where the thread is ending it is too late to be silent.
    let before = SILENT.try_with(|now| now.replace(now.get() || silent)).unwrap_or_default();
    let _restore = Restore(before);
    call()
}

fn is_silent() -> bool {
    SILENT.try_with(Cell::get).unwrap_or_default()
}

/// Something works worse than it should. Said once per `kind` in a process.
///
/// Not to be called while the process exits.
pub fn warn(kind: &str, message: fmt::Arguments<'_>) {
    if !is_silent() && first(kind) && !traced(|| tracing::warn!(target: "runlog", "{message}")) {
        print(format_args!("warning: {message}"));
    }
}

/// Something that was logged is lost. Said once per `kind` in a process.
///
/// Not to be called while the process exits.
pub fn error(kind: &str, message: fmt::Arguments<'_>) {
    if !is_silent() && first(kind) && !traced(|| tracing::error!(target: "runlog", "{message}")) {
        print(format_args!("error: {message}"));
    }
}

/// Something a user wants to see, such as where a run is.
pub(crate) fn tell(message: fmt::Arguments<'_>) {
    if !is_silent() && !traced(|| tracing::info!(target: "runlog", "{message}")) {
        print(message);
    }
}

/// Gives the event if anybody listens, and says whether.
fn traced(event: impl FnOnce()) -> bool {
    let listens = tracing::dispatcher::has_been_set();
    if listens {
        event();
    }
    listens
}

fn first(kind: &str) -> bool {
    let end = kind.char_indices().nth(KIND_CHARS_MAX).map_or(kind.len(), |(end, _)| end);
    let mut said = lock(&SAID);
    // Kinds are few, but some name a key or a run.
    said.len() < 10_000 && said.insert(kind[..end].to_owned())
}

/// The one place that speaks to a user without a subscriber. A terminal that is gone must not end a training.
fn print(message: fmt::Arguments<'_>) {
    writeln!(std::io::stderr().lock(), "runlog: {message}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_silent_stays_so_whatever_is_called_inside() {
        silenced(true, || {
            silenced(false, || assert!(is_silent()));
            assert!(is_silent());
        });
        assert!(!is_silent());
        silenced(false, || assert!(!is_silent()));
    }
}
