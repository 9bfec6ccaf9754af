//! The scenarios' calls that start, end and read runs.

use runlog::{Run, RunOptions, RunStatus};
use serde_json::{Map, Value, json};

use super::args::{Args, plain};
use super::{Outcome, Player, Returned, next_millisecond};

pub(super) fn call(player: &mut Player<'_>, call: &str, args: &Args) -> Option<Outcome> {
    Some(match call {
        "start_run" => start_run(player, args),
        "end_run" => end_run(args),
        "active_run" => Ok(runlog::active_run().map_or(Value::Null, |run| run.run_id().into()).into()),
        "last_active_run" => runlog::last_active_run().map(|run| id(run.as_ref())),
        "get_run" => runlog::get_run(args.text("run_id")).map(|run| whole(&run).into()),
        "get_parent_run" => runlog::get_parent_run(args.text("run_id")).map(|run| id(run.as_ref())),
        "delete_run" => runlog::delete_run(args.text("run_id")).map(Into::into),
        "restore_run" => runlog::restore_run(args.text("run_id")).map(Into::into),
        _ => return None,
    })
}

fn start_run(player: &mut Player<'_>, args: &Args) -> Outcome {
    next_millisecond();
    let mut options = RunOptions::new().nested(args.flag("nested"));
    if let Some(name) = args.opt_text("run_name") {
        options = options.name(name);
    }
    if let Some(id) = args.opt_text("run_id") {
        options = options.run_id(id);
    }
    if let Some(id) = args.opt_text("experiment_id") {
        options = options.experiment_id(id);
    }
    if let Some(id) = args.opt_text("parent_run_id") {
        options = options.parent_run_id(id);
    }
    if let Some(description) = args.opt_text("description") {
        options = options.description(description);
    }
    for (key, value) in args.pairs("tags") {
        options = options.tag(key, value);
    }
    let run = runlog::start_run(options)?;
    let id = Value::from(run.run_id());
    player.runs.push(run);
    Ok(id.into())
}

fn end_run(args: &Args) -> Outcome {
    let status = RunStatus::from_text(args.opt_text("status").unwrap_or("FINISHED"))?;
    // What the run lost was in the outcomes of its log calls.
    match runlog::end_run(status) {
        Err(error) if error.kind() != runlog::ErrorKind::Lost => Err(error),
        _ => Ok(().into()),
    }
}

fn id(run: Option<&Run>) -> Returned {
    run.map_or(Value::Null, |run| run.info.run_id.clone().into()).into()
}

/// The run as `play.py` tells it.
fn whole(run: &Run) -> Value {
    let texts = |pairs: &[(&str, &str)]| -> Map<String, Value> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
    };
    let params: Vec<_> = run.data.params.iter().map(|param| (&*param.key, &*param.value)).collect();
    let tags: Vec<_> = run.data.tags.iter().map(|tag| (&*tag.key, &*tag.value)).collect();
    let metrics = run.data.metrics.iter().map(|metric| (metric.key.clone(), plain(metric.value)));
    json!({
        "run_id": run.info.run_id,
        "run_name": run.info.run_name,
        "status": run.info.status,
        "lifecycle_stage": run.info.lifecycle_stage,
        "metrics": metrics.collect::<Map<String, Value>>(),
        "params": texts(&params),
        "tags": texts(&tags),
    })
}
