//! Bad input gets an error that says what to do, and nothing already logged is lost by it.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

use runlog::{ErrorKind, ExperimentOptions, Result, RunOptions, RunQuery, RunStatus, RunTable, Tracker};

use crate::support::{Place, text};

/// Checks an error's kind, and that its message has these words.
pub(crate) fn check<T>(outcome: Result<T>, kind: ErrorKind, words: &[&str]) {
    let error = outcome.err().expect("bad input is an error");
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn a_wrong_uri_says_which_ones_are_right() {
    let place = Place::new();
    let open = |uri: &str| Tracker::with_config(Some(uri), place.config(&[]));
    check(open("sqlit:///mlflow.db"), ErrorKind::InvalidInput, &["sqlit", "`sqlite:`"]);
    check(open("SQLITE:///mlflow.db"), ErrorKind::InvalidInput, &["lower case"]);
    check(open("sqlite://mlflow.db"), ErrorKind::InvalidInput, &["sqlite:///mlflow.db"]);
    check(open("http://localhost:5000"), ErrorKind::Unsupported, &["sqlite:///mlflow.db"]);
    check(open("file://host/mlruns"), ErrorKind::InvalidInput, &["file:///"]);
    check(open("./mlflow.db"), ErrorKind::InvalidInput, &["sqlite:////", "/mlflow.db"]);
    open("sqlite:///mlflow.db").unwrap();
    check(open("mlflow.db"), ErrorKind::InvalidInput, &["sqlite:////", "/mlflow.db"]);
}

#[test]
fn what_is_not_mlflows_database_is_refused_and_left_as_it_was() {
    let place = Place::new();
    let open = || Tracker::with_config(Some("sqlite:///mlflow.db"), place.config(&[]));
    std::fs::write(place.database(), "step,loss\n1,0.5\n").unwrap();
    check(open(), ErrorKind::Corrupt, &["not", "mlflow.db"]);
    assert_eq!(std::fs::read_to_string(place.database()).unwrap(), "step,loss\n1,0.5\n");

    std::fs::remove_file(place.database()).unwrap();
    let theirs = rusqlite::Connection::open(place.database()).unwrap();
    theirs.execute_batch("CREATE TABLE customers (name TEXT)").unwrap();
    check(open(), ErrorKind::Corrupt, &["MLflow", "mlflow.db"]);
    let tables: i64 = theirs.query_row("SELECT COUNT(*) FROM sqlite_master", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn a_directory_that_cannot_be_written_is_said_with_its_path() {
    let place = Place::new();
    let locked = place.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut program = place.scenario(&["finish"]);
    program.current_dir(&locked);
    if rustix::process::getuid().is_root() {
        // Nothing is closed to root. Another process copies: a child that another test forks meanwhile would inherit a
        // file that is open for writing here, and such a file cannot be executed.
        let copy = place.path().join("scenario");
        let copied = place.command("cp").arg(env!("CARGO_BIN_EXE_scenario")).arg(&copy).status().unwrap();
        assert!(copied.success());
        program = place.command(copy);
        program.arg("finish").current_dir(&locked).uid(65_534).gid(65_534);
    }
    let output = program.output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("denied") && told.contains("locked"), "{told}");
}

#[test]
fn a_journal_that_cannot_be_kept_is_said_once_and_the_run_goes_on() {
    let place = Place::new();
    std::fs::write(place.journal(), "a file where the directory should be").unwrap();
    let output = place.play(&["finish"]);
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert_eq!(told.matches("RUNLOG_JOURNAL_DIR").count(), 1, "{told}");
    std::fs::remove_file(place.journal()).unwrap();
    assert_eq!(place.run().metric("loss"), Some(0.5));
}

#[test]
fn a_forbidden_key_is_in_the_receipt_and_costs_nothing_else() {
    let place = Place::new();
    let run = place.tracker().start_run("keys").unwrap();
    run.log_metric("good", 1.0, 1);
    let logged = run.log_metric("loss*", 0.5, 1);
    assert!(logged.is_refused());
    check(logged.wait(), ErrorKind::InvalidInput, &["'*'", "loss*", "use letters"]);
    assert!(run.metric("loss*").log(0.5, 2).is_refused());
    run.log_metric("also good", 2.0, 1);
    check(run.finish(), ErrorKind::Lost, &["2 record(s)", "loss*"]);
    let run = place.run();
    assert_eq!(run.info.status, RunStatus::Finished);
    assert_eq!((run.metric("good"), run.metric("also good")), (Some(1.0), Some(2.0)));
}

#[test]
fn a_param_changed_after_it_was_set_keeps_its_first_value_and_is_told() {
    let place = Place::new();
    let run = place.tracker().start_run("params").unwrap();
    run.log_param("lr", 0.1).wait().unwrap();
    run.log_param("lr", 0.1).wait().unwrap();
    run.log_param("before", 1);
    let changed = run.log_param("lr", 0.2);
    run.log_param("after", 2);
    run.log_metric("loss", 0.5, 1);
    check(changed.wait(), ErrorKind::Conflict, &["lr", "0.1", "0.2"]);
    let lost = run.finish().unwrap_err();
    assert_eq!((lost.kind(), lost.losses().total()), (ErrorKind::Lost, 1));
    let run = place.run();
    assert_eq!(
        (run.param("lr"), run.param("before"), run.param("after")),
        (Some("0.1"), Some("1"), Some("2"))
    );
    assert_eq!((run.metric("loss"), run.info.status), (Some(0.5), RunStatus::Finished));
    // What was refused is kept for who wants to look.
    let store = std::fs::read_dir(place.journal()).unwrap().next().unwrap().unwrap().path();
    let rejected = std::fs::read_to_string(store.join("rejected.jsonl")).unwrap();
    assert!(rejected.contains("\"lr\"") && rejected.contains("0.2"), "{rejected}");
}

#[test]
fn long_values_are_cut_or_refused_as_the_user_chose() {
    let long = "é".repeat(9000);
    let place = Place::new();
    let run = place.tracker().start_run("cut").unwrap();
    run.log_param("long", &long);
    run.set_tag("long", &long);
    run.finish().unwrap();
    let run = place.run();
    assert_eq!(run.param("long").unwrap().chars().count(), 6000);
    assert_eq!(run.tag("long").unwrap().chars().count(), 8000);

    let config = place.config(&[("MLFLOW_TRUNCATE_LONG_VALUES", "false")]);
    let tracker = Tracker::with_config(Some("sqlite:///other.db"), config).unwrap();
    let run = tracker.start_run("refused").unwrap();
    check(
        run.log_param("long", &long).wait(),
        ErrorKind::InvalidInput,
        &["6000", "MLFLOW_TRUNCATE_LONG_VALUES", "key: long"],
    );
    check(
        run.set_tag("long", &long).wait(),
        ErrorKind::InvalidInput,
        &["8000", "MLFLOW_TRUNCATE_LONG_VALUES"],
    );
    run.finish().unwrap_err();
}

#[test]
fn a_second_run_on_a_thread_must_say_that_it_is_nested() {
    let place = Place::new();
    let tracker = place.tracker();
    let run = tracker.start_run("first").unwrap();
    check(tracker.start_run("second"), ErrorKind::Conflict, &["nested(true)", run.run_id()]);
    tracker.start_run(RunOptions::new().nested(true)).unwrap().finish().unwrap();
    run.finish().unwrap();
    tracker.start_run("second").unwrap().finish().unwrap();
}

#[test]
fn runs_of_different_stores_do_not_know_of_each_other() {
    let place = Place::new();
    let first = place.tracker().start_run("first").unwrap();
    let other = Tracker::with_config(Some("sqlite:///other.db"), place.config(&[])).unwrap();
    let second = other.start_run(RunOptions::new().name("second").nested(true)).unwrap();
    second.finish().unwrap();
    first.finish().unwrap();
    assert_eq!(
        other.search_runs(RunQuery::new().all_experiments()).unwrap()[0].tag("mlflow.parentRunId"),
        None
    );
}

#[test]
fn the_environment_chooses_experiment_and_run() {
    let place = Place::new();
    let with = |vars: &[(&str, &str)]| {
        Tracker::with_config(Some("sqlite:///mlflow.db"), place.config(vars)).unwrap()
    };
    let by_name = with(&[("MLFLOW_EXPERIMENT_NAME", "by name")]);
    let run = by_name.start_run("a").unwrap();
    let (run_id, experiment) = (run.run_id().to_owned(), run.info().experiment_id.clone());
    run.finish().unwrap();
    assert_eq!(by_name.get_experiment(&experiment).unwrap().name, "by name");

    let by_id = with(&[("MLFLOW_EXPERIMENT_ID", &experiment)]).start_run("b").unwrap();
    assert_eq!(by_id.info().experiment_id, experiment);
    by_id.finish().unwrap();
    let wrong = with(&[("MLFLOW_EXPERIMENT_ID", "77")]);
    check(wrong.start_run("c"), ErrorKind::InvalidInput, &["MLFLOW_EXPERIMENT_ID"]);
    let both = with(&[("MLFLOW_EXPERIMENT_ID", "0"), ("MLFLOW_EXPERIMENT_NAME", "by name")]);
    check(both.start_run("d"), ErrorKind::InvalidInput, &["different experiments"]);

    let resuming = with(&[("MLFLOW_RUN_ID", &run_id)]);
    let resumed = resuming.start_run(()).unwrap();
    assert_eq!(resumed.run_id(), run_id);
    assert_eq!(resuming.get_run(&run_id).unwrap().info.status, RunStatus::Running);
    resumed.finish().unwrap();
    let next = resuming.start_run(()).unwrap();
    assert_ne!(next.run_id(), run_id, "only the first run is the one to resume");
    next.finish().unwrap();
}

#[test]
fn disabled_writes_nothing_and_logging_goes_on() {
    let place = Place::new();
    let output = place.scenario(&["finish"]).env("RUNLOG_MODE", "disabled").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);

    let tracker = Tracker::with_config(None, place.config(&[("RUNLOG_MODE", "disabled")])).unwrap();
    let run = tracker.start_run("nothing").unwrap();
    run.log_metric("loss", 0.5, 1);
    run.log_text("hello", "notes.txt").unwrap();
    run.finish().unwrap();
    assert_eq!(tracker.search_runs(RunQuery::new().all_experiments()).unwrap()[0].metric("loss"), Some(0.5));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn an_experiment_that_cannot_be_made_says_what_is_wrong_with_it() {
    let place = Place::new();
    let tracker = place.tracker();
    let invalid = ErrorKind::InvalidInput;
    let new = || ExperimentOptions::new("new");
    check(tracker.create_experiment(""), invalid, &["must not be empty"]);
    check(tracker.create_experiment("é".repeat(501)), invalid, &["500", "shorten"]);
    check(tracker.create_experiment(new().tag("a*", "b")), invalid, &["'*'", "a*"]);
    check(tracker.create_experiment(new().tag("a", "b".repeat(20_001))), invalid, &["20000", "shorten"]);
    let under_a_run = new().artifact_location("runs:/0123/model");
    check(tracker.create_experiment(under_a_run), invalid, &["those of a run", "runs:/0123/model"]);
    let elsewhere = new().artifact_location("file://elsewhere/x");
    check(tracker.create_experiment(elsewhere), invalid, &["file:///absolute/path"]);
    let long = || new().artifact_location("s3://".to_owned() + &"x".repeat(2044));
    check(tracker.create_experiment(long()), invalid, &["2048", "MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH"]);
    assert_eq!(tracker.get_experiment_by_name("new").unwrap(), None, "nothing was made on the way");

    let config = place.config(&[("MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH", "2049")]);
    let patient = Tracker::with_config(Some("sqlite:///mlflow.db"), config).unwrap();
    let id = patient.create_experiment(long()).unwrap();
    check(tracker.create_experiment("new"), ErrorKind::AlreadyExists, &["new", "`set_experiment`"]);
    tracker.delete_experiment(&id).unwrap();
    let restore = format!("`restore_experiment({id:?})`");
    check(tracker.create_experiment("new"), ErrorKind::AlreadyExists, &["deleted", &restore]);
    check(tracker.set_experiment("new"), invalid, &["deleted", &restore]);
    check(tracker.set_experiment_by_id(&id), invalid, &["deleted", &restore]);
    check(tracker.rename_experiment(&id, "other"), invalid, &["deleted", &restore]);
    check(tracker.set_experiment_tag(&id, "a", "b"), invalid, &["deleted", &restore]);
    let options = || RunOptions::new().experiment_id(&id);
    check(tracker.start_run(options()), invalid, &["deleted", &restore]);
}

#[test]
fn an_experiment_that_is_not_there_is_said_by_its_id() {
    let place = Place::new();
    let tracker = place.tracker();
    for id in ["77", "vision"] {
        check(tracker.get_experiment(id), ErrorKind::NotFound, &[id]);
        check(tracker.set_experiment_by_id(id), ErrorKind::NotFound, &[id]);
        check(tracker.delete_experiment(id), ErrorKind::NotFound, &[id]);
        check(tracker.restore_experiment(id), ErrorKind::NotFound, &[id]);
        check(tracker.rename_experiment(id, "other"), ErrorKind::NotFound, &[id]);
        check(tracker.set_experiment_tag(id, "a", "b"), ErrorKind::NotFound, &[id]);
        check(tracker.start_run(RunOptions::new().experiment_id(id)), ErrorKind::NotFound, &[id]);
    }
    check(tracker.delete_experiment_tag("0", "none"), ErrorKind::NotFound, &["none"]);
    check(tracker.rename_experiment("0", ""), ErrorKind::InvalidInput, &["must not be empty"]);
    check(tracker.restore_experiment("0"), ErrorKind::NotFound, &["not deleted"]);
    let wrong = [("fine", "1"), ("not*fine", "2")];
    check(tracker.set_experiment_tags("0", wrong), ErrorKind::InvalidInput, &["'*'", "not*fine"]);
    assert_eq!(tracker.get_experiment("0").unwrap().tags, [], "one wrong tag keeps all back");
    check(tracker.set_experiment_primary_metric("0", "lo*ss", true), ErrorKind::InvalidInput, &["'*'"]);
}

#[test]
fn a_column_that_no_run_has_is_answered_with_those_there_are() {
    let place = Place::new();
    let run = place.tracker().start_run("one").unwrap();
    run.log_metric("loss", 0.5, 1);
    run.finish().unwrap();
    let table = RunTable::new(&place.runs());
    check(table.select(["metrics.los"]), ErrorKind::InvalidInput, &["metrics.los", "metrics.loss"]);
}
