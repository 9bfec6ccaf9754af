//! What watching the machine once a second costs, beside MLflow's monitor, psutil and W&B's, all at the same time:
//! `cargo bench --bench monitor` (Linux; two minutes).
//!
//! Each monitor is a process of its own that does nothing else. They all run at once, so that a busy machine is as busy
//! for one as for the other, and what is compared is processor time as the scheduler counts it, not wall time. MLflow is
//! found where the tests against it install it (`cargo test --test it mlflow`); W&B is installed beside it.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing to measure")]
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
#![expect(clippy::disallowed_methods, reason = "a program reads its arguments")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use runlog::{RunOptions, SystemMetrics, Tier, Tracker};

/// Until buffers have grown and interpreters have loaded what they load late.
const WARM_UP: Duration = Duration::from_secs(10);
const MEASURED: Duration = Duration::from_mins(1);

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("watch") => watch(&std::env::args().nth(2).unwrap()),
        _ => compare(),
    }
}

/// A run that does nothing but be watched, until its standard input ends. A point a second, unless it is by `default`:
/// that samples as often and logs what it read every ten seconds.
fn watch(how: &str) {
    let second = SystemMetrics::new().interval(Duration::from_secs(1));
    let options = match (how, Tier::from_name(how)) {
        (_, Some(tier)) => RunOptions::new().log_system_metrics(second.tier(tier)),
        ("default", _) => RunOptions::new().log_system_metrics(true),
        _ => RunOptions::new().log_system_metrics(false),
    };
    let run = Tracker::open("sqlite:///mlflow.db").unwrap().start_run(options).unwrap();
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    run.finish().unwrap();
}

fn compare() {
    let dir = tempfile::tempdir().unwrap();
    let ours = |tier: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["watch", tier]);
        command
    };
    let mut contestants = vec![
        Contestant::start(dir.path(), "runlog, a run without", ours("off")),
        Contestant::start(dir.path(), "runlog, as it comes", ours("default")),
        Contestant::start(dir.path(), "runlog, compat", ours("compat")),
        Contestant::start(dir.path(), "runlog, standard", ours("standard")),
        Contestant::start(dir.path(), "runlog, full", ours("full")),
    ];
    let environments = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mlflow = environments.join("mlflow-3.17.2/bin/python");
    if mlflow.exists() {
        let script = |what: &str| script(&mlflow, &["mlflow_monitor.py", what]);
        contestants.push(Contestant::start(dir.path(), "MLflow, a run without", script("off")));
        contestants.push(Contestant::start(dir.path(), "MLflow", script("on")));
        contestants.push(Contestant::start(dir.path(), "psutil, the same eight", script("psutil")));
    } else {
        println!("without MLflow and psutil: `cargo test --test it mlflow` installs them");
    }
    match wandb(environments) {
        Some(python) => {
            for (name, what) in [("W&B, a run without", "off"), ("W&B", "on")] {
                contestants.push(Contestant::start(
                    dir.path(),
                    name,
                    script(&python, &["wandb_monitor.py", what]),
                ));
            }
        }
        None => println!("without W&B: it could not be installed"),
    }

    sleep(WARM_UP);
    let before: Vec<f64> = contestants.iter().map(Contestant::processor_secs).collect();
    sleep(MEASURED);
    println!("{:<24}{:>14}{:>16}{:>14}", "once a second", "µs a second", "CPU s an hour", "% of a core");
    for (contestant, before) in contestants.iter().zip(before) {
        let share = (contestant.processor_secs() - before) / MEASURED.as_secs_f64();
        println!(
            "{:<24}{:>14.0}{:>16.2}{:>14.4}",
            contestant.name,
            share * 1e6,
            share * 3600.0,
            share * 100.0
        );
    }
    contestants.into_iter().for_each(Contestant::end);
}

fn script(python: &Path, arguments: &[&str]) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/monitor");
    let mut command = Command::new(python);
    command.arg(scripts.join(arguments[0])).args(&arguments[1..]);
    command.env("MLFLOW_DISABLE_TELEMETRY", "true").env("WANDB_MODE", "offline").env("WANDB_SILENT", "true");
    command
}

/// A Python that has W&B.
fn wandb(environments: &Path) -> Option<PathBuf> {
    let environment = environments.join("wandb-0.31.0");
    let python = environment.join("bin/python");
    let complete = environment.join("complete");
    if !complete.exists() {
        let run = |program: &Path, arguments: &[&str]| {
            Command::new(program).args(arguments).status().is_ok_and(|s| s.success())
        };
        let made = run(Path::new("python3"), &["-m", "venv", "--clear", environment.to_str()?])
            && run(
                &python,
                &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "wandb==0.31.0"],
            );
        if !made {
            return None;
        }
        fs::write(complete, "").unwrap();
    }
    Some(python)
}

/// A process with a monitor in it.
struct Contestant {
    name: &'static str,
    child: Child,
    /// It runs until this is closed.
    stdin: ChildStdin,
}

impl Contestant {
    /// Starts the process, in a directory of its own below `dir`, and waits until it says that it is ready.
    fn start(dir: &Path, name: &'static str, mut command: Command) -> Self {
        let home = dir.join(name.replace(|c: char| !c.is_alphanumeric(), "_"));
        fs::create_dir(&home).unwrap();
        command.current_dir(&home).env("RUNLOG_JOURNAL_DIR", home.join("journal"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line == "ready")), "{name} did not start");
        let stdin = child.stdin.take().unwrap();
        Self { name, child, stdin }
    }

    /// The time that the process, its children and all their threads have been on a processor.
    fn processor_secs(&self) -> f64 {
        let mut processes = BTreeSet::from([self.child.id()]);
        let parents: Vec<(u32, u32)> = processes_with_parents().collect();
        loop {
            let more =
                parents.iter().filter(|(_, parent)| processes.contains(parent)).map(|(process, _)| *process);
            let found: BTreeSet<u32> = processes.iter().copied().chain(more).collect();
            if found.len() == processes.len() {
                break;
            }
            processes = found;
        }
        let threads =
            processes.iter().filter_map(|process| fs::read_dir(format!("/proc/{process}/task")).ok());
        threads.flatten().filter_map(|thread| nanos(&thread.ok()?.path())).sum::<f64>() / 1e9
    }

    fn end(self) {
        let Self { mut child, stdin, .. } = self;
        drop(stdin);
        child.wait().unwrap();
    }
}

/// Every process with its parent.
fn processes_with_parents() -> impl Iterator<Item = (u32, u32)> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let process = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((process, parent))
    })
}

/// Nanoseconds of a thread on a processor.
fn nanos(thread: &Path) -> Option<f64> {
    fs::read_to_string(thread.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
}
