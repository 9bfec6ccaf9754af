//! What the probes of processes cost a tick: of this process alone, and of a tree of 31 processes and some 200 threads.
//!
//! `cargo run --release -p runlog-monitor --example processes`

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use runlog_core::autolog::Tier;
use runlog_core::{Error, Result, clock};
use runlog_monitor::readers::Readers;

const CHILDREN: u32 = 30;
const THREADS_OF_A_CHILD: u32 = 6;
/// Long enough to look for new processes and at every thread many times.
const TICKS: u32 = 2000;

/// Microseconds a tick, on average over all, those that look at everything among them; and the processes found.
fn cost(tier: Tier, driver: &str) -> (f64, Option<f64>) {
    let mut readers = Readers::open_only(Path::new("/"), tier, |name| name == driver);
    readers.read(None);
    let begun = clock::instant();
    for _ in 0..TICKS {
        readers.read(Some(Duration::from_secs(1)));
    }
    let micros = begun.elapsed().as_secs_f64() * 1e6 / f64::from(TICKS);
    (micros, readers.values().get("process_tree_processes").copied())
}

#[expect(clippy::print_stdout, reason = "an example shows its figures")]
fn show(what: &str) {
    for tier in [Tier::Standard, Tier::Full] {
        for driver in ["process", "process tree"] {
            let (micros, found) = cost(tier, driver);
            let found = found.map(|found| format!(" ({found} processes)")).unwrap_or_default();
            println!("{what}, {tier:?}: {driver:<12} {micros:7.1} µs{found}");
        }
    }
}

/// One of the tree: threads that wait until this process is ended.
#[expect(clippy::print_stdout, reason = "its parent waits for it")]
fn child() -> Result<()> {
    for _ in 1..THREADS_OF_A_CHILD {
        let spawned = thread::Builder::new().spawn(|| {
            loop {
                thread::park();
            }
        });
        spawned.map_err(|cause| Error::invalid("no thread could be started").because(cause))?;
    }
    println!();
    loop {
        thread::park();
    }
}

fn main() -> Result<()> {
    if std::env::args().len() > 1 {
        return child();
    }
    show("alone");
    let failed = |cause| Error::invalid("no process could be started").because(cause);
    let program = std::env::current_exe().map_err(failed)?;
    let mut children: Vec<Child> = Vec::new();
    for _ in 0..CHILDREN {
        let mut child = Command::new(&program).arg("child").stdout(Stdio::piped()).spawn().map_err(failed)?;
        if let Some(said) = &mut child.stdout {
            said.read_exact(&mut [0]).map_err(failed)?;
        }
        children.push(child);
    }
    show("a tree");
    for mut child in children {
        child.kill().and_then(|()| child.wait()).map_err(failed)?;
    }
    Ok(())
}
