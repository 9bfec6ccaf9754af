//! Logged models: `logged_models` and what belongs to them. MLflow has these tables since 3.0.

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Outcome;
use super::{experiments, schema, search};
use crate::entity::{LoggedModel, ModelStatus, NewLoggedModel};
use crate::error::{Error, ErrorKind};
use crate::id;
use crate::store::location;

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
    for tag in &new.tags {
        db.prepare_cached(
            "INSERT INTO logged_model_tags (model_id, experiment_id, tag_key, tag_value)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (model_id, tag_key) DO UPDATE SET tag_value = excluded.tag_value",
        )?
        .execute(params![model_id, home.id, tag.key, tag.value])?;
    }
    get(db, &model_id)
}

pub(super) fn finalize(
    db: &Connection,
    model_id: &str,
    status: ModelStatus,
    now: i64,
) -> Outcome<LoggedModel> {
    experiment_of(db, model_id)?;
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

/// The id of the experiment of a model that may be written.
pub(super) fn experiment_of(db: &Connection, model_id: &str) -> Outcome<i64> {
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
    Error::not_found("no logged model has this id; create it first").with("model", model_id)
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
