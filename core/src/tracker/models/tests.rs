//! Models and the points that measure them, from the calls to the store.

use std::collections::HashMap;

use serde_json::json;

use super::*;
use crate::RunOptions;
use crate::config::Config;
use crate::data::Columns;
use crate::entity::{DatasetInput, Metric, ModelOutput};
use crate::error::ErrorKind;
use crate::fluent;
use crate::run::ActiveRun;

fn tracker(vars: &[(&str, &str)]) -> Tracker {
    let vars: HashMap<_, _> =
        vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Tracker::with_config(Some("memory:"), Config::from_map(&vars).unwrap()).unwrap()
}

/// The points of a model: key, value, step.
fn points(tracker: &Tracker, model_id: &str) -> Vec<(String, f64, i64)> {
    let metrics = tracker.get_logged_model(model_id).unwrap().metrics;
    metrics.into_iter().map(|metric| (metric.key, metric.value, metric.step)).collect()
}

fn point(key: &str, value: f64, step: i64) -> (String, f64, i64) {
    (key.to_owned(), value, step)
}

fn start(tracker: &Tracker) -> ActiveRun {
    tracker.start_run(()).unwrap()
}

#[test]
fn a_model_is_pending_until_its_files_are_there_or_it_is_said_to_be_ready() {
    let tracker = tracker(&[]);
    let run = start(&tracker);
    run.log_param("lr", 0.1);
    let options = ModelOptions::new().name("net").model_type("mlp").param("layers", 3).tag("team", "vision");
    let model = run.initialize_logged_model(options).unwrap();
    assert_eq!((model.status, model.source_run_id.as_deref()), (ModelStatus::Pending, Some(run.run_id())));
    assert!(model.tags.iter().any(|tag| tag.key == "mlflow.user"), "as every run says where it comes from");

    let spec = ModelSpec::new(()).model_id(&model.model_id).file("w.bin", [1, 2]).step(7);
    let logged = run.log_model(spec).unwrap();
    assert_eq!((&logged.model_id, logged.status), (&model.model_id, ModelStatus::Ready));
    assert_eq!((&*logged.name, logged.params.len()), ("net", 1), "it is as it was said when it was created");
    let outputs = tracker.get_run(run.run_id()).unwrap().outputs;
    assert_eq!(outputs, [ModelOutput::new(&*model.model_id, 7)]);

    let failed = run.initialize_logged_model(()).unwrap();
    assert!(!failed.name.is_empty(), "a name of its own");
    let failed = tracker.finalize_logged_model(&failed.model_id, ModelStatus::Failed).unwrap();
    assert_eq!(failed.status, ModelStatus::Failed);
    assert!(tracker.finalize_logged_model(&failed.model_id, ModelStatus::Pending).is_err());
    let missing = ModelSpec::new("m").file_from("w.bin", "/nowhere/w.bin");
    assert_eq!(run.log_model(missing).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(tracker.last_logged_model().unwrap().unwrap().status, ModelStatus::Failed);
    run.finish().unwrap();
}

#[test]
fn a_param_of_the_run_wins_over_the_models_own() {
    let tracker = tracker(&[]);
    let run = start(&tracker);
    run.log_param("depth", 3);
    let model = run.log_model(ModelSpec::new("m").param("depth", 4).param("own", 5)).unwrap();
    let params: Vec<_> = model.params.iter().map(|param| (&*param.key, &*param.value)).collect();
    assert_eq!(params, [("depth", "3"), ("own", "5")]);
    run.finish().unwrap();
}

#[test]
fn a_runs_model_is_found_by_its_name_and_not_that_of_another_run() {
    let tracker = tracker(&[]);
    let (run, other) = (start(&tracker), tracker.start_run(RunOptions::new().nested(true)).unwrap());
    run.log_model(ModelSpec::new("m").file("w.bin", [1])).unwrap();
    other.log_model(ModelSpec::new("m").file("w.bin", [2])).unwrap();
    let load = |run: &ActiveRun| tracker.load_model(&format!("runs:/{}/m", run.run_id())).unwrap();
    assert_eq!((load(&run).read("w.bin").unwrap(), load(&other).read("w.bin").unwrap()), (vec![1], vec![2]));
    let listed = tracker.list_artifacts(&format!("runs:/{}/m", run.run_id()), "").unwrap();
    assert!(listed.iter().any(|file| file.path == "m/w.bin"), "{listed:?}");
    run.log_text("x", "dir/x.txt").unwrap();
    let listed = tracker.list_artifacts(run.run_id(), "dir").unwrap();
    assert_eq!(listed[0].path, "dir/x.txt");
    #[cfg(unix)]
    {
        let place = tracker.download_artifacts(&format!("runs:/{}/dir", run.run_id()), None).unwrap();
        let dir = place.parent().unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(dir).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o700, "what is downloaded is nobody else's");
        std::fs::remove_dir_all(dir).unwrap();
    }
    other.finish().unwrap();
    run.finish().unwrap();
}

