//! MLflow's own client, where the tests have installed it.

use std::path::{Path, PathBuf};
use std::process::Command;

use runlog_core::clock;

use crate::Size;
use crate::place::Place;
use crate::table::{Row, Spread, Table, ms};

fn script() -> Option<Command> {
    let python: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mlflow-3.17.2/bin/python");
    let mut command = Command::new(&python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/figures/client.py"));
    command.env("MLFLOW_DISABLE_TELEMETRY", "true");
    python.exists().then_some(command)
}

const MISSING: &str = "MLflow is not here; `cargo test --test it mlflow` installs it";

/// `log_batch`, its fastest way to store points.
pub(crate) fn ingest(table: &mut Table, size: Size, ours_secs_a_point: f64) {
    let what = "the same beside MLflow's `log_batch`";
    let Some(mut script) = script() else { return table.missing(what, MISSING) };
    let place = Place::new();
    let points = size.pick(20_000, 2000);
    let output = script.current_dir(place.dir()).args(["ingest", &points.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let secs: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    let (ours, theirs) = (1e-3 / ours_secs_a_point, f64::from(points) / secs / 1e3);
    table.add(Row {
        what: what.into(),
        ours: format!("{ours:.0} k/s"),
        beside: format!("MLflow 3.17.2 {theirs:.1} k/s, once, {points} points"),
        ratio: format!("{:.0} times as fast", ours / theirs),
        ..Row::default()
    });
}

/// A process that starts a run, logs a point and ends it.
pub(crate) fn whole_process(table: &mut Table, size: Size, ours_secs: f64) {
    let what = "the same beside MLflow's";
    let place = Place::new();
    let time = || {
        let begun = clock::instant();
        let output = script()?.current_dir(place.dir()).arg("run").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(begun.elapsed().as_secs_f64())
    };
    // The first one makes the database.
    if time().is_none() {
        return table.missing(what, MISSING);
    }
    let theirs = Spread::new((0..size.pick(5, 1)).filter_map(|_| time()).collect());
    table.add(Row {
        what: what.into(),
        ours: ms(ours_secs),
        beside: format!("MLflow 3.17.2 {}", theirs.show(ms)),
        ratio: format!("{:.0} times as fast", theirs.median / ours_secs),
        ..Row::default()
    });
}
