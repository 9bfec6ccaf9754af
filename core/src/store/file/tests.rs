//! The file store: the contract, and what is its own.

mod points;
mod trees;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::store::conformance;

/// A store in a directory that goes away with it.
struct Place {
    store: FileStore,
    root: PathBuf,
    _dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("mlruns");
        Self { store: open(&root), root, _dir: dir }
    }

    /// The id and the directory of a new run in the default experiment.
    fn run(&self) -> (String, PathBuf) {
        let new = NewRun { experiment_id: "0".to_owned(), run_name: "r".to_owned(), ..NewRun::default() };
        let run_id = self.store.create_run(&new).unwrap().info.run_id;
        let dir = self.root.join("0").join(&run_id);
        (run_id, dir)
    }

    fn log(&self, run_id: &str, metrics: &[Metric]) -> Result<()> {
        log(&self.store, run_id, metrics)
    }
}

fn open(root: &Path) -> FileStore {
    FileStore::open(root, "/somewhere").unwrap()
}

fn log(store: &FileStore, run_id: &str, metrics: &[Metric]) -> Result<()> {
    store.log_batch(run_id, &Batch { metrics: metrics.to_vec(), ..Batch::default() })
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn it_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    conformance::check(&|| Arc::new(open(&dir.path().join("mlruns"))));
}

#[test]
fn a_store_that_is_closed_takes_nothing_more() {
    let place = Place::new();
    let (run_id, _) = place.run();
    place.store.sync().unwrap();
    place.store.close().unwrap();
    place.store.close().unwrap();
    assert!(place.log(&run_id, &[Metric::new("loss", 0.5, 1, 1)]).is_err());
}

#[test]
fn a_root_that_is_gone_is_waited_for() {
    let place = Place::new();
    let (run_id, _) = place.run();
    let (point, aside) = (Metric::new("loss", 0.5, 1, 1), place.root.with_extension("aside"));
    fs::rename(&place.root, &aside).unwrap();
    let errors = [
        place.log(&run_id, std::slice::from_ref(&point)).unwrap_err(),
        place.store.create_experiment(&NewExperiment::default()).unwrap_err(),
        place.store.create_run(&NewRun { experiment_id: "0".to_owned(), ..NewRun::default() }).unwrap_err(),
        place.store.get_logged_model("m-1").unwrap_err(),
    ];
    for error in errors {
        assert!(error.is_temporary(), "{error}");
    }
    fs::rename(&aside, &place.root).unwrap();
    place.log(&run_id, &[point]).unwrap();
}

#[test]
fn a_run_that_another_process_deletes_takes_nothing_until_it_is_restored() {
    let place = Place::new();
    let (run_id, dir) = place.run();
    let other = open(&place.root);
    for step in 0..3 {
        let points = [Metric::new("loss", 0.5, step, step)];
        place.log(&run_id, &points).unwrap();
        other.delete_run(&run_id, 1).unwrap();
        let refused = place.log(&run_id, &[Metric::new("loss", 0.5, 9, 9)]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
        other.restore_run(&run_id).unwrap();
    }
    assert_eq!(read(dir.join("metrics/loss")), "0 0.5 0\n1 0.5 1\n2 0.5 2\n");
}

#[test]
fn a_key_that_stands_in_anothers_way_is_refused_with_both_and_stores_nothing() {
    let place = Place::new();
    let (run_id, _) = place.run();
    place.log(&run_id, &[Metric::new("loss", 0.5, 1, 1)]).unwrap();
    let batch = Batch {
        metrics: vec![Metric::new("loss/valid", 0.5, 1, 1), Metric::new("other", 0.5, 1, 1)],
        params: vec![Param::new("p", "1")],
        tags: Vec::new(),
    };
    let refused = place.store.log_batch(&run_id, &batch).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert!(
        refused.to_string().contains("`loss/valid`") && refused.to_string().contains("`loss`"),
        "{refused}"
    );
    let run = place.store.get_run(&run_id).unwrap();
    assert_eq!((run.data.metrics.len(), run.data.params.len()), (1, 0));
    assert_eq!(place.store.metric_history(&run_id, "loss/valid").unwrap(), []);
    assert_eq!(place.store.metric_history(&run_id, "../meta.yaml").unwrap(), []);

    // A tag that is deleted makes room.
    let tag = |key: &str| Batch { tags: vec![Tag::new(key, "v")], ..Batch::default() };
    place.store.log_batch(&run_id, &tag("a/b/c")).unwrap();
    assert_eq!(place.store.delete_tag(&run_id, "a/b").unwrap_err().kind(), ErrorKind::NotFound);
    place.store.delete_tag(&run_id, "a/b/c").unwrap();
    place.store.log_batch(&run_id, &tag("a/b")).unwrap();
    assert_eq!(place.store.get_run(&run_id).unwrap().tag("a/b"), Some("v"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_temporary_and_keeps_nothing_of_the_batch() {
    let place = Place::new();
    let (run_id, dir) = place.run();
    let before = Batch {
        metrics: vec![Metric::new("a", 0.5, 1, 1)],
        params: Vec::new(),
        tags: vec![Tag::new("stage", "before")],
    };
    place.store.log_batch(&run_id, &before).unwrap();
    let run = place.store.get_run(&run_id).unwrap();
    // The last file in the order of writing lies on a full disk.
    std::os::unix::fs::symlink("/dev/full", dir.join("metrics/z")).unwrap();
    let batch = Batch {
        metrics: ["a", "new", "z"].map(|key| Metric::new(key, 0.5, 2, 2)).to_vec(),
        params: vec![Param::new("new/param", "1")],
        tags: vec![Tag::new("stage", "after"), Tag::new(crate::store::RUN_NAME_TAG, "other")],
    };
    let refused = place.store.log_batch(&run_id, &batch).unwrap_err();
    assert!(refused.is_temporary(), "{refused}");
    fs::remove_file(dir.join("metrics/z")).unwrap();
    assert_eq!(place.store.get_run(&run_id).unwrap(), run);
    assert!(!dir.join("metrics/new").exists() && !dir.join("params/new").exists());
    assert_eq!(read(dir.join("metrics/a")), "1 0.5 1\n");

    place.store.log_batch(&run_id, &batch).unwrap();
    let run = place.store.get_run(&run_id).unwrap();
    assert_eq!(
        (run.data.metrics.len(), run.tag("stage"), run.info.run_name.as_str()),
        (3, Some("after"), "other")
    );
    assert_eq!(read(dir.join("metrics/a")), "1 0.5 1\n2 0.5 2\n");
}
