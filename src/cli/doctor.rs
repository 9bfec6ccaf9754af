//! `runlog doctor`: what a run would use here, whether it could, and what there is to measure.
//!
//! One value holds the whole report: `--json` prints it, and the text is the same laid out for people. Its fields are
//! in docs/doctor.md. Invariant: nothing is made, delivered or ended; see `runlog_core::checkup`.

use clap::Args;
use runlog::{Config, Launch};
use runlog_core::autolog::{Integration, integrations};
use runlog_core::{Checkup, Variable, checkup};
use serde_json::{Value, json};

use super::Output;
use super::text::{count, line, list, number, plain, section, shortened, table};

/// Characters of a description that stand in a line; `--json` has the whole.
const WHAT_CHARS_MAX: usize = 60;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(uri: Option<&str>, arguments: &Arguments) -> Output {
    let report = report(uri);
    let text = if arguments.json { super::json(&report) } else { as_text(&report) };
    Output { text, failed: report["ok"] != true }
}

fn report(uri: Option<&str>) -> Value {
    let mut problems = Vec::new();
    let mut report = json!({
        "ok": false,
        "problems": [],
        "runlog": { "version": env!("CARGO_PKG_VERSION"), "features": features() },
        "variables": Variable::all().iter().map(|variable| json!({
            "name": variable.name,
            "value": variable.value,
            "is_read": variable.is_read,
        })).collect::<Vec<_>>(),
        "integrations": integrations().into_iter().map(integration).collect::<Vec<_>>(),
    });
    match Config::from_env() {
        Ok(config) => {
            let found = checkup(uri, &config);
            let troubles = [&found.store.trouble, &found.journal.trouble];
            problems.extend(troubles.into_iter().flatten().map(|error| format!("{error:#}")));
            report["store"] = store(&found);
            report["artifacts"] =
                json!({ "root": found.artifacts.root, "problem": problem(found.artifacts.trouble.as_ref()) });
            report["journal"] = journal(&found);
            report["launch"] = launch(&config.launch);
            report["system_metrics"] = machine::report(&found, &config);
        }
        Err(error) => problems.push(format!("{error:#}")),
    }
    report["ok"] = problems.is_empty().into();
    report["problems"] = problems.into();
    report
}

/// The features of this package that this command is built with.
fn features() -> Vec<&'static str> {
    [
        ("sqlite", cfg!(feature = "sqlite")),
        ("file", cfg!(feature = "file")),
        ("monitor", cfg!(feature = "monitor")),
        ("nvidia", cfg!(feature = "nvidia")),
        ("apple", cfg!(feature = "apple")),
        ("openmetrics", cfg!(feature = "openmetrics")),
        ("otel", cfg!(feature = "otel")),
        ("image", cfg!(feature = "image")),
        ("linfa", cfg!(feature = "linfa")),
        ("candle", cfg!(feature = "candle")),
        ("burn", cfg!(feature = "burn")),
        ("polars", cfg!(feature = "polars")),
    ]
    .into_iter()
    .filter_map(|(name, on)| on.then_some(name))
    .collect()
}

fn problem(trouble: Option<&runlog::Error>) -> Option<String> {
    trouble.map(|error| format!("{error:#}"))
}

fn store(found: &Checkup) -> Value {
    let store = &found.store;
    let experiment = store.experiment.as_ref();
    json!({
        "uri": store.uri,
        "named_by": store.named_by,
        "exists": store.exists,
        "experiment": experiment.map(|it| json!({ "experiment_id": it.experiment_id, "name": it.name })),
        "problem": problem(store.trouble.as_ref()),
    })
}

fn journal(found: &Checkup) -> Value {
    let journal = &found.journal;
    let waiting = journal.waiting.iter().map(|it| {
        json!({
            "pid": it.pid,
            "directory": it.dir,
            "records": it.records.total(),
            "bytes": it.bytes,
            "since": it.since,
            "problem": problem(it.trouble.as_ref()),
        })
    });
    json!({
        "directory": journal.dir,
        "problem": problem(journal.trouble.as_ref()),
        "waiting": waiting.collect::<Vec<_>>(),
    })
}

fn launch(launch: &Launch) -> Value {
    json!({
        "launcher": launch.launcher.map(runlog::Launcher::name),
        "rank": launch.rank,
        "ranks": launch.ranks,
        "local_rank": launch.local_rank,
        "local_ranks": launch.local_ranks,
        "node": launch.node,
        "nodes": launch.nodes,
        "ignored": launch.ignored,
    })
}

fn integration(integration: &'static Integration) -> Value {
    let linked = integration.linked_version();
    json!({
        "name": integration.name(),
        "version": linked,
        "tested": integration.tested_versions().map(|(oldest, newest)| [oldest, newest]),
        "is_tested": linked.map(|_| integration.untested().is_none()),
    })
}

#[cfg(feature = "monitor")]
mod machine {
    //! The part of the report that the monitor knows.

