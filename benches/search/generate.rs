//! A database with many runs, as MLflow and runlog write them, made in one transaction.

use std::path::Path;

use runlog::store::SqliteStore;
use rusqlite::{Connection, params};

/// The keys of each run; the first of each is what the bench filters by.
pub(crate) const METRICS: [&str; 8] =
    ["loss", "accuracy", "f1", "precision", "recall", "val/loss", "val/accuracy", "epoch_seconds"];
pub(crate) const PARAMS: [&str; 8] =
    ["optimizer", "lr", "batch_size", "layers", "dropout", "weight_decay", "seed", "schedule"];
pub(crate) const TAGS: [&str; 6] =
    ["mlflow.runName", "mlflow.user", "mlflow.source.name", "mlflow.source.type", "team", "stage"];

const START: i64 = 1_700_000_000_000;

/// Creates the database at `path` with `runs` runs in experiment 0.
pub(crate) fn generate(path: &Path, runs: u32) -> rusqlite::Result<()> {
    let root = path.with_file_name("mlruns");
    drop(
        SqliteStore::open(path, &root)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?,
    );
    let mut db = Connection::open(path)?;
    db.pragma_update(None, "synchronous", "OFF")?;
    let transaction = db.transaction()?;
    {
        let mut run = transaction.prepare(
            "INSERT INTO runs
                 (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time,
                  source_version, lifecycle_stage, artifact_uri, experiment_id)
             VALUES (?1, ?2, 'UNKNOWN', '', '', 'ada', 'FINISHED', ?3, ?4, '', 'active', ?5, 0)",
        )?;
        let mut point = transaction.prepare(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?1, ?2, ?3, ?4, 100, 0)",
        )?;
        let mut latest = transaction.prepare(
            "INSERT INTO latest_metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?1, ?2, ?3, ?4, 100, 0)",
        )?;
        let mut param =
            transaction.prepare("INSERT INTO params (key, value, run_uuid) VALUES (?1, ?2, ?3)")?;
        let mut tag = transaction.prepare("INSERT INTO tags (key, value, run_uuid) VALUES (?1, ?2, ?3)")?;
        let mut random = Random(1);
        for number in 0..runs {
            let id = format!("{:016x}{:016x}", random.next(), random.next());
            let name = format!("run-{number}");
            let time = START + 60_000 * i64::from(number);
            run.execute(params![
                id,
                name,
                time,
                time + 30_000,
                format!("{}/0/{id}/artifacts", root.display())
            ])?;
            for key in METRICS {
                let values = params![key, random.fraction(), time + 30_000, id];
                point.execute(values)?;
                latest.execute(values)?;
            }
            for key in PARAMS {
                param.execute(params![key, random.one_of(&["adam", "sgd", "rmsprop", "0.001"]), id])?;
            }
            for key in TAGS {
                let value = if key == "mlflow.runName" { &name } else { random.one_of(&["vision", "voice"]) };
                tag.execute(params![key, value, id])?;
            }
        }
    }
    transaction.commit()
}

/// The same numbers in every run of the bench (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    fn fraction(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }

    fn one_of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[usize::try_from(self.next() % texts.len() as u64).unwrap_or(0)]
    }
}
