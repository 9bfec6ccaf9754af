//! The files `meta.yaml`: what describes an experiment, a run, a model, a dataset, a link.
//!
//! What is written is what MLflow 3.17 writes; what is read is what any version wrote. Fields that are not known here
//! are kept.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::disk::Disk;
use super::layout::META;
use crate::entity::{Dataset, Experiment, LifecycleStage, LoggedModel, ModelStatus, RunInfo, RunStatus};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::lock;
use crate::yaml;

/// How often a file is read that makes no sense: MLflow empties a run's file before it fills it again.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(20);

type Fields = Map<String, Value>;

/// What `<dir>/meta.yaml` says; `None` if there is no such file.
pub(super) fn read<T: DeserializeOwned>(dir: &Path) -> Result<Option<T>> {
    read_with(dir, yaml::parse)
}

/// The last description that was read, with its text. Who logs to one run looks at the same one for every batch, and
/// to make sense of it takes longer than to write some hundred points.
pub(super) type Last<T> = Mutex<Option<(String, T)>>;

/// As [`read`], by way of the `last` one.
pub(super) fn read_again<T: DeserializeOwned + Clone>(dir: &Path, last: &Last<T>) -> Result<Option<T>> {
    read_with(dir, |text| {
        let mut last = lock(last);
        if let Some((_, meta)) = last.as_ref().filter(|(known, _)| known == text) {
            return Ok(meta.clone());
        }
        let meta: T = yaml::parse(text)?;
        *last = Some((text.to_owned(), meta.clone()));
        Ok(meta)
    })
}

fn read_with<T>(dir: &Path, parse: impl Fn(&str) -> Result<T>) -> Result<Option<T>> {
    let path = dir.join(META);
    let mut attempt = 1;
    loop {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(cause) => return Err(Error::io("read the file", &path, cause)),
        };
        match parse(&text) {
            Ok(meta) => return Ok(Some(meta)),
            Err(error) if attempt == ATTEMPTS => return Err(error.with("path", path.display())),
            Err(_) => std::thread::park_timeout(PAUSE * attempt),
        }
        attempt += 1;
    }
}

/// Replaces `<dir>/meta.yaml`; `home` is the locked directory that `dir` belongs to.
pub(super) fn write(disk: &Disk, home: &Path, dir: &Path, meta: &Value) -> Result<()> {
    disk.put(home, &dir.join(META), yaml::text(meta)?.as_bytes())
}

/// `over` on top of `under`, which is on top of `defaults`.
fn merged(defaults: Value, under: &Fields, over: Value) -> Value {
    let mut all = Fields::new();
    for fields in [defaults, Value::Object(under.clone()), over] {
        if let Value::Object(fields) = fields {
            all.extend(fields);
        }
    }
    Value::Object(all)
}

#[derive(Debug, Deserialize)]
pub(super) struct ExperimentMeta {
    pub(super) experiment_id: String,
    pub(super) name: String,
    artifact_location: Option<String>,
    pub(super) lifecycle_stage: Option<String>,
    creation_time: Option<i64>,
    last_update_time: Option<i64>,
    /// Has the tags as they once were; they are in files.
    #[serde(flatten)]
    others: Fields,
}

impl ExperimentMeta {
    pub(super) fn new(experiment: &Experiment) -> Self {
        Self {
            experiment_id: experiment.experiment_id.clone(),
            name: experiment.name.clone(),
            artifact_location: Some(experiment.artifact_location.clone()),
            lifecycle_stage: Some(experiment.lifecycle_stage.to_string()),
            creation_time: Some(experiment.creation_time),
            last_update_time: Some(experiment.last_update_time),
            others: Fields::new(),
        }
    }

    pub(super) fn experiment(&self) -> Experiment {
        let place = self.artifact_location.clone().unwrap_or_default();
        let mut experiment = Experiment::new(&self.experiment_id, &self.name, place);
        experiment.lifecycle_stage = stage(self.lifecycle_stage.as_deref());
        experiment.creation_time = self.creation_time.unwrap_or_default();
        experiment.last_update_time = self.last_update_time.unwrap_or_default();
        experiment
    }

    pub(super) fn change(&mut self, stage: LifecycleStage, now: i64) {
        self.lifecycle_stage = Some(stage.to_string());
        self.last_update_time = Some(now);
    }

