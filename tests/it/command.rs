//! The command `runlog`, called as a user calls it.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use runlog::{RunOptions, RunStatus};
use serde_json::Value;

use crate::support::{Place, text};

impl Place {
    fn runlog_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_runlog"));
        command.args(arguments);
        command
    }

    /// What the command prints, when it works.
    fn prints(&self, arguments: &[&str]) -> String {
        let output = self.runlog_command(arguments).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
        text(&output.stdout)
    }

    /// What the command complains, when it fails.
    fn complains(&self, arguments: &[&str]) -> String {
        let output = self.runlog_command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(&output.stdout), "");
        let complaint = text(&output.stderr);
        assert!(complaint.starts_with("error: ") && complaint.lines().count() == 1, "{complaint}");
        complaint
    }
}

#[test]
fn looking_never_creates_a_store_and_says_how_to_get_one() {
    let place = Place::new();
    for arguments in [["list", "--all"], ["show", "x"]] {
        let complaint = place.complains(&arguments);
        assert!(complaint.contains("MLFLOW_TRACKING_URI") && complaint.contains("mlflow.db"), "{complaint}");
    }
    assert_eq!(place.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_run_is_listed_and_shown_with_what_it_logged() {
    let place = Place::new();
    let tracker = place.tracker();
    let run = tracker.start_run(RunOptions::new().name("first").tag("team", "vision")).unwrap();
    let id = run.run_id().to_owned();
    run.log_param("learning_rate", 0.1);
    run.log_metric("loss", 0.25, 7);
    run.log_metric("system/cpu_utilization_percentage", 12.5, 0);
    run.log_text("four", "notes/today.txt").unwrap();
    run.finish().unwrap();
    tracker.start_run("second").unwrap().fail("no data").unwrap();

    let list = place.prints(&["list"]);
    let lines: Vec<_> = list.lines().collect();
    assert_eq!(lines.len(), 3, "{list}");
    assert!(lines[0].starts_with("STATUS"), "{list}");
    assert!(lines[1].starts_with("failed    second"), "the newest is first: {list}");
    assert!(lines[2].starts_with(&format!("finished  first   {}", &id[..8])), "{list}");
    assert!(lines[2].contains("Default") && lines[2].ends_with("loss=0.25"), "{list}");
    assert!(place.prints(&["list", "-n", "1"]).contains("There are more"));
    assert_eq!(place.prints(&["list", "--experiment", "Default"]), list);
    assert!(place.complains(&["list", "--experiment", "none"]).contains("none"));

    let shown = place.prints(&["show", &id[..12]]);
    for line in [
        "first  finished",
        "  user        ada",
        "  learning_rate  0.1",
        "  loss  0.25  step 7",
        "  cpu_utilization_percentage  12.5  step 0",
        "  notes/today.txt  4 B",
        "  team  vision",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\nis not in\n{shown}");
    }
    assert_eq!(place.prints(&["show", "first"]), shown);
    assert!(place.prints(&["show", "second"]).contains("  ended by    no data\n"));

    let json: Value = serde_json::from_str(&place.prints(&["show", "first", "--json"])).unwrap();
    assert_eq!(json["run"]["info"]["run_id"], id);
    assert_eq!(json["artifacts"][0]["path"], "notes/today.txt");
    let json: Value = serde_json::from_str(&place.prints(&["list", "--json"])).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2);
}

#[test]
fn a_list_is_filtered_and_sorted_in_mlflows_grammar() {
    let place = Place::new();
    let tracker = place.tracker();
    for (name, loss) in [("low", 0.1), ("middle", 0.2), ("high", 0.3)] {
        let run = tracker.start_run(name).unwrap();
        run.log_metric("loss", loss, 1);
        run.finish().unwrap();
    }
    let list = place.prints(&["list", "--filter", "metrics.loss < 0.25", "--order-by", "metrics.loss DESC"]);
    let names: Vec<_> = list.lines().skip(1).map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(names, ["middle", "low"], "{list}");
    assert_eq!(place.prints(&["list", "--filter", "metrics.loss > 1"]), "No run matches.\n");
    let complaint = place.complains(&["list", "--filter", "metrics.loss near 0.2"]);
    assert!(complaint.contains("near"), "{complaint}");
    let complaint = place.complains(&["list", "--order-by", "metrics.loss down"]);
    assert!(complaint.contains("down"), "{complaint}");
}

#[test]
fn a_name_of_two_runs_is_answered_with_their_ids() {
    let place = Place::new();
    let tracker = place.tracker();
    let ids: Vec<_> = (0..2)
        .map(|_| {
            let run = tracker.start_run("same").unwrap();
            let id = run.run_id().to_owned();
            run.finish().unwrap();
            id
        })
        .collect();
    let complaint = place.complains(&["show", "same"]);
    assert!(ids.iter().all(|id| complaint.contains(id)), "{complaint}");
    assert!(place.complains(&["show", "other"]).contains("runlog list"));
}

/// The paths of all fields, `[]` for the elements of an array; what a probe calls its facts is its own.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields_of) if path != "system_metrics.probes[].facts" => {
            for (name, value) in fields_of {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                fields(value, &path, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, &format!("{path}[]"), found)),
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn the_doctor_reports_every_documented_field_and_makes_nothing() {
    let place = Place::new();
    let report = |vars: &[(&str, &str)]| -> Value {
        let mut command = place.runlog_command(&["doctor", "--json"]);
        let output = command.envs(vars.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stdout));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let before = report(&[]);
    assert_eq!((&before["ok"], &before["store"]["exists"]), (&Value::from(true), &Value::from(false)));
    assert_eq!(place.path().read_dir().unwrap().count(), 0);

    assert!(!place.play(&["abort"]).status.success());
    let vars = [
        ("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true"),
        ("RANK", "4"),
        ("LOCAL_RANK", "0"),
        ("GROUP_RANK", "1"),
        ("GROUP_WORLD_SIZE", "2"),
        ("WORLD_SIZE", "four"),
    ];
    let report = report(&vars);
    assert_eq!(report["store"]["experiment"]["name"], "Default");
    assert_eq!(report["journal"]["waiting"].as_array().unwrap().len(), 1);
    assert_eq!(report["launch"]["ignored"].as_array().unwrap().len(), 1);
    assert_eq!(report["system_metrics"]["node_id"], "node_1");
    let integrations = report["integrations"].as_array().unwrap();
    assert!(
        integrations.iter().any(|it| it["name"] == "linfa" && it["tested"].is_array()),
        "{integrations:?}"
    );
    let probes = report["system_metrics"]["probes"].as_array().unwrap();
    let metrics = probes.iter().flat_map(|probe| probe["metrics"].as_array().unwrap());
    let read: Vec<_> = metrics.filter(|metric| metric["value"].is_number()).collect();
    assert!(read.iter().any(|metric| metric["name"] == "system_memory_usage_megabytes"), "{probes:?}");

    let mut found = BTreeSet::new();
    fields(&report, "", &mut found);
    found.insert("problems[]".to_owned());
    let documentation = include_str!("../../docs/doctor.md");
    let rows = documentation.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: BTreeSet<_> = rows.map(|(field, _)| field.to_owned()).collect();
    assert_eq!(found, documented);
    assert_eq!(place.journals().len(), 1, "what was waiting still is");
    assert_eq!(place.run().info.status, RunStatus::Running, "and nothing was ended");
}

#[test]
fn the_doctor_fails_where_no_run_could_be_logged_and_says_why() {
    let place = Place::new();
    std::fs::write(place.path().join("file"), "x").unwrap();
    let below = place.path().join("file/journal");
    for (variable, value, told) in [
        ("MLFLOW_TRACKING_URI", "https://ada:hunter2@host", "not supported"),
        ("RUNLOG_JOURNAL_DIR", below.to_str().unwrap(), "no directory"),
        ("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "fast", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"),
    ] {
        for json in [false, true] {
            let mut command = place.runlog_command(if json { &["doctor", "--json"] } else { &["doctor"] });
            let output = command.env(variable, value).output().unwrap();
            assert_eq!(output.status.code(), Some(1));
            let said = text(&output.stdout);
            assert!(said.contains(told) && !said.contains("hunter2"), "{said}");
            if json {
                let report: Value = serde_json::from_str(&said).unwrap();
                assert!(report["ok"] == false && report["problems"][0].as_str().unwrap().contains(told));
            } else {
                assert!(said.contains("No run can be logged"), "{said}");
            }
        }
    }
}

#[test]
fn the_doctor_tells_what_keeps_runs_from_having_system_metrics() {
    let place = Place::new();
    let said = |arguments: &[&str]| {
        let mut command = place.runlog_command(arguments);
        let output = command.env("MLFLOW_SYSTEM_METRICS_NODE_ID", "a?*b").output().unwrap();
        assert!(output.status.success(), "runs themselves can be logged");
        text(&output.stdout)
    };
    let report: Value = serde_json::from_str(&said(&["doctor", "--json"])).unwrap();
    let system = report["system_metrics"].as_object().unwrap();
    assert!(system["problem"].as_str().unwrap().contains("a?*b"), "{system:?}");
    let fields: Vec<_> = system.keys().map(String::as_str).collect();
    assert_eq!(fields, ["is_linked", "is_on", "problem"]);
    let said = said(&["doctor"]);
    assert!(said.ends_with("\nA run can be logged, but without system metrics.\n"), "{said}");
    assert!(said.contains("problem") && said.contains("a?*b"), "{said}");
}

#[test]
fn the_doctor_looks_where_it_is_told_and_has_a_section_for_each_kind() {
    let place = Place::new();
    let said = place.prints(&["doctor", "--tracking-uri", "memory:"]);
    assert!(
        said.contains("memory: (by --tracking-uri") && said.ends_with("A run can be logged.\n"),
        "{said}"
    );
    let sections: Vec<_> =
        said.lines().filter(|line| !line.is_empty() && !line.starts_with(' ')).skip(2).collect();
    let expected = [
        "Store",
        "Variables",
        "Frameworks",
        "System metrics",
        "Probes",
        "Hardware",
        "Readings",
        "A run can be logged.",
    ];
    assert_eq!(sections, expected, "{said}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let place = Place::new();
    place.tracker().start_run("one").unwrap().finish().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = place.runlog_command(&["list"]).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let output = output.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
}
