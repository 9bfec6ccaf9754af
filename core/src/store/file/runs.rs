//! Runs: directories that are there when their `meta.yaml` is, which is written last.
//!
//! A run's name is in two places, `meta.yaml` and the tag `mlflow.runName`; every writer here writes both.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::guard::Guard;
use super::line::Line;
use super::meta::{self, RunMeta};
use super::{Tree, experiments, inputs, layout, series, texts};
use crate::entity::{LifecycleStage, Metric, NewRun, Param, Run, RunChange, RunInfo, Tag};
use crate::error::{Error, Result};
use crate::id;
use crate::store::point::Point;
use crate::store::{RUN_NAME_TAG, location};
use crate::sync::lock;

/// What every run's directory has, empty or not: MLflow knows runs by these.
const FOLDERS: [&str; 4] = ["metrics", "params", "tags", "artifacts"];
/// Runs whose places are remembered.
const HOMES_MAX: usize = 10_000;

/// A run that may be written, until this is dropped.
pub(super) struct Open {
    pub(super) dir: PathBuf,
    pub(super) meta: RunMeta,
    pub(super) guard: Guard,
}

pub(super) fn create(tree: &Tree, new: &NewRun) -> Result<Run> {
    let _writing = tree.writing();
    // So that no other process deletes the experiment meanwhile.
    let _guard = tree.guard()?;
    let (home, experiment) = experiments::active(tree, &new.experiment_id)?;
    let mut info = RunInfo::new(id::hex32(), &home.id);
    info.run_name.clone_from(&new.run_name);
    info.user_id.clone_from(&new.user_id);
    info.start_time = new.start_time;
    let place = experiment.experiment().artifact_location;
    info.artifact_uri = location::below(&place, &format!("{}/artifacts", info.run_id));
    let dir = home.path.join(&info.run_id);
    let mut tags: BTreeMap<&str, &str> =
        new.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
    tags.insert(RUN_NAME_TAG, &new.run_name);
    let fill = || {
        make_folders(&dir)?;
        for (key, file) in texts::places(&dir.join("tags"), tags.keys().copied())? {
            tree.disk.put(&dir, &file, tags[key].as_bytes())?;
        }
        meta::write(&tree.disk, &dir, &dir, &RunMeta::new(&info).value())
    };
    fill().inspect_err(|_| {
        fs::remove_dir_all(&dir).ok();
    })?;
    let mut run = Run::new(info);
    run.data.tags = tags.into_iter().map(|(key, value)| Tag::new(key, value)).collect();
    Ok(run)
}

fn make_folders(dir: &Path) -> Result<()> {
    for folder in FOLDERS {
        let folder = dir.join(folder);
        if !folder.is_dir() {
            fs::create_dir_all(&folder)
                .map_err(|cause| Error::io("make the run's directory", &folder, cause))?;
        }
    }
    Ok(())
}

pub(super) fn get(tree: &Tree, run_id: &str) -> Result<Run> {
    let (dir, meta) = find(tree, run_id)?;
    whole(&dir, &meta)
}

/// The run with everything it logged.
pub(super) fn whole(dir: &Path, meta: &RunMeta) -> Result<Run> {
    let mut run = Run::new(meta.info());
    for key in texts::keys(&dir.join("metrics"))?.into_keys() {
        let mut latest: Option<Point> = None;
        series::read(dir, &format!("metrics/{key}"), Line::parse_run, |line| {
            // The first of equals stays.
            if latest.is_none_or(|latest| line.point.recency(&latest).is_gt()) {
                latest = Some(line.point);
            }
        })?;
        run.data.metrics.extend(latest.map(|latest| latest.metric(&key)));
    }
    let params = texts::read_all(&dir.join("params"))?;
    run.data.params = params.into_iter().map(|(key, value)| Param::new(key, value)).collect();
    let tags = texts::read_all(&dir.join("tags"))?;
    if run.info.run_name.is_empty()
        && let Some(name) = tags.get(RUN_NAME_TAG)
    {
        run.info.run_name.clone_from(name);
    }
    run.data.tags = tags.into_iter().map(|(key, value)| Tag::new(key, value)).collect();
    inputs::read(dir, &mut run)?;
    Ok(run)
}

/// The directory and description of a run, wherever it is.
fn find(tree: &Tree, run_id: &str) -> Result<(PathBuf, RunMeta)> {
    let dir = locate(tree, run_id)?;
    match described(&dir, run_id)? {
        Some(meta) => Ok((dir, meta)),
        None => Err(absent(run_id)),
    }
}

/// The directory of a run, which has a description.
fn locate(tree: &Tree, run_id: &str) -> Result<PathBuf> {
    if !layout::is_run_id(run_id) {
        return Err(absent(run_id));
    }
    let is_there = |dir: &PathBuf| dir.join(layout::META).is_file();
    if let Some(dir) = lock(&tree.homes).get(run_id).filter(|dir| is_there(dir)) {
        return Ok(dir.clone());
    }
    let experiments = layout::experiments(&tree.root)?;
    let found = experiments.into_iter().map(|experiment| experiment.path.join(run_id)).find(is_there);
    let dir = found.ok_or_else(|| tree.absent(absent(run_id)))?;
    let mut homes = lock(&tree.homes);
    if homes.len() >= HOMES_MAX {
        homes.clear();
    }
    homes.insert(run_id.to_owned(), dir.clone());
    Ok(dir)
}

