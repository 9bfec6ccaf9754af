//! A report as text, and that the text says what the report does.

use super::*;

#[test]
fn a_healthy_machine_is_laid_out_in_columns() {
    let report = json!({
        "ok": true,
        "problems": [],
        "runlog": { "version": "0.1.0", "features": ["sqlite", "monitor"] },
        "store": {
            "uri": "sqlite:////w/mlflow.db", "named_by": "default", "exists": true,
            "experiment": { "experiment_id": "0", "name": "Default\u{1b}" }, "problem": null,
        },
        "artifacts": { "root": "/w/mlruns/0", "problem": "cannot write" },
        "journal": { "directory": "/j", "problem": null, "waiting": [{ "pid": 7, "directory": "/j/a", "records": 1200 }] },
        "variables": [
            { "name": "MLFLOW_RUN_ID", "value": "0123", "is_read": true },
            { "name": "MLFLOW_TRACKING_TOKEN", "value": "***", "is_read": false },
        ],
        "launch": {
            "launcher": "torchrun", "rank": 4, "ranks": 8, "local_rank": 0, "local_ranks": null, "node": 1,
            "nodes": 2, "ignored": ["PMI_RANK is not a whole number: \"x\""],
        },
        "integrations": [
            { "name": "burn", "version": null, "tested": ["0.22.1", "0.22.1"], "is_tested": null },
            { "name": "linfa", "version": "0.8.2", "tested": ["0.8.0", "0.8.1"], "is_tested": false },
        ],
        "system_metrics": {
            "is_linked": true, "is_on": false, "interval_seconds": 1.0, "samples_before_logging": 10,
            "is_adaptive": false, "tier": "standard", "node_id": "node_1", "left_to_another": null,
            "probes": [
                {
                    "name": "cpu", "state": "works", "reason": null, "facts": { "cpu.threads": "4" },
                    "metrics": [
                        { "name": "cpu_utilization_percentage", "kind": "rate", "value": 12.5, "unit": "%",
                          "description": "time of all processors" },
                        { "name": "queue", "kind": "gauge", "value": null, "unit": null, "description": null },
                    ],
                },
                { "name": "nvidia", "state": "absent", "reason": "no library", "metrics": [], "facts": {} },
            ],
        },
    });
    assert_eq!(
        as_text(&report),
        "\
runlog 0.1.0, with the features sqlite monitor
Features and frameworks are this command's: a program of yours has those of its own build.

Store
  uri         sqlite:////w/mlflow.db (by default)
  experiment  Default\\u{1b} (0)
  files       /w/mlruns/0: cannot write
  journal     /j
  waiting     1,200 records of process 7, which died; the next program or `runlog sync` delivers them

Variables
  MLFLOW_RUN_ID          0123
  MLFLOW_TRACKING_TOKEN  ***   (runlog does not read it)

Job
  rank        4 of 8
  local rank  0
  node        1 of 2
  launcher    torchrun
  ignored     PMI_RANK is not a whole number: \"x\"

Frameworks
  burn   -      tested with 0.22.1, which one is linked is not known
  linfa  0.8.2  tested with 0.8.0 to 0.8.1, not with this one

System metrics
  in       runs that ask for them
  samples  every 1 s, 10 of them a point
  tier     standard
  node     node_1

Probes
  cpu     works   2 metrics
  nvidia  absent  no library

Hardware
  cpu.threads  4

Readings
  cpu_utilization_percentage  12.5  %  time of all processors
  queue                          -

A run can be logged.
"
    );
}

#[test]
fn what_is_wrong_stands_last() {
    let report = json!({
        "ok": false,
        "problems": ["the environment variable RUNLOG_MODE must be `enabled` or `disabled`"],
        "runlog": { "version": "0.1.0", "features": ["file"] },
        "variables": [], "integrations": [],
        "system_metrics": { "is_linked": false, "is_on": true },
    });
    assert_eq!(
        as_text(&report),
        "\
runlog 0.1.0, with the features file
Features and frameworks are this command's: a program of yours has those of its own build.

Frameworks
  none  this command is built without linfa, candle and burn

System metrics
  monitor  this command is built without the feature `monitor`
  in       every run that does not say otherwise

No run can be logged:
  the environment variable RUNLOG_MODE must be `enabled` or `disabled`
"
    );
}
