//! `runlog show`: everything that one run recorded, by kind.

use std::fmt::Write;

use clap::Args;
use runlog::{
    DatasetInput, Error, ErrorKind, Experiment, LoggedModel, Metric, Param, Result, Run, RunQuery, Tag,
    Tracker,
};
use runlog_core::artifact::FileInfo;
use serde_json::{Value, json};

use super::list;
use super::text::{bytes, number, plain, section, shortened, table};
use super::time;

/// Characters of a value that stand in a line; `--json` has the whole.
const VALUE_CHARS_MAX: usize = 120;
/// Candidates that are named when several runs match.
const CANDIDATES_MAX: usize = 5;
/// Files that are listed; a run may have many thousands.
const FILES_MAX: usize = 200;

/// In the key of a system metric that is of the whole run.
const SUMMARY: &str = "/summary/";
/// At the end of the tag that says in a sentence what held the run up.
const VERDICT: &str = "bottleneck_note";
/// What tags that describe a machine have in their keys.
const MACHINE: [&str; 4] = ["host", "gpu", "container", "monitor"];

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// An id, the beginning of one, or a name, if only one run has it
    run: String,
    /// With every system metric and what is known of the machine; else those of the whole run stand for them
    #[arg(long)]
    system: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A run with what belongs to it elsewhere in the store.
#[derive(Debug)]
struct Shown {
    run: Run,
    experiment: Experiment,
    models: Vec<LoggedModel>,
    /// The files, or why they cannot be listed.
    files: Result<Vec<FileInfo>>,
}

pub(super) fn run(tracker: &Tracker, arguments: &Arguments, now: i64) -> Result<String> {
    let run = find(tracker, &arguments.run, now)?;
    let experiment = tracker.get_experiment(&run.info.experiment_id)?;
    let models = run.outputs.iter().map(|output| tracker.get_logged_model(&output.model_id));
    let models = models.collect::<Result<Vec<_>>>()?;
    let mut files = Vec::new();
    let listed = collect_files(tracker, &run.info.run_id, "", &mut files);
    let shown = Shown { run, experiment, models, files: listed.map(|()| files) };
    Ok(if arguments.json { super::json(&as_json(&shown)) } else { as_text(&shown, arguments.system, now) })
}

/// The run with this id, else the only one whose id begins so or that has this name.
fn find(tracker: &Tracker, wanted: &str, now: i64) -> Result<Run> {
    match tracker.get_run(wanted) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {}
        found => return found,
    }
    let runs = tracker.search_runs(RunQuery::new().all_experiments())?;
    choose(runs, wanted, now)
}

fn choose(runs: Vec<Run>, wanted: &str, now: i64) -> Result<Run> {
    let matches = |run: &Run| run.info.run_name == wanted || run.info.run_id.starts_with(wanted);
    let mut matching: Vec<_> = runs.into_iter().filter(matches).collect();
    if matching.len() > 1 {
        return Err(ambiguous(&matching, now).with("run", wanted));
    }
    let none = || Error::not_found("no run has this id or name; see `runlog list --all`").with("run", wanted);
    matching.pop().ok_or_else(none)
}

fn ambiguous(matching: &[Run], now: i64) -> Error {
    let candidates = matching.iter().take(CANDIDATES_MAX).map(|run| {
        let info = &run.info;
        let started = time::ago(info.start_time, now);
        format!("{} {} ({}, {started})", info.run_id, info.run_name, list::status(info.status))
    });
    let mut candidates = candidates.collect::<Vec<_>>().join("; ");
    if matching.len() > CANDIDATES_MAX {
        candidates.push_str("; …");
    }
    Error::invalid(format!("{} runs match, say which by its id: {candidates}", matching.len()))
}

/// Adds the files below `dir`, each with its whole path, until there are [`FILES_MAX`].
fn collect_files(tracker: &Tracker, run_id: &str, dir: &str, files: &mut Vec<FileInfo>) -> Result<()> {
    for info in tracker.list_artifacts(run_id, dir)? {
        if files.len() >= FILES_MAX {
            break;
        }
        if info.is_dir {
            collect_files(tracker, run_id, &info.path, files)?;
        } else {
            files.push(info);
        }
    }
    Ok(())
}