#[test]
fn a_model_needs_no_run() {
    let tracker = tracker(&[]);
    let experiment = tracker.set_experiment("models only").unwrap();
    assert_eq!(tracker.last_logged_model().unwrap(), None);
    let model = tracker.log_model(ModelSpec::new("net").file("w.bin", [1]).param("depth", 3)).unwrap();
    assert_eq!((&model.experiment_id, &model.source_run_id), (&experiment.experiment_id, &None));
    let files = tracker.load_model(&format!("models:/{}", model.model_id)).unwrap();
    assert_eq!((files.read("w.bin").unwrap(), files.mlmodel().run_id.as_deref()), (vec![1], None));
    assert_eq!(tracker.last_logged_model().unwrap().unwrap().model_id, model.model_id);
    tracker.delete_logged_model(&model.model_id).unwrap();
    assert_eq!(tracker.get_logged_model(&model.model_id).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn an_external_model_has_mlflows_stub_and_becomes_one_of_ours_with_its_files() {
    let tracker = tracker(&[]);
    let run = start(&tracker);
    let model = run.create_external_model("served").unwrap();
    assert_eq!((model.status, model.source_run_id.as_deref()), (ModelStatus::Ready, Some(run.run_id())));
    let is_external = |model: &LoggedModel| model.tags.iter().any(|tag| tag.key == model::IS_EXTERNAL);
    assert!(is_external(&model));
    let stub = tracker.load_model(&model.artifact_location).unwrap();
    assert_eq!(stub.mlmodel().metadata.get(model::IS_EXTERNAL), Some(&json!(true)));
    assert!(stub.mlmodel().flavors.is_empty() && stub.mlmodel().signature().unwrap().is_some());
    let filled = run.log_model(ModelSpec::new(()).model_id(&model.model_id).file("w.bin", [1])).unwrap();
    assert!(!is_external(&filled));
    run.finish().unwrap();
}

#[test]
fn params_and_tags_of_a_model_are_checked_and_changed() {
    let tracker = tracker(&[]);
    let model_id = tracker.create_external_model("m").unwrap().model_id;
    tracker.log_model_params(&json!({"net": {"layers": [1, 2]}, "bias": true}), &*model_id).unwrap();
    let conflict = tracker.log_model_params(&json!({"bias": false}), &*model_id).unwrap_err();
    assert_eq!(conflict.kind(), ErrorKind::Conflict);
    assert!(tracker.log_model_params(&json!({"a*": 1}), &*model_id).is_err());
    tracker.log_model_params(&json!({"long": "x".repeat(7000)}), &*model_id).unwrap();
    tracker.set_logged_model_tags(&model_id, [("stage", "new"), ("owner", "ada")]).unwrap();
    tracker.set_logged_model_tags(&model_id, [("stage", 2)]).unwrap();
    tracker.delete_logged_model_tag(&model_id, "owner").unwrap();
    assert_eq!(tracker.delete_logged_model_tag(&model_id, "owner").unwrap_err().kind(), ErrorKind::NotFound);

    let model = tracker.get_logged_model(&model_id).unwrap();
    let params: Vec<_> = model.params.iter().map(|param| (&*param.key, param.value.len())).collect();
    assert_eq!(params, [("bias", 4), ("long", 6000), ("net.layers", 6)]);
    let tags: Vec<_> = model.tags.iter().filter(|tag| !tag.key.starts_with("mlflow.")).collect();
    assert_eq!((tags.len(), &*tags[0].value), (1, "2"));
}

#[test]
fn points_name_the_model_and_the_dataset_that_they_measure() {
    let tracker = tracker(&[]);
    let run = start(&tracker);
    let used = tracker.create_external_model("used").unwrap().model_id;
    let made = run.log_model(ModelSpec::new("made").step(3)).unwrap().model_id;
    let wine = Columns::new("wine").column("alcohol", [12.5]).dataset().unwrap();
    let test = DatasetInput::new(wine.clone(), "test").tag("split", "1/5");
    run.log_inputs([test], &[]);
    run.log_points([
        Metric::new("accuracy", 0.9, 5, 1).for_model(&used).on(&wine),
        Metric::new("accuracy", f64::NAN, 6, 1).for_model(&made),
        Metric::new("loss", 0.5, 7, 1),
        Metric::new("on data alone", 0.5, 7, 1).on(&wine),
    ]);
    assert!(run.log_points([Metric::new("accuracy", 0.1, -1, 0)]).is_refused());
    let gone = run.log_points([Metric::new("accuracy", 0.1, 1, 0).for_model("m-gone")]);
    assert_eq!(gone.wait().unwrap_err().kind(), ErrorKind::NotFound);

    let measured = tracker.get_logged_model(&used).unwrap().metrics;
    assert_eq!(measured.len(), 1);
    assert_eq!((measured[0].timestamp, measured[0].run_id.as_deref()), (5, Some(run.run_id())));
    let dataset = (measured[0].dataset_name.as_deref(), measured[0].dataset_digest.as_deref());
    assert_eq!(dataset, (Some("wine"), Some(&*wine.digest)));
    assert_eq!(tracker.get_logged_model(&made).unwrap().metrics.len(), 1);
    let read = tracker.get_run(run.run_id()).unwrap();
    assert_eq!((read.metric("loss"), read.metric("on data alone")), (Some(0.5), Some(0.5)));
    assert!(read.metric("accuracy").is_some(), "they are the run's points, too");
    assert!(read.inputs.models.contains(&used) && !read.inputs.models.contains(&made));
    assert_eq!(read.inputs.datasets[0].context(), Some("test"));
    assert!(read.inputs.datasets[0].dataset.source.contains("mlflow.user"), "{:?}", read.inputs);
    run.fail("two points are refused on purpose").unwrap_err();
}

#[test]
fn points_of_a_models_step_measure_it_before_and_after_it_is_logged() {
    let tracker = tracker(&[]);
    let run = start(&tracker);
    let early = run.metric("early");
    for step in 0..3 {
        early.log(f64::from(step), step);
    }
    run.log_metric("system/cpu", 1.0, 1);
    run.log_metric("only", 3.0, 1);
    let another = tracker.create_external_model("another").unwrap().model_id;
    run.log_points([Metric::new("of another", 4.0, 1, 1).for_model(&another)]);
    let model_id = run.log_model(ModelSpec::new("m").step(1)).unwrap().model_id;
    run.log_metric("late", 5.0, 1);
    run.log_metric("late", 6.0, 2);
    run.log_metric("system/memory", 1.0, 1);
    run.log_points([Metric::new("given", 7.0, 1, 1)]);
    let expected = [
        point("early", 1.0, 1),
        point("given", 7.0, 1),
        point("late", 5.0, 1),
        // As in MLflow: what a run tells of its points is not whose they are.
        point("of another", 4.0, 1),
        point("only", 3.0, 1),
    ];
    assert_eq!(points(&tracker, &model_id), expected);

    // So it is for a run that somebody resumes.
    let run_id = run.run_id().to_owned();
    run.finish().unwrap();
    tracker.run_handle(&run_id).unwrap().log_metric("later", 8.0, 1).wait().unwrap();
    assert!(points(&tracker, &model_id).contains(&point("later", 8.0, 1)));
}

#[test]
fn the_active_model_is_measured_by_every_point_but_the_machines() {
    let tracker = tracker(&[]);
    let run = start(&tracker);
    let before = run.metric("before");
    let model = tracker.set_active_model("served").unwrap();
    assert_eq!(tracker.set_active_model("served").unwrap().model_id, model.model_id, "it is found, not made");
    assert_eq!(tracker.get_active_model_id(), Some(model.model_id.clone()));
    before.log(1.0, 0);
    run.metric("handle").log(2.0, 0);
    run.log_metric("by key", 3.0, 0);
    run.log_metrics([("system/cpu", 4.0)], 0);
    run.metric("system/memory").log(4.0, 0);
    tracker.log_model_params(&json!({"depth": 3}), None).unwrap();
    tracker.clear_active_model();
    run.log_metric("after", 5.0, 0);
    assert_eq!(tracker.get_active_model_id(), None);
    assert_eq!(points(&tracker, &model.model_id), [point("by key", 3.0, 0), point("handle", 2.0, 0)]);
    let read = tracker.get_run(run.run_id()).unwrap();
    assert_eq!((read.data.metrics.len(), &read.inputs.models), (6, &vec![model.model_id.clone()]));
    assert!(tracker.log_model_params(&json!({"depth": 3}), None).is_err(), "none is active");
    assert_eq!(tracker.set_active_model_by_id("m-gone").unwrap_err().kind(), ErrorKind::NotFound);
    tracker.set_active_model_by_id(&model.model_id).unwrap();
    run.finish().unwrap();
}

#[test]
fn the_environment_names_the_active_model() {
    let tracker = tracker(&[("MLFLOW_ACTIVE_MODEL_ID", "m-1")]);
    assert_eq!(tracker.get_active_model_id().as_deref(), Some("m-1"));
}

#[test]
fn the_fluent_functions_mean_the_current_run_if_there_is_one() {
    let tracker = tracker(&[]);
    fluent::with_tracker(&tracker, || {
        let alone = fluent::create_external_model("alone").unwrap();
        assert_eq!(alone.source_run_id, None);
        let run = fluent::start_run(()).unwrap();
        let ours = fluent::log_model(ModelSpec::new("ours")).unwrap();
        assert_eq!(ours.source_run_id.as_deref(), Some(run.run_id()));
        assert_eq!(fluent::last_logged_model().unwrap().unwrap().model_id, ours.model_id);
        fluent::log_outputs([ModelOutput::new(&*alone.model_id, 2)]);
        fluent::log_inputs([], &[&*alone.model_id]);
        fluent::log_points([Metric::now("m", 1.0, None).for_model(&alone.model_id)]);
        let active = fluent::set_active_model("new").unwrap();
        assert_eq!(active.source_run_id.as_deref(), Some(run.run_id()));
        assert_eq!(fluent::get_active_model_id(), Some(active.model_id));
        fluent::clear_active_model().unwrap();
        let read = fluent::get_run(run.run_id()).unwrap();
        assert_eq!((read.outputs.len(), read.inputs.models.len()), (2, 1));
        run.finish().unwrap();
    });
}
