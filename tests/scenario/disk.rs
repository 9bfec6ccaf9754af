//! Programs whose journal is on a disk that is full, or becomes so, or can only be read.

use std::ffi::CString;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use runlog::{Dataset, Result, RunOptions};

/// Plays a scenario with a disk of so many KiB at `dir`, that it and its holder alone see; with none, it can only be
/// read. Tells the scenario's process id, and when that has ended, holds the disk until the end of its input.
#[cfg(target_os = "linux")]
pub(crate) fn on_small_disk(kib: &str, dir: &str, arguments: &[&str]) -> Result<()> {
    if let Err(cause) = mount(kib.parse().unwrap(), Path::new(dir)) {
        println!("no small disk can be made ({cause})");
        std::process::exit(1);
    }
    let mut child = Command::new(std::env::current_exe().unwrap()).args(arguments).spawn().unwrap();
    println!("pid {}", child.id());
    let status = child.wait().unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    std::process::exit(status.code().unwrap_or(-1));
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn on_small_disk(_: &str, _: &str, _: &[&str]) -> Result<()> {
    println!("there are mount namespaces only on Linux");
    std::process::exit(1);
}

#[cfg(target_os = "linux")]
fn mount(kib: u64, dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let done = |returned: i32| if returned == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) };
    let own = std::fs::metadata("/proc/self")?;
    #[expect(unsafe_code, reason = "C functions")]
    // SAFETY: there is one thread, whose working directory stays.
    let unshare = |kinds| unsafe { done(libc::unshare(kinds)) };
    // Root may do it right away, everybody else in a user namespace of their own, where they are who they were.
    if unshare(libc::CLONE_NEWNS).is_err() {
        unshare(libc::CLONE_NEWNS | libc::CLONE_NEWUSER)?;
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{0} {0} 1", own.uid()))?;
        std::fs::write("/proc/self/gid_map", format!("{0} {0} 1", own.gid()))?;
    }
    let mount = |kind: &str, at: &Path, flags, options: String| {
        let texts = [kind, at.to_str().unwrap(), &options].map(|text| CString::new(text).unwrap());
        let [kind, at, options] = &texts;
        #[expect(unsafe_code, reason = "a C function")]
        // SAFETY: only reads its texts, which end in a zero.
        unsafe {
            done(libc::mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast()))
        }
    };
    // Nobody else is to see it.
    mount("none", Path::new("/"), libc::MS_REC | libc::MS_PRIVATE, String::new())?;
    std::fs::create_dir_all(dir)?;
    let flags = if kib == 0 { libc::MS_RDONLY } else { 0 };
    mount("tmpfs", dir, flags, format!("size={kib}k,mode=700"))
}

/// Logs something of every kind that the journal writes elsewhere than into its segments, after the test has filled the
/// disk.
pub(crate) fn log_on_a_full_disk() -> Result<()> {
    let go_on = |told: &str| {
        println!("{told}");
        std::io::stdin().read_exact(&mut [0]).unwrap();
    };
    let run = runlog::start_run("before")?;
    run.log_metric("loss", 0.5, 1).wait()?;
    go_on("ready");
    // More names than what is left of a page.
    for number in 0..30 {
        run.log_metric(&format!("{number:k>200}"), number, 1);
    }
    let late = runlog::start_run(RunOptions::new().name("late").nested(true))?;
    go_on("started");
    for run in [&run, &late] {
        run.log_metric("loss", 0.25, 2);
        run.metric("through a handle").log(1.0, 1);
        run.log_metric("by key", 2.0, 1);
        let mut large = Dataset::new("large", "0");
        large.schema = Some("x".repeat(200_000));
        run.log_input(large);
    }
    go_on("logged");
    late.finish()?;
    run.finish()
}
