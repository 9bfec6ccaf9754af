//! MLflow reads what we wrote as its own, and we read what it wrote.

use std::path::{Path, PathBuf};

use runlog::store::Batch;
use runlog::{Metric, Param, RunOptions, RunQuery, RunStatus, Tag};
use runlog_core::{NewExperiment, NewLoggedModel, NewRun};
use serde_json::{Value, json};

use crate::support::{Place, text};

/// The run of this name.
fn named<'a>(runs: &'a Value, name: &str) -> &'a Value {
    runs.as_array()
        .unwrap()
        .iter()
        .find(|run| run["name"] == name)
        .unwrap_or_else(|| panic!("no {name}: {runs}"))
}

/// The example of the README, built beside the command.
fn quickstart() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_runlog")).with_file_name("examples").join("quickstart");
    assert!(
        built.exists(),
        "build it first: `cargo build --example quickstart`, as `cargo test --workspace` does"
    );
    built
}

#[test]
fn mlflow_reads_the_quickstarts_runs_as_its_own() {
    let place = Place::new();
    let output = place.command(quickstart()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let runs = place.mlflow(&["read"]);
    assert_eq!(runs.as_array().unwrap().len(), 6);
    for run in runs.as_array().unwrap() {
        assert_eq!(run["status"], "FINISHED", "{run}");
        assert!(!run["params"].as_object().unwrap().is_empty(), "{run}");
        assert!(run["history"].as_object().unwrap().keys().any(|key| key.starts_with("training_")), "{run}");
        assert_eq!(run["datasets"][0]["tags"]["mlflow.data.context"], "train");
        let [model] = &run["models"].as_array().unwrap()[..] else { panic!("one model: {run}") };
        assert_eq!((&model["status"], &model["source_run_id"]), (&json!("READY"), &run["run_id"]));
        assert_eq!((&model["flavors"], &model["params"]), (&json!(["runlog.linfa"]), &run["params"]));
        assert!(model["inputs"].is_array() && model["outputs"].is_array(), "it has a signature: {model}");
        assert!(model["files"].as_array().unwrap().contains(&json!("model.msgpack")), "{model}");
    }
    let svm = named(&runs, "good-wine-svm");
    for key in ["c", "nu", "kernel.method", "solver_params.eps", "solver_params.shrinking", "platt.maxiter"] {
        assert!(svm["params"][key].is_string(), "{key}: {svm}");
    }
    for key in ["accuracy_score", "precision_score", "recall_score", "f1_score", "score"] {
        assert_eq!(svm["history"][format!("training_{key}")].as_array().unwrap().len(), 1, "{key}");
    }
    assert!(svm["metrics"]["valid_accuracy"].is_number(), "what the user logged is beside it");
    assert!(svm["tags"]["mlflow.autologging"].is_null(), "it is the user's own run");
    for key in [
        "cpu_utilization_percentage",
        "system_memory_usage_megabytes",
        "system_memory_usage_percentage",
        "disk_usage_percentage",
        "disk_usage_megabytes",
        "disk_available_megabytes",
        "network_receive_megabytes",
        "network_transmit_megabytes",
    ] {
        let points = svm["history"][format!("system/{key}")].as_array();
        assert!(points.is_some_and(|points| !points.is_empty()), "{key}: {svm}");
    }
    assert_eq!(svm["artifacts"], json!(["training_confusion_matrix.json", "training_confusion_matrix.png"]));
    let managed = runs.as_array().unwrap().iter().filter(|run| run["tags"]["mlflow.autologging"] == "linfa");
    assert_eq!(managed.count(), 5);
}

#[test]
fn mlflow_reads_what_we_wrote_goes_on_with_it_and_so_do_we() {
    let place = Place::new();
    let tracker = place.tracker();
    tracker.set_experiment("ours").unwrap();
    let options = RunOptions::new().name("ours").tag("team", "vision").description("**what** it is");
    let run = tracker.start_run(options).unwrap();
    run.log_param("lr", 1e-5);
    run.log_params(&json!({"net": {"layers": [32, 16], "dropout": null, "bias": true}}));
    for step in 0..1500 {
        run.log_metric("loss", 1.0 / f64::from(step + 1), step);
    }
    run.log_metric("late", 1.0, 5);
    run.log_metric("late", 2.0, 3);
    run.log_metrics([("nan", f64::NAN), ("inf", f64::INFINITY), ("-inf", f64::NEG_INFINITY)], None);
    run.set_tag("stage", "é \"quoted\" 🦀");
    run.log_text("hello", "notes/hello.txt").unwrap();
    run.log_dict(&json!({"b": 1, "a": [1, 2]}), "conf.yaml").unwrap();
    let child = tracker.start_run(RunOptions::new().name("child").nested(true)).unwrap();
    child.fail("on purpose").unwrap();
    let run_id = run.run_id().to_owned();
    run.finish().unwrap();

    // MLflow migrates the database to its own schema here, while our tracker has it open.
    let runs = place.mlflow(&["read"]);
    let ours = named(&runs, "ours");
    assert_eq!((&ours["status"], &ours["user"]), (&json!("FINISHED"), &json!("ada")));
    assert_eq!(
        ours["params"],
        json!({"lr": "1e-05", "net.layers": "[32, 16]", "net.dropout": "None", "net.bias": "True"})
    );
    assert_eq!(ours["history"]["loss"].as_array().unwrap().len(), 1500);
    assert_eq!(ours["metrics"]["late"], 1.0, "the latest is the one with the greatest step");
    assert_eq!(ours["metrics"]["nan"], "nan");
    assert_eq!((&ours["metrics"]["inf"], &ours["metrics"]["-inf"]), (&json!(f64::MAX), &json!(f64::MIN)));
    let tag = |name: &str| ours["tags"][name].as_str();
    assert_eq!(tag("stage"), Some("é \"quoted\" 🦀"));
    assert_eq!(tag("mlflow.note.content"), Some("**what** it is"));
    assert_eq!((tag("mlflow.runName"), tag("mlflow.user")), (Some("ours"), Some("ada")));
    assert_eq!(tag("mlflow.source.type"), Some("LOCAL"));
    assert_eq!(ours["artifacts"], json!(["conf.yaml", "notes/hello.txt"]));
    let child = named(&runs, "child");
    assert_eq!((&child["status"], &child["tags"]["mlflow.parentRunId"]), (&json!("FAILED"), &json!(run_id)));

    // And it is still ours to write.
    place.mlflow(&["resume", &run_id]);
    let resumed = tracker.start_run(RunOptions::new().run_id(&run_id)).unwrap();
    resumed.log_metric("loss", 0.0, 1500).wait().unwrap();
    resumed.finish().unwrap();
    let read = tracker.get_run(&run_id).unwrap();
    assert_eq!((read.metric("from_python"), read.metric("batch")), (Some(2.5), Some(1.0)));
    assert_eq!((read.tag("seen_by"), read.param("lr_again")), (Some("MLflow"), Some("0.1")));
    let runs = place.mlflow(&["read"]);
    assert_eq!(named(&runs, "ours")["metrics"]["loss"], 0.0);
    assert_eq!(named(&runs, "ours")["status"], "FINISHED");
}

#[test]
fn we_read_what_mlflow_wrote_and_write_into_its_database() {
    let place = Place::new();
    let written = place.mlflow(&["write"]);
    let tracker = place.tracker();
    let run = tracker.get_run(written["run_id"].as_str().unwrap()).unwrap();
    assert_eq!((run.info.run_name.as_str(), run.info.status), ("from-python", RunStatus::Finished));
    assert_eq!(
        (run.param("lr"), run.param("layers"), run.param("none")),
        (Some("0.1"), Some("[1, 2]"), Some("None"))
    );
    assert_eq!(run.metric("loss"), Some(1.0 / 3.0));
    assert!(run.metric("nan").unwrap().is_nan());
    assert_eq!(tracker.metric_history(&run.info.run_id, "loss").unwrap().len(), 3);
    let input = &run.inputs.datasets[0];
    assert_eq!((input.dataset.name.as_str(), input.context()), ("six", Some("train")));
    assert_eq!(input.dataset.digest, written["digest"].as_str().unwrap());
    let model = tracker.get_logged_model(written["model_id"].as_str().unwrap()).unwrap();
    assert_eq!((model.name.as_str(), model.status), ("empty", runlog::ModelStatus::Ready));
    assert_eq!(tracker.list_artifacts(&run.info.run_id, "notes").unwrap()[0].path, "notes/hello.txt");

    tracker.set_experiment("written by MLflow").unwrap();
    let ours = tracker.start_run("into-theirs").unwrap();
    ours.log_metric("loss", 0.25, 1);
    ours.finish().unwrap();
    assert_eq!(tracker.search_runs(RunQuery::new().all_experiments()).unwrap().len(), 2);
    let runs = place.mlflow(&["read"]);
    assert_eq!(named(&runs, "into-theirs")["experiment_id"], named(&runs, "from-python")["experiment_id"]);
    assert_eq!(named(&runs, "into-theirs")["history"]["loss"], json!([[1, 0.25]]));
}

#[test]
fn mlflow_sees_what_we_renamed_tagged_deleted_and_restored() {
    let place = Place::new();
    let store = place.tracker().store().unwrap();
    let experiment = |name: &str| {
        let new = NewExperiment { name: name.to_owned(), creation_time: 1, ..NewExperiment::default() };
        store.create_experiment(&new).unwrap()
    };
    let run = |experiment_id: &str, name: &str| {
        let new = NewRun {
            experiment_id: experiment_id.to_owned(),
            run_name: name.to_owned(),
            ..NewRun::default()
        };
        store.create_run(&new).unwrap().info.run_id
    };
    let [kept, gone, back] = ["old name", "gone", "back"].map(experiment);
    store.rename_experiment(&kept, "new name", 2).unwrap();
    store.set_experiment_tag(&kept, &Tag::new("team", "vision")).unwrap();
    store.set_experiment_tag(&kept, &Tag::new("stage", "draft")).unwrap();
    store.delete_experiment_tag(&kept, "stage").unwrap();
    run(&gone, "in gone");
    run(&back, "in back");
    store.delete_experiment(&gone, 3).unwrap();
    store.delete_experiment(&back, 4).unwrap();
    store.restore_experiment(&back, 5).unwrap();

    let [logs, deleted] = ["logs", "deleted"].map(|name| run(&kept, name));
    let model = |name: &str| {
        let new = NewLoggedModel {
            experiment_id: kept.clone(),
            name: name.to_owned(),
            ..NewLoggedModel::default()
        };
        store.create_logged_model(&new).unwrap().model_id
    };
    let [used, withdrawn] = ["used", "withdrawn"].map(model);
    store.log_inputs(&logs, &[], std::slice::from_ref(&used)).unwrap();
    store.log_logged_model_params(&used, &[Param::new("depth", "3")]).unwrap();
    store.set_logged_model_tags(&used, &[Tag::new("a", "1"), Tag::new("b", "2")]).unwrap();
    store.delete_logged_model_tag(&used, "a").unwrap();
    let metrics = vec![Metric::new("acc", 0.5, 1, 1).for_model(&used).on_dataset("iris", "0a1b")];
    store.log_batch(&logs, &Batch { metrics, ..Batch::default() }).unwrap();
    store.delete_logged_model(&withdrawn, 6).unwrap();
    store.delete_run(&deleted, 7).unwrap();

    let seen = place.mlflow(&["lifecycle"]);
    let experiments = &seen["experiments"];
    assert_eq!(experiments["new name"], json!(["active", 2, {"team": "vision"}]));
    assert_eq!(experiments["gone"], json!(["deleted", 3, {}]));
    assert_eq!(experiments["back"], json!(["active", 5, {}]));
    assert!(experiments["old name"].is_null());
    let runs = json!({
        "in gone": ["deleted", []],
        "in back": ["active", []],
        "logs": ["active", [used]],
        "deleted": ["deleted", []],
    });
    assert_eq!(seen["runs"], runs);
    let models = json!({
        "used": {
            "params": {"depth": "3"},
            "tags": {"b": "2"},
            "metrics": [["acc", 0.5, logs, "iris", "0a1b"]],
        },
    });
    assert_eq!(seen["models"], models);
}
