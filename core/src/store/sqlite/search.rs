//! Reading runs: which ones, and everything that each of them logged.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::failure::Outcome;
use super::{experiments, inputs};
use crate::entity::{Experiment, LifecycleStage, Metric, Param, Run, RunInfo, RunStatus, Tag, ViewType};
use crate::store::{ExperimentQuery, Page, PageRequest, RunQuery, point};

/// Old MLflow releases left `runs.name` empty and wrote only the tag.
const COLUMNS: &str = "SELECT run_uuid, experiment_id,
        coalesce(nullif(name, ''),
                 (SELECT value FROM tags WHERE tags.run_uuid = runs.run_uuid AND key = 'mlflow.runName'),
                 ''),
        coalesce(user_id, ''), status, coalesce(start_time, 0), end_time, coalesce(artifact_uri, ''), lifecycle_stage
   FROM runs";

/// The run with this id.
pub(super) fn one(db: &Connection, run_id: &str) -> Outcome<Option<Run>> {
    let info =
        db.prepare_cached(&format!("{COLUMNS} WHERE run_uuid = ?1"))?.query_row([run_id], read).optional()?;
    info.map(|info| fill(db, info)).transpose()
}

/// The runs that `query` selects, newest start first, then by id.
pub(super) fn runs(db: &Connection, query: &RunQuery, page: &PageRequest) -> Outcome<Page<Run>> {
    // An id that is no number is no id of a database, and selects nothing.
    let ids: Vec<i64> = query.experiment_ids.iter().filter_map(|id| id.parse().ok()).collect();
    let ids = format!("[{}]", ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
    let stage = match query.run_view_type {
        ViewType::ActiveOnly => Some(LifecycleStage::Active.as_str()),
        ViewType::DeletedOnly => Some(LifecycleStage::Deleted.as_str()),
        ViewType::All => None,
    };
    let limit = i64::try_from(page.max_results).unwrap_or(i64::MAX);
    let infos: Vec<RunInfo> = db
        .prepare_cached(&format!(
            "{COLUMNS}
              WHERE (?1 IS NULL OR lifecycle_stage = ?1)
                AND experiment_id IN (SELECT value FROM json_each(?2))
              ORDER BY start_time DESC, run_uuid
              LIMIT ?3"
        ))?
        .query_map(params![stage, ids, limit], read)?
        .collect::<Result<_, _>>()?;
    Ok(Page::last(infos.into_iter().map(|info| fill(db, info)).collect::<Outcome<_>>()?))
}

/// The experiments that `query` selects.
pub(super) fn experiments(
    db: &Connection,
    query: &ExperimentQuery,
    page: &PageRequest,
) -> Outcome<Page<Experiment>> {
    let ids: Vec<i64> = db
        .prepare_cached("SELECT experiment_id FROM experiments ORDER BY creation_time DESC, experiment_id")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for id in ids {
        let experiment = experiments::get(db, &id.to_string())?;
        if query.view_type.shows(experiment.lifecycle_stage) {
            found.push(experiment);
        }
    }
    found.truncate(page.max_results);
    Ok(Page::last(found))
}

fn read(row: &Row<'_>) -> rusqlite::Result<RunInfo> {
    let status: String = row.get(4)?;
    let mut info = RunInfo::new(row.get::<_, String>(0)?, row.get::<_, i64>(1)?.to_string());
    info.run_name = row.get(2)?;
    info.user_id = row.get(3)?;
    info.status = RunStatus::from_text(&status)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(4, Type::Text, Box::new(error)))?;
    info.start_time = row.get(5)?;
    info.end_time = row.get(6)?;
    info.artifact_uri = row.get(7)?;
    info.lifecycle_stage = LifecycleStage::from_text(&row.get::<_, Option<String>>(8)?.unwrap_or_default());
    Ok(info)
}

fn fill(db: &Connection, info: RunInfo) -> Outcome<Run> {
    let mut run = Run::new(info);
    let run_id = run.info.run_id.as_str();
    run.data.metrics = db
        .prepare_cached(
            "SELECT key, value, is_nan, coalesce(timestamp, 0), step FROM latest_metrics WHERE run_uuid = ?1
              ORDER BY key",
        )?
        .query_map([run_id], |row| {
            let value = point::Value { number: row.get(1)?, is_nan: row.get(2)? };
            Ok(Metric::new(row.get::<_, String>(0)?, value.get(), row.get(3)?, row.get(4)?))
        })?
        .collect::<Result<_, _>>()?;
    run.data.params = db
        .prepare_cached("SELECT key, value FROM params WHERE run_uuid = ?1 ORDER BY key")?
        .query_map([run_id], |row| Ok(Param::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
        .collect::<Result<_, _>>()?;
    run.data.tags = db
        .prepare_cached("SELECT key, coalesce(value, '') FROM tags WHERE run_uuid = ?1 ORDER BY key")?
        .query_map([run_id], |row| Ok(Tag::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
        .collect::<Result<_, _>>()?;
    run.inputs = inputs::of(db, run_id)?;
    run.outputs = inputs::outputs_of(db, run_id)?;
    Ok(run)
}
