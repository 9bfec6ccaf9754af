//! Trees as others leave them, and as this leaves them.

use super::*;
use crate::entity::{LifecycleStage, RunStatus};

/// Everything below `dir`, files with their content where it is short.
fn tree(dir: &Path) -> String {
    let mut lines = Vec::new();
    list(dir, dir, &mut lines);
    lines.sort();
    lines.join("\n")
}

fn list(root: &Path, dir: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        if path.is_dir() {
            lines.push(format!("{name}/"));
            list(root, &path, lines);
        } else {
            lines.push(format!("{name} {:?}", read(&path)));
        }
    }
}

#[test]
fn files_are_as_mlflow_writes_them() {
    let place = Place::new();
    let new = NewExperiment {
        name: "on: é".to_owned(),
        creation_time: 5,
        tags: vec![Tag::new("a/b", "c")],
        ..NewExperiment::default()
    };
    let experiment_id = place.store.create_experiment(&new).unwrap();
    assert!(
        experiment_id.len() <= 18 && experiment_id.bytes().all(|byte| byte.is_ascii_digit()),
        "{experiment_id}"
    );
    let dir = place.root.join(&experiment_id);
    assert_eq!(
        read(dir.join("meta.yaml")),
        format!(
            "artifact_location: /somewhere/{experiment_id}\ncreation_time: 5\neffective_trace_archival_retention: null\n\
             experiment_id: '{experiment_id}'\nlast_update_time: 5\nlifecycle_stage: active\nname: 'on: é'\n\
             trace_location: null\nworkspace: default\n"
        )
    );
    let run = NewRun {
        experiment_id: experiment_id.clone(),
        run_name: "r".to_owned(),
        user_id: "007".to_owned(),
        start_time: 6,
        ..NewRun::default()
    };
    let run_id = place.store.create_run(&run).unwrap().info.run_id;
    let batch = Batch {
        metrics: vec![Metric::new("valid/loss", 1e-5, 7, 2), Metric::new("valid/loss", 3.0, 8, 3)],
        params: vec![Param::new("lr", "0.1\n")],
        tags: Vec::new(),
    };
    place.store.log_batch(&run_id, &batch).unwrap();
    let change = RunChange { status: Some(RunStatus::Killed), end_time: Some(9), run_name: None };
    place.store.update_run(&run_id, &change).unwrap();
    let run = dir.join(&run_id);
    let meta = |more: &str| {
        format!(
            "artifact_uri: /somewhere/{experiment_id}/{run_id}/artifacts\n{more}end_time: 9\nentry_point_name: ''\n\
             experiment_id: '{experiment_id}'\nlifecycle_stage: {}\nrun_id: {}\nrun_name: r\nsource_name: ''\n\
             source_type: 4\nsource_version: ''\nstart_time: 6\nstatus: 5\ntags: []\nuser_id: '007'\n",
            if more.is_empty() { "active" } else { "deleted" },
            if run_id.starts_with(|c: char| c.is_ascii_alphabetic()) {
                run_id.clone()
            } else {
                format!("'{run_id}'")
            },
        )
    };
    assert_eq!(read(run.join("meta.yaml")), meta(""));
    place.store.delete_run(&run_id, 10).unwrap();
    assert_eq!(read(run.join("meta.yaml")), meta("deleted_time: 10\n"));
    fs::remove_file(run.join("meta.yaml")).unwrap();
    assert_eq!(
        tree(&run),
        ".runlog.lock \"\"\nartifacts/\nmetrics/\nmetrics/valid/\nmetrics/valid/loss \"7 1e-05 2\\n8 3.0 3\\n\"\nparams/\n\
         params/lr \"0.1\\n\"\ntags/\ntags/mlflow.runName \"r\""
    );
    assert_eq!(tree(&place.root.join(".trash")), "");
}

