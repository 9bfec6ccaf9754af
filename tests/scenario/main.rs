//! Programs that the tests start to see how processes end: each logs something, then ends in its own way.
//!
//! The store and the journal come from the environment, as a user's would.
#![expect(
    clippy::print_stdout,
    clippy::exit,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "these programs end in every way there is, and tell the tests how far they are"
)]

use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use memmap2::MmapRaw;
use runlog::{Error, Result, RunOptions, RunStatus};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let scenario = arguments.first().map_or("", String::as_str);
    match scenario {
        "finish" => {
            let run = runlog::start_run("finish")?;
            run.log_metric("loss", 0.5, 1);
            run.finish()
        }
        "drop" => {
            let run = runlog::start_run("drop")?;
            run.log_metric("loss", 0.5, 1);
            Ok(())
        }
        "error" => {
            runlog::run("error", |run| {
                run.log_metric("loss", 0.5, 1);
                Err::<(), Error>(Error::invalid("the data is empty"))
            })
            .ok();
            Ok(())
        }
        "panic" => {
            let _run = runlog::start_run("panic")?;
            panic!("shapes differ: [2] and [3]");
        }
        "abort" => {
            let _run = runlog::start_run("abort")?;
            std::panic::set_hook(abort_after(std::panic::take_hook()));
            panic!("this one aborts");
        }
        "exit-with-guard" => {
            let run = runlog::start_run(RunOptions::new().name("exit-with-guard").log_system_metrics(true))?;
            run.log_metric("loss", 0.5, 1);
            std::process::exit(arguments[1].parse().unwrap());
        }
        "implicit" => {
            runlog::log_metric("loss", 0.5, 1);
            assert!(arguments.get(1).is_none(), "after all");
            Ok(())
        }
        "implicit-in-thread" => {
            std::thread::scope(|scope| scope.spawn(|| runlog::log_metric("loss", 0.5, 1)).join().unwrap())
                .wait()
        }
        "worker-thread" => {
            let run = runlog::start_run("worker-thread")?;
            std::thread::scope(|scope| scope.spawn(|| runlog::log_metric("loss", 0.5, 1)).join().unwrap())
                .wait()?;
            run.finish()
        }
        "nested" => {
            let outer = runlog::start_run("outer")?;
            let inner = runlog::start_run(RunOptions::new().name("inner").nested(true))?;
            inner.log_metric("loss", 0.5, 1);
            std::process::exit(i32::from(outer.run_id() == inner.run_id()));
        }
        "end-run" => {
            let run = runlog::start_run("end-run")?;
            runlog::end_run(RunStatus::Killed)?;
            assert!(runlog::active_run().is_none());
            drop(run);
            Ok(())
        }
        "system-metrics" => {
            let run = runlog::start_run(RunOptions::new().name("system-metrics").log_system_metrics(true))?;
            // Stands for a training that takes so long.
            std::thread::sleep(Duration::from_millis(200));
            run.finish()
        }
        "wait-for-signal" => wait_for_signal(&arguments[1]),
        "bad-key" => {
            let run = runlog::start_run("bad-key")?;
            run.log_metric("loss*", 0.5, 1);
            run.log_metric("loss", 0.5, 1);
            run.finish().unwrap_err();
            Ok(())
        }
        "handle" => {
            runlog::run_handle(&arguments[1])?.log_metric("from_handle", 0.5, 1);
            Ok(())
        }
        "fork" => fork(),
        "log-stream" => {
            let run = runlog::start_run("log-stream")?;
            run.log_text("what was there before", "big.bin")?;
            println!("{}", run.run_id());
            run.log_stream(std::io::stdin(), "big.bin")?;
            run.finish()
        }
        "exit-with-upload" => {
            let run = runlog::start_run("exit-with-upload")?;
            run.log_artifact_async(&arguments[1], None)?;
            println!("{}", run.run_id());
            std::process::exit(0);
        }
        "log-and-count" => log_and_count(Path::new(&arguments[1])),
        other => panic!("no scenario {other:?}"),
    }
}

