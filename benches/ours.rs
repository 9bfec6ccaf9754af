//! runlog as one of the programs that a harness compares: a subcommand for each kind of work, and one JSON object as the
//! last line of its output. `cargo build --release --example ours` makes `target/release/examples/ours`.
//!
//! - `hot --uri U --keys K --n N --max-s S [--pace-us P] [--shutdown]`: what a log call costs its thread
//! - `throughput --uri U --points P --keys K`: until points are in the store
//! - `read --op search|search-all|history --uri U [--run R] --reps N`: what is read back
//! - `sysmon --uri U --seconds S`: a run that is watched once a second
//! - `startup --uri U`: the smallest useful program
//! - `artifacts --src FILE_OR_DIR --uri U`: files of a run
//!
//! `U` is `sqlite:///PATH` or a folder for the file store.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
#![expect(clippy::disallowed_methods, reason = "a program reads its arguments, and waits")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and times, far from the limits of their types"
)]

#[expect(dead_code, reason = "calls are timed one by one here")]
#[path = "measure.rs"]
mod measure;
#[expect(dead_code, reason = "this program has no children")]
#[path = "usage.rs"]
mod usage;

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use measure::Singles;
use runlog::{ActiveRun, RunOptions, RunQuery, SystemMetrics, Tracker};
use runlog_core::clock;
use serde_json::{Value, json};

/// Calls between two looks at the time that is left.
const PART: u64 = 1000;

type Outcome<T> = Result<T, Box<dyn Error>>;

const KEYS: [&str; 10] = [
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "grad_norm",
    "learning_rate",
    "throughput",
    "train/perplexity",
    "train/tokens",
    "eval/f1",
];

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().ok_or("which of hot, throughput, read, sysmon, startup and artifacts?")?;
    let options = Options::parse(arguments)?;
    let uri = options.text("uri")?;
    if uri.starts_with("http") {
        return Err(format!("runlog has no store for {uri}: give sqlite:///PATH or a folder").into());
    }
    let tracker = Tracker::open(uri)?;
    let told = match what.as_str() {
        "hot" => hot(&tracker, &options)?,
        "throughput" => throughput(&tracker, &options)?,
        "read" => read(&tracker, &options)?,
        "sysmon" => sysmon(&tracker, &options)?,
        "startup" => startup(&tracker)?,
        "artifacts" => artifacts(&tracker, &options)?,
        other => return Err(format!("there is no {other}").into()),
    };
    println!("{told}");
    Ok(())
}

