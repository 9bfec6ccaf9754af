//! Logged models: directories like runs, in `models/` of their experiment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::guard::Guard;
use super::layout::{self, META};
use super::line::Line;
use super::meta::{self, ModelMeta};
use super::{Tree, experiments, series, texts};
use crate::entity::{LifecycleStage, LoggedModel, ModelStatus, NewLoggedModel, Param, Tag};
use crate::error::{Error, Result};
use crate::id;
use crate::store::{location, param_conflict};

/// A model that may be written, until this is dropped.
struct Open {
    dir: PathBuf,
    meta: ModelMeta,
    _guard: Guard,
}

pub(super) fn create(tree: &Tree, new: &NewLoggedModel) -> Result<LoggedModel> {
    let _writing = tree.writing();
    // So that no other process deletes the experiment meanwhile.
    let _guard = tree.guard()?;
    let (home, experiment) = experiments::active(tree, &new.experiment_id)?;
    let mut model = LoggedModel::new(format!("m-{}", id::hex32()), &home.id, &new.name);
    let place = experiment.experiment().artifact_location;
    model.artifact_location = location::below(&place, &format!("models/{}/artifacts", model.model_id));
    model.creation_timestamp = new.creation_timestamp;
    model.last_updated_timestamp = new.creation_timestamp;
    model.model_type.clone_from(&new.model_type);
    model.source_run_id.clone_from(&new.source_run_id);
    let dir = home.path.join("models").join(&model.model_id);
    let params = new.params.iter().map(|param| (param.key.as_str(), param.value.as_str())).collect();
    let tags = new.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
    let fill = || {
        for folder in ["metrics", "params", "tags"] {
            let folder = dir.join(folder);
            fs::create_dir_all(&folder)
                .map_err(|cause| Error::io("make the model's directory", &folder, cause))?;
        }
        put(tree, &dir, "params", &params)?;
        put(tree, &dir, "tags", &tags)?;
        // Last, since with it the model is there.
        meta::write(&tree.disk, &dir, &dir, &ModelMeta::new(&model).value())
    };
    fill().inspect_err(|_| {
        fs::remove_dir_all(&dir).ok();
    })?;
    model.params = params.into_iter().map(|(key, value)| Param::new(key, value)).collect();
    model.tags = tags.into_iter().map(|(key, value)| Tag::new(key, value)).collect();
    Ok(model)
}

/// Writes a file for each of `values`.
fn put(tree: &Tree, dir: &Path, folder: &str, values: &BTreeMap<&str, &str>) -> Result<()> {
    for (key, file) in texts::places(&dir.join(folder), values.keys().copied())? {
        tree.disk.put(dir, &file, values[key].as_bytes())?;
    }
    Ok(())
}

/// The directory of a model, deleted or not.
pub(super) fn dir(tree: &Tree, model_id: &str) -> Result<PathBuf> {
    if layout::is_id(model_id) {
        for experiment in layout::experiments(&tree.root)? {
            let dir = experiment.path.join("models").join(model_id);
            if dir.join(META).is_file() {
                return Ok(dir);
            }
        }
    }
    Err(tree.absent(absent(model_id)))
}

fn absent(model_id: &str) -> Error {
    Error::not_found("no logged model has this id here; `search_logged_models` finds those that there are")
        .with("model", model_id)
}

/// What is said of the model in `dir`; `None` if nothing is.
pub(super) fn described(dir: &Path, model_id: &str) -> Result<Option<ModelMeta>> {
    let Some(meta) = meta::read::<ModelMeta>(dir)? else { return Ok(None) };
    let experiment = dir.parent().and_then(Path::parent).and_then(Path::file_name);
    if meta.model_id != model_id || experiment != Some(meta.experiment_id.as_ref()) {
        return Err(meta::broken("model", dir));
    }
    Ok(Some(meta))
}