type Hook = Box<dyn Fn(&std::panic::PanicHookInfo<'_>) + Sync + Send + 'static>;

/// As `panic = "abort"`: the hooks run, then the process is gone.
fn abort_after(previous: Hook) -> Hook {
    Box::new(move |info| {
        previous(info);
        std::process::abort();
    })
}

/// Tells the test that it may send its signal, and waits for it.
fn wait_for_signal(handling: &str) -> Result<()> {
    // A shell that starts the tests in the background has SIGINT ignored, and children inherit that.
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        set_handler_of(signal, libc::SIG_DFL);
    }
    if handling == "ignored" {
        set_handler(libc::SIG_IGN);
    } else if handling == "handled-before" {
        set_handler(handler());
    }
    let run = runlog::start_run("signal")?;
    if handling == "handled-after" {
        set_handler(handler());
    } else if handling == "chained-after" {
        chain_handler();
    }
    run.log_metric("loss", 0.5, 1);
    println!("ready");
    std::thread::spawn(tell_what_was_handled);
    // Ends when the test closes the pipe, which it does if the signal did not end the process.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    while handling != "ignored" && HANDLED.load(Ordering::Relaxed) < 2 {
        std::thread::yield_now();
    }
    run.set_tag("handled", HANDLED.load(Ordering::Relaxed));
    run.finish()
}

/// Tells the test when the program's own handler was called first.
fn tell_what_was_handled() {
    while HANDLED.load(Ordering::Relaxed) == 0 {
        std::thread::park_timeout(Duration::from_millis(1));
    }
    println!("handled 1");
}

static HANDLED: AtomicU64 = AtomicU64::new(0);

fn handler() -> libc::sighandler_t {
    extern "C" fn count(_: libc::c_int) {
        HANDLED.fetch_add(1, Ordering::Relaxed);
    }
    count as extern "C" fn(libc::c_int) as libc::sighandler_t
}

/// Installs a handler that calls the one before it, as `signal-hook` does for tokio.
fn chain_handler() {
    static BEFORE: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn count_and_chain(
        signal: libc::c_int,
        info: *mut libc::siginfo_t,
        context: *mut libc::c_void,
    ) {
        HANDLED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: runlog's handler takes three arguments.
        #[expect(unsafe_code, reason = "an address from the kernel")]
        let before: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            unsafe { std::mem::transmute(BEFORE.load(Ordering::Relaxed)) };
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
        libc::sigaction(libc::SIGTERM, std::ptr::null(), &raw mut before);
        BEFORE.store(before.sa_sigaction, Ordering::Relaxed);
        libc::sigaction(libc::SIGTERM, &raw const action, std::ptr::null_mut());
    }
}

fn set_handler(handler: libc::sighandler_t) {
    set_handler_of(libc::SIGTERM, handler);
}

fn set_handler_of(signal: libc::c_int, handler: libc::sighandler_t) {
    // SAFETY: the handlers that are set here only add to an atomic.
    #[expect(unsafe_code, reason = "an application with a handler of its own")]
    unsafe {
        libc::signal(signal, handler);
    }
}

/// The child logs to its parent's run and exits; the parent goes on and finishes.
fn fork() -> Result<()> {
    let run = runlog::start_run("fork")?;
    let loss = run.metric("loss");
    loss.log(0.5, 1).wait()?;
    // SAFETY: the child only uses what runlog promises to work after a fork, then exits.
    #[expect(unsafe_code, reason = "there is no safe fork")]
    let child = unsafe { libc::fork() };
    if child == 0 {
        let stored = loss.log(0.25, 2).wait().and(run.metric("from_child").log(1.0, 1).wait());
        drop(run);
        std::process::exit(i32::from(stored.is_err()));
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    #[expect(unsafe_code, reason = "the child is no `std::process::Child`")]
    unsafe {
        libc::waitpid(child, &raw mut status, 0);
    }
    run.metric("from_parent").log(2.0, 1);
    run.log_param("child_status", status);
    run.finish()
}

/// Logs one point each millisecond, and after each call counts it in shared memory.
fn log_and_count(counter: &Path) -> Result<()> {
    let file = std::fs::File::options().read(true).write(true).open(counter).unwrap();
    let map = MmapRaw::map_raw(&file).unwrap();
    // SAFETY: the file is at least eight bytes long and page-aligned in memory, and both processes use it atomically.
    #[expect(unsafe_code, clippy::cast_ptr_alignment, reason = "a counter in memory shared with the test")]
    let counter = unsafe { &*map.as_mut_ptr().cast::<AtomicU64>() };
    let run = runlog::start_run("log-and-count")?;
    println!("{}", run.run_id());
    // The test says when the store is as it wants it.
    std::io::stdin().read_exact(&mut [0]).unwrap();
    let loss = run.metric("loss");
    for step in 0_u64.. {
        loss.log(0.5, step);
        counter.store(step + 1, Ordering::Release);
        // The pace of a training, not a wait for something.
        std::thread::sleep(Duration::from_millis(1));
    }
    run.finish()
}
