//! Logged models, whole: their row, and what belongs to it.

use rusqlite::{Connection, OptionalExtension, Row};

use super::super::failure::Outcome;
use super::statement::{Entity, Metrics, Select};
use super::{Ids, Source};
use crate::entity::{LoggedModel, Metric, ModelStatus, Param, Tag, ViewType};
use crate::search;
use crate::store::{ModelQuery, Page, PageRequest};

static MODELS: Entity = Entity {
    table: "logged_models",
    id: "model_id",
    params: ("logged_model_params", "param_key", "param_value"),
    tags: ("logged_model_tags", "tag_key", "tag_value"),
    column: |attribute| attribute,
    nullable: true,
    metrics: Metrics::OfModel,
};

const COLUMNS: &str = "logged_models.model_id, experiment_id, name, artifact_location, creation_timestamp_ms,
        last_updated_timestamp_ms, status, model_type, source_run_id";

/// The active model with this id.
pub(in super::super) fn model(db: &Connection, model_id: &str) -> Outcome<Option<LoggedModel>> {
    let found = db
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM logged_models WHERE model_id = ?1 AND lifecycle_stage = 'active'"
        ))?
        .query_row([model_id], read)
        .optional()?;
    let Some(model) = found else { return Ok(None) };
    let mut models = [model];
    fill(db, &mut models)?;
    let [model] = models;
    Ok(Some(model))
}

/// The active models that `query` selects, in its order.
pub(in super::super) fn models(
    db: &Connection,
    query: &ModelQuery,
    page: &PageRequest,
) -> Outcome<Page<LoggedModel>> {
    let clauses = search::filter(&query.filter, &search::MODELS)?;
    let orders = search::orders(&query.order_by, &search::MODELS)?;
    let mut select = Select::new(&MODELS, COLUMNS);
    select.only_seen(ViewType::ActiveOnly);
    select.only_in(&query.experiment_ids);
    select.only_on(&query.datasets, &clauses);
    select.query(&clauses, &orders);
    let mut found = select.page(db, page, read)?;
    fill(db, &mut found.items)?;
    Ok(found)
}

fn read(row: &Row<'_>) -> rusqlite::Result<LoggedModel> {
    let experiment_id: i64 = row.get(1)?;
    let mut model =
        LoggedModel::new(row.get::<_, String>(0)?, experiment_id.to_string(), row.get::<_, String>(2)?);
    model.artifact_location = row.get(3)?;
    model.creation_timestamp = row.get(4)?;
    model.last_updated_timestamp = row.get(5)?;
    model.status = ModelStatus::from_code(row.get(6)?);
    model.model_type = row.get(7)?;
    model.source_run_id = row.get(8)?;
    Ok(model)
}

const PARAMS: Source = Source {
    columns: "its.param_key, its.param_value",
    from: "logged_model_params AS its",
    id: "model_id",
    condition: "TRUE",
};

const TAGS: Source =
    Source { columns: "its.tag_key, its.tag_value", from: "logged_model_tags AS its", ..PARAMS };

const METRICS: Source = Source {
    columns:
        "metric_name, coalesce(metric_value, 0.0), metric_timestamp_ms, metric_step, run_id, dataset_name,
              dataset_digest",
    from: "logged_model_metrics AS its",
    ..PARAMS
};

/// Reads what belongs to `models`.
fn fill(db: &Connection, models: &mut [LoggedModel]) -> Outcome<()> {
    let all = db
        .prepare_cached("SELECT coalesce(max(rowid), 0) FROM logged_models")?
        .query_row([], |row| row.get(0))?;
    let ids: Vec<&str> = models.iter().map(|model| model.model_id.as_str()).collect();
    let ids = Ids::new(&ids, all);
    PARAMS.each(db, &ids, models, |model, row| {
        model.params.push(Param::new(row.get::<_, String>(1)?, row.get::<_, String>(2)?));
        Ok(())
    })?;
    TAGS.each(db, &ids, models, |model, row| {
        model.tags.push(Tag::new(row.get::<_, String>(1)?, row.get::<_, String>(2)?));
        Ok(())
    })?;
    METRICS.each(db, &ids, models, |model, row| {
        let mut metric = Metric::new(row.get::<_, String>(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        metric.model_id = Some(model.model_id.clone());
        metric.run_id = row.get(5)?;
        metric.dataset_name = row.get(6)?;
        metric.dataset_digest = row.get(7)?;
        model.metrics.push(metric);
        Ok(())
    })?;
    for model in models {
        model.params.sort_unstable();
        model.tags.sort_unstable();
        model.metrics.sort_unstable_by(|left, right| {
            let place = |metric: &Metric| (metric.timestamp, metric.step);
            left.key.cmp(&right.key).then(place(left).cmp(&place(right))).then(left.run_id.cmp(&right.run_id))
        });
    }
    Ok(())
}
