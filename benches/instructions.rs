//! Holds the number of instructions of a log call to a limit: `cargo run --release --example instructions`.
//!
//! What is held on x86-64 is the count of a build as `.ci/run` makes it. Wall time differs between machines and runs;
//! instructions do not. The program runs itself under Valgrind's callgrind, which counts inside of one function and on
//! its thread alone, for two numbers of calls: the difference is what the calls between them cost, without what comes
//! before and after.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a guard that cannot measure has failed")]
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::hint::black_box;
use std::process::{Command, ExitCode};

use runlog::{Config, MetricHandle, RunHandle, Tracker};

/// Most instructions of a call on x86-64: what it takes, and a tenth more.
const LIMITS: [(&str, u64); 2] = [("by_handle", 205), ("by_key", 405)];
/// Both within one segment of the journal, so that no call finds itself at a change of segments.
const FEW: i64 = 1000;
const MANY: i64 = 21_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["log", how, calls] => log(how, calls.parse().unwrap()),
        _ => return check(),
    }
    ExitCode::SUCCESS
}

/// Counts, compares, and says what came of it.
fn check() -> ExitCode {
    if !cfg!(target_arch = "x86_64") {
        println!("NOT CHECKED: the limits are those of x86-64");
        return ExitCode::SUCCESS;
    }
    let mut code = ExitCode::SUCCESS;
    for (how, most) in LIMITS {
        let (few, many) = (instructions(how, FEW), instructions(how, MANY));
        let each = (many - few) / u64::try_from(MANY - FEW).unwrap();
        let verdict = if each <= most { "held" } else { "TOO MANY" };
        println!("{how}: {each} instructions a call, at most {most}: {verdict}");
        if each > most {
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// The instructions of `calls` log calls and of what leads up to the first of them inside the function.
fn instructions(how: &str, calls: i64) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=counts", "--collect-atstart=no"])
        .arg(format!("--toggle-collect=*::{how}"))
        .arg(std::env::current_exe().unwrap())
        .args(["log", how, &calls.to_string()])
        .current_dir(dir.path())
        .output();
    let output = output.expect("`valgrind` can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let counts = std::fs::read_to_string(dir.path().join("counts")).unwrap();
    let total = counts.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
    total.trim().parse().unwrap()
}

/// Logs `calls` points, after as many as warm everything up.
fn log(how: &str, calls: i64) {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::from_map(&[].into()).unwrap();
    config.working_dir = dir.path().into();
    config.journal_dir = Some(dir.path().join("journal"));
    config.quiet = true;
    let tracker = Tracker::with_config(Some("sqlite:///mlflow.db"), config).unwrap();
    let run = tracker.start_run("instructions").unwrap();
    let loss = run.metric("loss");
    for step in 0..100 {
        loss.log(0.5, step);
        run.log_metric("loss", 0.5, step);
    }
    match how {
        "by_handle" => by_handle(&loss, calls),
        _ => by_key(&run, calls),
    }
    run.finish().unwrap();
}

#[inline(never)]
fn by_handle(loss: &MetricHandle, calls: i64) {
    for step in 0..calls {
        black_box(loss.log(black_box(0.25), step));
    }
}

#[inline(never)]
fn by_key(run: &RunHandle, calls: i64) {
    for step in 0..calls {
        black_box(run.log_metric(black_box("loss"), black_box(0.25), step));
    }
}