    use runlog::Config;
    use runlog::monitor::{Measured, ProbeState, Surveyed, survey};
    use runlog_core::Checkup;
    use runlog_core::autolog::Watch;
    use serde_json::{Map, Value, json};

    pub(super) fn report(found: &Checkup, config: &Config) -> Value {
        let mut report = json!({ "is_linked": true, "is_on": found.system_metrics, "problem": null });
        match survey(&Watch::new("", found.sampling.clone(), config.clone())) {
            Ok(survey) => {
                report["interval_seconds"] = survey.interval.as_secs_f64().into();
                report["samples_before_logging"] = survey.samples_before_logging.into();
                report["is_adaptive"] = found.sampling.adaptive.into();
                report["tier"] = survey.tier.name().into();
                report["node_id"] = survey.node_id.into();
                report["left_to_another"] = survey.left_to_another.into();
                report["probes"] = survey.probes.iter().map(probe).collect();
            }
            Err(error) => report["problem"] = format!("{error:#}").into(),
        }
        report
    }

    fn probe(probe: &Surveyed) -> Value {
        let (state, reason) = match &probe.state {
            ProbeState::Works => ("works", None),
            ProbeState::Absent(reason) => ("absent", Some(reason.as_str())),
            ProbeState::Failed(reason) => ("failed", Some(reason.as_str())),
            ProbeState::Hangs => ("hangs", Some("it did not answer in time")),
            _ => ("unknown", None),
        };
        let facts = probe.facts.iter().map(|(name, value)| (name.clone(), value.clone().into()));
        json!({
            "name": probe.name,
            "state": state,
            "reason": reason,
            "metrics": probe.metrics.iter().map(metric).collect::<Vec<_>>(),
            "facts": facts.collect::<Map<_, _>>(),
        })
    }

    fn metric(metric: &Measured) -> Value {
        json!({
            "name": metric.name,
            "kind": format!("{:?}", metric.kind).to_ascii_lowercase(),
            "value": metric.value,
            "unit": metric.unit,
            "description": metric.what,
        })
    }
}

#[cfg(not(feature = "monitor"))]
mod machine {
    //! The part of the report that only a monitor would know.

    use runlog::Config;
    use runlog_core::Checkup;
    use serde_json::{Value, json};

    pub(super) fn report(found: &Checkup, _: &Config) -> Value {
        json!({ "is_linked": false, "is_on": found.system_metrics })
    }
}

/// The report for people.
fn as_text(report: &Value) -> String {
    let features = strings(&report["runlog"]["features"]).join(" ");
    let mut text = format!(
        "runlog {}, with the features {features}\n\
         Features and frameworks are this command's: a program of yours has those of its own build.\n",
        line(&report["runlog"]["version"])
    );
    let mut add = |heading: &str, rows: Vec<Vec<String>>| section(&mut text, heading, &table(&rows, 2, &[]));
    add("Store", store_rows(report));
    add("Variables", variable_rows(&report["variables"]));
    add("Job", job_rows(&report["launch"]));
    add("Frameworks", integration_rows(&report["integrations"]));
    let system = &report["system_metrics"];
    add("System metrics", system_rows(system));
    let probes = list(&system["probes"]);
    add("Probes", probes.iter().map(probe_row).collect());
    let facts = probes.iter().filter_map(|probe| probe["facts"].as_object()).flatten();
    add("Hardware", facts.map(|(name, value)| vec![plain(name), line(value)]).collect());
    let readings: Vec<_> = probes.iter().flat_map(|probe| list(&probe["metrics"])).map(reading).collect();
    section(&mut text, "Readings", &table(&readings, 2, &[1]));
    let problems: Vec<_> = strings(&report["problems"]).iter().map(|problem| vec![plain(problem)]).collect();
    section(&mut text, "No run can be logged:", &table(&problems, 2, &[]));
    if problems.is_empty() {
        text.push_str(if system["problem"].is_null() {
            "\nA run can be logged.\n"
        } else {
            "\nA run can be logged, but without system metrics.\n"
        });
    }
    text
}

