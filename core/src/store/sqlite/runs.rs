//! Runs: their row in `runs`, their tags and the points of their metrics.
//!
//! A run's name is in two places, `runs.name` and the tag `mlflow.runName`; every writer here writes both.

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Outcome;
use super::{experiments, search};
use crate::entity::{LifecycleStage, Metric, NewRun, Run, RunChange};
use crate::error::Error;
use crate::id;
use crate::store::{RUN_NAME_TAG, location, point};

pub(super) fn create(db: &Connection, new: &NewRun) -> Outcome<Run> {
    let home = experiments::home(db, &new.experiment_id)?;
    let run_id = id::hex32();
    let artifact_uri = location::below(&home.artifact_location, &format!("{run_id}/artifacts"));
    db.prepare_cached(
        "INSERT INTO runs
             (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time,
              source_version, lifecycle_stage, artifact_uri, experiment_id, deleted_time)
         VALUES (?1, ?2, 'UNKNOWN', '', '', ?3, 'RUNNING', ?4, NULL, '', 'active', ?5, ?6, NULL)",
    )?
    .execute(params![run_id, new.run_name, new.user_id, new.start_time, artifact_uri, home.id])?;
    for tag in &new.tags {
        set_tag(db, &run_id, &tag.key, &tag.value)?;
    }
    set_tag(db, &run_id, RUN_NAME_TAG, &new.run_name)?;
    get(db, &run_id)
}

pub(super) fn get(db: &Connection, run_id: &str) -> Outcome<Run> {
    search::run(db, run_id)?.ok_or_else(|| absent(run_id).into())
}

pub(super) fn update(db: &Connection, run_id: &str, change: &RunChange) -> Outcome<()> {
    active(db, run_id)?;
    db.prepare_cached(
        "UPDATE runs SET status = coalesce(?2, status), end_time = coalesce(?3, end_time) WHERE run_uuid = ?1",
    )?
    .execute(params![run_id, change.status.map(crate::entity::RunStatus::as_str), change.end_time])?;
    if let Some(name) = &change.run_name {
        rename(db, run_id, name)?;
        set_tag(db, run_id, RUN_NAME_TAG, name)?;
    }
    Ok(())
}

/// The id of the experiment of a run that may be written.
pub(super) fn active(db: &Connection, run_id: &str) -> Outcome<i64> {
    let found = db
        .prepare_cached("SELECT lifecycle_stage, experiment_id FROM runs WHERE run_uuid = ?1")?
        .query_row([run_id], |row| Ok((row.get::<_, Option<String>>(0)?, row.get(1)?)))
        .optional()?;
    let Some((stage, experiment_id)) = found else { return Err(absent(run_id).into()) };
    match LifecycleStage::from_text(&stage.unwrap_or_default()) {
        LifecycleStage::Active => Ok(experiment_id),
        LifecycleStage::Deleted => {
            Err(Error::invalid("the run is deleted; restore it with `restore_run` before writing to it")
                .with("run", run_id)
                .into())
        }
    }
}

pub(super) fn delete(db: &Connection, run_id: &str, now: i64) -> Outcome<()> {
    require(db, run_id)?;
    // The first deletion's time stays: `mlflow gc` goes by it.
    db.prepare_cached(
        "UPDATE runs SET lifecycle_stage = 'deleted', deleted_time = ?2
          WHERE run_uuid = ?1 AND coalesce(lifecycle_stage, '') <> 'deleted'",
    )?
    .execute(params![run_id, now])?;
    Ok(())
}

pub(super) fn restore(db: &Connection, run_id: &str) -> Outcome<()> {
    require(db, run_id)?;
    db.prepare_cached(
        "UPDATE runs SET lifecycle_stage = 'active', deleted_time = NULL
          WHERE run_uuid = ?1 AND lifecycle_stage = 'deleted'",
    )?
    .execute([run_id])?;
    Ok(())
}

/// Refuses a run that does not exist; a deleted one does.
fn require(db: &Connection, run_id: &str) -> Outcome<()> {
    let found = db
        .prepare_cached("SELECT 1 FROM runs WHERE run_uuid = ?1")?
        .query_row([run_id], |_| Ok(()))
        .optional()?;
    found.ok_or_else(|| absent(run_id).into())
}

fn absent(run_id: &str) -> Error {
    Error::not_found("no run has this id; check it, and that this is the store it was logged to")
        .with("run", run_id)
}

pub(super) fn set_tag(db: &Connection, run_id: &str, key: &str, value: &str) -> Outcome<()> {
    db.prepare_cached(
        "INSERT INTO tags (key, value, run_uuid) VALUES (?1, ?2, ?3)
         ON CONFLICT (key, run_uuid) DO UPDATE SET value = excluded.value",
    )?
    .execute([key, value, run_id])?;
    Ok(())
}

pub(super) fn rename(db: &Connection, run_id: &str, name: &str) -> Outcome<()> {
    db.prepare_cached("UPDATE runs SET name = ?2 WHERE run_uuid = ?1")?.execute([run_id, name])?;
    Ok(())
}

pub(super) fn delete_tag(db: &Connection, run_id: &str, key: &str) -> Outcome<()> {
    active(db, run_id)?;
    let deleted =
        db.prepare_cached("DELETE FROM tags WHERE run_uuid = ?1 AND key = ?2")?.execute([run_id, key])?;
    if deleted == 0 {
        return Err(Error::not_found("the run has no tag of this key")
            .with("key", key)
            .with("run", run_id)
            .into());
    }
    Ok(())
}

pub(super) fn metric_history(db: &Connection, run_id: &str, key: &str) -> Outcome<Vec<Metric>> {
    require(db, run_id)?;
    // The plus keeps SQLite from the primary key's index, which begins with the key: it would read the points of that
    // key of every run there is, and get slower with each. The index of the run reads those of this run.
    let mut statement = db.prepare_cached(
        "SELECT value, is_nan, timestamp, step FROM metrics WHERE run_uuid = ?1 AND +key = ?2
          ORDER BY timestamp, step, value",
    )?;
    let rows = statement.query_map([run_id, key], |row| {
        let value = point::Value { number: row.get(0)?, is_nan: row.get(1)? };
        Ok(Metric::new(key, value.get(), row.get(2)?, row.get(3)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
