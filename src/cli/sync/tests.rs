//! The report as people read it.

use super::*;

const NOW: i64 = 10_000_000;

fn journal(state: &str, fields: &Value) -> Value {
    let mut journal = json!({
        "store": "sqlite:////w/mlflow.db",
        "directory": "/j/s/a",
        "state": state,
        "pid": 7,
        "host": null,
        "since": NOW - 2 * 60 * 60 * 1000,
        "bytes": 2560,
        "records": { "metrics": 1200, "params": 1, "tags": 0, "inputs": 0, "ends": 2, "others": 0 },
        "runs": [{ "run_id": "0123456789ab", "run_name": "ot\u{1b}ter", "status": "RUNNING", "records": 1203 }],
        "delivered": 0,
        "refused": 0,
        "rejected_file": null,
        "outdated": 0,
        "ended_runs": [],
        "problem": null,
    });
    journal.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    journal
}

fn text(dry_run: bool, journals: &[Value]) -> String {
    as_text(&json!({ "dry_run": dry_run, "journals": journals }), NOW)
}

#[test]
fn what_was_done_and_what_stays_is_told_by_store() {
    let ended = json!([
        { "run_id": "0123456789ab", "run_name": "otter", "status": "FAILED", "reason": "killed\u{1b}" },
        { "run_id": "fedcba987654", "run_name": "fox", "status": "FINISHED", "reason": null },
    ]);
    let done = json!({
        "delivered": 1200, "refused": 1, "rejected_file": "/j/s/rejected.jsonl", "outdated": 2, "ended_runs": ended,
    });
    let problem = json!({ "problem": "the store is gone", "host": "gpu-3", "runs": [] });
    let other = json!({ "store": "file:///w/mlruns", "since": null });
    assert_eq!(
        text(
            false,
            &[
                journal("delivered", &done),
                journal("lives", &json!({})),
                journal("stays", &problem),
                journal("delivered_by_another", &other)
            ]
        ),
        "\
sqlite:////w/mlflow.db
  process 7, which died: 1,200 metrics, 1 param, 2 ends of runs (2.5 kB, the first 2 h ago)
    delivered 1,200 records
    dropped 2 tags or ends, since another process has resumed the run
    1 record refused by the store, kept in /j/s/rejected.jsonl
    ended otter (01234567) as failed: killed\\u{1b}
    ended fox (fedcba98) as finished
  process 7, which lives: 1,200 metrics, 1 param, 2 ends of runs (2.5 kB, the first 2 h ago)
  process 7 on gpu-3, which died: 1,200 metrics, 1 param, 2 ends of runs (2.5 kB, the first 2 h ago)
    stays: the store is gone
    in /j/s/a
file:///w/mlruns
  process 7, which died: 1,200 metrics, 1 param, 2 ends of runs (2.5 kB)
    run ot\\u{1b}ter (01234567): 1,203 records
    another process has delivered it

Delivered 1,200 records and ended 2 runs. What 1 process left is still there.
"
    );
}

#[test]
fn what_would_be_done_is_told_as_that() {
    let running = |n| json!({ "run_id": format!("run{n}"), "status": "RUNNING" });
    let runs: Vec<Value> = (0..12).map(running).collect();
    let said = text(true, &[journal("waits", &json!({ "runs": runs }))]);
    assert!(said.contains("    run run9, to be ended\n    and 2 more runs\n"), "{said}");
    assert!(
        said.ends_with(
            "\n\n1,203 records of 1 process wait for `runlog sync` to deliver them, and 12 runs to be ended.\n"
        ),
        "{said}"
    );
}

#[test]
fn journals_of_which_nothing_is_known_are_told_too() {
    let unknown = json!({
        "store": null, "pid": null, "since": null, "runs": [], "records": {}, "problem": "a format",
    });
    assert_eq!(
        text(true, &[journal("waits", &unknown)]),
        "\
Journals that do not say their store
  a process, which died: nothing that waits
    a format
    in /j/s/a

0 records of 1 process wait for `runlog sync` to deliver them, and 0 runs to be ended.
"
    );
    assert_eq!(text(false, &[]), "Nothing waits that a process left behind.\n");
}
