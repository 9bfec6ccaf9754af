//! The least that putting points into a store can take: bare SQLite into the same tables, bare appends to files.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::path::Path;

use runlog::store::SqliteStore;
use runlog_core::clock;
use rusqlite::{Connection, params};

/// Rows in one transaction.
const BATCH: u64 = 10_000;
const RUN: &str = "0123456789abcdef0123456789abcdef";
const START: i64 = 1_700_000_000_000;

/// Seconds for so many points of so many keys into a new database at `path`: prepared statements for single rows, 10,000
/// rows a transaction, write-ahead log, `synchronous=NORMAL`, foreign keys on; to the end of the last transaction, and
/// until the log is moved into the database.
pub(crate) fn sqlite(path: &Path, points: u64, keys: u64) -> rusqlite::Result<(f64, f64)> {
    drop(SqliteStore::open(path, &path.with_file_name("mlruns")).unwrap());
    let mut db = Connection::open(path)?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "cache_size", -65_536)?;
    let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    assert_eq!(mode, "wal");
    db.execute(
        "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,
                           source_version, lifecycle_stage, artifact_uri, experiment_id)
         VALUES (?1, 'raw', 'UNKNOWN', '', '', '', 'RUNNING', ?2, '', 'active', '', 0)",
        params![RUN, START],
    )?;
    let names: Vec<String> = (0..keys).map(|key| format!("metric_{key}")).collect();
    let begun = clock::instant();
    for first in (0..points).step_by(BATCH as usize) {
        let transaction = db.transaction()?;
        let mut point = transaction.prepare_cached(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?1, ?2, ?3, ?4, ?5, 0)",
        )?;
        let mut latest = transaction.prepare_cached(
            "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?1, ?2, ?3, ?4, 0, ?5)
             ON CONFLICT (key, run_uuid) DO UPDATE
             SET value = excluded.value, timestamp = excluded.timestamp, step = excluded.step, is_nan = excluded.is_nan
             WHERE (excluded.step, excluded.timestamp, excluded.value) > (step, timestamp, value)",
        )?;
        let end = points.min(first + BATCH);
        let of = |number: u64| {
            let step = (number / keys).cast_signed();
            (&names[(number % keys) as usize], number as f64 * 0.37, START + step, step)
        };
        for number in first..end {
            let (key, value, timestamp, step) = of(number);
            point.execute(params![key, value, timestamp, RUN, step])?;
        }
        for number in end - keys..end {
            let (key, value, timestamp, step) = of(number);
            latest.execute(params![key, value, timestamp, step, RUN])?;
        }
        drop((point, latest));
        transaction.commit()?;
    }
    let committed = begun.elapsed().as_secs_f64();
    checkpoint(&db)?;
    Ok((committed, begun.elapsed().as_secs_f64()))
}

/// Moves the write-ahead log into the database.
pub(crate) fn checkpoint(db: &Connection) -> rusqlite::Result<()> {
    let busy: i64 = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    assert_eq!(busy, 0, "somebody reads the database");
    Ok(())
}

/// Seconds for as many lines of `timestamp value step`, a file a key below `dir`, written through 64 KiB of memory each,
/// and then synced.
pub(crate) fn files(dir: &Path, points: u64, keys: u64) -> std::io::Result<f64> {
    let open = |key| OpenOptions::new().create(true).append(true).open(dir.join(format!("metric_{key}")));
    let begun = clock::instant();
    let open = |key| Ok(BufWriter::with_capacity(1 << 16, open(key)?));
    let mut files = (0..keys).map(open).collect::<std::io::Result<Vec<_>>>()?;
    for number in 0..points {
        let (step, value) = (number / keys, number as f64 * 0.37);
        writeln!(files[(number % keys) as usize], "{} {value} {step}", START.cast_unsigned() + step)?;
    }
    for mut file in files {
        file.flush()?;
        file.get_ref().sync_all()?;
    }
    Ok(begun.elapsed().as_secs_f64())
}