fn as_json(shown: &Shown) -> Value {
    json!({
        "run": shown.run,
        "experiment": shown.experiment,
        "models": shown.models,
        "artifacts": shown.files.as_deref().unwrap_or_default(),
    })
}

fn as_text(shown: &Shown, whole_system: bool, now: i64) -> String {
    let run = &shown.run;
    let mut text = format!("{}  {}\n", plain(&run.info.run_name), list::status(run.info.status));
    text.push_str(&table(&facts(shown, now), 2, &[]));
    if let Some(note) = run.tag("mlflow.note.content") {
        let lines: Vec<_> = note.lines().map(|line| vec![plain(line)]).collect();
        section(&mut text, "Note", &table(&lines, 2, &[]));
    }
    section(&mut text, "Params", &params(&run.data.params));
    let (system, own): (Vec<_>, Vec<_>) =
        run.data.metrics.iter().partition(|metric| metric.key.starts_with("system/"));
    section(&mut text, "Metrics (latest)", &metrics(&own));
    text.push_str(&machine(&run.data.tags, &system, whole_system));
    section(&mut text, "Datasets", &datasets(&run.inputs.datasets));
    section(&mut text, "Models", &models(&shown.models, run));
    section(&mut text, "Artifacts", &files(&shown.files));
    section(&mut text, "Tags", &tags(&run.data.tags));
    text
}

/// The lines below the name: what is known about the run itself.
fn facts(shown: &Shown, now: i64) -> Vec<Vec<String>> {
    let (run, info) = (&shown.run, &shown.run.info);
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: Option<String>| {
        facts.extend(value.map(|value| vec![name.to_owned(), plain(&value)]));
    };
    fact("id", Some(info.run_id.clone()));
    fact("experiment", Some(format!("{} ({})", shown.experiment.name, info.experiment_id)));
    fact("started", Some(format!("{} ({})", time::date(info.start_time), time::ago(info.start_time, now))));
    let end = info.end_time.filter(|_| info.status.is_terminal());
    fact("ended", end.map(time::date));
    fact("duration", Some(list::duration(run, now)));
    fact("ended by", run.tag("runlog.ended_by").map(str::to_owned));
    fact("user", Some(info.user_id.clone()).filter(|user| !user.is_empty()));
    fact("source", run.tag("mlflow.source.name").map(str::to_owned));
    fact(
        "commit",
        run.tag("mlflow.source.git.commit").map(|commit| {
            let branch = run.tag("mlflow.source.git.branch").map(|branch| format!(" on {branch}"));
            let address = run.tag("mlflow.source.git.repoURL").map(|url| format!(" of {url}"));
            format!("{commit}{}{}", branch.unwrap_or_default(), address.unwrap_or_default())
        }),
    );
    fact("parent", run.tag("mlflow.parentRunId").map(str::to_owned));
    fact("recorded by", run.tag("mlflow.autologging").map(|name| format!("autologging of {name}")));
    facts
}

fn params(params: &[Param]) -> String {
    table(&params.iter().map(|param| pair(&param.key, &param.value)).collect::<Vec<_>>(), 2, &[])
}

fn pair(key: &str, value: &str) -> Vec<String> {
    vec![plain(key), shortened(&plain(value), VALUE_CHARS_MAX)]
}

fn metrics(metrics: &[&Metric]) -> String {
    let row = |metric: &&Metric| {
        let key = metric.key.strip_prefix("system/").unwrap_or(&metric.key);
        vec![plain(key), number(metric.value), format!("step {}", metric.step)]
    };
    table(&metrics.iter().map(row).collect::<Vec<_>>(), 2, &[1])
}

