//! Experiments: rows of `experiments` and `experiment_tags`.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::failure::Outcome;
use super::schema;
use crate::entity::{Experiment, LifecycleStage, NewExperiment, Tag};
use crate::error::{Error, ErrorKind};
use crate::store::location;

/// What [`read`] reads.
pub(super) const COLUMNS: &str =
    "experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time";

/// What a run or model needs to know of the experiment it is created in.
pub(super) struct Home {
    pub(super) id: i64,
    pub(super) artifact_location: String,
}

pub(super) fn create(db: &Connection, new: &NewExperiment, artifact_root: &str) -> Outcome<String> {
    if let Some(holder) = by_name(db, &new.name)? {
        let message = match holder.lifecycle_stage {
            LifecycleStage::Deleted => {
                "a deleted experiment has this name; restore it, delete it for good with `mlflow gc`, or use another \
                 name"
            }
            LifecycleStage::Active => "an experiment of this name exists already; use it, or another name",
        };
        return Err(Error::new(ErrorKind::AlreadyExists, message).with("name", &new.name).into());
    }
    db.prepare_cached(
        "INSERT INTO experiments (name, artifact_location, lifecycle_stage, creation_time, last_update_time)
         VALUES (?1, ?2, 'active', ?3, ?3)",
    )?
    .execute(params![new.name, new.artifact_location, new.creation_time])?;
    let id = db.last_insert_rowid();
    if new.artifact_location.is_none() {
        db.prepare_cached("UPDATE experiments SET artifact_location = ?2 WHERE experiment_id = ?1")?
            .execute(params![id, location::below(artifact_root, &id.to_string())])?;
    }
    let mut insert = db.prepare_cached(
        "INSERT INTO experiment_tags (key, value, experiment_id) VALUES (?1, ?2, ?3)
         ON CONFLICT (key, experiment_id) DO UPDATE SET value = excluded.value",
    )?;
    for tag in &new.tags {
        insert.execute(params![tag.key, tag.value, id])?;
    }
    Ok(id.to_string())
}

pub(super) fn get(db: &Connection, experiment_id: &str) -> Outcome<Experiment> {
    let found = match experiment_id.parse::<i64>() {
        Ok(id) => db
            .prepare_cached(&format!("SELECT {COLUMNS} FROM experiments WHERE experiment_id = ?1"))?
            .query_row([id], read)
            .optional()?,
        // The ids of a database are numbers, so nothing has this one.
        Err(_) => None,
    };
    let Some(experiment) = found else { return Err(absent(experiment_id).into()) };
    with_tags(db, experiment)
}

pub(super) fn by_name(db: &Connection, name: &str) -> Outcome<Option<Experiment>> {
    // Since MLflow 3.10 names are unique within a workspace, and clients that know none are in this one.
    let here =
        if schema::has_column(db, "experiments", "workspace")? { "AND workspace = 'default'" } else { "" };
    let found = db
        .prepare_cached(&format!("SELECT {COLUMNS} FROM experiments WHERE name = ?1 {here}"))?
        .query_row([name], read)
        .optional()?;
    found.map(|experiment| with_tags(db, experiment)).transpose()
}

/// The experiment that something new is created in; it must be active.
pub(super) fn home(db: &Connection, experiment_id: &str) -> Outcome<Home> {
    let experiment = get(db, experiment_id)?;
    if experiment.lifecycle_stage == LifecycleStage::Deleted {
        return Err(Error::invalid("the experiment is deleted; restore it or use another one")
            .with("experiment", experiment.name)
            .into());
    }
    let id = experiment.experiment_id.parse().unwrap_or_default();
    Ok(Home { id, artifact_location: experiment.artifact_location })
}

fn absent(experiment_id: &str) -> Error {
    Error::not_found("no experiment has this id; look for it by its name")
        .with("experiment_id", experiment_id)
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Experiment> {
    let id: i64 = row.get(0)?;
    let location: Option<String> = row.get(2)?;
    let stage: Option<String> = row.get(3)?;
    let mut experiment =
        Experiment::new(id.to_string(), row.get::<_, String>(1)?, location.unwrap_or_default());
    experiment.lifecycle_stage = LifecycleStage::from_text(&stage.unwrap_or_default());
    experiment.creation_time = row.get::<_, Option<i64>>(4)?.unwrap_or_default();
    experiment.last_update_time = row.get::<_, Option<i64>>(5)?.unwrap_or_default();
    Ok(experiment)
}

fn with_tags(db: &Connection, mut experiment: Experiment) -> Outcome<Experiment> {
    let mut statement = db.prepare_cached(
        "SELECT key, coalesce(value, '') FROM experiment_tags WHERE experiment_id = CAST(?1 AS INTEGER) ORDER BY key",
    )?;
    let rows = statement.query_map([&experiment.experiment_id], |row| {
        Ok(Tag::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    experiment.tags = rows.collect::<Result<_, _>>()?;
    Ok(experiment)
}
