//! `log_batch`: params, metrics and tags of one run in one transaction.
//!
//! This is where the points of training arrive, so it does per point only what the schema forces it to: one prepared
//! `INSERT`. What can be done once per key or batch is.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Outcome;
use super::{models, runs};
use crate::entity::{Metric, Param};
use crate::error::{Error, ErrorKind};
use crate::store::{Batch, RUN_NAME_TAG, point};

pub(super) fn log(db: &Connection, run_id: &str, batch: &Batch) -> Outcome<()> {
    let experiment_id = runs::active(db, run_id)?;
    for param in &batch.params {
        log_param(db, run_id, param)?;
    }
    log_metrics(db, run_id, &batch.metrics)?;
    log_model_metrics(db, run_id, experiment_id, &batch.metrics)?;
    for tag in &batch.tags {
        if tag.key == RUN_NAME_TAG {
            runs::rename(db, run_id, &tag.value)?;
        }
        runs::set_tag(db, run_id, &tag.key, &tag.value)?;
    }
    Ok(())
}

fn log_param(db: &Connection, run_id: &str, param: &Param) -> Outcome<()> {
    let inserted = db
        .prepare_cached("INSERT OR IGNORE INTO params (key, value, run_uuid) VALUES (?1, ?2, ?3)")?
        .execute([&param.key, &param.value, run_id])?;
    if inserted == 1 {
        return Ok(());
    }
    let stored: Option<String> = db
        .prepare_cached("SELECT value FROM params WHERE key = ?1 AND run_uuid = ?2")?
        .query_row([&param.key, run_id], |row| row.get(0))
        .optional()?;
    match stored {
        Some(stored) if stored != param.value => {
            Err(crate::store::param_conflict(&param.key, &stored, &param.value).with("run", run_id).into())
        }
        Some(_) => Ok(()),
        None => Err(Error::new(
            ErrorKind::InvalidInput,
            "the database does not accept this param; change its value",
        )
        .with("key", &param.key)
        .into()),
    }
}

fn log_metrics(db: &Connection, run_id: &str, metrics: &[Metric]) -> Outcome<()> {
    if metrics.is_empty() {
        return Ok(());
    }
    // In the order of the primary key its pages are filled one after the other. What comes from a journal is in order
    // by key, so that this only puts the keys in order.
    let mut sorted: Vec<&Metric> = metrics.iter().collect();
    sorted.sort_by(|left, right| {
        left.key.cmp(&right.key).then(left.timestamp.cmp(&right.timestamp)).then(left.step.cmp(&right.step))
    });

    let mut insert = db.prepare_cached(
        "INSERT OR IGNORE INTO metrics (key, value, timestamp, run_uuid, step, is_nan)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    // Texts are copied when they are bound: once a batch, and once a key.
    insert.raw_bind_parameter(4, run_id)?;
    let mut upsert = db.prepare_cached(
        "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (key, run_uuid) DO UPDATE
            SET value = excluded.value, timestamp = excluded.timestamp, step = excluded.step,
                is_nan = excluded.is_nan
          WHERE (excluded.step, excluded.timestamp, excluded.value)
                > (latest_metrics.step, latest_metrics.timestamp, latest_metrics.value)",
    )?;
    for points in sorted.chunk_by(|left, right| left.key == right.key) {
        if let Some(first) = points.first() {
            insert.raw_bind_parameter(1, &first.key)?;
        }
        for metric in points {
            let value = point::Value::finite(metric.value);
            insert.raw_bind_parameter(2, value.number)?;
            insert.raw_bind_parameter(3, metric.timestamp)?;
            insert.raw_bind_parameter(5, metric.step)?;
            insert.raw_bind_parameter(6, value.is_nan)?;
            insert.raw_execute()?;
        }
        // The first of equals stays, as if each point had been upserted by itself.
        let latest = points
            .iter()
            .copied()
            .reduce(|best, next| if point::compare(next, best).is_gt() { next } else { best });
        if let Some(latest) = latest {
            let value = point::Value::finite(latest.value);
            upsert.execute(params![
                latest.key,
                value.number,
                latest.timestamp,
                latest.step,
                value.is_nan,
                run_id
            ])?;
        }
    }
    Ok(())
}

/// The points that measure a model; like MLflow, under the experiment of the run that logged them.
fn log_model_metrics(db: &Connection, run_id: &str, experiment_id: i64, metrics: &[Metric]) -> Outcome<()> {
    let mut known = BTreeSet::new();
    for metric in metrics {
        let Some(model_id) = metric.model_id.as_deref() else { continue };
        if known.insert(model_id) {
            models::require(db, model_id)?;
        }
        // The table has no column for NaN; like MLflow, 0 stands for it there. Nor does MLflow fill `dataset_uuid`.
        db.prepare_cached(
            "INSERT OR IGNORE INTO logged_model_metrics
                 (model_id, metric_name, metric_timestamp_ms, metric_step, metric_value, experiment_id, run_id,
                  dataset_name, dataset_digest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            model_id,
            metric.key,
            metric.timestamp,
            metric.step,
            point::Value::finite(metric.value).number,
            experiment_id,
            run_id,
            metric.dataset_name,
            metric.dataset_digest
        ])?;
    }
    Ok(())
}