    pub(super) fn value(&self) -> Value {
        let mut others = self.others.clone();
        others.remove("tags");
        merged(
            json!({"effective_trace_archival_retention": null, "trace_location": null, "workspace": "default"}),
            &others,
            json!({
                "artifact_location": self.artifact_location,
                "creation_time": self.creation_time,
                "experiment_id": self.experiment_id,
                "last_update_time": self.last_update_time,
                "lifecycle_stage": self.lifecycle_stage,
                "name": self.name,
            }),
        )
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct RunMeta {
    /// Files of MLflow 1 may have it as `run_uuid` alone.
    run_id: Option<String>,
    run_uuid: Option<String>,
    pub(super) experiment_id: String,
    pub(super) run_name: Option<String>,
    /// What MLflow 1 called it.
    name: Option<String>,
    user_id: Option<String>,
    /// A number; text in some old files.
    status: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    artifact_uri: Option<String>,
    lifecycle_stage: Option<String>,
    deleted_time: Option<i64>,
    #[serde(flatten)]
    others: Fields,
}

/// The number that MLflow's file store has for a status.
fn code(status: RunStatus) -> i64 {
    match status {
        RunStatus::Running => 1,
        RunStatus::Scheduled => 2,
        RunStatus::Finished => 3,
        RunStatus::Failed => 4,
        RunStatus::Killed => 5,
    }
}

impl RunMeta {
    pub(super) fn new(info: &RunInfo) -> Self {
        Self {
            run_id: Some(info.run_id.clone()),
            run_uuid: None,
            experiment_id: info.experiment_id.clone(),
            run_name: Some(info.run_name.clone()),
            name: None,
            user_id: Some(info.user_id.clone()),
            status: Some(code(info.status).to_string()),
            start_time: Some(info.start_time),
            end_time: info.end_time,
            artifact_uri: Some(info.artifact_uri.clone()),
            lifecycle_stage: Some(info.lifecycle_stage.to_string()),
            deleted_time: None,
            others: Fields::new(),
        }
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.run_id.as_deref().or(self.run_uuid.as_deref())
    }

    /// What it says; the name is empty where only the tag has it.
    pub(super) fn info(&self) -> RunInfo {
        let mut info = RunInfo::new(self.id().unwrap_or_default(), &self.experiment_id);
        let name = self.run_name.as_ref().filter(|name| !name.is_empty()).or(self.name.as_ref());
        info.run_name = name.cloned().unwrap_or_default();
        info.user_id = self.user_id.clone().unwrap_or_default();
        info.status = self.status();
        info.start_time = self.start_time.unwrap_or_default();
        info.end_time = self.end_time;
        info.artifact_uri = self.artifact_uri.clone().unwrap_or_default();
        info.lifecycle_stage = self.stage();
        info
    }

    pub(super) fn stage(&self) -> LifecycleStage {
        stage(self.lifecycle_stage.as_deref())
    }

    fn status(&self) -> RunStatus {
        let text = self.status.as_deref().unwrap_or_default();
        [RunStatus::Scheduled, RunStatus::Finished, RunStatus::Failed, RunStatus::Killed]
            .into_iter()
            .find(|status| code(*status).to_string() == text || status.as_str() == text)
            .unwrap_or(RunStatus::Running)
    }

    pub(super) fn set_status(&mut self, status: RunStatus) {
        self.status = Some(code(status).to_string());
    }

    pub(super) fn set_end_time(&mut self, end_time: i64) {
        self.end_time = Some(end_time);
    }

    /// `deleted_at` is the time of the deletion; `None` makes it active.
    pub(super) fn set_deleted(&mut self, deleted_at: Option<i64>) {
        let stage = if deleted_at.is_some() { LifecycleStage::Deleted } else { LifecycleStage::Active };
        self.lifecycle_stage = Some(stage.to_string());
        self.deleted_time = deleted_at;
    }

    pub(super) fn value(&self) -> Value {
        let mut known = json!({
            "artifact_uri": self.artifact_uri,
            "end_time": self.end_time,
            "experiment_id": self.experiment_id,
            "lifecycle_stage": self.lifecycle_stage.as_deref().unwrap_or(LifecycleStage::Active.as_str()),
            "run_id": self.id(),
            "run_name": self.run_name,
            "start_time": self.start_time,
            "status": code(self.status()),
            "user_id": self.user_id,
        });
        if let Some(time) = self.deleted_time {
            known["deleted_time"] = time.into();
        }
        for (key, old) in [("run_uuid", &self.run_uuid), ("name", &self.name)] {
            if let Some(old) = old {
                known[key] = old.as_str().into();
            }
        }
        // 4 is a local program.
        let defaults = json!({"entry_point_name": "", "source_name": "", "source_type": 4, "source_version": "", "tags": []});
        merged(defaults, &self.others, known)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ModelMeta {
    pub(super) model_id: String,
    pub(super) experiment_id: String,
    name: String,
    artifact_location: Option<String>,
    creation_timestamp: Option<i64>,
    last_updated_timestamp: Option<i64>,
    source_run_id: Option<String>,
    model_type: Option<String>,
    status: Option<i64>,
    lifecycle_stage: Option<String>,
    #[serde(flatten)]
    others: Fields,
}

impl ModelMeta {
    pub(super) fn new(model: &LoggedModel) -> Self {
        Self {
            model_id: model.model_id.clone(),
            experiment_id: model.experiment_id.clone(),
            name: model.name.clone(),
            artifact_location: Some(model.artifact_location.clone()),
            creation_timestamp: Some(model.creation_timestamp),
            last_updated_timestamp: Some(model.last_updated_timestamp),
            source_run_id: model.source_run_id.clone(),
            model_type: model.model_type.clone(),
            status: Some(model.status.code()),
            lifecycle_stage: Some(model.lifecycle_stage.to_string()),
            others: Fields::new(),
        }
    }

    pub(super) fn model(&self) -> LoggedModel {
        let mut model = LoggedModel::new(&self.model_id, &self.experiment_id, &self.name);
        model.artifact_location = self.artifact_location.clone().unwrap_or_default();
        model.creation_timestamp = self.creation_timestamp.unwrap_or_default();
        model.last_updated_timestamp = self.last_updated_timestamp.unwrap_or_default();
        model.status = ModelStatus::from_code(self.status.unwrap_or_default());
        model.source_run_id.clone_from(&self.source_run_id);
        model.model_type.clone_from(&self.model_type);
        model.lifecycle_stage = self.stage();
        model
    }

    pub(super) fn stage(&self) -> LifecycleStage {
        stage(self.lifecycle_stage.as_deref())
    }

    pub(super) fn set_status(&mut self, status: ModelStatus, now: i64) {
        self.status = Some(status.code());
        self.last_updated_timestamp = Some(now);
    }

    pub(super) fn set_deleted(&mut self, now: i64) {
        self.lifecycle_stage = Some(LifecycleStage::Deleted.to_string());
        self.last_updated_timestamp = Some(now);
    }

    pub(super) fn value(&self) -> Value {
        merged(
            json!({"status_message": null}),
            &self.others,
            json!({
                "artifact_location": self.artifact_location,
                "creation_timestamp": self.creation_timestamp,
                "experiment_id": self.experiment_id,
                "last_updated_timestamp": self.last_updated_timestamp,
                "lifecycle_stage": self.stage().as_str(),
                "model_id": self.model_id,
                "model_type": self.model_type,
                "name": self.name,
                "source_run_id": self.source_run_id,
                "status": self.status,
            }),
        )
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct DatasetMeta {
    name: String,
    digest: String,
    source_type: Option<String>,
    source: Option<String>,
    schema: Option<String>,
    profile: Option<String>,
}

impl DatasetMeta {
    pub(super) fn dataset(self) -> Dataset {
        let mut dataset = Dataset::new(self.name, self.digest);
        dataset.source_type = self.source_type.unwrap_or_default();
        dataset.source = self.source.unwrap_or_default();
        dataset.schema = self.schema;
        dataset.profile = self.profile;
        dataset
    }

    pub(super) fn value(dataset: &Dataset) -> Value {
        json!({
            "digest": dataset.digest,
            "name": dataset.name,
            "profile": dataset.profile,
            "schema": dataset.schema,
            "source": dataset.source,
            "source_type": dataset.source_type,
        })
    }
}

fn stage(text: Option<&str>) -> LifecycleStage {
    text.map_or(LifecycleStage::Active, LifecycleStage::from_text)
}

/// The error for a directory whose `meta.yaml` is absent or describes something else.
pub(super) fn broken(what: &str, dir: &Path) -> Error {
    let message = format!("the {what}'s {META} is absent or describes another one; restore it from a copy");
    Error::new(ErrorKind::Corrupt, message).with("path", dir.display())
}
