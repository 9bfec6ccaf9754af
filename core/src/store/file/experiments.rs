//! Experiments: directories that come and go whole.
//!
//! One is made under a name that MLflow passes over, and renamed. A deletion marks every run, then the experiment,
//! then moves the directory; where it was cut short, doing it again goes on.

use std::fs;
use std::io;
use std::path::Path;

use super::layout::{self, ExperimentDir, TRASH, UNFINISHED_EXPERIMENT};
use super::meta::{self, ExperimentMeta};
use super::{Tree, runs, texts};
use crate::clock;
use crate::entity::{Experiment, LifecycleStage, NewExperiment, Tag};
use crate::error::{Error, ErrorKind, Result};
use crate::id;
use crate::notice;
use crate::store::{self, location};

/// MLflow's experiment of those that name none.
const DEFAULT: &str = "0";
/// The numbers that ids are drawn from have 18 digits.
const IDS: u128 = 1_000_000_000_000_000_000;

/// Makes the root with the experiment "Default", unless it holds something already.
pub(super) fn found(tree: &Tree) -> Result<()> {
    let root = &tree.root;
    if root.exists() && !root.is_dir() {
        return Err(
            Error::invalid("a file store is a directory; name another place").with("path", root.display())
        );
    }
    // A store that is only read may be one that nobody can write.
    if !layout::experiments(root)?.is_empty() {
        return Ok(());
    }
    let trash = root.join(TRASH);
    fs::create_dir_all(root).map_err(|cause| Error::io("make the file store", root, cause))?;
    let _guard = tree.guard()?;
    let failed = |cause| Error::io("list the file store", root, cause);
    for entry in fs::read_dir(root).map_err(failed)? {
        // What is hidden is ours, MLflow's or the system's. Anything else, such as the artifacts of a database, means
        // that somebody uses this directory in their own way.
        if !entry.map_err(failed)?.file_name().as_encoded_bytes().starts_with(b".") {
            return Ok(());
        }
    }
    fs::create_dir_all(&trash).map_err(|cause| Error::io("make the file store", &trash, cause))?;
    let new = NewExperiment {
        name: "Default".to_owned(),
        creation_time: clock::now_ms(),
        ..NewExperiment::default()
    };
    put(tree, DEFAULT, &new)
}

pub(super) fn create(tree: &Tree, new: &NewExperiment) -> Result<String> {
    let _writing = tree.writing();
    let _guard = tree.guard()?;
    check_free(tree, &new.name, None)?;
    let id = free_id(tree)?;
    put(tree, &id, new)?;
    Ok(id)
}

/// An id as MLflow draws them: the last 18 digits of a random number, without zeros in front.
fn free_id(tree: &Tree) -> Result<String> {
    loop {
        let random = u128::from_str_radix(&id::hex32(), 16)
            .map_err(|cause| Error::new(ErrorKind::Unexpected, "a random id is no number").because(cause))?;
        let id = (random % IDS).to_string();
        if layout::experiment(&tree.root, &id).is_none() {
            return Ok(id);
        }
    }
}

/// Makes the directory of an experiment, whole; the caller holds the guard.
fn put(tree: &Tree, id: &str, new: &NewExperiment) -> Result<()> {
    let place = new.artifact_location.clone().unwrap_or_else(|| location::below(&tree.artifact_root, id));
    let mut experiment = Experiment::new(id, &new.name, place);
    experiment.creation_time = new.creation_time;
    experiment.last_update_time = new.creation_time;
    let unfinished = tree.root.join(UNFINISHED_EXPERIMENT);
    let failed = |cause| Error::io("make the experiment", &unfinished, cause);
    match fs::remove_dir_all(&unfinished) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(failed(cause)),
        _gone => {}
    }
    fs::create_dir(&unfinished).map_err(failed)?;
    let path = tree.root.join(id);
    let fill = || {
        let tags = unfinished.join("tags");
        for (key, file) in texts::places(&tags, new.tags.iter().map(|tag| tag.key.as_str()))? {
            let value = new.tags.iter().rev().find(|tag| tag.key == key).map_or("", |tag| &tag.value);
            tree.disk.put(&unfinished, &file, value.as_bytes())?;
        }
        meta::write(&tree.disk, &unfinished, &unfinished, &ExperimentMeta::new(&experiment).value())?;
        fs::rename(&unfinished, &path).map_err(|cause| Error::io("make the experiment", &path, cause))
    };
    fill().inspect_err(|_| {
        fs::remove_dir_all(&unfinished).ok();
    })?;
    tree.disk.moved(&unfinished, &path);
    Ok(())
}

