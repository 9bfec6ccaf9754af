//! The file store beside real MLflow, and beside itself in other processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use runlog::store::{Batch, PageRequest};
use runlog::{
    Dataset, DatasetInput, ErrorKind, LifecycleStage, Metric, ModelOutput, ModelQuery, ModelStatus, Param,
    RunOptions, RunQuery, RunStatus, Tag, Tracker,
};
use runlog_core::{NewExperiment, NewLoggedModel, NewRun};
use serde_json::json;

use crate::support::{Place, text};

const LOOK: &[&str] = &["look", "./mlruns"];

/// What `ours` leaves in a store.
struct Ours {
    place: Place,
    tracker: Tracker,
    to_rename: String,
    to_delete: String,
    to_restore: String,
    run_id: String,
    kept: String,
    gone: String,
    model_id: String,
}

/// A store with something of everything.
fn ours() -> Ours {
    let place = Place::of_files();
    let tracker = place.tracker();
    let store = tracker.store().unwrap();
    let [to_rename, to_delete, to_restore] = ["Größe: 'x' #1", "to delete", "to restore"].map(|name| {
        let new = NewExperiment { name: name.to_owned(), creation_time: 5, ..NewExperiment::default() };
        store.create_experiment(&new).unwrap()
    });
    store.set_experiment_tag(&to_rename, &Tag::new("team/name", "vision\n")).unwrap();
    store.delete_experiment(&to_restore, 6).unwrap();

    tracker.set_experiment("Größe: 'x' #1").unwrap();
    let run = tracker.start_run(RunOptions::new().name("no: 1").tag("on", "off")).unwrap();
    run.log_params(&json!({"lr": 1e-5, "net": {"layers": [32, 16]}, "text": "a\nb\r\n", "none": null}));
    run.log_param("valid/size", 3);
    for step in 0..2500 {
        run.log_metric("loss", 1.0 / f64::from(step + 1), step);
    }
    let odd = [("nan", f64::NAN), ("inf", f64::INFINITY), ("-inf", f64::NEG_INFINITY), ("valid/f1", 1e16)];
    run.log_metrics(odd, None);
    run.log_text("hello", "notes/hello.txt").unwrap();
    let run_id = run.run_id().to_owned();
    run.finish().unwrap();
    let [kept, gone] = ["kept", "gone"].map(|name| {
        let run = tracker.start_run(name).unwrap();
        let run_id = run.run_id().to_owned();
        run.fail("on purpose").unwrap();
        run_id
    });
    store.delete_run(&gone, 6).unwrap();

    let mut dataset = Dataset::new("red wine: ü", "0a1b2c3d");
    dataset.schema = Some("{\"a\": \"'b'\"}\n".repeat(40));
    store.log_inputs(&run_id, &[DatasetInput::new(dataset, "train")], &["m-used".to_owned()]).unwrap();
    let new = NewLoggedModel {
        experiment_id: to_rename.clone(),
        name: "forest".to_owned(),
        source_run_id: Some(run_id.clone()),
        creation_timestamp: 5,
        params: vec![Param::new("trees", "100")],
        tags: vec![Tag::new("k", "v")],
        ..NewLoggedModel::default()
    };
    let model_id = store.create_logged_model(&new).unwrap().model_id;
    store.log_outputs(&run_id, &[ModelOutput::new(&model_id, 4)]).unwrap();
    let metrics = vec![
        Metric::new("f1", 0.25, 8, 4).for_model(&model_id).on_dataset("red wine: ü", "0a1b2c3d"),
        Metric::new("accuracy", f64::NAN, 8, 4).for_model(&model_id),
    ];
    store.log_batch(&run_id, &Batch { metrics, ..Batch::default() }).unwrap();
    store.finalize_logged_model(&model_id, ModelStatus::Ready, 6).unwrap();
    Ours { place, tracker, to_rename, to_delete, to_restore, run_id, kept, gone, model_id }
}