pub(super) fn get(tree: &Tree, model_id: &str) -> Result<LoggedModel> {
    let dir = dir(tree, model_id)?;
    match described(&dir, model_id)? {
        Some(meta) if meta.stage() == LifecycleStage::Active => whole(&dir, &meta),
        _ => Err(absent(model_id)),
    }
}

/// The model with everything that is known of it.
pub(super) fn whole(dir: &Path, meta: &ModelMeta) -> Result<LoggedModel> {
    let mut model = meta.model();
    let params = texts::read_all(&dir.join("params"))?;
    model.params = params.into_iter().map(|(key, value)| Param::new(key, value)).collect();
    let tags = texts::read_all(&dir.join("tags"))?;
    model.tags = tags.into_iter().map(|(key, value)| Tag::new(key, value)).collect();
    for key in texts::keys(&dir.join("metrics"))?.into_keys() {
        let mut lines = BTreeSet::new();
        series::read(dir, &format!("metrics/{key}"), Line::parse_model, |line| {
            lines.insert(line);
        })?;
        model.metrics.extend(lines.iter().map(|line| line.model_metric(&key, &model.model_id)));
    }
    Ok(model)
}

/// The model, to be written to, deleted or not.
fn open_any(tree: &Tree, model_id: &str) -> Result<Open> {
    let dir = dir(tree, model_id)?;
    let guard = Guard::take(&dir)?;
    let meta = described(&dir, model_id)?.ok_or_else(|| absent(model_id))?;
    Ok(Open { dir, meta, _guard: guard })
}

/// The model, to be written to.
fn open(tree: &Tree, model_id: &str) -> Result<Open> {
    let model = open_any(tree, model_id)?;
    match model.meta.stage() {
        LifecycleStage::Active => Ok(model),
        LifecycleStage::Deleted => Err(absent(model_id)),
    }
}

impl Open {
    fn put_meta(&self, tree: &Tree) -> Result<()> {
        meta::write(&tree.disk, &self.dir, &self.dir, &self.meta.value())
    }
}

pub(super) fn finalize(tree: &Tree, model_id: &str, status: ModelStatus, now: i64) -> Result<LoggedModel> {
    let _writing = tree.writing();
    let mut model = open(tree, model_id)?;
    model.meta.set_status(status, now);
    model.put_meta(tree)?;
    whole(&model.dir, &model.meta)
}

pub(super) fn delete(tree: &Tree, model_id: &str, now: i64) -> Result<()> {
    let _writing = tree.writing();
    let mut model = open_any(tree, model_id)?;
    if model.meta.stage() == LifecycleStage::Deleted {
        return Ok(());
    }
    model.meta.set_deleted(now);
    model.put_meta(tree)
}

pub(super) fn log_params(tree: &Tree, model_id: &str, params: &[Param]) -> Result<()> {
    let _writing = tree.writing();
    let model = open(tree, model_id)?;
    let known = texts::read_all(&model.dir.join("params"))?;
    let mut new = BTreeMap::new();
    for Param { key, value } in params {
        let stored = known.get(key).map(String::as_str).or_else(|| new.get(key.as_str()).copied());
        match stored {
            Some(stored) if stored != value => {
                return Err(param_conflict(key, stored, value).with("model", model_id));
            }
            Some(_) => {}
            None => {
                new.insert(key.as_str(), value.as_str());
            }
        }
    }
    put(tree, &model.dir, "params", &new)
}

pub(super) fn set_tags(tree: &Tree, model_id: &str, tags: &[Tag]) -> Result<()> {
    let _writing = tree.writing();
    let model = open(tree, model_id)?;
    put(tree, &model.dir, "tags", &tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect())
}

pub(super) fn delete_tag(tree: &Tree, model_id: &str, key: &str) -> Result<()> {
    let _writing = tree.writing();
    let model = open(tree, model_id)?;
    if texts::remove(&tree.disk, &model.dir.join("tags"), key)? {
        return Ok(());
    }
    Err(Error::not_found("the model has no tag of this key").with("key", key).with("model", model_id))
}