/// That no experiment, or only this one, has this name.
fn check_free(tree: &Tree, name: &str, experiment_id: Option<&str>) -> Result<()> {
    match by_name(tree, name)? {
        Some(holder) if Some(holder.experiment_id.as_str()) != experiment_id => {
            Err(store::name_taken(&holder))
        }
        _ => Ok(()),
    }
}

pub(super) fn get(tree: &Tree, experiment_id: &str) -> Result<Experiment> {
    read(&dir(tree, experiment_id)?)
}

pub(super) fn by_name(tree: &Tree, name: &str) -> Result<Option<Experiment>> {
    Ok(all(tree)?.into_iter().find(|experiment| experiment.name == name))
}

/// Every experiment whose directory can be read.
pub(super) fn all(tree: &Tree) -> Result<Vec<Experiment>> {
    let mut found = Vec::new();
    for dir in layout::experiments(&tree.root)? {
        // A directory without a description, such as the artifacts of a database, is no experiment.
        match meta::read::<ExperimentMeta>(&dir.path) {
            Ok(None) => {}
            Ok(Some(meta)) => found.extend(with_tags(&dir, &meta).map_err(skipped).ok()),
            Err(error) => skipped(error),
        }
    }
    Ok(found)
}

#[expect(clippy::needless_pass_by_value, reason = "it takes what `map_err` gives")]
fn skipped(error: Error) {
    notice::warn(
        &format!("skipped {error}"),
        format_args!("an experiment cannot be read and is passed over: {error}"),
    );
}

/// The directory of an experiment that exists.
pub(super) fn dir(tree: &Tree, experiment_id: &str) -> Result<ExperimentDir> {
    layout::experiment(&tree.root, experiment_id).ok_or_else(|| tree.absent(absent(experiment_id)))
}

fn absent(experiment_id: &str) -> Error {
    Error::not_found("no experiment has this id; look for it by its name")
        .with("experiment_id", experiment_id)
}

fn read(dir: &ExperimentDir) -> Result<Experiment> {
    with_tags(dir, &described(dir)?)
}

fn described(dir: &ExperimentDir) -> Result<ExperimentMeta> {
    match meta::read::<ExperimentMeta>(&dir.path)? {
        Some(meta) if meta.experiment_id == dir.id => Ok(meta),
        Some(_) => Err(meta::broken("experiment", &dir.path)),
        None => Err(absent(&dir.id)),
    }
}

fn with_tags(dir: &ExperimentDir, meta: &ExperimentMeta) -> Result<Experiment> {
    if meta.experiment_id != dir.id {
        return Err(meta::broken("experiment", &dir.path));
    }
    let mut experiment = meta.experiment();
    if dir.stage == LifecycleStage::Deleted {
        experiment.lifecycle_stage = LifecycleStage::Deleted;
    }
    let tags = texts::read_all(&dir.path.join("tags"))?;
    experiment.tags = tags.into_iter().map(|(key, value)| Tag::new(key, value)).collect();
    Ok(experiment)
}

/// The directory and description of an experiment that may be written.
pub(super) fn active(tree: &Tree, experiment_id: &str) -> Result<(ExperimentDir, ExperimentMeta)> {
    let dir = dir(tree, experiment_id)?;
    let meta = described(&dir)?;
    let experiment = meta.experiment();
    if dir.stage == LifecycleStage::Deleted || experiment.lifecycle_stage == LifecycleStage::Deleted {
        return Err(store::experiment_deleted(&experiment));
    }
    Ok((dir, meta))
}

