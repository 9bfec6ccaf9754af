//! `runlog sync`: delivers the journals of dead processes and ends their runs, for every store; shows what waits.
//!
//! One value holds the whole report: `--json` prints it, and the text is the same laid out for people. Its fields are
//! in docs/sync.md. Invariant: no store is created; see `runlog_core::waiting`.

use clap::Args;
use runlog::{Config, Result};
use runlog_core::waiting::{self, Delivered, Journal, Outcome, Progress, State};
use serde_json::{Value, json};

use super::text::{bytes, count, line, list, plain};
use super::{Output, time};

/// Runs of a process that are shown; `--json` has all.
const RUNS_SHOWN: usize = 10;
/// Characters of an id that are shown.
const ID_SHOWN: usize = 8;
const KINDS: [(&str, &str); 6] = [
    ("metrics", "metric"),
    ("params", "param"),
    ("tags", "tag"),
    ("inputs", "input"),
    ("ends", "end of a run/ends of runs"),
    ("others", "note"),
];

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only shows what waits: delivers nothing, ends nothing
    #[arg(long)]
    dry_run: bool,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(
    uri: Option<&str>,
    arguments: &Arguments,
    now: i64,
    progress: &mut dyn FnMut(Progress),
) -> Result<Output> {
    let config = Config::from_env()?;
    let journals: Vec<Value> = if arguments.dry_run {
        waiting::list(uri, &config)?.iter().map(found).collect()
    } else {
        waiting::deliver(uri, &config, progress)?.iter().map(delivered).collect()
    };
    let ok = journals.iter().all(|journal| journal["state"] != "stays");
    let report = json!({ "ok": ok, "dry_run": arguments.dry_run, "journals": journals });
    let text = if arguments.json { super::json(&report) } else { as_text(&report, now) };
    Ok(Output { text, failed: !ok })
}

/// A journal as it lies there.
fn found(journal: &Journal) -> Value {
    let state = match journal.state {
        State::Lives => "lives",
        State::Waits => "waits",
        State::IsDelivered => "is_delivered",
    };
    let records = &journal.records;
    let runs = journal.runs.iter().map(|run| {
        json!({
            "run_id": run.run_id,
            "run_name": run.run_name,
            "status": run.status.map(runlog::RunStatus::as_str),
            "records": run.records,
        })
    });
    json!({
        "store": journal.store,
        "directory": journal.dir,
        "state": state,
        "pid": journal.pid,
        "host": journal.host,
        "since": journal.since,
        "bytes": journal.bytes,
        "records": {
            "metrics": records.metrics,
            "params": records.params,
            "tags": records.tags,
            "inputs": records.inputs,
            "ends": records.ends,
            "others": records.others,
        },
        "runs": runs.collect::<Vec<_>>(),
        "delivered": 0,
        "refused": 0,
        "rejected_file": null,
        "cut": 0,
        "outdated": 0,
        "ended_runs": [],
        "problem": journal.trouble.as_ref().map(ToString::to_string),
    })
}

/// A journal as it was found, and what became of it.
fn delivered(delivered: &Delivered) -> Value {
    let mut report = found(&delivered.journal);
    let recovery = &delivered.recovery;
    let (state, problem) = match &delivered.outcome {
        Outcome::Done => ("delivered", None),
        Outcome::DoneByAnother => ("delivered_by_another", None),
        Outcome::Lives => ("lives", None),
        Outcome::Stays(error) => ("stays", Some(error.to_string())),
        _ => ("unknown", None),
    };
    let ended = recovery.ended_runs.iter().map(|run| {
        json!({
            "run_id": run.run_id,
            "run_name": run.run_name,
            "status": run.status.as_str(),
            "reason": run.reason,
        })
    });
    report["state"] = state.into();
    report["problem"] = problem.into();
    report["delivered"] = recovery.records.into();
    report["refused"] = recovery.refused.into();
    report["rejected_file"] = json!(delivered.rejected);
    report["cut"] = recovery.cut.into();
    report["outdated"] = recovery.outdated.into();
    report["ended_runs"] = ended.collect();
    report
}

