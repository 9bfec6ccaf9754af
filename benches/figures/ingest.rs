//! How long it takes until points are in a store.

use runlog::{ActiveRun, MetricHandle};
use runlog_core::clock;
use rusqlite::Connection;

use crate::Size;
use crate::place::{FILES, Place};
use crate::table::{Row, Spread, Table, ms, pairs, rate, times};
use crate::{mlflow, raw};

const KEYS: u64 = 10;

pub(crate) fn measure(table: &mut Table, size: Size) {
    let points = size.pick(1_000_000, 20_000);
    let count = size.pick(5, 3);
    let beside =
        pairs(count, || sqlite(points), || raw::sqlite(&Place::new().database(), points, KEYS).unwrap().1);
    share(
        table,
        "SQLite",
        points,
        &beside.ours,
        "bare SQLite, the same tables",
        &beside.other,
        &beside.ratio,
        0.85,
    );
    let sqlite = beside.ours.median / points as f64;
    let beside = pairs(count, || files(points), || raw::files(Place::new().dir(), points, KEYS).unwrap());
    share(
        table,
        "file store",
        points,
        &beside.ours,
        "bare buffered appends",
        &beside.other,
        &beside.ratio,
        0.8,
    );
    mlflow::ingest(table, size, sqlite);
    finish(table, size);
}

#[expect(clippy::too_many_arguments, reason = "the columns of a row")]
fn share(
    table: &mut Table,
    store: &str,
    points: u64,
    ours: &Spread,
    limit: &str,
    theirs: &Spread,
    ratio: &Spread,
    least: f64,
) {
    // Of times; what counts is the share of the limit's speed.
    let reached = ratio.inverse(|ratio| 1.0 / ratio);
    let speed = |secs: f64| points as f64 / secs;
    table.add(Row {
        what: format!("{points} points into {store}"),
        ours: ours.inverse(speed).show(rate),
        beside: format!("{limit} {}", theirs.inverse(speed).show(rate)),
        ratio: reached.show(times),
        wanted: format!("≥ {least}"),
        held: Some(reached.median >= least),
    });
}

/// Seconds from the first call until the run has ended and the database is one file.
fn sqlite(points: u64) -> f64 {
    let place = Place::new();
    let run = place.run("ingest");
    let metrics = metrics(&run);
    let db = Connection::open(place.database()).unwrap();
    let begun = clock::instant();
    log(&metrics, points);
    run.finish().unwrap();
    raw::checkpoint(&db).unwrap();
    let took = begun.elapsed().as_secs_f64();
    let stored: i64 = db.query_row("SELECT count(*) FROM metrics", [], |row| row.get(0)).unwrap();
    assert_eq!(stored.cast_unsigned(), points);
    took
}

/// Seconds from the first call until the run has ended.
fn files(points: u64) -> f64 {
    let place = Place::new();
    let run = place.tracker(FILES).start_run("ingest").unwrap();
    let metrics = metrics(&run);
    let begun = clock::instant();
    log(&metrics, points);
    run.finish().unwrap();
    begun.elapsed().as_secs_f64()
}

fn metrics(run: &ActiveRun) -> Vec<MetricHandle> {
    (0..KEYS).map(|key| run.metric(&format!("metric_{key}"))).collect()
}

fn log(metrics: &[MetricHandle], points: u64) {
    for step in 0..points / KEYS {
        for (key, metric) in (0..).zip(metrics) {
            metric.log((step * KEYS + key) as f64 * 0.37, step);
        }
    }
}

/// The end of a run that has just logged 100,000 points.
fn finish(table: &mut Table, size: Size) {
    let points = size.pick(100_000, 10_000);
    let ours = || {
        let place = Place::new();
        let run = place.run("finish");
        log(&metrics(&run), points);
        let begun = clock::instant();
        run.finish().unwrap();
        begun.elapsed().as_secs_f64()
    };
    let raw = || raw::sqlite(&Place::new().database(), points, KEYS).unwrap().0;
    let beside = pairs(size.pick(5, 3), ours, raw);
    table.add(Row {
        what: format!("`finish()` with {points} points queued, SQLite"),
        ours: beside.ours.show(ms),
        beside: format!("bare SQLite for as many {}", beside.other.show(ms)),
        ratio: beside.ratio.show(times),
        ..Row::default()
    });
}
