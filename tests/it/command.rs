//! The command `runlog`, called as a user calls it.

use std::process::{Command, Stdio};

use runlog::RunOptions;

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

    let json: serde_json::Value = serde_json::from_str(&place.prints(&["show", "first", "--json"])).unwrap();
    assert_eq!(json["run"]["info"]["run_id"], id);
    assert_eq!(json["artifacts"][0]["path"], "notes/today.txt");
    let json: serde_json::Value = serde_json::from_str(&place.prints(&["list", "--json"])).unwrap();
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