#[test]
fn mlflow_reads_a_file_store_as_its_own() {
    let Ours { place, to_rename, run_id, model_id, .. } = ours();
    let seen = place.ask("files.py", LOOK);
    let ours = &seen["Größe: 'x' #1"];
    assert_eq!(
        (&ours["experiment_id"], &ours["tags"]),
        (&json!(to_rename), &json!({"team/name": "vision\n"}))
    );
    assert_eq!(ours["location"], json!(place.path().join("mlruns").join(&to_rename)));
    assert_eq!(seen["to restore"]["stage"], "deleted");
    let first = &ours["runs"]["no: 1"];
    assert_eq!(
        (&first["status"], &first["user"], &first["stage"]),
        (&json!("FINISHED"), &json!("ada"), &json!("active"))
    );
    assert_eq!(
        first["params"],
        json!({"lr": "1e-05", "net.layers": "[32, 16]", "text": "a\nb\r\n", "none": "None", "valid/size": "3"})
    );
    assert_eq!((&first["tags"]["on"], &first["tags"]["mlflow.runName"]), (&json!("off"), &json!("no: 1")));
    let loss = first["history"]["loss"].as_array().unwrap();
    assert!(loss.iter().map(|point| point[2].as_i64().unwrap()).eq(0..2500), "each once, in order");
    assert_eq!(loss[2][1], json!(1.0 / 3.0));
    let metrics = &first["metrics"];
    assert_eq!(
        (&metrics["nan"], &metrics["inf"], &metrics["-inf"]),
        (&json!("nan"), &json!("inf"), &json!("-inf"))
    );
    assert_eq!((&metrics["valid/f1"], &metrics["f1"]), (&json!(1e16), &json!(0.25)));
    assert_eq!(
        first["history"]["f1"],
        json!([[8, 0.25, 4]]),
        "MLflow loses the step where a line names a dataset"
    );
    assert_eq!(first["datasets"], json!([["red wine: ü", {"mlflow.data.context": "train"}]]));
    assert_eq!((&first["used"], &first["made"]), (&json!(["m-used"]), &json!([[model_id, 4]])));
    assert_eq!(first["files"], json!(["notes"]));
    assert_eq!(
        (&ours["runs"]["gone"]["stage"], &ours["runs"]["kept"]["status"]),
        (&json!("deleted"), &json!("FAILED"))
    );
    assert_eq!(
        ours["models"]["forest"],
        json!({
            "name": "forest", "status": "READY", "type": null, "run": run_id, "params": {"trees": "100"},
            "tags": {"k": "v"},
            "metrics": [["accuracy", "nan", 4, null, run_id], ["f1", 0.25, 4, "red\u{a0}wine:\u{a0}ü", run_id]],
        })
    );
    for column in ["metrics.valid/f1", "params.net.layers", "tags.mlflow.user"] {
        assert!(seen["columns"].as_array().unwrap().contains(&json!(column)), "{column}: {seen}");
    }
}

#[test]
fn mlflow_goes_on_with_what_we_began_and_so_do_we() {
    let Ours { place, tracker, to_rename, to_delete, to_restore, run_id, kept, gone, model_id } = ours();
    let arguments =
        [&to_rename, &to_delete, &to_restore, &run_id, &kept, &gone, &model_id].map(String::as_str);
    let answer = place.ask("files.py", &[&["change", "./mlruns"], &arguments[..]].concat());
    let id = |name: &str| answer[name].as_str().unwrap().to_owned();

    let store = tracker.store().unwrap();
    let experiment = |id: &str| store.get_experiment(id).unwrap();
    let renamed = experiment(&to_rename);
    assert_eq!(renamed.name, "renamed by MLflow");
    assert_eq!(renamed.tags, [Tag::new("by", "MLflow"), Tag::new("team/name", "vision\n")]);
    assert_eq!((renamed.creation_time, renamed.last_update_time > 5), (5, true));
    assert_eq!(experiment(&to_delete).lifecycle_stage, LifecycleStage::Deleted);
    assert_eq!(experiment(&to_restore).lifecycle_stage, LifecycleStage::Active);
    let theirs = store.get_experiment_by_name("new: Größe #1").unwrap().unwrap();
    assert_eq!((&theirs.experiment_id, &theirs.tags), (&id("new"), &vec![Tag::new("a/b", "c")]));
    assert_eq!(theirs.artifact_location, place.path().join("elsewhere").to_str().unwrap());
    let stages = [&kept, &gone].map(|run_id| store.get_run(run_id).unwrap().info.lifecycle_stage);
    assert_eq!(stages, [LifecycleStage::Deleted, LifecycleStage::Active]);
    let forest = store.get_logged_model(&model_id).unwrap();
    assert_eq!((forest.status, forest.tags[0].key.as_str()), (ModelStatus::Failed, "by"));
    assert_eq!(forest.metrics.len(), 3);
    assert_eq!(forest.metrics[1].dataset_name.as_deref(), Some("red wine: ü"));
    assert_eq!(store.get_logged_model(&id("gone")).unwrap_err().kind(), ErrorKind::NotFound);
    let mut query = ModelQuery::new();
    query.experiment_ids.push(to_rename);
    let found = store.search_logged_models(&query, &PageRequest::first(10)).unwrap().items;
    assert_eq!(found.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(), ["made", "forest"]);

    tracker.set_experiment("renamed by MLflow").unwrap();
    let resumed = tracker.start_run(RunOptions::new().run_id(&run_id)).unwrap();
    resumed.metric("loss").log_at(7.5, 7, 7);
    resumed.log_metric("loss", 0.0, 2500).wait().unwrap();
    resumed.set_tag("stage", "ours again");
    resumed.finish().unwrap();
    let read = tracker.get_run(&run_id).unwrap();
    assert_eq!(
        (read.info.status, read.tag("stage"), read.param("more")),
        (RunStatus::Finished, Some("ours again"), Some("1e3"))
    );
    let metrics = ["by/MLflow", "loss", "f1"].map(|key| read.metric(key));
    assert_eq!(metrics, [Some(f64::INFINITY), Some(0.0), Some(0.75)]);
    assert_eq!(read.outputs, [ModelOutput::new(id("made"), 3), ModelOutput::new(model_id, 4)]);

    // And MLflow sees what we undo.
    store.delete_experiment(&to_restore, 9).unwrap();
    store.restore_experiment(&to_delete, 9).unwrap();
    let seen = place.ask("files.py", LOOK);
    assert_eq!(
        (&seen["to restore"]["stage"], &seen["to delete"]["stage"]),
        (&json!("deleted"), &json!("active"))
    );
    let last = seen["renamed by MLflow"]["runs"]["no: 1"].clone();
    assert_eq!(
        last["history"]["loss"].as_array().unwrap().len(),
        2502,
        "the point that MLflow had logged stays one"
    );
    assert_eq!((&last["metrics"]["loss"], &last["tags"]["stage"]), (&json!(0.0), &json!("ours again")));
}