/// A run of MLflow 1, in an experiment whose id was a number.
#[test]
fn a_tree_of_an_old_version_is_read_and_written() {
    let place = Place::new();
    let run_id = "0123456789abcdef0123456789abcdef";
    let dir = place.root.join("7").join(run_id);
    fs::create_dir_all(dir.join("metrics")).unwrap();
    fs::create_dir_all(dir.join("tags")).unwrap();
    fs::write(
        place.root.join("7/meta.yaml"),
        "artifact_location: file:///old/7\nexperiment_id: 7\nlifecycle_stage: active\nname: 1e3\nunknown: {a: [1]}\n",
    )
    .unwrap();
    fs::write(
        dir.join("meta.yaml"),
        format!(
            "artifact_uri: file:///old/7/{run_id}/artifacts\nend_time: null\nentry_point_name: main\nexperiment_id: 7\n\
             name: ''\nrun_uuid: '{run_id}'\nsource_name: train.py\nsource_type: 3\nsource_version: abc\nstart_time: 5\n\
             status: 3\ntags: []\nuser_id: 'it''s\n\n  me'\nunknown: kept\n"
        ),
    )
    .unwrap();
    fs::write(dir.join("metrics/loss"), "1 0.5\n2 0.25").unwrap();
    fs::write(dir.join("metrics/empty"), "").unwrap();
    fs::write(dir.join("tags/mlflow.runName"), "old one").unwrap();

    let experiment = place.store.get_experiment("7").unwrap();
    assert_eq!((experiment.name.as_str(), experiment.creation_time), ("1e3", 0));
    let run = place.store.get_run(run_id).unwrap();
    assert_eq!((run.info.run_name.as_str(), run.info.status), ("old one", RunStatus::Finished));
    assert_eq!((run.info.user_id.as_str(), run.info.lifecycle_stage), ("it's\nme", LifecycleStage::Active));
    assert_eq!(run.data.metrics, [Metric::new("loss", 0.25, 2, 0)]);

    place.log(run_id, &[Metric::new("loss", 0.125, 3, 1)]).unwrap();
    assert_eq!(read(dir.join("metrics/loss")), "1 0.5\n2 0.25\n3 0.125 1\n");
    place.store.delete_run(run_id, 9).unwrap();
    place.store.restore_run(run_id).unwrap();
    place.store.rename_experiment("7", "0x10", 9).unwrap();
    let meta = read(dir.join("meta.yaml"));
    for kept in
        ["source_name: train.py", "source_type: 3", "unknown: kept", "status: 3", "experiment_id: '7'"]
    {
        assert!(meta.contains(kept), "{kept}: {meta}");
    }
    for id in ["run_id", "run_uuid"] {
        assert!(meta.contains(&format!("{id}: '{run_id}'")), "{meta}");
    }
    let meta = read(place.root.join("7/meta.yaml"));
    assert!(meta.contains("name: '0x10'") && meta.contains("unknown:\n  a:\n"), "{meta}");
    assert!(dir.join("artifacts").is_dir() && dir.join("params").is_dir(), "which MLflow knows a run by");
}

