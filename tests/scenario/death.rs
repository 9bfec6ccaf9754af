//! Programs that die without being asked, that fork, and that are the first of their PID namespace.

use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use runlog::integration::testing::Fault;
use runlog::{ActiveRun, Result, RunOptions, SystemMetrics, Tier};

use crate::start;

type Hook = Box<dyn Fn(&std::panic::PanicHookInfo<'_>) + Sync + Send + 'static>;

/// As `panic = "abort"`: the hooks run, then the process is gone.
pub(crate) fn abort_on_panic() -> Result<()> {
    let _run = start()?;
    let previous: Hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        previous(info);
        std::process::abort();
    }));
    panic!("this one aborts");
}

/// Dies when the id of a run that is in the store already is about to be written down: by SIGXFSZ, the kernel's answer
/// to a file that grows past the limit.
pub(crate) fn die_at_creation() -> Result<()> {
    const BYTES_MAX: u64 = 16 << 20;
    // From here on it is written down in which experiment this process creates runs.
    let earlier = start()?;
    let (run_id, journals) = (earlier.run_id().to_owned(), earlier.tracker().journal_dir().unwrap());
    earlier.finish()?;
    runlog::delete_run(&run_id)?;
    let own = std::fs::read_dir(journals).unwrap().next().unwrap().unwrap().path();
    let mut definitions = std::fs::File::options().append(true).open(own.join("definitions.jsonl")).unwrap();
    definitions.write_all(b"\n").unwrap();
    definitions.set_len(BYTES_MAX).unwrap();
    let limit = libc::rlimit { rlim_cur: BYTES_MAX, rlim_max: BYTES_MAX };
    // SAFETY: only reads `limit`.
    #[expect(unsafe_code, reason = "a C function")]
    unsafe {
        libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit);
    }
    start()?.finish()
}

/// The child logs to its parent's run and exits; the parent goes on and finishes.
pub(crate) fn fork() -> Result<()> {
    let run = runlog::start_run("fork")?;
    let loss = run.metric("loss");
    loss.log(0.25, 1).wait()?;
    // SAFETY: the child only uses what runlog promises to work after a fork, then exits.
    #[expect(unsafe_code, reason = "there is no safe fork")]
    let child = unsafe { libc::fork() };
    if child == 0 {
        let stored = loss.log(0.5, 2).wait().and(run.metric("from_child").log(1.0, 1).wait());
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

/// The child starts a run of its own with system metrics, as its parent has one; then the parent goes on.
pub(crate) fn fork_while_sampled() -> Result<()> {
    // One opening, and then nothing until the end: a fork is not to hit the thread that samples while it holds a lock.
    let hourly = || SystemMetrics::new().tier(Tier::Compat).interval(Duration::from_hours(1));
    let run = runlog::start_run(RunOptions::new().name("parent").log_system_metrics(hourly()))?;
    while runlog::get_run(run.run_id())?.metric("system/network_transmit_megabytes").is_none() {
        run.flush()?;
        std::thread::yield_now();
    }
    // SAFETY: the child only uses what runlog promises to work after a fork, then exits.
    #[expect(unsafe_code, reason = "there is no safe fork")]
    let child = unsafe { libc::fork() };
    if child == 0 {
        let own = RunOptions::new().name("child").nested(true).log_system_metrics(hourly());
        let ended = runlog::start_run(own).and_then(ActiveRun::finish);
        drop(run);
        std::process::exit(i32::from(ended.is_err()));
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    #[expect(unsafe_code, reason = "the child is no `std::process::Child`")]
    unsafe {
        libc::waitpid(child, &raw mut status, 0);
    }
    run.log_param("child_status", status);
    run.finish()
}

/// Plays a scenario as the first process of a PID namespace, tells its id out here, and ends as it ended.
#[cfg(target_os = "linux")]
pub(crate) fn as_pid_1(arguments: &[&str]) -> Result<()> {
    // Root may do it right away, everybody else in a user namespace of their own.
    let kinds = [libc::CLONE_NEWPID, libc::CLONE_NEWPID | libc::CLONE_NEWUSER];
    // SAFETY: there is one thread, and what is unshared is only for children.
    #[expect(unsafe_code, reason = "a C function")]
    let unshared = kinds.iter().any(|kinds| unsafe { libc::unshare(*kinds) } == 0);
    if !unshared {
        println!("no PID namespace can be made ({})", std::io::Error::last_os_error());
        std::process::exit(1);
    }
    let mut child = Command::new(std::env::current_exe().unwrap()).args(arguments).spawn().unwrap();
    println!("pid {}", child.id());
    let status = child.wait().unwrap();
    std::process::exit(status.code().unwrap_or(-1));
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn as_pid_1(_: &[&str]) -> Result<()> {
    println!("there are PID namespaces only on Linux");
    std::process::exit(1);
}

/// The other tracker's engine is the first that is closed.
pub(crate) fn exit_beside_a_store_that_panics() -> Result<()> {
    let broken = Fault::StorePanics(2).tracker();
    let theirs = broken.start_run("broken")?;
    let ours = start()?;
    Box::leak(Box::new((theirs, broken, ours)));
    Ok(())
}
