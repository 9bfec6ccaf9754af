//! What the searches would be in plain SQL: prepared statements that read the same runs whole.

use std::collections::HashMap;

use rusqlite::{Connection, Result, Row};

/// A run as rows, with the fields that a run has.
#[derive(Debug, Default)]
pub(crate) struct RawRun {
    pub(crate) id: String,
    pub(crate) experiment_id: i64,
    pub(crate) texts: [String; 5],
    pub(crate) start_time: i64,
    pub(crate) end_time: Option<i64>,
    pub(crate) metrics: Vec<(String, f64, i64, i64)>,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) tags: Vec<(String, String)>,
}

const COLUMNS: &str =
    "runs.run_uuid, runs.experiment_id, runs.start_time, runs.end_time, runs.name, runs.user_id,
                       runs.status, runs.artifact_uri, runs.lifecycle_stage";

const SEEN: &str = "runs.lifecycle_stage = 'active' AND runs.experiment_id = 0";

fn read(row: &Row<'_>) -> Result<RawRun> {
    Ok(RawRun {
        id: row.get(0)?,
        experiment_id: row.get(1)?,
        start_time: row.get(2)?,
        end_time: row.get(3)?,
        texts: [row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?, row.get(8)?],
        ..RawRun::default()
    })
}

/// `metrics.loss < 0.5 AND params.optimizer = 'adam'`, by `metrics.accuracy DESC`.
pub(crate) fn best(db: &Connection, count: usize) -> Result<Vec<RawRun>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM runs
           LEFT JOIN latest_metrics AS accuracy ON accuracy.key = 'accuracy' AND accuracy.run_uuid = runs.run_uuid
          WHERE {SEEN}
            AND EXISTS (SELECT 1 FROM latest_metrics
                         WHERE key = 'loss' AND run_uuid = runs.run_uuid AND value < 0.5 AND is_nan = 0)
            AND EXISTS (SELECT 1 FROM params
                         WHERE key = 'optimizer' AND run_uuid = runs.run_uuid AND value = 'adam')
          ORDER BY CASE WHEN accuracy.is_nan THEN 1 WHEN accuracy.value IS NULL THEN 2 ELSE 0 END,
                   accuracy.value DESC, runs.start_time DESC, runs.run_uuid
          LIMIT {count}"
    );
    let runs = db.prepare_cached(&sql)?.query_map([], read)?.collect::<Result<Vec<_>>>()?;
    filled(db, runs)
}

/// The newest runs.
pub(crate) fn newest(db: &Connection, count: usize) -> Result<Vec<RawRun>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM runs WHERE {SEEN} ORDER BY runs.start_time DESC, runs.run_uuid LIMIT {count}"
    );
    let runs = db.prepare_cached(&sql)?.query_map([], read)?.collect::<Result<Vec<_>>>()?;
    filled(db, runs)
}

/// Reads what `runs` logged through the indexes by run.
fn filled(db: &Connection, mut runs: Vec<RawRun>) -> Result<Vec<RawRun>> {
    let mut metrics = db.prepare_cached(
        "SELECT key, value, timestamp, step FROM latest_metrics WHERE run_uuid = ?1 ORDER BY +key",
    )?;
    let mut params = db.prepare_cached("SELECT key, value FROM params WHERE run_uuid = ?1 ORDER BY +key")?;
    let mut tags = db.prepare_cached("SELECT key, value FROM tags WHERE run_uuid = ?1 ORDER BY +key")?;
    for run in &mut runs {
        run.metrics = metrics.query_map([&run.id], metric)?.collect::<Result<_>>()?;
        run.params = params.query_map([&run.id], text)?.collect::<Result<_>>()?;
        run.tags = tags.query_map([&run.id], text)?.collect::<Result<_>>()?;
    }
    Ok(runs)
}

fn metric(row: &Row<'_>) -> Result<(String, f64, i64, i64)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn text(row: &Row<'_>) -> Result<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}

/// Every run: each table is read once from its beginning to its end.
pub(crate) fn everything(db: &Connection) -> Result<Vec<RawRun>> {
    let mut runs = db
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM runs WHERE {SEEN} ORDER BY runs.start_time DESC, runs.run_uuid"
        ))?
        .query_map([], read)?
        .collect::<Result<Vec<_>>>()?;
    let places: HashMap<String, usize> =
        runs.iter().enumerate().map(|(place, run)| (run.id.clone(), place)).collect();
    let mut statement =
        db.prepare_cached("SELECT key, value, timestamp, step, run_uuid FROM latest_metrics")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(place) = places.get(row.get_ref(4)?.as_str()?) {
            runs[*place].metrics.push(metric(row)?);
        }
    }
    for is_tag in [false, true] {
        let table = if is_tag { "tags" } else { "params" };
        let mut statement = db.prepare_cached(&format!("SELECT key, value, run_uuid FROM {table}"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(place) = places.get(row.get_ref(2)?.as_str()?) {
                let run = &mut runs[*place];
                if is_tag { &mut run.tags } else { &mut run.params }.push(text(row)?);
            }
        }
    }
    for run in &mut runs {
        run.metrics.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        run.params.sort_unstable();
        run.tags.sort_unstable();
    }
    Ok(runs)
}
