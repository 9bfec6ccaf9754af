//! Programs that wait for a signal, with handlers of their own or without.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use runlog::{ActiveRun, Result};

use crate::{start, training, wait_for_the_end_of_input};

const SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// How often a handler of the program itself was called.
static HANDLED: AtomicU64 = AtomicU64::new(0);

/// Tells the test that it may send its signal, waits for it, and ends its run by `finish` or by dropping the guard: its
/// own, or that of a `training`.
pub(crate) fn wait_for_signal(handling: &str, then: Option<&str>) -> Result<()> {
    // A shell that starts the tests in the background has SIGINT ignored, and children inherit that.
    set_handlers(libc::SIG_DFL);
    let (kind, when) = handling.split_once('-').unwrap_or((handling, "before"));
    if when == "before" {
        install(kind);
    }
    let (run, training) = match then {
        Some("training") => (None, Some(training::observed())),
        _ => (Some(start()?), None),
    };
    if when == "after" {
        install(kind);
    }
    println!("ready");
    if !matches!(kind, "default" | "ignored") {
        std::thread::spawn(tell_what_is_handled);
    }
    wait_for_the_end_of_input();
    drop(training);
    run.filter(|_| then != Some("drop")).map_or(Ok(()), ActiveRun::finish)
}

fn install(kind: &str) {
    match kind {
        "default" => {}
        "ignored" => set_handlers(libc::SIG_IGN),
        "sigaction" => set_handlers(count as extern "C" fn(libc::c_int) as libc::sighandler_t),
        "chained" => SIGNALS.into_iter().enumerate().for_each(|(place, signal)| chain_handler(place, signal)),
        "ctrlc" => ctrlc::set_handler(|| {
            HANDLED.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap(),
        "tokio" => listen_with_tokio(),
        other => panic!("no handling {other:?}"),
    }
}

/// Tells the test each time that the program's own handler was called.
fn tell_what_is_handled() {
    let mut told = 0;
    loop {
        while told < HANDLED.load(Ordering::Relaxed) {
            told += 1;
            println!("handled {told}");
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// The handlers are there when this returns; the signals are waited for on a thread of its own.
fn listen_with_tokio() {
    use tokio::signal::unix::{SignalKind, signal};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let entered = runtime.enter();
    for number in SIGNALS {
        let mut stream = signal(SignalKind::from_raw(number)).unwrap();
        runtime.spawn(async move {
            while stream.recv().await.is_some() {
                HANDLED.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    drop(entered);
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
}

extern "C" fn count(_: libc::c_int) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// Installs a handler that calls the one before it.
fn chain_handler(place: usize, signal: libc::c_int) {
    static BEFORE: [AtomicUsize; SIGNALS.len()] = [const { AtomicUsize::new(0) }; SIGNALS.len()];
    extern "C" fn count_and_chain(
        signal: libc::c_int,
        info: *mut libc::siginfo_t,
        context: *mut libc::c_void,
    ) {
        HANDLED.fetch_add(1, Ordering::Relaxed);
        let Some(place) = SIGNALS.iter().position(|ours| *ours == signal) else { return };
        // SAFETY: runlog's handler takes three arguments.
        #[expect(unsafe_code, reason = "an address from the kernel")]
        let before: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            unsafe { std::mem::transmute(BEFORE[place].load(Ordering::Relaxed)) };
        before(signal, info, context);
    }
    let ours = count_and_chain as extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    // SAFETY: all-zero sigactions are valid, and the handler only adds to an atomic and chains.
    #[expect(unsafe_code, reason = "an application with a handler of its own")]
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ours as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        libc::sigaction(signal, std::ptr::null(), &raw mut before);
        BEFORE[place].store(before.sa_sigaction, Ordering::Relaxed);
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
}

fn set_handlers(handler: libc::sighandler_t) {
    for signal in SIGNALS {
        // SAFETY: the handlers that are set here only add to an atomic.
        #[expect(unsafe_code, reason = "an application with a handler of its own")]
        unsafe {
            libc::signal(signal, handler);
        }
    }
}
