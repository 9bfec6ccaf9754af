//! Logged models: `logged_models` and what belongs to them. MLflow has these tables since 3.0.

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Outcome;
use super::{experiments, schema, search};
use crate::entity::{LoggedModel, ModelStatus, NewLoggedModel, Param, Tag};
use crate::error::{Error, ErrorKind};
use crate::id;
use crate::store::{self, location};

pub(super) fn create(db: &Connection, new: &NewLoggedModel) -> Outcome<LoggedModel> {
    require_tables(db)?;
    let home = experiments::home(db, &new.experiment_id)?;
    let model_id = format!("m-{}", id::hex32());
    let artifact_location = location::below(&home.artifact_location, &format!("models/{model_id}/artifacts"));
    db.prepare_cached(
        "INSERT INTO logged_models
             (model_id, experiment_id, name, artifact_location, creation_timestamp_ms, last_updated_timestamp_ms,
              status, lifecycle_stage, model_type, source_run_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, 'active', ?7, ?8)",
    )?
    .execute(params![
        model_id,
        home.id,
        new.name,
        artifact_location,
        new.creation_timestamp,
        ModelStatus::Pending.code(),
        new.model_type,
        new.source_run_id
    ])?;
    for param in &new.params {
        db.prepare_cached(
            "INSERT INTO logged_model_params (model_id, experiment_id, param_key, param_value)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (model_id, param_key) DO UPDATE SET param_value = excluded.param_value",
        )?
        .execute(params![model_id, home.id, param.key, param.value])?;
    }
    upsert_tags(db, &model_id, home.id, &new.tags)?;
    get(db, &model_id)
}

pub(super) fn finalize(
    db: &Connection,
    model_id: &str,
    status: ModelStatus,
    now: i64,
) -> Outcome<LoggedModel> {
    active(db, model_id)?;
    db.prepare_cached(
        "UPDATE logged_models SET status = ?2, last_updated_timestamp_ms = ?3 WHERE model_id = ?1",
    )?
    .execute(params![model_id, status.code(), now])?;
    get(db, model_id)
}

pub(super) fn get(db: &Connection, model_id: &str) -> Outcome<LoggedModel> {
    require_tables(db)?;
    search::model(db, model_id)?.ok_or_else(|| absent(model_id).into())
}

pub(super) fn log_params(db: &Connection, model_id: &str, params: &[Param]) -> Outcome<()> {
    let experiment_id = active(db, model_id)?;
    for param in params {
        let inserted = db
            .prepare_cached(
                "INSERT INTO logged_model_params (model_id, experiment_id, param_key, param_value)
                 VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (model_id, param_key) DO NOTHING",
            )?
            .execute(params![model_id, experiment_id, param.key, param.value])?;
        if inserted == 1 {
            continue;
        }
        let stored: String = db
            .prepare_cached(
                "SELECT param_value FROM logged_model_params WHERE model_id = ?1 AND param_key = ?2",
            )?
            .query_row([model_id, &param.key], |row| row.get(0))?;
        if stored != param.value {
            let conflict = store::param_conflict(&param.key, &stored, &param.value);
            return Err(conflict.with("model", model_id).into());
        }
    }
    Ok(())
}

pub(super) fn set_tags(db: &Connection, model_id: &str, tags: &[Tag]) -> Outcome<()> {
    let experiment_id = active(db, model_id)?;
    upsert_tags(db, model_id, experiment_id, tags)
}

fn upsert_tags(db: &Connection, model_id: &str, experiment_id: i64, tags: &[Tag]) -> Outcome<()> {
    let mut upsert = db.prepare_cached(
        "INSERT INTO logged_model_tags (model_id, experiment_id, tag_key, tag_value)
         VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (model_id, tag_key) DO UPDATE SET tag_value = excluded.tag_value",
    )?;
    for tag in tags {
        upsert.execute(params![model_id, experiment_id, tag.key, tag.value])?;
    }
    Ok(())
}

pub(super) fn delete_tag(db: &Connection, model_id: &str, key: &str) -> Outcome<()> {
    active(db, model_id)?;
    let deleted = db
        .prepare_cached("DELETE FROM logged_model_tags WHERE model_id = ?1 AND tag_key = ?2")?
        .execute([model_id, key])?;
    if deleted == 0 {
        return Err(Error::not_found("the model has no tag of this key")
            .with("key", key)
            .with("model", model_id)
            .into());
    }
    Ok(())
}

pub(super) fn delete(db: &Connection, model_id: &str, now: i64) -> Outcome<()> {
    require(db, model_id)?;
    db.prepare_cached(
        "UPDATE logged_models SET lifecycle_stage = 'deleted', last_updated_timestamp_ms = ?2
          WHERE model_id = ?1 AND lifecycle_stage = 'active'",
    )?
    .execute(params![model_id, now])?;
    Ok(())
}

/// Refuses a model that does not exist; a deleted one does.
pub(super) fn require(db: &Connection, model_id: &str) -> Outcome<()> {
    require_tables(db)?;
    let found = db
        .prepare_cached("SELECT 1 FROM logged_models WHERE model_id = ?1")?
        .query_row([model_id], |_| Ok(()))
        .optional()?;
    found.ok_or_else(|| absent(model_id).into())
}

/// The number of the experiment of a model that may be written to.
fn active(db: &Connection, model_id: &str) -> Outcome<i64> {
    require_tables(db)?;
    let found = db
        .prepare_cached(
            "SELECT experiment_id FROM logged_models WHERE model_id = ?1 AND lifecycle_stage = 'active'",
        )?
        .query_row([model_id], |row| row.get(0))
        .optional()?;
    found.ok_or_else(|| absent(model_id).into())
}

fn absent(model_id: &str) -> Error {
    Error::not_found("no logged model has this id here; `search_logged_models` finds those that there are")
        .with("model", model_id)
}

/// Refuses a database that is older than logged models.
pub(super) fn require_tables(db: &Connection) -> Outcome<()> {
    if schema::has_column(db, "logged_models", "model_id")? {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        "MLflow 2 wrote this database, which has no logged models yet; run `mlflow db upgrade` of MLflow 3 on it",
    )
    .into())
}
