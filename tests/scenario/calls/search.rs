//! The scenarios' searches.

use runlog::{ExperimentQuery, ModelQuery, RunQuery, ViewType};
use serde_json::Value;

use super::Outcome;
use super::args::Args;

pub(super) fn call(call: &str, args: &Args) -> Option<Outcome> {
    Some(match call {
        "search_experiments" => search_experiments(args),
        "search_runs" => search_runs(args),
        "search_logged_models" => search_logged_models(args),
        _ => return None,
    })
}

fn search_experiments(args: &Args) -> Outcome {
    let query = ExperimentQuery::new().view_type(view(args, "view_type"));
    let query = args.texts("order_by").into_iter().fold(query, ExperimentQuery::order_by);
    let query = filtered(args, query, ExperimentQuery::filter, ExperimentQuery::max_results);
    let found = runlog::search_experiments(query)?;
    Ok(found.into_iter().map(|experiment| Value::from(experiment.name)).collect::<Value>().into())
}

fn search_runs(args: &Args) -> Outcome {
    let query = RunQuery::new().run_view_type(view(args, "run_view_type"));
    let query = args.texts("experiment_ids").into_iter().fold(query, RunQuery::experiment_id);
    let query = args.texts("experiment_names").into_iter().fold(query, RunQuery::experiment_name);
    let query = if args.flag("search_all_experiments") { query.all_experiments() } else { query };
    let query = args.texts("order_by").into_iter().fold(query, RunQuery::order_by);
    let query = filtered(args, query, RunQuery::filter, RunQuery::max_results);
    let found = runlog::search_runs(query)?;
    Ok(found.into_iter().map(|run| Value::from(run.info.run_id)).collect::<Value>().into())
}

fn search_logged_models(args: &Args) -> Outcome {
    let query = args.texts("experiment_ids").into_iter().fold(ModelQuery::new(), ModelQuery::experiment_id);
    let order = args.list("order_by").into_iter().map(|by| {
        let direction = if by["ascending"] == true { "ASC" } else { "DESC" };
        format!("{} {direction}", by["field_name"].as_str().unwrap())
    });
    let query = order.fold(query, ModelQuery::order_by);
    let query = filtered(args, query, ModelQuery::filter, ModelQuery::max_results);
    let found = runlog::search_logged_models(query)?;
    Ok(found.into_iter().map(|model| Value::from(model.model_id)).collect::<Value>().into())
}

/// The two settings that every search has.
fn filtered<Q>(args: &Args, query: Q, filter: fn(Q, String) -> Q, max_results: fn(Q, usize) -> Q) -> Q {
    let query = match args.opt_text("filter_string") {
        Some(text) => filter(query, text.to_owned()),
        None => query,
    };
    match args.opt_number("max_results") {
        Some(count) => max_results(query, usize::try_from(count).unwrap()),
        None => query,
    }
}

fn view(args: &Args, name: &str) -> ViewType {
    match args.opt_text(name) {
        None | Some("active") => ViewType::ActiveOnly,
        Some("deleted") => ViewType::DeletedOnly,
        Some("all") => ViewType::All,
        Some(other) => panic!("no view: {other}"),
    }
}