#[test]
fn a_new_root_gets_the_default_experiment_and_one_in_use_does_not() {
    let dir = tempfile::tempdir().unwrap();
    for prepared in [&[][..], &["empty"], &["hidden/.DS_Store"]] {
        let name = prepared.first().map_or("absent", |path| path.split('/').next().unwrap());
        let root = dir.path().join(name);
        for path in prepared {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        assert_eq!(open(&root).get_experiment("0").unwrap().name, "Default");
        assert!(root.join(".trash").is_dir());
    }
    // The artifacts of a database.
    let artifacts = dir.path().join("artifacts");
    fs::create_dir_all(artifacts.join("0/0123456789abcdef0123456789abcdef/artifacts")).unwrap();
    let store = open(&artifacts);
    assert_eq!(store.get_experiment("0").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.search_experiments(&ExperimentQuery::new(), &PageRequest::first(10)).unwrap().items, []);
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(FileStore::open(&file, "/x").unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn what_is_half_made_or_broken_hides_nothing_else() {
    let place = Place::new();
    let (run_id, dir) = place.run();
    let experiment = place.root.join("0");
    fs::create_dir_all(experiment.join("0123456789abcdef0123456789abcdef/metrics")).unwrap();
    fs::create_dir_all(experiment.join("models/m-half")).unwrap();
    for (name, meta) in [("copy", read(dir.join("meta.yaml"))), ("broken", "status: [".to_owned())] {
        fs::create_dir_all(experiment.join(name)).unwrap();
        fs::write(experiment.join(name).join("meta.yaml"), meta).unwrap();
    }
    fs::create_dir(place.root.join("1")).unwrap();
    fs::write(place.root.join("1/meta.yaml"), "name: [").unwrap();
    let query = RunQuery::new().experiment_id("0");
    let found = place.store.search_runs(&query, &PageRequest::first(10)).unwrap().items;
    assert_eq!(found.iter().map(|run| run.info.run_id.as_str()).collect::<Vec<_>>(), [run_id.as_str()]);
    let found = place.store.search_experiments(&ExperimentQuery::new(), &PageRequest::first(10)).unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(place.store.get_run("copy").unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(place.store.get_run("broken").unwrap_err().kind(), ErrorKind::Corrupt);
    for id in ["0123456789abcdef0123456789abcdef", "models", "..", "0/../0", ""] {
        assert_eq!(place.store.get_run(id).unwrap_err().kind(), ErrorKind::NotFound, "{id}");
        assert_eq!(place.store.get_logged_model(id).unwrap_err().kind(), ErrorKind::NotFound, "{id}");
    }
    assert_eq!(place.store.get_logged_model("m-half").unwrap_err().kind(), ErrorKind::NotFound);
    for id in ["models", ".trash", "..", ""] {
        assert_eq!(place.store.get_experiment(id).unwrap_err().kind(), ErrorKind::NotFound, "{id}");
    }
}

#[test]
fn a_deletion_that_was_cut_short_goes_on() {
    let place = Place::new();
    let id = place
        .store
        .create_experiment(&NewExperiment { name: "x".to_owned(), ..NewExperiment::default() })
        .unwrap();
    place.store.delete_experiment(&id, 5).unwrap();
    let (active, deleted) = (place.root.join(&id), place.root.join(".trash").join(&id));
    assert!(!active.exists() && deleted.is_dir());
    // Marked, and not moved yet.
    fs::rename(&deleted, &active).unwrap();
    assert_eq!(place.store.get_experiment(&id).unwrap().lifecycle_stage, LifecycleStage::Deleted);
    place.store.delete_experiment(&id, 6).unwrap();
    assert!(deleted.is_dir());
    // Moved back, and not marked yet.
    fs::rename(&deleted, &active).unwrap();
    place.store.restore_experiment(&id, 7).unwrap();
    assert_eq!(place.store.get_experiment(&id).unwrap().lifecycle_stage, LifecycleStage::Active);
    assert_eq!(place.store.delete_experiment("0", 8).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_run_is_found_where_its_experiment_was_moved() {
    let place = Place::new();
    let id = place
        .store
        .create_experiment(&NewExperiment { name: "x".to_owned(), ..NewExperiment::default() })
        .unwrap();
    let new = NewRun { experiment_id: id.clone(), run_name: "r".to_owned(), ..NewRun::default() };
    let run_id = place.store.create_run(&new).unwrap().info.run_id;
    place.log(&run_id, &[Metric::new("loss", 0.5, 1, 1)]).unwrap();
    let other = open(&place.root);
    for _ in 0..2 {
        other.delete_experiment(&id, 5).unwrap();
        place.store.sync().unwrap();
        assert_eq!(place.store.get_run(&run_id).unwrap().info.lifecycle_stage, LifecycleStage::Deleted);
        assert_eq!(place.log(&run_id, &[]).unwrap_err().kind(), ErrorKind::InvalidInput);
        other.restore_experiment(&id, 6).unwrap();
        place.log(&run_id, &[Metric::new("loss", 0.5, 1, 1), Metric::new("loss", 0.5, 2, 2)]).unwrap();
    }
    assert_eq!(place.store.metric_history(&run_id, "loss").unwrap().len(), 2);
    other.sync().unwrap();
}
