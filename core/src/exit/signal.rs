//! SIGINT, SIGTERM and SIGHUP: a run whose process dies of one is `KILLED`.
//!
//! The handler only notes the signal, wakes a thread and calls the handler that was there before; a signal that was
//! ignored stays ignored. The thread ends the runs and then lets the signal do what it does by default, but only if our
//! handler is still the installed one and there was none before: an application that handles signals itself, installed
//! before or after us, is never cut short and decides by `finish()`. A second signal does not wait for the first.
//!
//! Invariant: the handler calls nothing that is not async-signal-safe, and leaves `errno` as it was.

#![expect(
    unsafe_code,
    reason = "signals have no safe interface that chains handlers and keeps default actions"
)]

use std::ffi::{c_int, c_void};
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};

use crate::entity::RunStatus;

const SIGNALS: [(c_int, &str); 3] =
    [(libc::SIGINT, "SIGINT"), (libc::SIGTERM, "SIGTERM"), (libc::SIGHUP, "SIGHUP")];

/// The signal that came last, or 0.
static SEEN: AtomicI32 = AtomicI32::new(0);
/// The process whose thread listens; a forked child has the handler but not the thread.
static LISTENER: AtomicU32 = AtomicU32::new(0);
static PIPE: AtomicI32 = AtomicI32::new(-1);

/// The handlers that were installed before ours, with their flags.
static PREVIOUS: [Previous; SIGNALS.len()] = [const { Previous::new() }; SIGNALS.len()];

struct Previous {
    handler: AtomicUsize,
    flags: AtomicI32,
}

impl Previous {
    const fn new() -> Self {
        Self { handler: AtomicUsize::new(libc::SIG_DFL), flags: AtomicI32::new(0) }
    }

    fn is_default(&self) -> bool {
        self.handler.load(Ordering::Relaxed) == libc::SIG_DFL
    }
}

/// Installs the handlers and starts the thread that they wake.
pub(super) fn watch() {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors.
    if unsafe { libc::pipe(ends.as_mut_ptr()) } != 0 {
        return;
    }
    // SAFETY: pipe() made both, and nobody else has them.
    let [reader, writer] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    for end in [&reader, &writer] {
        // SAFETY: an open descriptor; a program that this process starts must not inherit it.
        unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    // SAFETY: an open descriptor; a handler must not block on a full pipe.
    unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    let thread = std::thread::Builder::new().name("runlog-signals".to_owned());
    if thread.spawn(move || listen(reader)).is_err() {
        return;
    }
    LISTENER.store(std::process::id(), Ordering::Relaxed);
    // For the life of the process: a handler may use it at any time.
    PIPE.store(std::os::fd::IntoRawFd::into_raw_fd(writer), Ordering::Release);
    for (place, (signal, _)) in SIGNALS.iter().enumerate() {
        install(*signal, &PREVIOUS[place]);
    }
}

/// The name of the signal that this process has got, if any.
pub(super) fn seen() -> Option<&'static str> {
    let seen = SEEN.load(Ordering::Acquire);
    SIGNALS.iter().find(|(signal, _)| *signal == seen).map(|(_, name)| *name)
}

fn install(signal: c_int, previous: &Previous) {
    let installed = installed(signal);
    if installed.sa_sigaction == libc::SIG_IGN {
        return;
    }
    previous.handler.store(installed.sa_sigaction, Ordering::Relaxed);
    previous.flags.store(installed.sa_flags, Ordering::Relaxed);
    // SAFETY: an all-zero sigaction is a valid one, with an empty mask.
    let mut ours: libc::sigaction = unsafe { std::mem::zeroed() };
    ours.sa_sigaction = our_handler();
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: the handler obeys the module's invariant.
    unsafe { libc::sigaction(signal, &raw const ours, std::ptr::null_mut()) };
}

fn installed(signal: c_int) -> libc::sigaction {
    // SAFETY: an all-zero sigaction is a valid one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: only reads what is installed into `action`; async-signal-safe.
    unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    action
}

fn our_handler() -> libc::sighandler_t {
    on_signal as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as libc::sighandler_t
}

extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(place) = SIGNALS.iter().position(|(ours, _)| *ours == signal) else { return };
    let previous = &PREVIOUS[place];
    // SAFETY: getpid is async-signal-safe.
    let here = unsafe { libc::getpid() }.cast_unsigned();
    let again = SEEN.swap(signal, Ordering::AcqRel) != 0;
    let here_is_a_child = here != LISTENER.load(Ordering::Relaxed);
    // A handler that was installed after ours, and called it, decides by itself.
    let in_charge = previous.is_default() && installed(signal).sa_sigaction == our_handler();
    if in_charge && (again || here_is_a_child) {
        die_by_default(signal);
        return;
    }
    wake(signal);
    let handler = previous.handler.load(Ordering::Relaxed);
    if handler == libc::SIG_DFL {
        return;
    }
    if previous.flags.load(Ordering::Relaxed) & libc::SA_SIGINFO != 0 {
        // SAFETY: the kernel gave this address as a handler with three arguments.
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
            unsafe { std::mem::transmute::<usize, _>(handler) };
        handler(signal, info, context);
    } else {
        // SAFETY: the kernel gave this address as a handler with one argument.
        let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute::<usize, _>(handler) };
        handler(signal);
    }
}

/// Wakes the thread; async-signal-safe.
fn wake(signal: c_int) {
    let byte = signal.to_ne_bytes();
    let errno = std::io::Error::last_os_error().raw_os_error();
    // SAFETY: write is async-signal-safe, and the pipe stays open for the life of the process.
    unsafe { libc::write(PIPE.load(Ordering::Acquire), byte.as_ptr().cast(), byte.len()) };
    restore_errno(errno);
}

#[cfg(any(target_os = "linux", target_os = "emscripten"))]
fn restore_errno(errno: Option<c_int>) {
    // SAFETY: the location is this thread's own.
    unsafe { *libc::__errno_location() = errno.unwrap_or(0) };
}

#[cfg(any(target_os = "macos", target_os = "ios", target_os = "freebsd"))]
fn restore_errno(errno: Option<c_int>) {
    // SAFETY: the location is this thread's own.
    unsafe { *libc::__error() = errno.unwrap_or(0) };
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "emscripten",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd"
)))]
fn restore_errno(_: Option<c_int>) {}

/// Lets the signal do what it does without a handler; async-signal-safe.
fn die_by_default(signal: c_int) {
    // SAFETY: all of these are async-signal-safe, and `mask` lives through the calls.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut mask);
        libc::sigaddset(&raw mut mask, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const mask, std::ptr::null_mut());
        libc::raise(signal);
        if libc::getpid() == 1 {
            // Nothing kills the first process of a container by default.
            libc::_exit(128 + signal);
        }
    }
}

/// The thread: ends the runs of a process that dies of a signal, then lets it die.
fn listen(reader: OwnedFd) {
    let mut reader = std::fs::File::from(reader);
    let mut bytes = [0; size_of::<c_int>()];
    while reader.read_exact(&mut bytes).is_ok() {
        let signal = c_int::from_ne_bytes(bytes);
        let Some(place) = SIGNALS.iter().position(|(ours, _)| *ours == signal) else { continue };
        let name = SIGNALS[place].1;
        super::note(RunStatus::Killed, name);
        let still_ours = installed(signal).sa_sigaction == our_handler();
        if still_ours && PREVIOUS[place].is_default() {
            super::end_all(RunStatus::Killed, Some(name));
            die_by_default(signal);
        }
    }
}
