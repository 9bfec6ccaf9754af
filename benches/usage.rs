//! What the system counts of this process and of its children: processor time and memory.

use std::fs;

/// Seconds that this process's threads were on a processor.
#[cfg(unix)]
pub(crate) fn processor_secs() -> f64 {
    usage(libc::RUSAGE_SELF)
}

/// Seconds that the children that were waited for were on a processor.
#[cfg(unix)]
pub(crate) fn processor_secs_of_children() -> f64 {
    usage(libc::RUSAGE_CHILDREN)
}

#[cfg(unix)]
fn usage(whose: libc::c_int) -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the call fills the struct that it is given, for which zeros are a value.
    #[expect(unsafe_code, reason = "a call of libc's")]
    let usage = unsafe {
        libc::getrusage(whose, usage.as_mut_ptr());
        usage.assume_init()
    };
    let secs = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    secs(usage.ru_utime) + secs(usage.ru_stime)
}

#[cfg(not(unix))]
pub(crate) fn processor_secs() -> f64 {
    f64::NAN
}

#[cfg(not(unix))]
pub(crate) fn processor_secs_of_children() -> f64 {
    f64::NAN
}

/// The most memory that this process had at once, in KiB; 0 where the system does not tell it as Linux does.
///
/// Not what `wait4` tells of a child: that counts what the parent had when it made the child.
pub(crate) fn peak_kib() -> u64 {
    of_status("VmHWM:")
}

/// The memory that this process has, in KiB.
pub(crate) fn resident_kib() -> u64 {
    of_status("VmRSS:")
}

fn of_status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