/// The report for people.
fn as_text(report: &Value, now: i64) -> String {
    let journals = list(&report["journals"]);
    let mut lines = Vec::new();
    let mut store = &Value::Null;
    for (place, journal) in journals.iter().enumerate() {
        if place == 0 || journal["store"] != *store {
            store = &journal["store"];
            lines.push(store.as_str().map_or("Journals that do not say their store".to_owned(), plain));
        }
        add(&mut lines, journal, now);
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.push(summary(report));
    lines.join("\n") + "\n"
}

fn add(lines: &mut Vec<String>, journal: &Value, now: i64) {
    let state = line(&journal["state"]);
    let is_alive = state == "lives";
    let process = journal["pid"].as_u64().map_or("a process".to_owned(), |pid| format!("process {pid}"));
    let host = journal["host"].as_str().map(|host| format!(" on {}", plain(host))).unwrap_or_default();
    let records = &journal["records"];
    let of = |kind: &str| records[kind].as_u64().unwrap_or_default();
    let kinds: Vec<_> =
        KINDS.iter().filter(|(kind, _)| of(kind) > 0).map(|(kind, name)| count(of(kind), name)).collect();
    let has = if kinds.is_empty() {
        "nothing that waits".to_owned()
    } else {
        let since = journal["since"].as_i64();
        let since = since.map(|since| format!(", the first {}", time::ago(since, now))).unwrap_or_default();
        format!("{} ({}{since})", kinds.join(", "), bytes(journal["bytes"].as_u64().unwrap_or_default()))
    };
    lines.push(format!("  {process}{host}, {}: {has}", if is_alive { "which lives" } else { "which died" }));
    let mut tell = |what: String| lines.push(format!("    {what}"));
    if is_alive {
        return;
    }
    if state != "delivered" {
        let runs = list(&journal["runs"]);
        for run in runs.iter().take(RUNS_SHOWN) {
            let records = run["records"].as_u64().filter(|records| *records > 0);
            let records =
                records.map(|records| format!(": {}", count(records, "record"))).unwrap_or_default();
            let is_left = run["status"] == "RUNNING" && matches!(state.as_str(), "waits" | "stays");
            tell(format!("run {}{records}{}", name(run), if is_left { ", to be ended" } else { "" }));
        }
        if runs.len() > RUNS_SHOWN {
            tell(format!("and {}", count((runs.len() - RUNS_SHOWN) as u64, "more run")));
        }
    }
    match state.as_str() {
        "delivered_by_another" => tell("another process has delivered it".to_owned()),
        "is_delivered" => tell("another process is delivering it".to_owned()),
        _ => {}
    }
    let number = |field: &str| journal[field].as_u64().filter(|number| *number > 0);
    if let Some(records) = number("delivered") {
        tell(format!("delivered {}", count(records, "record")));
    }
    if let Some(records) = number("outdated") {
        let these = count(records, "tag or end/tags or ends");
        tell(format!("dropped {these}, since another process has resumed the run"));
    }
    if let Some(records) = number("refused") {
        let file = line(&journal["rejected_file"]);
        tell(format!("{} refused by the store, kept in {file}", count(records, "record")));
    }
    if let Some(records) = number("cut") {
        tell(format!("{} lost, whose end was in the memory of the process", count(records, "record")));
    }
    for run in list(&journal["ended_runs"]) {
        let status = line(&run["status"]).to_ascii_lowercase();
        let why = run["reason"].as_str().map(|why| format!(": {}", plain(why))).unwrap_or_default();
        tell(format!("ended {} as {status}{why}", name(run)));
    }
    if let Some(problem) = journal["problem"].as_str() {
        tell(format!("{}{}", if state == "stays" { "stays: " } else { "" }, plain(problem)));
        tell(format!("in {}", line(&journal["directory"])));
    }
}

/// `brave-otter-317 (0123abcd)`.
fn name(run: &Value) -> String {
    let id: String = line(&run["run_id"]).chars().take(ID_SHOWN).collect();
    run["run_name"].as_str().map_or(id.clone(), |name| format!("{} ({id})", plain(name)))
}

/// The last line: what is done, and what is left to do.
fn summary(report: &Value) -> String {
    let journals = list(&report["journals"]);
    let dead: Vec<_> = journals.iter().filter(|journal| journal["state"] != "lives").collect();
    if dead.is_empty() {
        return "Nothing waits that a process left behind.".to_owned();
    }
    let records_of = |journal: &&Value| {
        let kinds = journal["records"].as_object().into_iter().flat_map(serde_json::Map::values);
        kinds.filter_map(Value::as_u64).sum::<u64>()
    };
    let processes = |count_of: usize| count(count_of as u64, "process/processes");
    if report["dry_run"] == true {
        let records = count(dead.iter().map(records_of).sum(), "record");
        let ends = dead.iter().flat_map(|journal| list(&journal["runs"]));
        let ends = count(ends.filter(|run| run["status"] == "RUNNING").count() as u64, "run");
        let of = processes(dead.len());
        return format!("{records} of {of} wait for `runlog sync` to deliver them, and {ends} to be ended.");
    }
    let is = |state: &'static str| dead.iter().filter(move |journal| journal["state"] == state).count();
    let records = dead.iter().filter_map(|journal| journal["delivered"].as_u64()).sum();
    let ended = dead.iter().map(|journal| list(&journal["ended_runs"]).len() as u64).sum();
    let done = format!("Delivered {} and ended {}.", count(records, "record"), count(ended, "run"));
    match is("stays") {
        0 => done,
        staying => format!("{done} What {} left is still there.", processes(staying)),
    }
}

#[cfg(test)]
mod tests;
