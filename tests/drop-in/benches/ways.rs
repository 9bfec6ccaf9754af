//! What autologging adds to whole programs: the same one without runlog, with autologging off and with it on, in
//! interleaved rounds, and what it adds to the binary.
//!
//! ```sh
//! cargo bench -p runlog-drop-in
//! ```

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 15;
const PLAIN: &str = env!("CARGO_BIN_EXE_plain");
const DROP_IN: &str = env!("CARGO_BIN_EXE_drop-in");

fn main() {
    println!("median of {ROUNDS} rounds      absent   off − absent    on − absent");
    for program in ["burn/digits", "candle/digits", "linfa/diabetes"] {
        let rounds: Vec<[Duration; 3]> = (0..ROUNDS)
            .map(|_| {
                [(PLAIN, &[program][..]), (DROP_IN, &[program]), (DROP_IN, &[program, "autolog"])].map(took)
            })
            .collect();
        let median = |value: fn(&[Duration; 3]) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values[ROUNDS / 2]
        };
        println!(
            "{program:<20} {:>8.1} ms {:>+11.1} ms {:>+11.1} ms",
            median(|[absent, ..]| ms(*absent)),
            median(|[absent, off, _]| ms(*off) - ms(*absent)),
            median(|[absent, _, on]| ms(*on) - ms(*absent)),
        );
    }
    let size = |binary| std::fs::metadata(binary).unwrap().len() / 1000;
    println!("all programs in one binary: {} kB without runlog, {} kB with it", size(PLAIN), size(DROP_IN));
}

/// How long a program takes, in a directory of its own.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn took((binary, args): (&str, &[&str])) -> Duration {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary);
    command.args(args).current_dir(&dir).env_clear().env("RUNLOG_JOURNAL_DIR", dir.path().join("journal"));
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    let took = start.elapsed();
    assert!(status.success(), "{binary} {args:?}");
    took
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