/// `--name value` pairs; a name without a value is a flag.
struct Options(HashMap<String, String>);

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut arguments = arguments.peekable();
        let mut options = HashMap::new();
        while let Some(argument) = arguments.next() {
            let name = argument.strip_prefix("--").ok_or_else(|| format!("what is {argument}?"))?;
            let value = arguments.next_if(|next| !next.starts_with("--")).unwrap_or_default();
            options.insert(name.to_owned(), value);
        }
        Ok(Self(options))
    }

    fn text(&self, name: &str) -> Outcome<&str> {
        self.0.get(name).map(String::as_str).ok_or_else(|| format!("--{name} is missing").into())
    }

    fn number(&self, name: &str, default: f64) -> Outcome<f64> {
        self.0.get(name).map_or(Ok(default), |text| Ok(text.parse()?))
    }

    fn flag(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

fn hot(tracker: &Tracker, options: &Options) -> Outcome<Value> {
    let keys = options.number("keys", 1.0)? as usize;
    let calls = options.number("n", 100_000.0)? as u64;
    let limit = Duration::from_secs_f64(options.number("max-s", 15.0)?);
    let pace = Duration::from_micros(options.number("pace-us", 0.0)? as u64);
    let run = tracker.start_run("hot")?;
    let handle = run.handle();
    let log = |step: u64| {
        let value = step as f64 * 0.5;
        if keys == 1 {
            handle.log_metric(KEYS[0], value, step);
        } else {
            handle.log_metrics(KEYS[..keys].iter().map(|key| (*key, value)), step);
        }
    };
    if options.flag("shutdown") {
        return shutdown(calls, keys, log, run);
    }
    // What only a first call does is what starting costs.
    (0..3).for_each(&log);
    let (processor, begun) = (usage::processor_secs(), clock::instant());
    let mut took = Vec::with_capacity(calls as usize);
    // In parts, so that the limit is looked at.
    for first in (3..calls + 3).step_by(PART as usize) {
        let part = PART.min(calls + 3 - first);
        took.extend(measure::at_a_pace(part, pace, |number| log(first + number)));
        if begun.elapsed() > limit {
            break;
        }
    }
    let wall = begun.elapsed();
    let drain = clock::instant();
    run.finish()?;
    let drain = drain.elapsed();
    let (n, calls) = (took.len(), Singles::new(took));
    Ok(json!({
        "n": n, "keys": keys, "p50_ns": calls.p50, "p90_ns": calls.p90, "p99_ns": calls.p99, "p999_ns": calls.p999,
        "max_ns": calls.max, "mean_ns": calls.mean, "wall_s": wall.as_secs_f64(), "drain_s": drain.as_secs_f64(),
        "cpu_s": usage::processor_secs() - processor, "hwm_kib": usage::peak_kib(),
    }))
}

/// Logs, tells when the last call had returned, and leaves.
fn shutdown(calls: u64, keys: usize, log: impl Fn(u64), run: ActiveRun) -> Outcome<Value> {
    let begun = clock::instant();
    (0..calls).for_each(log);
    let ended = clock::instant();
    // Told before the end, as the other programs do: the driver times how long the process goes on.
    println!(
        "{}",
        json!({ "n": calls, "keys": keys, "log_s": (ended - begun).as_secs_f64(),
                "logged_mono_ns": since_boot(ended) })
    );
    run.finish()?;
    Ok(json!({ "n": calls, "keys": keys, "log_s": (ended - begun).as_secs_f64(),
               "logged_mono_ns": since_boot(ended) }))
}

/// A point in time on the monotonic clock of the system, in nanoseconds.
fn since_boot(instant: Instant) -> u64 {
    let (now, then) = (rustix::time::clock_gettime(rustix::time::ClockId::Monotonic), instant.elapsed());
    (now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64) - then.as_nanos() as u64
}

fn throughput(tracker: &Tracker, options: &Options) -> Outcome<Value> {
    let (points, keys) = (options.number("points", 100_000.0)? as u64, options.number("keys", 10.0)? as u64);
    let run = tracker.start_run("throughput")?;
    let metrics: Vec<_> = (0..keys).map(|key| run.metric(&format!("metric_{key}"))).collect();
    let (processor, begun) = (usage::processor_secs(), clock::instant());
    for step in 0..points / keys {
        for (key, metric) in metrics.iter().enumerate() {
            metric.log(step as f64 * 0.37 + key as f64, step);
        }
    }
    let logged = begun.elapsed();
    run.finish()?;
    let wall = begun.elapsed().as_secs_f64();
    Ok(json!({
        "points": points / keys * keys, "complete": true, "log_s": logged.as_secs_f64(), "wall_s": wall,
        "points_per_s": points as f64 / wall, "cpu_s": usage::processor_secs() - processor,
        "hwm_kib": usage::peak_kib(),
    }))
}

fn read(tracker: &Tracker, options: &Options) -> Outcome<Value> {
    let search = || {
        RunQuery::new()
            .experiment_id("1")
            .filter("metrics.accuracy > 0.5 and params.optimizer = 'adam'")
            .order_by("metrics.loss ASC")
    };
    let call = || -> Outcome<usize> {
        Ok(match options.text("op")? {
            "search" => tracker.search_runs(search().max_results(1000))?.len(),
            "search-all" => tracker.search_runs(search())?.len(),
            "history" => tracker.metric_history(options.text("run")?, "metric_0")?.len(),
            other => return Err(format!("there is no {other} to read").into()),
        })
    };
    let timed = || -> Outcome<(usize, f64)> {
        let begun = clock::instant();
        let items = call()?;
        Ok((items, begun.elapsed().as_secs_f64() * 1e3))
    };
    let (items, first) = timed()?;
    let mut later = Vec::new();
    for _ in 0..options.number("reps", 5.0)? as u64 {
        later.push(timed()?.1);
    }
    Ok(json!({ "items": items, "first_ms": first, "ms": later, "hwm_kib": usage::peak_kib() }))
}

fn sysmon(tracker: &Tracker, options: &Options) -> Outcome<Value> {
    let second = SystemMetrics::new().interval(Duration::from_secs(1));
    let run = tracker.start_run(RunOptions::new().log_system_metrics(second))?;
    sleep(Duration::from_secs(2));
    let (processor, begun) = (usage::processor_secs(), clock::instant());
    sleep(Duration::from_secs_f64(options.number("seconds", 60.0)?));
    let (processor, took) = (usage::processor_secs() - processor, begun.elapsed().as_secs_f64());
    let resident = usage::resident_kib() as f64 / 1024.0;
    run.finish()?;
    Ok(json!({ "cpu_s_per_hour": processor / took * 3600.0, "rss_mib": resident, "seconds": took }))
}

fn startup(tracker: &Tracker) -> Outcome<Value> {
    let run = tracker.start_run("startup")?;
    run.log_metric("a", 1.0, 0);
    run.finish()?;
    Ok(json!({ "ok": true, "hwm_kib": usage::peak_kib() }))
}

fn artifacts(tracker: &Tracker, options: &Options) -> Outcome<Value> {
    let source = Path::new(options.text("src")?);
    let sizes = if source.is_dir() {
        fs::read_dir(source)?.map(|entry| Ok(entry?.metadata()?.len())).collect::<Outcome<Vec<_>>>()?
    } else {
        vec![fs::metadata(source)?.len()]
    };
    let run = tracker.start_run("artifacts")?;
    let (processor, begun) = (usage::processor_secs(), clock::instant());
    if source.is_dir() {
        run.log_artifacts(source, None)?;
    } else {
        run.log_artifact(source, None)?;
    }
    let wall = begun.elapsed().as_secs_f64();
    run.finish()?;
    let bytes = sizes.iter().sum::<u64>();
    Ok(json!({
        "files": sizes.len(), "bytes": bytes, "wall_s": wall, "MiB_s": bytes as f64 / wall / f64::from(1 << 20),
        "files_per_s": sizes.len() as f64 / wall, "cpu_s": usage::processor_secs() - processor,
        "hwm_kib": usage::peak_kib(),
    }))
}
