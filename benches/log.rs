//! What a log call costs its caller: `cargo bench --bench log`.
//!
//! Wall time on a shared machine is noise; compare the lines of one run, not those of two.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing to measure")]

use std::sync::atomic::{AtomicI64, Ordering};

use divan::Bencher;
use runlog::{ActiveRun, Config, Tracker};
use tempfile::TempDir;

fn main() {
    divan::main();
}

/// A run in a new database, and the directory it is in.
fn run() -> (ActiveRun, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::from_map(&[].into()).unwrap();
    config.working_dir = dir.path().to_owned();
    config.journal_dir = Some(dir.path().join("journal"));
    config.quiet = true;
    let tracker = Tracker::with_config(Some("sqlite:///mlflow.db"), config).unwrap();
    (tracker.start_run("bench").unwrap(), dir)
}

/// Through a handle: the key is checked once.
#[divan::bench(threads = [1, 4])]
fn metric_by_handle(bencher: Bencher<'_, '_>) {
    let (run, _dir) = run();
    let (loss, step) = (run.metric("loss"), AtomicI64::new(0));
    bencher.bench(|| loss.log(0.25, step.fetch_add(1, Ordering::Relaxed)));
}

#[divan::bench(threads = [1, 4])]
fn metric_by_key(bencher: Bencher<'_, '_>) {
    let (run, _dir) = run();
    let step = AtomicI64::new(0);
    bencher.bench(|| run.log_metric("loss", 0.25, step.fetch_add(1, Ordering::Relaxed)));
}

#[divan::bench]
fn tag(bencher: Bencher<'_, '_>) {
    let (run, _dir) = run();
    bencher.bench(|| run.set_tag("stage", "training"));
}

/// A whole run, from its start to the moment when everything is in the database.
#[divan::bench(args = [0, 10_000], sample_count = 10, sample_size = 1)]
fn whole_run(bencher: Bencher<'_, '_>, points: i64) {
    bencher.bench(|| {
        let (run, dir) = run();
        for step in 0..points {
            run.log_metric("loss", 0.25, step);
        }
        run.finish().unwrap();
        dir
    });
}
