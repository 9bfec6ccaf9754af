//! Experiments are made, changed, deleted and restored here and by MLflow, and each sees what the other did.

use runlog::{ErrorKind, ExperimentOptions, LifecycleStage, RunQuery, Tag, Tracker, ViewType};
use serde_json::json;

use crate::bad_input::check;
use crate::support::Place;

#[test]
fn mlflow_sees_what_we_did_to_experiments() {
    let place = Place::new();
    let tracker = place.tracker();
    let options = ExperimentOptions::new("vision").artifact_location("files/vision").tag("team", "eyes");
    let vision = tracker.create_experiment(options).unwrap();
    tracker.rename_experiment(&vision, "sight").unwrap();
    tracker.set_experiment_tags(&vision, [("draft", true)]).unwrap();
    tracker.set_experiment_tag(&vision, "rate", 1e-5).unwrap();
    tracker.delete_experiment_tag(&vision, "team").unwrap();
    tracker.set_experiment_primary_metric(&vision, "accuracy", true).unwrap();
    tracker.set_experiment_by_id(&vision).unwrap();
    tracker.start_run("in sight").unwrap().finish().unwrap();

    let gone = tracker.set_experiment("gone").unwrap().experiment_id;
    tracker.start_run("deleted with it").unwrap().finish().unwrap();
    tracker.delete_experiment(&gone).unwrap();

    let seen = place.mlflow(&["experiments"]);
    assert_eq!(
        seen["sight"],
        json!({
            "experiment_id": vision,
            "artifact_location": place.path().join("files/vision"),
            "lifecycle_stage": "active",
            "tags": {
                "draft": "True",
                "rate": "1e-05",
                "mlflow.experiment.primaryMetric.name": "accuracy",
                "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
            },
            "runs": 1,
        })
    );
    assert_eq!((&seen["gone"]["lifecycle_stage"], &seen["gone"]["runs"]), (&json!("deleted"), &json!(0)));
    tracker.restore_experiment(&gone).unwrap();
    let seen = place.mlflow(&["experiments"]);
    assert_eq!((&seen["gone"]["lifecycle_stage"], &seen["gone"]["runs"]), (&json!("active"), &json!(1)));
}

#[test]
fn we_see_what_mlflow_did_to_experiments() {
    let place = Place::new();
    let ids = place.mlflow(&["rule"]);
    let tracker = place.tracker();
    let renamed = tracker.get_experiment_by_name("renamed").unwrap().unwrap();
    assert_eq!(renamed.experiment_id, ids["kept"].as_str().unwrap());
    assert_eq!(renamed.tags, [Tag::new("team", "True")]);
    let gone = tracker.get_experiment(ids["gone"].as_str().unwrap()).unwrap();
    assert_eq!(gone.lifecycle_stage, LifecycleStage::Deleted);
    check(tracker.set_experiment("gone"), ErrorKind::InvalidInput, &["restore_experiment"]);
    tracker.restore_experiment(&gone.experiment_id).unwrap();
    assert_eq!(tracker.set_experiment("gone").unwrap().experiment_id, gone.experiment_id);
}

#[test]
fn the_free_functions_mean_the_active_experiment() {
    let place = Place::new();
    let tags = |tracker: &Tracker, name: &str| tracker.get_experiment_by_name(name).unwrap().unwrap().tags;
    let tracker = place.tracker();
    runlog::with_tracker(&tracker, || {
        runlog::set_experiment_tag("of", "the default").unwrap();
        let id = runlog::create_experiment("made").unwrap();
        runlog::set_experiment_tag("of", "the default still").unwrap();
        runlog::set_experiment_by_id(&id).unwrap();
        runlog::set_experiment_tags([("of", "made"), ("more", "yes")]).unwrap();
        runlog::delete_experiment_tag("more").unwrap();
        runlog::rename_experiment(&id, "renamed").unwrap();
        assert_eq!(runlog::get_experiment(&id).unwrap().name, "renamed");
        runlog::delete_experiment(&id).unwrap();
        check(runlog::start_run("nowhere"), ErrorKind::InvalidInput, &["restore_experiment", &id]);
        runlog::restore_experiment(&id).unwrap();
        runlog::set_experiment_primary_metric("loss", false).unwrap();
    });
    assert_eq!(tags(&tracker, "Default"), [Tag::new("of", "the default still")]);
    let primary = "mlflow.experiment.primaryMetric";
    assert_eq!(
        tags(&tracker, "renamed"),
        [
            Tag::new(format!("{primary}.greaterIsBetter"), "False"),
            Tag::new(format!("{primary}.name"), "loss"),
            Tag::new("of", "made"),
        ]
    );

    let config = place.config(&[("MLFLOW_EXPERIMENT_NAME", "from outside")]);
    let tracker = Tracker::with_config(Some("sqlite:///mlflow.db"), config).unwrap();
    runlog::with_tracker(&tracker, || runlog::set_experiment_tag("of", "outside").unwrap());
    assert_eq!(tags(&tracker, "from outside"), [Tag::new("of", "outside")]);
    tracker.start_run("outside").unwrap().finish().unwrap();
    assert_eq!(tracker.search_runs(()).unwrap().len(), 1, "a search means the same experiment");
}

#[test]
fn a_deleted_experiment_takes_its_runs_along_and_brings_them_back() {
    let place = Place::new();
    let tracker = place.tracker();
    let id = tracker.set_experiment("old").unwrap().experiment_id;
    let run = tracker.start_run("one").unwrap();
    run.log_metric("loss", 0.5, 1);
    run.finish().unwrap();
    // What was logged just now is stored first, since nothing can be written to a deleted run.
    let late = tracker.start_run("two").unwrap();
    late.log_metric("loss", 0.25, 1);
    late.finish().unwrap();
    tracker.delete_experiment(&id).unwrap();
    assert_eq!(tracker.search_runs(()).unwrap(), []);
    let deleted = tracker.search_runs(RunQuery::new().run_view_type(ViewType::DeletedOnly)).unwrap();
    assert_eq!(deleted.len(), 2);
    tracker.restore_experiment(&id).unwrap();
    let back = tracker.search_runs(RunQuery::new().order_by("metrics.loss")).unwrap();
    assert_eq!(back.iter().map(|run| run.metric("loss")).collect::<Vec<_>>(), [Some(0.25), Some(0.5)]);
}