fn store_rows(report: &Value) -> Vec<Vec<String>> {
    let (store, artifacts, journal) = (&report["store"], &report["artifacts"], &report["journal"]);
    let mut rows = Vec::new();
    if let Some(uri) = store["uri"].as_str() {
        let named_by = match line(&store["named_by"]).as_str() {
            "default" => "by default".to_owned(),
            variable => format!("by {variable}"),
        };
        let state = if store["exists"] == true { "" } else { ", made by the first run" };
        let state = if store["problem"].is_null() { state } else { ", which cannot be used" };
        rows.push(vec!["uri".to_owned(), format!("{} ({named_by}{state})", plain(uri))]);
    }
    if let Some(experiment) = store["experiment"].as_object() {
        let [name, id] = ["name", "experiment_id"].map(|field| line(&experiment[field]));
        rows.push(vec!["experiment".to_owned(), format!("{name} ({id})")]);
    }
    for (name, place, problem) in [
        ("files", &artifacts["root"], &artifacts["problem"]),
        ("journal", &journal["directory"], &journal["problem"]),
    ] {
        if let Some(place) = place.as_str() {
            let trouble = problem.as_str().map(|problem| format!(": {problem}")).unwrap_or_default();
            rows.push(vec![name.to_owned(), plain(&format!("{place}{trouble}"))]);
        }
    }
    for waiting in list(&journal["waiting"]) {
        let records = count(waiting["records"].as_u64().unwrap_or_default(), "record");
        let process = waiting["pid"].as_u64().map_or("a process".to_owned(), |pid| format!("process {pid}"));
        let what = match waiting["problem"].as_str() {
            Some(problem) => format!("{records} of {process}, which died: {}", plain(problem)),
            None if waiting["records"] == 0 => {
                format!("no record of {process}, which died; the next program or `runlog sync` ends its runs")
            }
            None => {
                format!("{records} of {process}, which died; the next program or `runlog sync` delivers them")
            }
        };
        rows.push(vec!["waiting".to_owned(), what]);
    }
    rows
}

fn variable_rows(variables: &Value) -> Vec<Vec<String>> {
    let row = |variable: &Value| {
        let unread = if variable["is_read"] == true { "" } else { "(runlog does not read it)" };
        vec![line(&variable["name"]), line(&variable["value"]), unread.to_owned()]
    };
    list(variables).iter().map(row).collect()
}

fn job_rows(launch: &Value) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (name, of) in [("rank", "ranks"), ("local_rank", "local_ranks"), ("node", "nodes")] {
        if let Some(number) = launch[name].as_u64() {
            let of = launch[of].as_u64().map(|of| format!(" of {of}")).unwrap_or_default();
            rows.push(vec![name.replace('_', " "), format!("{number}{of}")]);
        }
    }
    rows.extend(launch["launcher"].as_str().map(|name| vec!["launcher".to_owned(), plain(name)]));
    rows.extend(strings(&launch["ignored"]).iter().map(|why| vec!["ignored".to_owned(), plain(why)]));
    rows
}

fn integration_rows(integrations: &Value) -> Vec<Vec<String>> {
    let row = |integration: &Value| {
        let tested = strings(&integration["tested"]);
        let tested = match &tested[..] {
            [oldest, newest] if oldest == newest => format!("tested with {oldest}"),
            [oldest, newest] => format!("tested with {oldest} to {newest}"),
            _ => String::new(),
        };
        let verdict = match &integration["is_tested"] {
            Value::Bool(true) => "",
            Value::Bool(false) => ", not with this one",
            _ => ", which one is linked is not known",
        };
        let version = integration["version"].as_str().unwrap_or("-");
        vec![line(&integration["name"]), plain(version), format!("{tested}{verdict}")]
    };
    let rows: Vec<_> = list(integrations).iter().map(row).collect();
    let none =
        || vec![vec!["none".to_owned(), "this command is built without linfa, candle and burn".to_owned()]];
    if rows.is_empty() { none() } else { rows }
}

fn system_rows(system: &Value) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = |name: &str, what: String| rows.push(vec![name.to_owned(), what]);
    if system["is_linked"] == false {
        row("monitor", "this command is built without the feature `monitor`".to_owned());
    }
    match system["is_on"].as_bool() {
        Some(true) => row("in", "every run that does not say otherwise".to_owned()),
        Some(false) => row("in", "runs that ask for them".to_owned()),
        None => {}
    }
    if let Some(seconds) = system["interval_seconds"].as_f64() {
        let every = match system["samples_before_logging"].as_u64() {
            _ if system["is_adaptive"] == true => "in windows that grow with the run".to_owned(),
            Some(1) => "each of them a point".to_owned(),
            samples => format!("{} of them a point", samples.unwrap_or_default()),
        };
        row("samples", format!("every {} s, {every}", number(seconds)));
    }
    for (name, field) in
        [("tier", "tier"), ("node", "node_id"), ("not here", "left_to_another"), ("problem", "problem")]
    {
        if let Some(what) = system[field].as_str() {
            row(name, plain(what));
        }
    }
    rows
}

fn probe_row(probe: &Value) -> Vec<String> {
    let said = match probe["reason"].as_str() {
        Some(reason) => plain(reason),
        None => match list(&probe["metrics"]).len() {
            0 => "facts only".to_owned(),
            1 => "1 metric".to_owned(),
            count => format!("{count} metrics"),
        },
    };
    vec![line(&probe["name"]), line(&probe["state"]), said]
}

fn reading(metric: &Value) -> Vec<String> {
    let value = metric["value"].as_f64().map_or("-".to_owned(), number);
    let what = shortened(&line(&metric["description"]), WHAT_CHARS_MAX);
    vec![line(&metric["name"]), value, line(&metric["unit"]), what]
}

fn strings(value: &Value) -> Vec<&str> {
    list(value).iter().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests;