#[test]
fn we_read_what_mlflow_wrote_and_it_is_the_default_where_it_lies() {
    let place = Place::of_files();
    let written = place.mlflow(&["write"]);
    let config = place.config(&[]);
    let tracker = Tracker::with_config(None, config).unwrap();
    assert_eq!(tracker.tracking_uri(), format!("file://{}/mlruns", place.path().display()));
    let run = tracker.get_run(written["run_id"].as_str().unwrap()).unwrap();
    assert_eq!((run.info.run_name.as_str(), run.info.status), ("from-python", RunStatus::Finished));
    assert_eq!(
        (run.param("lr"), run.param("layers"), run.param("none")),
        (Some("0.1"), Some("[1, 2]"), Some("None"))
    );
    assert_eq!((run.metric("loss"), run.metric("inf")), (Some(1.0 / 3.0), Some(f64::INFINITY)));
    assert!(run.metric("nan").unwrap().is_nan());
    let input = &run.inputs.datasets[0];
    assert_eq!((input.dataset.name.as_str(), input.context()), ("six", Some("train")));
    assert_eq!(input.dataset.digest, written["digest"].as_str().unwrap());
    let model = tracker.get_logged_model(written["model_id"].as_str().unwrap()).unwrap();
    assert_eq!((model.name.as_str(), model.status), ("empty", ModelStatus::Ready));
    assert_eq!(tracker.list_artifacts(&run.info.run_id, "notes").unwrap()[0].path, "notes/hello.txt");
    let found = tracker.search_runs(RunQuery::new().all_experiments().filter("params.lr = '0.1'")).unwrap();
    assert_eq!(found.len(), 1);

    let list = place.command(env!("CARGO_BIN_EXE_runlog")).arg("list").output().unwrap();
    assert!(text(&list.stdout).contains("from-python"), "{}", text(&list.stderr));
}

/// YAML has many ways to write a text, and Python and we read different versions of it.
#[test]
fn every_name_comes_to_mlflow_and_back() {
    let place = Place::of_files();
    let tracker = place.tracker();
    let long = "ü x ".repeat(200);
    let names = [
        "~",
        "null",
        "yes",
        "1e3",
        "0o14",
        "12:30",
        "2020-01-01",
        "=",
        "<<",
        " lead",
        "trail ",
        "'",
        "\"",
        "a'b\"c\\",
        "# x",
        "a #b",
        "a: b",
        "-",
        "- a",
        "? a",
        "!x",
        "&a",
        "*a",
        "%x",
        "@x",
        "`x",
        "|",
        ">",
        "[",
        "{a: b}",
        "a\nb",
        "a\r\nb\n",
        "\t",
        "\u{0}",
        "\u{7f}",
        "\u{85}x",
        "\u{a0}",
        "\u{feff}",
        "\u{d7ff}\u{e000}",
        "\u{fffd}",
        "🦀 \u{10ffff}",
        &long,
    ];
    let mut ours = BTreeMap::new();
    for name in names {
        let new = NewRun {
            experiment_id: "0".to_owned(),
            run_name: name.to_owned(),
            user_id: "ada".to_owned(),
            ..NewRun::default()
        };
        ours.insert(tracker.store().unwrap().create_run(&new).unwrap().info.run_id, name.to_owned());
    }
    let theirs: BTreeMap<String, String> =
        serde_json::from_value(place.ask("files.py", &["names", "./mlruns"])).unwrap();
    assert_eq!(theirs, ours);
    for (run_id, name) in ours {
        assert_eq!(tracker.get_run(&run_id).unwrap().info.run_name, name.repeat(2));
    }
}