pub(super) fn rename(tree: &Tree, experiment_id: &str, name: &str, now: i64) -> Result<()> {
    let _writing = tree.writing();
    let _guard = tree.guard()?;
    let (dir, mut meta) = active(tree, experiment_id)?;
    check_free(tree, name, Some(experiment_id))?;
    name.clone_into(&mut meta.name);
    meta.change(LifecycleStage::Active, now);
    meta::write(&tree.disk, &dir.path, &dir.path, &meta.value())
}

pub(super) fn delete(tree: &Tree, experiment_id: &str, now: i64) -> Result<()> {
    let _writing = tree.writing();
    let _guard = tree.guard()?;
    if experiment_id == DEFAULT {
        return Err(Error::invalid(
            "the default experiment of a file store cannot be deleted; delete its runs",
        ));
    }
    let dir = dir(tree, experiment_id)?;
    if dir.stage == LifecycleStage::Deleted {
        return Err(store::experiment_is_already(&read(&dir)?));
    }
    mark(tree, &dir, LifecycleStage::Deleted, now)?;
    move_to(tree, &dir.path, &tree.root.join(TRASH))
}

pub(super) fn restore(tree: &Tree, experiment_id: &str, now: i64) -> Result<()> {
    let _writing = tree.writing();
    let _guard = tree.guard()?;
    let mut dir = dir(tree, experiment_id)?;
    if dir.stage == LifecycleStage::Deleted {
        move_to(tree, &dir.path, &tree.root)?;
        dir.path = tree.root.join(&dir.id);
        dir.stage = LifecycleStage::Active;
    } else {
        let experiment = read(&dir)?;
        if experiment.lifecycle_stage == LifecycleStage::Active {
            return Err(store::experiment_is_already(&experiment));
        }
    }
    mark(tree, &dir, LifecycleStage::Active, now)
}

/// Marks every run and then the experiment.
fn mark(tree: &Tree, dir: &ExperimentDir, stage: LifecycleStage, now: i64) -> Result<()> {
    let mut meta = described(dir)?;
    for (run_id, path) in layout::runs(&dir.path)? {
        runs::mark(tree, &run_id, &path, (stage == LifecycleStage::Deleted).then_some(now))?;
    }
    meta.change(stage, now);
    meta::write(&tree.disk, &dir.path, &dir.path, &meta.value())
}

fn move_to(tree: &Tree, path: &Path, parent: &Path) -> Result<()> {
    fs::create_dir_all(parent).map_err(|cause| Error::io("make the directory", parent, cause))?;
    let Some(name) = path.file_name() else { return Ok(()) };
    let to = parent.join(name);
    fs::rename(path, &to).map_err(|cause| Error::io("move the experiment", path, cause))?;
    tree.disk.moved(path, &to);
    Ok(())
}

pub(super) fn set_tag(tree: &Tree, experiment_id: &str, tag: &Tag) -> Result<()> {
    let _writing = tree.writing();
    let _guard = tree.guard()?;
    let (dir, _) = active(tree, experiment_id)?;
    for (_, file) in texts::places(&dir.path.join("tags"), [tag.key.as_str()])? {
        tree.disk.put(&dir.path, &file, tag.value.as_bytes())?;
    }
    Ok(())
}

pub(super) fn delete_tag(tree: &Tree, experiment_id: &str, key: &str) -> Result<()> {
    let _writing = tree.writing();
    let _guard = tree.guard()?;
    let (dir, meta) = active(tree, experiment_id)?;
    if texts::remove(&tree.disk, &dir.path.join("tags"), key)? {
        return Ok(());
    }
    Err(Error::not_found("the experiment has no tag of this key")
        .with("key", key)
        .with("experiment", meta.name))
}
