//! Cgroups that are really made, filled, throttled, killed in and removed, in whichever version the machine has.
//!
//! Invariant: where none can be made, the test has made sure that this is for want of permission or of the controller.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::super::cgroup::Version;
use super::*;
use crate::probe::testing::empty;

/// Cgroups of one name in one hierarchy or, in v1, in that of each controller; removed at the end.
struct Made {
    version: Version,
    paths: Vec<PathBuf>,
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.paths {
            // The last of a killed process is cleared away a moment after it was waited for.
            while fs::remove_dir(path).is_err_and(|cause| cause.kind() == ErrorKind::ResourceBusy) {
                std::thread::yield_now();
            }
        }
    }
}

impl Made {
    /// Makes cgroups that `controllers` govern, which shows in one of `files`: of v1 and of v2.
    fn new(controllers: &[&str], files: [&str; 2]) -> Result<Self, String> {
        let name = format!("runlog-test-{}-{}", std::process::id(), controllers[0]);
        let root = Path::new("/sys/fs/cgroup");
        let v1 = controllers.iter().all(|controller| root.join(controller).join("cgroup.procs").exists());
        let mut made = Self { version: if v1 { Version::One } else { Version::Two }, paths: Vec::new() };
        let places =
            if v1 { controllers.iter().map(|c| root.join(c)).collect() } else { vec![root.to_owned()] };
        for place in places {
            let path = place.join(&name);
            match fs::create_dir(&path) {
                Ok(()) => made.paths.push(path),
                Err(cause) => {
                    let expected =
                        [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem, ErrorKind::NotFound];
                    assert!(expected.contains(&cause.kind()), "{}: {cause}", path.display());
                    return Err(format!("{}: {cause}", path.display()));
                }
            }
        }
        if !files.iter().any(|file| made.paths[0].join(file).exists()) {
            // In v2 the cgroup above says which controllers govern those below it.
            let delegated = fs::read_to_string(root.join("cgroup.subtree_control")).unwrap_or_default();
            assert!(!delegated.split_whitespace().any(|name| name == controllers[0]), "{delegated}");
            return Err(format!("the controller {} is not delegated", controllers[0]));
        }
        Ok(made)
    }

    fn set(&self, file: &str, content: &str) {
        let path = self.paths.iter().map(|path| path.join(file)).find(|path| path.exists());
        fs::write(path.unwrap_or_else(|| panic!("no {file}")), content).unwrap();
    }

    /// A machine on which this process would be in these cgroups.
    fn machine(&self, dir: &Path) -> Machine {
        let machine = empty(dir);
        let mut own = String::new();
        for path in &self.paths {
            let (controller, name) = (path.parent().unwrap().file_name().unwrap(), path.file_name().unwrap());
            let (controller, name) = (controller.to_str().unwrap(), name.to_str().unwrap());
            own = match self.version {
                Version::One => format!("{own}4:{controller}:/{name}\n"),
                Version::Two => format!("0::/{name}\n"),
            };
        }
        write(&machine.proc.join("self/cgroup"), &own);
        write(&machine.proc.join("self/task/1/status"), "Cpus_allowed:\tff\n");
        fs::copy("/proc/self/mountinfo", machine.proc.join("self/mountinfo")).unwrap();
        Machine { sys: "/sys".into(), ..machine }
    }

    /// Runs a script of a shell in the cgroups, until it has said something.
    fn run(&self, script: &str) -> Child {
        let enter: Vec<_> =
            self.paths.iter().map(|path| format!("echo $$ > {}/cgroup.procs && ", path.display())).collect();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(enter.concat() + script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = shell.stderr(Stdio::null()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        child
    }
}

/// Without a cgroup of our own the same is shown on files.
fn on_files(reason: &str) {
    assert!(!reason.is_empty());
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        open(&v2(dir.path())).read().unwrap().get("container_memory_usage_percentage"),
        Some(&50.0),
        "{reason}"
    );
}

#[test]
fn a_real_limit_is_filled_killed_at_and_gone_with_its_cgroup() {
    const LIMIT_BYTES: u32 = 64 << 20;
    let files = ["memory.limit_in_bytes", "memory.max"];
    let made = match Made::new(&["memory"], files) {
        Ok(made) => made,
        Err(reason) => return on_files(&reason),
    };
    let file = if made.version == Version::One { files[0] } else { files[1] };
    made.set(file, &LIMIT_BYTES.to_string());

    let dir = tempfile::tempdir().unwrap();
    let machine = made.machine(dir.path());
    let mut bench = open(&machine);
    assert_eq!(bench.facts()["container.memory_limit_megabytes"], "67.108864");
    let empty = read(&mut bench);
    assert!(empty["memory_working_set_megabytes"] < 1.0, "{empty:?}");
    assert_eq!(empty.get("oom_kills"), Some(&0.0));

    let mut child = made.run("x=$(head -c 24000000 /dev/zero | tr '\\0' x); echo; read line");
    let filled = read(&mut bench);
    let working_set = filled["memory_working_set_megabytes"];
    assert!((24.0..67.2).contains(&working_set), "{filled:?}");
    let percentage = working_set * 1e6 / f64::from(LIMIT_BYTES) * 100.0;
    assert!((filled["memory_usage_percentage"] - percentage).abs() < 1e-9, "{filled:?}");
    let peak = filled.get("memory_peak_megabytes").copied().unwrap_or(working_set);
    assert!((working_set..67.2).contains(&peak), "{filled:?}");
    // An independent reader of the same limit.
    let system = {
        let mut system = sysinfo::System::new().unwrap();
        let pid = sysinfo::Pid::from_u32(child.id());
        system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[pid]), true);
        system.process(pid).unwrap().cgroup_limits()
    };
    assert_eq!(system.unwrap().total_memory, u64::from(LIMIT_BYTES));
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    child.wait().unwrap();

    // More than there may be: the kernel kills, unless it can swap.
    let swap = fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() > 1);
    let mut child = made.run("echo; x=$(head -c 200000000 /dev/zero | tr '\\0' x); true");
    child.wait().unwrap();
    let killed = read(&mut bench)["oom_kills"];
    assert!(swap || killed >= 1.0, "{killed}");

    drop(made);
    assert!(matches!(bench.read(), Err(ProbeError::Failed(_))), "the cgroup has disappeared");
}

#[test]
fn a_real_quota_throttles() {
    let made = match Made::new(&["cpu", "cpuacct"], ["cpu.cfs_quota_us", "cpu.max"]) {
        Ok(made) => made,
        Err(reason) => return on_files(&reason),
    };
    match made.version {
        Version::One => made.set("cpu.cfs_quota_us", "10000"),
        Version::Two => made.set("cpu.max", "10000 100000"),
    }
    let dir = tempfile::tempdir().unwrap();
    let mut bench = open(&made.machine(dir.path()));
    assert_eq!(bench.facts()["container.cpu_limit_cores"], "0.1");
    let before = named(bench.read_after(None).unwrap());
    assert_eq!(before.get("cpu_throttled_seconds"), Some(&0.0));
    let mut child = made.run("echo; while :; do :; done");
    let mut used = 0.0;
    let throttled = loop {
        let values = read(&mut bench);
        used += values["cpu_utilization_percentage"];
        if values["cpu_throttled_seconds"] > 0.0 {
            break values["cpu_throttled_seconds"];
        }
        std::thread::yield_now();
    };
    child.kill().unwrap();
    child.wait().unwrap();
    // It ran for its 10 ms at least, which are a tenth of the second that each reading is taken for.
    assert!(throttled > 0.0 && used > 5.0, "{throttled} {used}");
}
