//! What searching 50,000 runs costs, beside plain SQL and MLflow's client on the same file:
//! `cargo bench --bench search`.
//!
//! Each search is timed in turns with prepared statements that read the same runs whole, and the median of the ratios
//! is what counts: wall time on a shared machine is noise. MLflow comes last, because it migrates the file to its newest
//! schema; it is found where the tests against it install it (`cargo test --test it mlflow`).
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing to measure")]
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

#[path = "search/generate.rs"]
mod generate;
#[path = "search/raw.rs"]
mod raw;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use raw::RawRun;
use runlog::store::{Page, PageRequest, SqliteStore, Store};
use runlog::{Run, RunQuery};
use runlog_core::clock;
use rusqlite::Connection;

const RUNS: u32 = 50_000;
const PAGE: usize = 1000;

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mlflow.db");
    let (took, ()) = timed(|| generate::generate(&path, RUNS).unwrap());
    println!(
        "{RUNS} runs, each with {} metrics, {} params and {} tags, written in {took:.1?}\n",
        generate::METRICS.len(),
        generate::PARAMS.len(),
        generate::TAGS.len()
    );

    let store = SqliteStore::open(&path, dir.path()).unwrap();
    let db = Connection::open(&path).unwrap();
    // As the store has it.
    db.pragma_update(None, "cache_size", -16_384).unwrap();

    let best = RunQuery::new()
        .experiment_id("0")
        .filter("metrics.loss < 0.5 AND params.optimizer = 'adam'")
        .order_by("metrics.accuracy DESC");
    let all = RunQuery::new().experiment_id("0");
    let ours = [
        compare(
            "metric and param, by metric, 1000",
            31,
            || search(&store, &best, PAGE),
            || raw::best(&db, PAGE).unwrap(),
        ),
        compare("newest 1000", 31, || search(&store, &all, PAGE), || raw::newest(&db, PAGE).unwrap()),
        compare("all 50,000", 7, || search(&store, &all, 50_000), || raw::everything(&db).unwrap()),
    ];
    drop((store, db));
    mlflow(&path, &ours);
}

/// What a [`Tracker`](runlog::Tracker) does: page after page.
fn search(store: &dyn Store, query: &RunQuery, count: usize) -> Vec<Run> {
    let mut found = Vec::new();
    let mut request = PageRequest::first(count.min(runlog::store::PAGE_MAX));
    loop {
        let Page { items, next } = store.search_runs(query, &request).unwrap();
        found.extend(items);
        request.token = next;
        if request.token.is_none() || found.len() >= count {
            return found;
        }
    }
}

/// The median time of `ours`, after printing how it compares.
fn compare(what: &str, pairs: usize, ours: impl Fn() -> Vec<Run>, raw: impl Fn() -> Vec<RawRun>) -> Duration {
    check(&ours(), &raw());
    let mut times = Vec::new();
    for pair in 0..pairs {
        // Whoever is first finds the caches as the other one left them, so they take turns at that, too.
        let (ours, raw) = if pair % 2 == 0 {
            let first = timed(&ours).0;
            (first, timed(&raw).0)
        } else {
            let first = timed(&raw).0;
            (timed(&ours).0, first)
        };
        times.push((ours, raw));
    }
    let ratio = median(times.iter().map(|(ours, raw)| ours.as_secs_f64() / raw.as_secs_f64()).collect());
    let ours = median(times.iter().map(|(ours, _)| ours.as_secs_f64()).collect());
    let raw = median(times.iter().map(|(_, raw)| raw.as_secs_f64()).collect());
    println!(
        "{what:<36} {:>8.1} ms, plain SQL {:>8.1} ms, median ratio of {pairs} pairs {ratio:.2}",
        ours * 1e3,
        raw * 1e3
    );
    Duration::from_secs_f64(ours)
}

/// Both must give the same runs, whole.
fn check(ours: &[Run], raw: &[RawRun]) {
    assert_eq!(ours.len(), raw.len());
    for (ours, raw) in ours.iter().zip(raw) {
        assert_eq!(ours.info.run_id, raw.id);
        assert_eq!(ours.info.experiment_id, raw.experiment_id.to_string());
        assert_eq!((ours.info.start_time, ours.info.end_time), (raw.start_time, raw.end_time));
        assert_eq!(ours.info.run_name, raw.texts[0]);
        let metrics = ours.data.metrics.iter().map(|m| (m.key.clone(), m.value, m.timestamp, m.step));
        assert!(metrics.eq(raw.metrics.iter().cloned()));
        let params = ours.data.params.iter().map(|param| (param.key.clone(), param.value.clone()));
        assert!(params.eq(raw.params.iter().cloned()));
        let tags = ours.data.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone()));
        assert!(tags.eq(raw.tags.iter().cloned()));
    }
}

fn timed<T>(job: impl FnOnce() -> T) -> (Duration, T) {
    let begun = clock::instant();
    let done = job();
    (begun.elapsed(), done)
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Prints what MLflow's client takes, if it is here.
fn mlflow(path: &Path, ours: &[Duration]) {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mlflow-3.17.2/bin/python");
    if !python.exists() {
        println!(
            "\nMLflow is not timed: {} is not there; `cargo test --test it mlflow` installs it",
            python.display()
        );
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/search/client.py");
    let output = Command::new(python)
        .arg(script)
        .arg(format!("sqlite:///{}", path.display()))
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Vec<f64> = serde_json::from_slice(&output.stdout).unwrap();
    println!();
    for (what, (ours, theirs)) in
        ["metric and param", "newest 1000", "all 50,000"].iter().zip(ours.iter().zip(theirs))
    {
        println!(
            "{what:<20} MLflow {:>8.0} ms, {:.0} times as long",
            theirs * 1e3,
            theirs / ours.as_secs_f64()
        );
    }
}
