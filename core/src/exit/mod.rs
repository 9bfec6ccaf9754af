//! How a process ends, and what that means for its runs: exit, panic, signal, fork.
//!
//! Whatever is called while the process exits ([`at_exit`]) touches no thread-local that has a destructor, logs nothing
//! and waits for a bounded time: on the main thread those are gone by then, and using one aborts the process.

#[cfg(unix)]
mod signal;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, Once};
use std::time::Duration;

use crate::artifact;
use crate::clock;
use crate::config::Config;
use crate::current;
use crate::engine;
use crate::entity::RunStatus;
#[cfg(all(unix, feature = "sqlite"))]
use crate::forking;
use crate::journal::record::Text;
use crate::sync::lock;

/// How long an exiting process waits for its store; what is left then is safe in the journal.
const EXIT_WAIT: Duration = Duration::from_secs(5);

/// The process exits, or dies of a signal.
static EXITING: AtomicBool = AtomicBool::new(false);

/// Counts the forks between the first process and this one, so that a child can tell what is its parent's.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// The main thread panicked, which ends the process, unless somebody caught it.
static MAIN_PANICKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// This process, as opposed to the one that forked it.
#[inline]
pub(crate) fn process() -> u32 {
    PROCESS.load(Ordering::Relaxed)
}

/// Notices forks from now on.
pub(crate) fn watch_forks() {
    #[cfg(unix)]
    {
        extern "C" fn before() {
            #[cfg(feature = "sqlite")]
            forking::before();
        }
        extern "C" fn after() {
            #[cfg(feature = "sqlite")]
            forking::after();
        }
        extern "C" fn in_child() {
            PROCESS.fetch_add(1, Ordering::Relaxed);
            #[cfg(feature = "sqlite")]
            forking::in_child();
        }
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: in a forked child, only atomics are written, which is allowed there.
            #[expect(unsafe_code, reason = "there is no safe way to notice a fork")]
            unsafe {
                libc::pthread_atfork(Some(before), Some(after), Some(in_child));
            }
        });
    }
}

/// Whether the process exits, or dies of a signal.
pub(crate) fn is_exiting() -> bool {
    EXITING.load(Ordering::Relaxed)
}

/// How long an end waits that would wait for `patience`: a process that exits has less time.
pub(crate) fn at_most(patience: Duration) -> Duration {
    if is_exiting() { patience.min(EXIT_WAIT) } else { patience }
}

/// Delivers from now on what is left when the process exits.
pub(crate) fn watch_exit() {
    static ONCE: Once = Once::new();
    ONCE.call_once(register_at_exit);
}

/// Notices from now on panics and (unless told not to) signals, which end runs.
#[cfg_attr(not(unix), expect(unused_variables, reason = "what it says is about signals"))]
pub(crate) fn watch(config: &Config) {
    static ONCE: Once = Once::new();
    // A hook cannot be set by a destructor that runs during a panic; the next start does it.
    if std::thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            note_panic(info);
            previous(info);
        }));
        #[cfg(unix)]
        if !config.leave_signals {
            signal::watch();
        }
    });
}

/// The message and place of the panic that this thread is unwinding from.
pub(crate) fn last_panic() -> Option<String> {
    LAST_PANIC.try_with(|panic| panic.borrow().clone()).ok().flatten()
}

/// The signal that this process has got, if any.
pub(crate) fn signal_seen() -> Option<&'static str> {
    #[cfg(unix)]
    return signal::seen();
    #[cfg(not(unix))]
    None
}

/// Appends the panic to the journals, where it explains a process that dies of it.
fn note_panic(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("a panic with a payload that is no text");
    let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
    let text = format!("panicked{place}: {message}");
    LAST_PANIC.try_with(|last| *last.borrow_mut() = Some(text.clone())).ok();
    if std::thread::current().name() == Some("main") {
        MAIN_PANICKED.store(true, Ordering::Relaxed);
    }
    note(RunStatus::Failed, &text);
}