/// What is known of the machines: in short where a run has figures of its whole time, or else everything.
fn machine(tags: &[Tag], system: &[&Metric], everything: bool) -> String {
    let mut text = String::new();
    let (whole, latest): (Vec<_>, Vec<_>) =
        system.iter().copied().partition(|metric| metric.key.contains(SUMMARY));
    if everything {
        let of_machine = |key: &str| key.split('.').any(|part| MACHINE.contains(&part));
        let facts = tags.iter().filter_map(|tag| Some(pair(tag.key.strip_prefix("runlog.")?, &tag.value)));
        let facts: Vec<_> = facts.filter(|pair| of_machine(&pair[0])).collect();
        section(&mut text, "Machine", &table(&facts, 2, &[]));
    }
    let verdict = |tag: &Tag| {
        let node = tag.key.strip_prefix("runlog.")?.strip_suffix(VERDICT)?.trim_end_matches('.');
        let of_node = if node.is_empty() { String::new() } else { format!("{node}: ") };
        Some(vec![plain(&format!("{of_node}{}", tag.value))])
    };
    let mut body = table(&tags.iter().filter_map(verdict).collect::<Vec<_>>(), 2, &[]);
    let row = |metric: &&Metric| {
        let name = metric.key.replacen("system/", "", 1).replacen("summary/", "", 1);
        vec![plain(&name), number(metric.value)]
    };
    body.push_str(&table(&whole.iter().map(row).collect::<Vec<_>>(), 2, &[1]));
    if !everything && !whole.is_empty() && !latest.is_empty() {
        writeln!(body, "  … and {} over time: --system shows them", latest.len()).ok();
    }
    section(&mut text, "Machine, over the whole run", &body);
    if everything || whole.is_empty() {
        section(&mut text, "System metrics (latest)", &metrics(&latest));
    }
    text
}

fn datasets(datasets: &[DatasetInput]) -> String {
    let row = |input: &DatasetInput| {
        let dataset = &input.dataset;
        vec![
            plain(&dataset.name),
            plain(input.context().unwrap_or("")),
            plain(&dataset.digest),
            shortened(&plain(dataset.profile.as_deref().unwrap_or("")), VALUE_CHARS_MAX),
        ]
    };
    table(&datasets.iter().map(row).collect::<Vec<_>>(), 2, &[])
}

/// The models, with what the run's own params do not say already.
fn models(models: &[LoggedModel], run: &Run) -> String {
    let mut text = String::new();
    for model in models {
        let kind = model.model_type.as_deref().unwrap_or("");
        let row = [&model.name, &model.model_id, &model.status.to_string().to_ascii_lowercase(), kind];
        text.push_str(&table(&[row.map(plain).to_vec()], 2, &[]));
        text.push_str(&table(&[pair("files", &model.artifact_location)], 4, &[]));
        let new = model.params.iter().filter(|param| run.param(&param.key) != Some(&param.value));
        text.push_str(&table(&new.map(|p| pair(&p.key, &p.value)).collect::<Vec<_>>(), 4, &[]));
    }
    text
}

fn files(files: &Result<Vec<FileInfo>>) -> String {
    let files = match files {
        Ok(files) => files,
        Err(error) => return format!("  {}\n", plain(&error.to_string())),
    };
    let row = |file: &FileInfo| vec![plain(&file.path), file.file_size.map(bytes).unwrap_or_default()];
    let mut text = table(&files.iter().map(row).collect::<Vec<_>>(), 2, &[1]);
    if files.len() >= FILES_MAX {
        text.push_str("  …\n");
    }
    text
}

/// The user's own tags; MLflow's and runlog's are told above in words.
fn tags(tags: &[Tag]) -> String {
    let own = tags.iter().filter(|tag| !tag.key.starts_with("mlflow.") && !tag.key.starts_with("runlog."));
    table(&own.map(|tag| pair(&tag.key, &tag.value)).collect::<Vec<_>>(), 2, &[])
}

#[cfg(test)]
mod tests {
    use runlog::{Dataset, RunInfo, RunStatus};

    use super::*;

    fn named(id: &str, name: &str) -> Run {
        let mut info = RunInfo::new(id, "0");
        info.run_name = name.to_owned();
        Run::new(info)
    }

    #[test]
    fn a_run_is_found_by_a_prefix_or_a_name_that_only_it_has() {
        let runs = || vec![named("aab1", "one"), named("aac2", "two"), named("bbb3", "two")];
        assert_eq!(choose(runs(), "aab", 0).unwrap().info.run_id, "aab1");
        assert_eq!(choose(runs(), "one", 0).unwrap().info.run_id, "aab1");
        assert_eq!(choose(runs(), "none", 0).unwrap_err().kind(), ErrorKind::NotFound);
        let message = choose(runs(), "two", 0).unwrap_err().to_string();
        assert_eq!(
            message,
            "2 runs match, say which by its id: aac2 two (running, just now); bbb3 two (running, just now) (run: two)"
        );
    }

