//! Experiments: rows of `experiments` and `experiment_tags`.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::failure::Outcome;
use super::schema;
use crate::entity::{Experiment, LifecycleStage, NewExperiment, Tag};
use crate::error::Error;
use crate::store::{self, location};

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
        return Err(store::name_taken(&holder).into());
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
    for tag in &new.tags {
        upsert_tag(db, id, tag)?;
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
    let (id, experiment) = active(db, experiment_id)?;
    Ok(Home { id, artifact_location: experiment.artifact_location })
}

pub(super) fn rename(db: &Connection, experiment_id: &str, name: &str, now: i64) -> Outcome<()> {
    let (id, experiment) = active(db, experiment_id)?;
    match by_name(db, name)? {
        Some(holder) if holder.experiment_id != experiment.experiment_id => {
            return Err(store::name_taken(&holder).into());
        }
        _ => {}
    }
    db.prepare_cached("UPDATE experiments SET name = ?2, last_update_time = ?3 WHERE experiment_id = ?1")?
        .execute(params![id, name, now])?;
    Ok(())
}

pub(super) fn delete(db: &Connection, experiment_id: &str, now: i64) -> Outcome<()> {
    let id = of_stage(db, experiment_id, LifecycleStage::Active)?;
    set_stage(db, id, LifecycleStage::Deleted, now)?;
    db.prepare_cached(
        "UPDATE runs SET lifecycle_stage = 'deleted', deleted_time = ?2 WHERE experiment_id = ?1",
    )?
    .execute([id, now])?;
    Ok(())
}

pub(super) fn restore(db: &Connection, experiment_id: &str, now: i64) -> Outcome<()> {
    let id = of_stage(db, experiment_id, LifecycleStage::Deleted)?;
    set_stage(db, id, LifecycleStage::Active, now)?;
    db.prepare_cached(
        "UPDATE runs SET lifecycle_stage = 'active', deleted_time = NULL WHERE experiment_id = ?1",
    )?
    .execute([id])?;
    Ok(())
}

fn set_stage(db: &Connection, id: i64, stage: LifecycleStage, now: i64) -> Outcome<()> {
    db.prepare_cached(
        "UPDATE experiments SET lifecycle_stage = ?2, last_update_time = ?3 WHERE experiment_id = ?1",
    )?
    .execute(params![id, stage.as_str(), now])?;
    Ok(())
}

pub(super) fn set_tag(db: &Connection, experiment_id: &str, tag: &Tag) -> Outcome<()> {
    let (id, _) = active(db, experiment_id)?;
    upsert_tag(db, id, tag)
}

fn upsert_tag(db: &Connection, id: i64, tag: &Tag) -> Outcome<()> {
    db.prepare_cached(
        "INSERT INTO experiment_tags (key, value, experiment_id) VALUES (?1, ?2, ?3)
         ON CONFLICT (key, experiment_id) DO UPDATE SET value = excluded.value",
    )?
    .execute(params![tag.key, tag.value, id])?;
    Ok(())
}

pub(super) fn delete_tag(db: &Connection, experiment_id: &str, key: &str) -> Outcome<()> {
    let (id, experiment) = active(db, experiment_id)?;
    let deleted = db
        .prepare_cached("DELETE FROM experiment_tags WHERE experiment_id = ?1 AND key = ?2")?
        .execute(params![id, key])?;
    if deleted == 0 {
        return Err(Error::not_found("the experiment has no tag of this key")
            .with("key", key)
            .with("experiment", experiment.name)
            .into());
    }
    Ok(())
}

/// The experiment, to be written to, and its number.
fn active(db: &Connection, experiment_id: &str) -> Outcome<(i64, Experiment)> {
    let experiment = get(db, experiment_id)?;
    match experiment.lifecycle_stage {
        LifecycleStage::Active => Ok((number_of(&experiment), experiment)),
        LifecycleStage::Deleted => Err(store::experiment_deleted(&experiment).into()),
    }
}

/// The number of the experiment, if it is in this stage.
fn of_stage(db: &Connection, experiment_id: &str, stage: LifecycleStage) -> Outcome<i64> {
    let experiment = get(db, experiment_id)?;
    if experiment.lifecycle_stage == stage {
        return Ok(number_of(&experiment));
    }
    Err(store::experiment_is_already(&experiment).into())
}

fn number_of(experiment: &Experiment) -> i64 {
    // It was read from a column of numbers.
    experiment.experiment_id.parse().unwrap_or_default()
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
