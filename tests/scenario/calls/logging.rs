//! The scenarios' log calls. Each waits until its record is stored, as MLflow's do.

use runlog::{Logged, Metric, RunHandle};
use serde_json::Value;

use super::Outcome;
use super::args::{Args, number};
use super::models;

pub(super) fn call(call: &str, args: &Args) -> Option<Outcome> {
    let logged = match call {
        "log_metric" => log_metric(args),
        "log_metrics" => log_metrics(args),
        "log_param" => Ok(runlog::log_param(args.text("key"), args.value("value"))),
        "log_params" => log_params(args),
        "set_tag" => Ok(runlog::set_tag(args.text("key"), args.text("value"))),
        "set_tags" => Ok(runlog::set_tags(args.pairs("tags"))),
        "delete_tag" => Ok(runlog::delete_tag(args.text("key"))),
        "log_batch" => log_batch(args),
        _ => return None,
    };
    Some(logged.and_then(Logged::wait).map(Into::into))
}

/// The run that an argument names, which is not the current one.
fn named(args: &Args) -> Option<runlog::Result<RunHandle>> {
    args.opt_text("run_id").map(runlog::run_handle)
}

fn log_metric(args: &Args) -> runlog::Result<Logged> {
    let (key, value, step) = (args.text("key"), number(args.value("value")), args.opt_number("step"));
    let time = args.opt_number("timestamp");
    if let Some(model_id) = args.opt_text("model_id") {
        let (run, step) = (named(args).transpose()?, step.unwrap_or_default());
        return Ok(models::log_metric(run.as_ref(), key, value, step, time.unwrap(), model_id));
    }
    Ok(match (named(args).transpose()?, time) {
        (Some(run), Some(time)) => run.log_metric_at(key, value, step, time),
        (Some(run), None) => run.log_metric(key, value, step),
        (None, Some(time)) => runlog::log_metric_at(key, value, step, time),
        (None, None) => runlog::log_metric(key, value, step),
    })
}

fn log_metrics(args: &Args) -> runlog::Result<Logged> {
    let metrics = args.value("metrics").as_object().unwrap();
    let metrics = metrics.iter().map(|(key, value)| (key, number(value)));
    let (step, time) = (args.opt_number("step"), args.opt_number("timestamp"));
    Ok(match (named(args).transpose()?, time) {
        (Some(run), Some(time)) => run.log_metrics_at(metrics, step, time),
        (Some(run), None) => run.log_metrics(metrics, step),
        (None, Some(time)) => runlog::log_metrics_at(metrics, step, time),
        (None, None) => runlog::log_metrics(metrics, step),
    })
}

fn log_params(args: &Args) -> runlog::Result<Logged> {
    let params = args.value("params");
    Ok(match named(args).transpose()? {
        Some(run) => run.log_params(params),
        None => runlog::log_params(params),
    })
}

fn log_batch(args: &Args) -> runlog::Result<Logged> {
    let run = runlog::run_handle(args.text("run_id"))?;
    let points = args.list("metrics").into_iter().map(|point| {
        let point = Args::new(Value::clone(point));
        let (time, step) = (point.opt_number("timestamp").unwrap(), point.opt_number("step").unwrap());
        Metric::new(point.text("key"), number(point.value("value")), time, step)
    });
    run.log_points(points);
    if let Some(params) = args.get("params") {
        run.log_params(params);
    }
    // One order holds for all: when the last is stored, so is the rest.
    let logged = run.set_tags(args.pairs("tags"));
    run.flush()?;
    Ok(logged)
}