#[test]
fn looking_makes_no_store() {
    let place = Place::of_files();
    fs::create_dir(place.path().join("mlruns")).unwrap();
    for uri in ["./mlruns", "file:absent", "./absent"] {
        let list = place
            .command(env!("CARGO_BIN_EXE_runlog"))
            .args(["list", "--tracking-uri", uri])
            .output()
            .unwrap();
        assert!(
            !list.status.success() && text(&list.stderr).contains("no such store"),
            "{}",
            text(&list.stderr)
        );
    }
    assert_eq!(place.path().join("mlruns").read_dir().unwrap().count(), 0);
    assert!(!place.path().join("absent").exists());
}

/// A run in a new file store, which the scenario `append` writes to.
fn run_to_append_to(place: &Place) -> String {
    let tracker = place.tracker();
    let run = tracker.start_run("appended-to").unwrap();
    let run_id = run.run_id().to_owned();
    run.finish().unwrap();
    run_id
}

fn start(place: &Place, run_id: &str, numbers: [i64; 3]) -> Child {
    let mut scenario = place.scenario(&["append", run_id]);
    scenario.args(numbers.map(|number| number.to_string()));
    scenario.stdout(Stdio::piped()).spawn().unwrap()
}

/// The steps in the files of the run, as MLflow reads them: a line is a point.
fn steps(place: &Place, run_id: &str) -> Vec<i64> {
    let mut steps: Vec<i64> = ["a/even", "odd"]
        .into_iter()
        .flat_map(|key| {
            let file = place.path().join(format!("mlruns/0/{run_id}/metrics/{key}"));
            let lines = fs::read_to_string(file).unwrap();
            assert!(lines.ends_with('\n'), "the last line is whole");
            let step = |line: &str| {
                let [time, "0.3333333333333333", step] = line.split(' ').collect::<Vec<_>>()[..] else {
                    panic!("{line}")
                };
                assert_eq!(time, step);
                step.parse().unwrap()
            };
            lines.lines().map(step).collect::<Vec<i64>>()
        })
        .collect();
    steps.sort_unstable();
    steps
}

/// Batches of one writer.
const BATCHES: i64 = 50;

#[test]
fn processes_that_append_to_one_run_lose_and_double_nothing() {
    let place = Place::of_files();
    let run_id = run_to_append_to(&place);
    // Two share the odd batches: each point comes from both.
    let writers =
        [[0, 2, BATCHES], [1, 2, BATCHES], [1, 2, BATCHES]].map(|numbers| start(&place, &run_id, numbers));
    for writer in writers {
        assert!(writer.wait_with_output().unwrap().status.success());
    }
    assert!(steps(&place, &run_id).into_iter().eq(0..2 * BATCHES * 200));
}

#[test]
fn a_writer_that_is_killed_leaves_nothing_torn_or_doubled() {
    let place = Place::of_files();
    let run_id = run_to_append_to(&place);
    let mut first = 0;
    for _ in 0..20 {
        let mut writer = start(&place, &run_id, [first, 1, i64::MAX]);
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        for _ in 0..5 {
            first = lines.next().unwrap().unwrap().parse().unwrap();
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        // The next one sends what may not have arrived, from the last that was acknowledged on.
        first = lines.map_while(Result::ok).filter_map(|line| line.parse().ok()).last().unwrap_or(first);
    }
    assert!(start(&place, &run_id, [first, 1, 3]).wait().unwrap().success());
    let steps = steps(&place, &run_id);
    assert_eq!(steps.iter().collect::<BTreeSet<_>>().len(), steps.len(), "each once");
    assert!(
        steps.into_iter().take_while(|step| *step < (first + 3) * 200).eq(0..(first + 3) * 200),
        "none is lost"
    );
    let runs = place.ask("files.py", LOOK);
    assert!(
        runs["Default"]["runs"]["appended-to"]["history"]["odd"]
            .as_array()
            .is_some_and(|points| points.len() > 1000)
    );
}
