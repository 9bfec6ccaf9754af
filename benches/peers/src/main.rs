//! The Rust peers' log calls, in the same loop as runlog's: `peers mlflow-client URL` or `peers expman DIR`.
//!
//! For each line of its input, a number of calls, it logs so many points to a run of their own, waits until the peer has
//! sent or written them, and prints what a call took: back to back, and the median of single calls, in nanoseconds.

#[expect(dead_code, reason = "the peers are not called at a pace")]
#[path = "../../measure.rs"]
mod measure;

use std::collections::HashMap;
use std::error::Error;
use std::io::stdin;

use expman::core::engine::LoggingEngine;
use expman::core::models::{ExperimentConfig, MetricValue, RunStatus};
use measure::{back_to_back, one_by_one};
use mlflow_client::Mlflow;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [peer, place] = &arguments[..] else { return Err("which peer, and where?".into()) };
    for (number, line) in stdin().lines().enumerate() {
        let calls = line?.trim().parse()?;
        let (together, single) = match peer.as_str() {
            "mlflow-client" => mlflow_client(place, calls)?,
            "expman" => expman(place, number, calls)?,
            other => return Err(format!("{other} is not among the peers").into()),
        };
        println!("{together} {single}");
    }
    Ok(())
}

fn mlflow_client(url: &str, calls: u64) -> Outcome<(f64, f64)> {
    let mut run = Mlflow::new(url)?
        .create_experiment_if_not_exists("figures", Default::default())?
        .start_run("figures")?;
    let together = back_to_back(calls, |step| run.log_metric("loss", 0.25, Some(step as i64)).unwrap());
    let single = one_by_one(calls, |step| run.log_metric("loss", 0.25, Some(step as i64)).unwrap()).p50;
    run.finish()?;
    Ok((together, single))
}

/// Its call for a metric with steps takes a map; one of one metric is what such a call costs least.
fn expman(dir: &str, number: usize, calls: u64) -> Outcome<(f64, f64)> {
    let config = ExperimentConfig::new("figures", dir).with_run_name(format!("run-{number}"));
    let engine = LoggingEngine::new(config)?;
    let log = |step: u64| {
        engine.log_vector(HashMap::from([("loss".to_owned(), MetricValue::Float(0.25))]), Some(step));
    };
    let together = back_to_back(calls, log);
    let single = one_by_one(calls, log).p50;
    engine.close(RunStatus::Finished);
    Ok((together, single))
}
