//! `runlog list`: runs as a table, newest first.

use std::collections::BTreeMap;

use clap::Args;
use runlog::{Result, Run, RunQuery, RunStatus, Tracker};

use super::text::{number, plain, shortened, table};
use super::{experiment, json, time};

/// Metrics of a run that the table shows.
const METRICS_SHOWN: usize = 2;
/// Characters of an id that the table shows.
const ID_SHOWN: usize = 8;
const NAME_CHARS_MAX: usize = 40;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only runs of this experiment
    #[arg(long, short, value_name = "NAME|ID")]
    experiment: Option<String>,
    /// Only runs that this matches, in MLflow's grammar: "metrics.loss < 0.3 and params.optimizer = 'adam'"
    #[arg(long, short, value_name = "FILTER")]
    filter: Option<String>,
    /// Sorts by this, such as "metrics.loss" or "params.depth DESC"; may be given several times
    #[arg(long, short, value_name = "KEY [DESC]")]
    order_by: Vec<String>,
    /// At most this many runs
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Every run, however many there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// As JSON, with everything that the runs logged
    #[arg(long)]
    json: bool,
}

pub(super) fn run(tracker: &Tracker, arguments: &Arguments, now: i64) -> Result<String> {
    let limit = if arguments.all { usize::MAX } else { arguments.limit };
    // One more than shown tells whether there are more.
    let mut query = RunQuery::new().max_results(limit.saturating_add(1));
    query = match &arguments.experiment {
        Some(name_or_id) => query.experiment_id(experiment(tracker, name_or_id)?.experiment_id),
        None => query.all_experiments(),
    };
    query.filter = arguments.filter.clone().unwrap_or_default();
    query.order_by.clone_from(&arguments.order_by);
    let mut runs = tracker.search_runs(query)?;
    let more = runs.len() > limit;
    runs.truncate(limit);
    if arguments.json {
        return Ok(json(&serde_json::json!(runs)));
    }
    if runs.is_empty() && arguments.filter.is_some() {
        return Ok("No run matches.\n".to_owned());
    }
    let mut experiments = BTreeMap::new();
    for run in &runs {
        let id = &run.info.experiment_id;
        if !experiments.contains_key(id) {
            experiments.insert(id.clone(), tracker.get_experiment(id)?.name);
        }
    }
    let mut text = rows(&runs, &experiments, now);
    if more {
        text.push_str("…\nThere are more: --limit N shows more of them, --all shows every one.\n");
    }
    Ok(text)
}

/// The table; `experiments` are names by id.
fn rows(runs: &[Run], experiments: &BTreeMap<String, String>, now: i64) -> String {
    if runs.is_empty() {
        return "No runs yet.\n".to_owned();
    }
    let head = ["STATUS", "NAME", "ID", "EXPERIMENT", "STARTED", "DURATION", "METRICS"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(runs.iter().map(|run| {
        let info = &run.info;
        let experiment = experiments.get(&info.experiment_id).unwrap_or(&info.experiment_id);
        vec![
            status(info.status),
            shortened(&plain(&info.run_name), NAME_CHARS_MAX),
            info.run_id.chars().take(ID_SHOWN).collect(),
            shortened(&plain(experiment), NAME_CHARS_MAX),
            time::ago(info.start_time, now),
            duration(run, now),
            metrics(run),
        ]
    }));
    table(&rows, 0, &[])
}

pub(super) fn status(status: RunStatus) -> String {
    status.as_str().to_ascii_lowercase()
}

/// How long the run took, or takes so far: a resumed run keeps its old end while it runs.
pub(super) fn duration(run: &Run, now: i64) -> String {
    let start = run.info.start_time;
    match run.info.end_time {
        Some(end) if run.info.status.is_terminal() => time::duration(end - start),
        _ => format!("{}…", time::duration(now - start)),
    }
}

/// The first of the run's own metrics, as [`rank`] has them; what the machine did is in `show`.
fn metrics(run: &Run) -> String {
    let mut own: Vec<_> =
        run.data.metrics.iter().filter(|metric| !metric.key.starts_with("system/")).collect();
    own.sort_by_key(|metric| rank(&metric.key));
    let mut shown: Vec<_> = own
        .iter()
        .take(METRICS_SHOWN)
        .map(|metric| format!("{}={}", plain(&metric.key), number(metric.value)))
        .collect();
    if own.len() > METRICS_SHOWN {
        shown.push(format!("+{}", own.len() - METRICS_SHOWN));
    }
    shown.join(" ")
}

/// How much a metric tells of a run: those of data it has not trained on first, what only says how far it came last.
fn rank(key: &str) -> u8 {
    const PROGRESS: [&str; 5] = ["epoch", "learning_rate", "samples", "steps", "lr"];
    let starts = |heads: &[&str]| heads.iter().any(|head| key.starts_with(head));
    if starts(&PROGRESS) || key.ends_with("_step") || key.ends_with("_items") {
        3
    } else if starts(&["train_", "training_"]) {
        2
    } else {
        u8::from(!starts(&["test_", "eval_", "val_", "valid_"]))
    }
}

#[cfg(test)]
mod tests {
    use runlog::{Metric, RunInfo};

    use super::*;

    #[test]
    fn a_list_has_a_line_for_each_run() {
        let mut info = RunInfo::new("0123456789abcdef0123456789abcdef", "0");
        info.run_name = "brave-otter-317".to_owned();
        info.status = RunStatus::Finished;
        info.end_time = Some(90_000);
        let mut run = Run::new(info.clone());
        for (key, value) in [
            ("epoch", 3.0),
            ("lr", 1e-5),
            ("train_loss", 0.1),
            ("acc", 0.5),
            ("val_loss", 0.123_456),
            ("system/cpu", 3.0),
        ] {
            run.data.metrics.push(Metric::new(key, value, 0, 0));
        }
        info.run_id = "fedc".to_owned();
        info.run_name = "x\u{1b}".to_owned();
        info.status = RunStatus::Running;
        info.experiment_id = "7".to_owned();
        let experiments = BTreeMap::from([("0".to_owned(), "Default".to_owned())]);
        assert_eq!(
            rows(&[run, Run::new(info)], &experiments, 120_000),
            "\
STATUS    NAME             ID        EXPERIMENT  STARTED    DURATION    METRICS
finished  brave-otter-317  01234567  Default     2 min ago  1 min 30 s  val_loss=0.12346 acc=0.5 +3
running   x\\u{1b}          fedc      7           2 min ago  2 min 0 s…
"
        );
        assert_eq!(rows(&[], &experiments, 0), "No runs yet.\n");
    }
}