/// What is said of the run in `dir`; `None` if nothing is.
pub(super) fn described(dir: &Path, run_id: &str) -> Result<Option<RunMeta>> {
    checked(dir, run_id, meta::read(dir)?)
}

fn checked(dir: &Path, run_id: &str, meta: Option<RunMeta>) -> Result<Option<RunMeta>> {
    let Some(meta) = meta else { return Ok(None) };
    let experiment = dir.parent().and_then(Path::file_name);
    if meta.id() != Some(run_id) || experiment != Some(meta.experiment_id.as_ref()) {
        return Err(meta::broken("run", dir));
    }
    Ok(Some(meta))
}

fn absent(run_id: &str) -> Error {
    Error::not_found("no run has this id; check it, and that this is the store it was logged to")
        .with("run", run_id)
}

/// The run, to be written to, deleted or not.
fn open_any(tree: &Tree, run_id: &str) -> Result<Open> {
    let dir = locate(tree, run_id)?;
    let guard = Guard::take(&dir)?;
    let meta = meta::read_again(&dir, &tree.last_run)?;
    let meta = checked(&dir, run_id, meta)?.ok_or_else(|| absent(run_id))?;
    // Git, for one, forgets empty directories.
    make_folders(&dir)?;
    Ok(Open { dir, meta, guard })
}

/// The run, to be written to.
pub(super) fn open(tree: &Tree, run_id: &str) -> Result<Open> {
    let run = open_any(tree, run_id)?;
    match run.meta.stage() {
        LifecycleStage::Active => Ok(run),
        LifecycleStage::Deleted => {
            Err(Error::invalid("the run is deleted; restore it before writing to it").with("run", run_id))
        }
    }
}

impl Open {
    /// Gives the run this name; its tag is the caller's to write.
    pub(super) fn rename(&mut self, tree: &Tree, name: &str) -> Result<()> {
        if self.meta.run_name.as_deref() == Some(name) {
            return Ok(());
        }
        self.meta.run_name = Some(name.to_owned());
        self.put_meta(tree)
    }

    pub(super) fn put_meta(&self, tree: &Tree) -> Result<()> {
        meta::write(&tree.disk, &self.dir, &self.dir, &self.meta.value())
    }
}

pub(super) fn update(tree: &Tree, run_id: &str, change: &RunChange) -> Result<()> {
    let _writing = tree.writing();
    let mut run = open(tree, run_id)?;
    if let Some(status) = change.status {
        run.meta.set_status(status);
    }
    if let Some(end_time) = change.end_time {
        run.meta.set_end_time(end_time);
    }
    if let Some(name) = &change.run_name {
        run.meta.run_name = Some(name.clone());
        for (_, file) in texts::places(&run.dir.join("tags"), [RUN_NAME_TAG])? {
            tree.disk.put(&run.dir, &file, name.as_bytes())?;
        }
    }
    run.put_meta(tree)
}

pub(super) fn delete(tree: &Tree, run_id: &str, now: i64) -> Result<()> {
    change_stage(tree, run_id, LifecycleStage::Deleted, now)
}

pub(super) fn restore(tree: &Tree, run_id: &str) -> Result<()> {
    change_stage(tree, run_id, LifecycleStage::Active, 0)
}

fn change_stage(tree: &Tree, run_id: &str, stage: LifecycleStage, now: i64) -> Result<()> {
    let _writing = tree.writing();
    let mut run = open_any(tree, run_id)?;
    if run.meta.stage() == stage {
        return Ok(());
    }
    run.meta.set_deleted((stage == LifecycleStage::Deleted).then_some(now));
    run.put_meta(tree)
}

/// Marks the run in `dir` with its experiment; what is no run stays as it is.
pub(super) fn mark(tree: &Tree, run_id: &str, dir: &Path, deleted_at: Option<i64>) -> Result<()> {
    if described(dir, run_id)?.is_none() {
        return Ok(());
    }
    let guard = Guard::take(dir)?;
    let Some(mut meta) = described(dir, run_id)? else { return Ok(()) };
    let is_deleted = meta.stage() == LifecycleStage::Deleted;
    if is_deleted == deleted_at.is_some() {
        return Ok(());
    }
    meta.set_deleted(deleted_at);
    Open { dir: dir.to_owned(), meta, guard }.put_meta(tree)
}

pub(super) fn delete_tag(tree: &Tree, run_id: &str, key: &str) -> Result<()> {
    let _writing = tree.writing();
    let run = open(tree, run_id)?;
    if texts::remove(&tree.disk, &run.dir.join("tags"), key)? {
        return Ok(());
    }
    Err(Error::not_found("the run has no tag of this key").with("key", key).with("run", run_id))
}

pub(super) fn metric_history(tree: &Tree, run_id: &str, key: &str) -> Result<Vec<Metric>> {
    let (dir, _) = find(tree, run_id)?;
    let mut points = Vec::new();
    if texts::path(&dir.join("metrics"), key).is_some() {
        series::read(&dir, &format!("metrics/{key}"), Line::parse_run, |line| {
            points.push(line.point);
        })?;
    }
    // Most files are in order already, which this sees in one pass.
    points.sort();
    points.dedup();
    Ok(points.into_iter().map(|point| point.metric(key)).collect())
}
