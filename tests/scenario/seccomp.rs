//! A program whose logging thread is killed at its first system call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use runlog::Result;

/// Points of each of the two metrics: together more than the 65,536 of a segment.
const POINTS: i64 = 50_000;

/// Logs by handle and by key from a thread that may do nothing but end; or from one that asks for its process's id.
pub(crate) fn log_without_a_system_call(and_ask: bool) -> Result<()> {
    static LOGGED: AtomicBool = AtomicBool::new(false);
    let run = runlog::start_run("without a system call")?;
    let (handle, by_key) = (run.metric("by handle"), run.handle());
    handle.log(0.0, 0);
    by_key.log_metric("by key", 0.0, 0);
    // The journal's background thread has made the next segments ready then.
    run.flush()?;
    std::thread::spawn(move || {
        forbid_system_calls();
        for step in 1..=POINTS {
            handle.log(0.5, step);
            by_key.log_metric("by key", 0.5, step);
        }
        if and_ask {
            println!("{}", std::process::id());
        }
        LOGGED.store(true, Ordering::Release);
        // A thread that returns frees its memory, which takes system calls.
        // SAFETY: ends this thread, which nobody joins.
        #[expect(unsafe_code, reason = "the system call itself")]
        unsafe {
            libc::syscall(libc::SYS_exit, 0);
        }
    });
    while !LOGGED.load(Ordering::Acquire) {
        std::thread::park_timeout(Duration::from_millis(1));
    }
    run.finish()
}

/// From now on every system call of this thread but its end kills the process.
///
/// A filter, as the strict mode also forbids the processor's counter, which the clock needs.
fn forbid_system_calls() {
    let step = |code: u32, operand: u32, jump_if_not: u8| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt: 0,
        jf: jump_if_not,
        k: operand,
    };
    let exit = u32::try_from(libc::SYS_exit).unwrap();
    let mut filter = [
        // The number of the system call is the first word of what a filter sees.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, exit, 1),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_KILL_PROCESS, 0),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: the filter and what points to it live until the calls return.
    #[expect(unsafe_code, reason = "C functions")]
    let set = unsafe {
        (
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program),
        )
    };
    assert_eq!(set, (0, 0), "{}", std::io::Error::last_os_error());
}
