//! Runs that are started, resumed, put below others, changed, deleted: as MLflow has it, unless a test says otherwise.

use runlog::{ActiveRun, ErrorKind, Result, RunOptions, RunQuery, RunStatus, Tracker};

use crate::support::{Place, text};

fn message<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    outcome.unwrap_err().to_string()
}

fn named(name: &str) -> RunOptions {
    RunOptions::new().name(name)
}

/// A run that has ended.
fn ended(tracker: &Tracker, options: impl Into<RunOptions>) -> String {
    let run = tracker.start_run(options).unwrap();
    let run_id = run.run_id().to_owned();
    run.finish().unwrap();
    run_id
}

fn parent_of(run: &ActiveRun) -> Option<String> {
    let parent = run.tracker().get_parent_run(run.run_id()).unwrap();
    parent.map(|parent| parent.info.run_id)
}

#[test]
fn a_second_run_needs_nested_and_is_a_child() {
    let place = Place::new();
    let tracker = place.tracker();
    let outer = tracker.start_run("outer").unwrap();
    let inner = tracker.start_run(named("inner").nested(true)).unwrap();
    // The outermost is named, and a parent alone does not lift it.
    for refused in [named("x"), named("x").parent_run_id(outer.run_id())] {
        let error = tracker.start_run(refused).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains(outer.run_id()), "{error}");
    }
    assert_eq!(parent_of(&inner).as_deref(), Some(outer.run_id()));
    assert_eq!(parent_of(&outer), None);
    // The parent must be the innermost one.
    let not_innermost = named("x").nested(true).parent_run_id(outer.run_id());
    assert!(message(tracker.start_run(not_innermost)).contains(inner.run_id()));
    let innermost = tracker.start_run(named("below").nested(true).parent_run_id(inner.run_id())).unwrap();
    assert_eq!(parent_of(&innermost).as_deref(), Some(inner.run_id()));
    for run in [innermost, inner, outer] {
        run.finish().unwrap();
    }
    assert_eq!(tracker.get_parent_run("0".repeat(32).as_str()).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn without_an_active_run_any_run_that_is_there_may_be_the_parent() {
    let place = Place::new();
    let tracker = place.tracker();
    let parent = ended(&tracker, "ended");
    let child = tracker.start_run(named("child").parent_run_id(&parent)).unwrap();
    assert_eq!(parent_of(&child), Some(parent.clone()));
    child.finish().unwrap();
    tracker.delete_run(&parent).unwrap();
    assert!(message(tracker.start_run(named("x").parent_run_id(&parent))).contains("deleted"));
    for (run_id, kind) in
        [("0".repeat(32).as_str(), ErrorKind::NotFound), ("bad id!", ErrorKind::InvalidInput)]
    {
        assert_eq!(tracker.start_run(named("x").parent_run_id(run_id)).unwrap_err().kind(), kind);
    }
    let runs = tracker.search_runs(RunQuery::new().all_experiments()).unwrap();
    assert_eq!(runs.len(), 1, "what is refused leaves no run behind");
}

#[test]
fn a_resumed_run_takes_what_it_is_given_and_keeps_the_rest() {
    let place = Place::new();
    let tracker = place.tracker();
    let parent = ended(&tracker, "parent");
    let run_id =
        ended(&tracker, named("before").parent_run_id(&parent).tag("kept", "1").tag("stage", "draft"));
    let end_time = tracker.get_run(&run_id).unwrap().info.end_time;

    let resume = || RunOptions::new().run_id(&run_id);
    let run = tracker.start_run(resume().name("").parent_run_id("0".repeat(32)).experiment_id("77")).unwrap();
    let info = tracker.get_run(&run_id).unwrap().info;
    assert_eq!(
        (info.status, info.end_time),
        (RunStatus::Running, end_time),
        "the end time stays, as in MLflow"
    );
    assert_eq!(
        (info.run_name.as_str(), parent_of(&run)),
        ("before", Some(parent)),
        "and so do name and parent"
    );
    run.finish().unwrap();

    let run = tracker.start_run(resume().name("after").tag("stage", "final").description("again")).unwrap();
    run.finish().unwrap();
    let run = tracker.get_run(&run_id).unwrap();
    assert_eq!((run.info.run_name.as_str(), run.info.status), ("after", RunStatus::Finished));
    let tags = ["kept", "stage", "mlflow.note.content"].map(|key| run.tag(key).unwrap());
    assert_eq!(tags, ["1", "final", "again"]);

    let both = resume().description("here").tag("mlflow.note.content", "there");
    assert!(message(tracker.start_run(both)).contains("not both"));
    tracker.delete_run(&run_id).unwrap();
    assert!(message(tracker.start_run(resume())).contains("deleted"));
    tracker.set_experiment("another").unwrap();
    tracker.restore_run(&run_id).unwrap();
    assert!(message(tracker.start_run(resume())).contains("another experiment"));
    assert_eq!(
        tracker.get_run(&run_id).unwrap().info.status,
        RunStatus::Finished,
        "a refusal changes nothing"
    );
}

#[test]
fn the_environment_says_which_run_the_first_one_resumes() {
    let place = Place::new();
    let run_id = ended(&place.tracker(), "before");
    let open = |run_id: &str| {
        let config = place.config(&[("MLFLOW_RUN_ID", run_id)]);
        Tracker::with_config(Some("sqlite:///mlflow.db"), config).unwrap()
    };
    let tracker = open(&run_id);
    assert_eq!(ended(&tracker, ()), run_id);
    assert_ne!(ended(&tracker, ()), run_id, "only the first one");
    // A run that is not there is not quietly replaced by a new one.
    let tracker = open(&"0".repeat(32));
    for _ in 0..2 {
        assert_eq!(tracker.start_run(()).unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(place.runs().len(), 2);
}

#[test]
fn the_experiment_of_a_run_is_the_first_that_is_said() {
    let place = Place::new();
    let setup = place.tracker();
    let [by_name, by_id, active, given] =
        ["by-name", "by-id", "active", "given"].map(|name| setup.set_experiment(name).unwrap().experiment_id);
    let home = |vars: &[(&str, &str)], set: Option<&str>, options: RunOptions| -> Result<String> {
        let tracker = Tracker::with_config(Some("sqlite:///mlflow.db"), place.config(vars))?;
        set.map(|name| tracker.set_experiment(name)).transpose()?;
        let run = tracker.start_run(options)?;
        run.handle().flush()?;
        let experiment_id = run.info().experiment_id.clone();
        run.finish()?;
        Ok(experiment_id)
    };
    let name = ("MLFLOW_EXPERIMENT_NAME", "by-name");
    let id = ("MLFLOW_EXPERIMENT_ID", by_id.as_str());
    let explicit = || RunOptions::new().experiment_id(&given);
    assert_eq!(home(&[name, id], Some("active"), explicit()).unwrap(), given);
    assert_eq!(home(&[name, id], Some("active"), RunOptions::new()).unwrap(), active);
    assert_eq!(home(&[name], None, RunOptions::new()).unwrap(), by_name);
    assert_eq!(home(&[id], None, RunOptions::new()).unwrap(), by_id);
    assert_eq!(home(&[], None, RunOptions::new()).unwrap(), "0");
    assert!(message(home(&[name, id], None, RunOptions::new())).contains("different experiments"));
    assert!(
        message(home(&[("MLFLOW_EXPERIMENT_ID", "404")], None, RunOptions::new()))
            .contains("MLFLOW_EXPERIMENT_ID")
    );
    home(&[("MLFLOW_EXPERIMENT_NAME", "made now")], None, RunOptions::new()).unwrap();
    assert!(setup.get_experiment_by_name("made now").unwrap().is_some());
}

#[test]
fn a_run_takes_its_name_from_the_options_else_from_its_tag_else_at_random() {
    let place = Place::new();
    let tracker = place.tracker();
    let name = |options: RunOptions| {
        let run = tracker.get_run(&ended(&tracker, options)).unwrap();
        assert_eq!(run.tag("mlflow.runName"), Some(run.info.run_name.as_str()));
        run.info.run_name
    };
    let tagged = || RunOptions::new().tag("mlflow.runName", "by tag");
    assert_eq!(name(tagged().name("by option")), "by option");
    assert_eq!(name(tagged()), "by tag");
    assert_eq!(name(tagged().name("")), "by tag");
    assert!(name(RunOptions::new().name("")).contains('-'));
}

#[test]
fn a_deleted_run_is_restored_with_all_that_was_logged_before() {
    let place = Place::new();
    let tracker = place.tracker();
    let run = tracker.start_run("active").unwrap();
    let run_id = run.run_id().to_owned();
    for step in 0..1000 {
        run.log_metric("loss", 0.5, step);
    }
    tracker.delete_run(&run_id).unwrap();
    assert_eq!(tracker.search_runs(()).unwrap().len(), 0);
    run.log_metric("late", 0.5, 0).wait().unwrap_err();
    tracker.delete_run(&run_id).unwrap();
    tracker.restore_run(&run_id).unwrap();
    tracker.restore_run(&run_id).unwrap();
    // It could not have been ended while it was deleted.
    let deleted = tracker.get_run(&run_id).unwrap();
    assert_eq!((deleted.info.status, deleted.metric("late")), (RunStatus::Killed, None));
    assert_eq!(tracker.metric_history(&run_id, "loss").unwrap().len(), 1000);
    run.finish().unwrap();
    for gone in [tracker.delete_run(&"0".repeat(32)), tracker.restore_run(&"0".repeat(32))] {
        assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[test]
fn a_run_is_renamed_and_ended_without_being_started_here() {
    let place = Place::new();
    let tracker = place.tracker();
    let run_id = ended(&tracker, "draft");
    let end_time = tracker.get_run(&run_id).unwrap().info.end_time;
    tracker.update_run(&run_id, RunStatus::Failed, "final").unwrap();
    let info = tracker.get_run(&run_id).unwrap().info;
    assert_eq!((info.run_name.as_str(), info.status, info.end_time), ("final", RunStatus::Failed, end_time));
    tracker.update_run(&run_id, RunStatus::Running, None).unwrap();
    let info = tracker.get_run(&run_id).unwrap().info;
    assert_eq!((info.run_name.as_str(), info.status, info.end_time), ("final", RunStatus::Running, end_time));
    tracker.set_terminated(&run_id, RunStatus::Killed).unwrap();
    let info = tracker.get_run(&run_id).unwrap().info;
    assert!(info.status == RunStatus::Killed && info.end_time >= end_time);
    assert_eq!(
        tracker.set_terminated(&run_id, RunStatus::Running).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );

    let active = tracker.start_run("active").unwrap();
    tracker.set_terminated(active.run_id(), RunStatus::Finished).unwrap();
    drop(active);
    assert!(tracker.search_runs(()).unwrap().iter().all(|run| run.tag("runlog.ended_by").is_none()));
}

#[test]
fn a_handle_to_a_run_never_ends_it() {
    let place = Place::new();
    let (here, elsewhere) = (place.tracker(), place.tracker());
    let run = here.start_run("theirs").unwrap();
    {
        let handle = elsewhere.run_handle(run.run_id()).unwrap();
        handle.log_metric("loss", 0.5, 1).wait().unwrap();
        handle.log_param("depth", 3).wait().unwrap();
        handle.set_tag("stage", "draft").wait().unwrap();
    }
    drop(elsewhere);
    let seen = here.get_run(run.run_id()).unwrap();
    assert_eq!((seen.info.status, seen.metric("loss")), (RunStatus::Running, Some(0.5)));
    assert_eq!((seen.param("depth"), seen.tag("stage")), (Some("3"), Some("draft")));
    run.finish().unwrap();
}

#[test]
fn the_last_active_run_is_the_current_one_else_the_one_that_ended_last() {
    let output = Place::new().play(&["last-active-run"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn synchronous_logging_waits_in_every_call() {
    let place = Place::new();
    let config = place.config(&[("MLFLOW_ENABLE_ASYNC_LOGGING", "false")]);
    let tracker = Tracker::with_config(Some("sqlite:///mlflow.db"), config).unwrap();
    let run = tracker.start_run("waits").unwrap();
    let stored = || {
        // A second connection, which knows nothing of what waits in a journal.
        let database = rusqlite::Connection::open(place.database()).unwrap();
        let count = |table: &str| -> u32 {
            database.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        (count("metrics"), count("params"))
    };
    for step in 1..=5 {
        run.log_metric("loss", 0.5, step);
        assert_eq!(stored(), (step, step - 1));
        run.log_param(&step.to_string(), "v");
        assert_eq!(stored(), (step, step));
    }
    run.finish().unwrap();
}

#[test]
fn flushing_stores_all_that_was_logged() {
    let place = Place::new();
    let tracker = place.tracker();
    let run = tracker.start_run("flushed").unwrap();
    for step in 0..5000 {
        run.log_metric("loss", 0.5, step);
    }
    runlog::with_tracker(&tracker, runlog::flush_async_logging).unwrap();
    let database = rusqlite::Connection::open(place.database()).unwrap();
    let stored: u32 = database.query_row("SELECT COUNT(*) FROM metrics", [], |row| row.get(0)).unwrap();
    assert_eq!(stored, 5000);
    run.finish().unwrap();
}

#[test]
fn a_child_process_is_told_of_the_store_from_anywhere_and_of_one_experiment() {
    let place = Place::new();
    let config = place.config(&[("MLFLOW_EXPERIMENT_NAME", "from outside")]);
    let tracker = Tracker::with_config(Some("sqlite:///mlflow.db"), config).unwrap();
    let experiment = tracker.set_experiment("chosen").unwrap();
    let run = tracker.start_run("parent").unwrap();
    let database = place.database().canonicalize().unwrap();
    let expected = [
        ("MLFLOW_TRACKING_URI", format!("sqlite:///{}", database.display())),
        ("MLFLOW_EXPERIMENT_ID", experiment.experiment_id),
        ("MLFLOW_EXPERIMENT_NAME", "chosen".to_owned()),
        ("MLFLOW_RUN_ID", run.run_id().to_owned()),
    ];
    assert_eq!(run.child_env().unwrap(), expected);
    run.finish().unwrap();
    let without_a_run = runlog::with_tracker(&tracker, runlog::child_env).unwrap();
    assert_eq!(without_a_run, expected[..3]);
    let tracker = Tracker::open("memory:").unwrap();
    let run = tracker.start_run("nobody else sees it").unwrap();
    assert_eq!(run.child_env().unwrap(), [("MLFLOW_TRACKING_URI", "memory:".to_owned())]);
    run.finish().unwrap();
}

#[test]
fn which_store_is_used_is_told_without_opening_it() {
    let place = Place::new();
    let tracker = place.tracker();
    runlog::with_tracker(&tracker, || {
        assert_eq!(runlog::get_tracking_uri().unwrap(), "sqlite:///mlflow.db");
        assert!(runlog::is_tracking_uri_set().unwrap());
    });
}
