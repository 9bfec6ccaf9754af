//! `log_metric` beside the log calls of other crates, which keep points in memory until they are sent or written.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Size;
use crate::measure::{back_to_back, one_by_one};
use crate::null_server;
use crate::place::Place;
use crate::process::Child;
use crate::table::{Row, Table, ns, pairs, times};

pub(crate) fn measure(table: &mut Table, size: Size) {
    let program = match build() {
        Ok(program) => program,
        Err(why) => return table.missing("`log_metric` beside other crates", &why),
    };
    let server = null_server::start().unwrap();
    beside(table, size, "mlflow-client 0.0.1", &program, &["mlflow-client", &server]);
    let place = Place::new();
    let dir = place.dir().to_string_lossy().into_owned();
    beside(table, size, "expman 1.3.0", &program, &["expman", &dir]);
}

fn beside(table: &mut Table, size: Size, name: &str, program: &Path, arguments: &[&str]) {
    // Few, because mlflow-client takes so long to send them; between pairs both deliver what they took.
    let (count, calls) = size.pick((9, 10_000_u64), (3, 2000));
    let mut command = Command::new(program);
    command.args(arguments);
    let mut peer = Child::of(command);
    let place = Place::new();
    let run = place.run("peers");
    for (what, column, wanted) in [("single calls, p50", 1, "≤ 1"), ("back to back", 0, "")] {
        let ours = || {
            let log = |step| {
                run.log_metric("loss", 0.25, step);
            };
            let took = match column {
                0 => back_to_back(calls, log),
                _ => one_by_one(calls, log).p50,
            };
            run.flush().unwrap();
            took
        };
        let theirs = || {
            peer.tell(&calls.to_string());
            let said = peer.line();
            let figures: Vec<f64> = said.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
            *figures.get(column).unwrap_or_else(|| panic!("{name} ended: {said:?}"))
        };
        let beside = pairs(count, ours, theirs);
        table.add(Row {
            what: format!("`log_metric(key)`, {what}"),
            ours: beside.ours.show(ns),
            beside: format!("{name} {}", beside.other.show(ns)),
            ratio: beside.ratio.show(times),
            wanted: wanted.into(),
            held: (!wanted.is_empty()).then_some(beside.ratio.median <= 1.0),
        });
    }
    run.finish().unwrap();
    peer.end();
}

/// Builds the program of the peers, below what Cargo builds for this one.
fn build() -> Result<PathBuf, String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--locked", "--quiet", "--manifest-path"])
        .arg(package.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .map_err(|cause| format!("Cargo cannot be started: {cause}"))?;
    if built.status.success() {
        return Ok(target.join("release").join(format!("peers{}", std::env::consts::EXE_SUFFIX)));
    }
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    let error = said.lines().find(|line| line.starts_with("error")).unwrap_or("no reason is given");
    Err(format!("they do not build: {error}"))
}