/// Appends to the journals what happened to the process.
fn note(status: RunStatus, text: &str) {
    let note = Text::Note { time: clock::now_ms(), status, text: text.to_owned() };
    for engine in engine::all() {
        // A full journal has worse news than this.
        engine.journal.text(&note).ok();
    }
}

/// Ends every run that is still active, and delivers what is left.
///
/// Whoever comes second waits for the first: an exit must not cut short what a signal began, nor the reverse.
fn end_all(status: RunStatus, ended_by: Option<&str>) {
    static ENDING: Mutex<Ending> = Mutex::new(Ending::Not);
    static ENDED: Condvar = Condvar::new();
    EXITING.store(true, Ordering::Relaxed);
    let mut ending = lock(&ENDING);
    if *ending == Ending::Not {
        *ending = Ending::Begun;
        drop(ending);
        artifact::wait_for_uploads(EXIT_WAIT);
        for run in current::all() {
            // What the monitor may say cannot be told any more.
            let _watched = run.end_now(status, ended_by);
        }
        let engines = engine::all();
        // All of them at once: together they take no longer than one.
        let deadlines = engines.iter().map(|engine| engine.begin_close(at_most(engine.patience_now())));
        for (engine, deadline) in engines.iter().zip(deadlines.collect::<Vec<_>>()) {
            // A shipper that is still at it needs the store. A store that panics costs the others nothing.
            if engine.close(deadline.saturating_duration_since(clock::instant())) {
                catch_unwind(AssertUnwindSafe(|| engine.store.close())).ok();
            }
        }
        *lock(&ENDING) = Ending::Done;
        ENDED.notify_all();
    } else {
        let begun = |ending: &mut Ending| *ending == Ending::Begun;
        drop(ENDED.wait_timeout_while(ending, EXIT_WAIT, begun));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Not,
    Begun,
    Done,
}

/// The process exits, by returning from `main` or by `exit`. `None`: the system does not say with which status.
#[cfg_attr(
    not(unix),
    expect(dead_code, reason = "no exit is noticed there: runs end by `end_run` or by their guard")
)]
fn at_exit(exit_status: Option<i32>) {
    // A hook of C must not unwind, whatever a store does.
    catch_unwind(|| end_all_as(exit_status)).ok();
}

fn end_all_as(exit_status: Option<i32>) {
    let failed = exit_status.map_or_else(|| MAIN_PANICKED.load(Ordering::Relaxed), |code| code != 0);
    match (failed, signal_seen(), exit_status) {
        (false, ..) => end_all(RunStatus::Finished, None),
        (true, Some(signal), _) => end_all(RunStatus::Killed, Some(signal)),
        (true, None, Some(code)) => {
            end_all(RunStatus::Failed, Some(&format!("the process exited with status {code}")));
        }
        (true, None, None) => end_all(RunStatus::Failed, Some("the main thread panicked")),
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn register_at_exit() {
    use std::ffi::{c_int, c_void};

    #[expect(unsafe_code, reason = "of libc's exit hooks, only this one tells the exit status")]
    // SAFETY: declared as on_exit(3) has it.
    unsafe extern "C" {
        fn on_exit(hook: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
    }
    extern "C" fn hook(status: c_int, _: *mut c_void) {
        at_exit(Some(status));
    }
    // SAFETY: the hook does not unwind, and needs no argument.
    #[expect(unsafe_code, reason = "a C function")]
    unsafe {
        on_exit(hook, std::ptr::null_mut());
    }
}

#[cfg(all(unix, not(all(target_os = "linux", target_env = "gnu"))))]
fn register_at_exit() {
    extern "C" fn hook() {
        at_exit(None);
    }
    // SAFETY: the hook does not unwind.
    #[expect(unsafe_code, reason = "a C function")]
    unsafe {
        libc::atexit(hook);
    }
}

#[cfg(not(unix))]
fn register_at_exit() {}
