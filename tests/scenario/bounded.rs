//! A program that logs more than its journal holds, into a store that takes nothing.

use std::io::Read as _;
use std::time::{Duration, Instant};

use runlog::{ActiveRun, ErrorKind, Result};

/// Threads that log, each a metric of its own.
const THREADS: u64 = 4;
/// Params and tags that are set meanwhile, and again as many afterwards.
const TEXTS: u64 = 50;

/// What a thread found.
struct Logged {
    taken: u64,
    longest: Duration,
}

/// Logs `points` points through handles and by key in turn when the test says so, and tells of it; then ends when the
/// test says so, and tells what that said.
pub(crate) fn log_past_the_bound(points: &str) -> Result<()> {
    let points: u64 = points.parse().unwrap();
    let run = runlog::start_run("log-past-the-bound")?;
    run.log_param("before", 0).wait()?;
    run.tracker().set_finish_timeout(Duration::from_mins(10));
    println!("{}", run.run_id());
    wait_for_the_test();

    let begin = Instant::now();
    let logged: Vec<Logged> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let run = &run;
                scope.spawn(move || log_alone(run, &format!("t{thread}"), points / THREADS))
            })
            .collect();
        set_texts(&run, "meanwhile");
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let total = begin.elapsed();
    set_texts(&run, "afterwards");

    let health = runlog::health();
    let tell = serde_json::json!({
        "taken": logged.iter().map(|logged| logged.taken).collect::<Vec<_>>(),
        "lost": run.losses().total(),
        "dropped": health.dropped_records,
        "refused": health.refused_records,
        "waiting": health.waiting_records,
        "is_durable": health.is_durable,
        "longest_call_us": logged.iter().map(|logged| logged.longest).max().unwrap_or_default().as_micros(),
        "total_ms": total.as_millis(),
        "peak_memory_kib": status("VmHWM:"),
        "anonymous_memory_kib": status("RssAnon:"),
    });
    println!("{tell}");
    wait_for_the_test();
    let begin = Instant::now();
    let error = run.finish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost);
    println!("{} {}", error.losses().total(), begin.elapsed().as_millis());
    Ok(())
}

/// Logs a thousand points when the test says so, and ends as it says, at once or when a signal comes.
pub(crate) fn end_unstored(how: &str) -> Result<()> {
    let run = runlog::start_run("end-unstored")?;
    println!("{}", run.run_id());
    wait_for_the_test();
    for step in 0..1000 {
        run.log_metric("loss", 0.5, step);
    }
    match how {
        "finish" => run.finish(),
        "exit" => std::process::exit(3),
        _ => {
            println!("logged");
            wait_for_the_test();
            run.finish()
        }
    }
}

fn log_alone(run: &ActiveRun, key: &str, points: u64) -> Logged {
    let metric = run.metric(key);
    let mut found = Logged { taken: 0, longest: Duration::ZERO };
    let mut before = Instant::now();
    for step in 0..points {
        let logged = if step % 2 == 0 { metric.log(0.5, step) } else { run.log_metric(key, 0.5, step) };
        let after = Instant::now();
        found.longest = found.longest.max(after - before);
        before = after;
        found.taken += u64::from(!logged.is_refused());
    }
    found
}

fn set_texts(run: &ActiveRun, when: &str) {
    for n in 0..TEXTS {
        assert!(!run.log_param(&format!("{when}.{n}"), n).is_refused());
        assert!(!run.set_tag(&format!("{when}.{n}"), "x".repeat(100)).is_refused());
    }
}

/// A line of what Linux tells of this process, in KiB.
fn status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

fn wait_for_the_test() {
    std::io::stdin().read_exact(&mut [0]).unwrap();
}