    #[test]
    fn a_run_is_shown_by_kind() {
        let mut run = named("0123456789abcdef0123456789abcdef", "brave-otter-317");
        run.info.status = RunStatus::Failed;
        run.info.end_time = Some(1500);
        run.info.user_id = "ada".to_owned();
        for (key, value) in [
            ("mlflow.source.name", "train"),
            ("mlflow.source.git.commit", "c0ffee"),
            ("mlflow.source.git.branch", "trunk"),
            ("runlog.ended_by", "panic: no data\nat train.rs:3"),
            ("team", "vision"),
        ] {
            run.data.tags.push(Tag::new(key, value));
        }
        run.data.params.push(Param::new("learning_rate", "0.1"));
        run.data.metrics.push(Metric::new("loss", 0.25, 0, 99));
        run.data.metrics.push(Metric::new("system/cpu_utilization_percentage", 12.5, 0, 1));
        run.inputs.datasets.push(DatasetInput::new(Dataset::new("iris", "d1"), "train"));
        let mut model = LoggedModel::new("m-1", "0", "model");
        model.model_type = Some("linfa_trees::DecisionTree".to_owned());
        model.artifact_location = "/models/m-1".to_owned();
        model.params = vec![Param::new("learning_rate", "0.1"), Param::new("rounds", "3")];
        let files = vec![FileInfo::file("model/MLmodel", 1234), FileInfo::file("n.txt", 5)];
        let experiment = Experiment::new("0", "Default", "/x");
        let shown = Shown { run, experiment, models: vec![model], files: Ok(files) };
        assert_eq!(
            as_text(&shown, false, 120_000),
            "\
brave-otter-317  failed
  id          0123456789abcdef0123456789abcdef
  experiment  Default (0)
  started     1970-01-01 00:00:00 UTC (2 min ago)
  ended       1970-01-01 00:00:01 UTC
  duration    1.5 s
  ended by    panic: no data\\nat train.rs:3
  user        ada
  source      train
  commit      c0ffee on trunk

Params
  learning_rate  0.1

Metrics (latest)
  loss  0.25  step 99

System metrics (latest)
  cpu_utilization_percentage  12.5  step 1

Datasets
  iris  train  d1

Models
  model  m-1  pending  linfa_trees::DecisionTree
    files  /models/m-1
    rounds  3

Artifacts
  model/MLmodel  1.2 kB
  n.txt             5 B

Tags
  team  vision
"
        );
        assert_eq!(as_json(&shown)["run"]["data"]["metrics"][0]["value"], 0.25);
    }

    #[test]
    fn a_run_with_figures_of_its_whole_time_shows_them_and_the_rest_when_asked() {
        let metric = |key: &str, value| Metric::new(format!("system/node_0/{key}"), value, 0, 4);
        let metrics = [metric("cpu_utilization_percentage", 12.5), metric("summary/gpu_energy_wh", 8.1252)];
        let tags = [
            Tag::new("runlog.node_0.gpu.0.name", "NVIDIA H100"),
            Tag::new("runlog.node_0.bottleneck_note", "the GPU was busy"),
            Tag::new("runlog.owner", "1-2"),
        ];
        let shown = |everything| machine(&tags, &metrics.iter().collect::<Vec<_>>(), everything);
        assert_eq!(
            shown(false),
            "
Machine, over the whole run
  node_0: the GPU was busy
  node_0/gpu_energy_wh  8.1252
  … and 1 over time: --system shows them
"
        );
        assert_eq!(
            shown(true),
            "
Machine
  node_0.gpu.0.name  NVIDIA H100

Machine, over the whole run
  node_0: the GPU was busy
  node_0/gpu_energy_wh  8.1252

System metrics (latest)
  node_0/cpu_utilization_percentage  12.5  step 4
"
        );
    }
}
