//! The scenarios' calls on experiments.

use runlog::{Experiment, ExperimentOptions};
use serde_json::{Value, json};

use super::args::Args;
use super::{Outcome, Player, Returned, next_millisecond};

pub(super) fn call(player: &mut Player<'_>, call: &str, args: &Args) -> Option<Outcome> {
    let id = || args.text("experiment_id");
    Some(match call {
        "set_experiment" => set_experiment(player, args),
        "create_experiment" => create_experiment(args),
        "get_experiment" => runlog::get_experiment(id()).map(|experiment| returned(&experiment)),
        "get_experiment_by_name" => runlog::get_experiment_by_name(args.text("name"))
            .map(|found| found.as_ref().map_or_else(Returned::default, returned)),
        "delete_experiment" => runlog::delete_experiment(id()).map(Into::into),
        "restore_experiment" => runlog::restore_experiment(id()).map(Into::into),
        "rename_experiment" => runlog::rename_experiment(id(), args.text("new_name")).map(Into::into),
        "set_experiment_tag" => {
            runlog::set_experiment_tag(args.text("key"), args.text("value")).map(Into::into)
        }
        "set_experiment_tags" => runlog::set_experiment_tags(args.pairs("tags")).map(Into::into),
        "delete_experiment_tag" => runlog::delete_experiment_tag(args.text("key")).map(Into::into),
        _ => return None,
    })
}

fn set_experiment(player: &mut Player<'_>, args: &Args) -> Outcome {
    next_millisecond();
    let experiment = match args.opt_text("experiment_id") {
        Some(id) => runlog::set_experiment_by_id(id)?,
        None => runlog::set_experiment(args.text("experiment_name"))?,
    };
    player.experiment = Some(experiment.experiment_id.clone());
    Ok(returned(&experiment))
}

fn create_experiment(args: &Args) -> Outcome {
    next_millisecond();
    let mut options = ExperimentOptions::new(args.text("name"));
    if let Some(location) = args.opt_text("artifact_location") {
        options = options.artifact_location(location);
    }
    for (key, value) in args.pairs("tags") {
        options = options.tag(key, value);
    }
    let id = runlog::create_experiment(options)?;
    Ok(returned(&runlog::get_experiment(&id)?))
}

fn returned(experiment: &Experiment) -> Returned {
    let tags: serde_json::Map<String, Value> =
        experiment.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone().into())).collect();
    let value = json!({
        "experiment_id": experiment.experiment_id,
        "name": experiment.name,
        "lifecycle_stage": experiment.lifecycle_stage,
        "tags": tags,
    });
    Returned { value, id: Some(experiment.experiment_id.clone()) }
}
