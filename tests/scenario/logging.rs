//! Programs that log: through processes, and while they exit.

use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use runlog::{Result, RunOptions};

use crate::counters::Counters;
use crate::start;

/// Starts runs with system metrics as `options` say: switched on by the options of the run, or for the process.
pub(crate) fn system_metrics(options: &[&str]) -> Result<()> {
    let mut start = RunOptions::new().name("system-metrics");
    if options.is_empty() {
        start = start.log_system_metrics(true);
    } else {
        runlog::enable_system_metrics_logging();
        runlog::set_system_metrics_node_id("node_7");
        runlog::set_system_metrics_sampling_interval(Duration::from_millis(20))?;
        runlog::set_system_metrics_samples_before_logging(1)?;
        start = start.log_system_metrics(None);
    }
    let run = runlog::start_run(start)?;
    // Stands for a training that takes so long.
    std::thread::sleep(Duration::from_millis(200));
    run.finish()?;
    runlog::disable_system_metrics_logging();
    runlog::start_run("without")?.finish()
}

/// A run with system metrics that ends when all of `keys` are in the store, or do not come.
pub(crate) fn system_metrics_until(keys: &[&str]) -> Result<()> {
    const LOOKS: u32 = 2000;
    runlog::set_system_metrics_sampling_interval(Duration::from_millis(20))?;
    let run = runlog::start_run(RunOptions::new().name("system-metrics").log_system_metrics(true))?;
    for _ in 0..LOOKS {
        runlog::flush_async_logging()?;
        let stored = runlog::get_run(run.run_id())?;
        if keys.iter().all(|key| stored.metric(key).is_some()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    run.finish()
}

/// Starts a run, and lets a child process in another directory work on it.
pub(crate) fn parent_process() -> Result<()> {
    let run = start()?;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.arg("child-process").current_dir("/").envs(runlog::child_env()?);
    let status = child.status().unwrap();
    run.set_tag("child", status.to_string());
    run.finish()
}

pub(crate) fn child_process() -> Result<()> {
    let run = runlog::start_run(())?;
    run.log_metric("from_child", 1.0, 1);
    run.finish()?;
    // The first one only: the next is a new one, in the same experiment.
    runlog::run("sibling", |run| run.log_metric("loss", 0.5, 1).wait())
}

/// Says that it is ready, and goes on when the test says so.
fn wait_for_the_test() {
    println!("ready");
    std::io::stdin().read_exact(&mut [0]).unwrap();
}

/// Logs 10,000 points, in two halves that the test starts, and tells how many were lost.
pub(crate) fn log_many() -> Result<()> {
    const HALF: i64 = 5000;
    // Often stored, so that the processes get into each other's way.
    const STORED_EVERY: i64 = 500;
    let run = runlog::start_run("log-many")?;
    let handle = run.handle();
    let loss = run.metric("loss");
    for half in [0..HALF, HALF..2 * HALF] {
        wait_for_the_test();
        for step in half {
            let logged = loss.log(0.5, step);
            if (step + 1) % STORED_EVERY == 0 {
                logged.wait()?;
            }
        }
    }
    run.finish()?;
    println!("lost {}", handle.losses().total());
    Ok(())
}

/// Tells the ids of experiments that others create at the same time.
pub(crate) fn set_experiments() -> Result<()> {
    wait_for_the_test();
    for number in 0..20 {
        println!("{}", runlog::set_experiment(&format!("shared {number}"))?.experiment_id);
    }
    Ok(())
}

/// Exits while a thread logs as fast as it can; what the calls took is counted in shared memory.
pub(crate) fn exit_while_logging(counter: &Path) -> Result<()> {
    const LOGGED_BEFORE: u64 = 1000;
    let counter = Counters::open(counter);
    let run = start()?;
    let steps = run.metric("steps");
    std::thread::spawn(move || {
        for step in 0_u64.. {
            if steps.log(0.5, step).is_refused() {
                return;
            }
            counter.at(0).store(step + 1, Ordering::Release);
            if step == LOGGED_BEFORE {
                println!("going");
            }
        }
    });
    // The test answers when it read that the thread is going.
    std::io::stdin().read_exact(&mut [0]).unwrap();
    std::process::exit(0);
}
