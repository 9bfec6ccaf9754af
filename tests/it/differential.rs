//! The same calls, made by MLflow and by us, leave the same behind: told by MLflow's own client, for every store.
//!
//! The calls are data, in `differential/scenarios/`. Each scenario is a list of steps under MLflow's names; `$name` in
//! an argument is what the step with that name (`"as"`) made. `play.py` makes the calls of MLflow, [`player`] those of
//! this library; `read.py` reads all four stores, and [`compare`] says where they are not the same.

mod args;
mod artifacts;
mod compare;
mod data;
mod experiments;
mod logging;
mod models;
mod player;
mod runs;
mod scenario;
mod search;

use std::path::Path;
use std::process::Stdio;

use serde_json::{Map, Value};

use self::compare::differences;
use self::player::play;
use self::scenario::{Scenario, scenarios};
use crate::support::{Place, text};

/// The stores that every scenario is played on, if it does not say otherwise.
const STORES: [&str; 2] = ["sqlite", "file"];

/// Files that scenarios log.
fn give_files(given: &Path) {
    std::fs::create_dir_all(given.join("tree/inner/deep")).unwrap();
    for (name, content) in [
        ("note.txt", "a note\n"),
        ("empty.txt", ""),
        ("tree/top.txt", "top"),
        ("tree/inner/one.csv", "a,b\n1,2\n"),
        ("tree/inner/deep/two.txt", "two"),
    ] {
        std::fs::write(given.join(name), content).unwrap();
    }
    std::fs::write(given.join("bytes.bin"), (0..=255).collect::<Vec<u8>>()).unwrap();
}

/// What we leave in both stores.
fn play_ours(scenarios: &[Scenario], place: &Place, given: &str) {
    let outcomes: Map<String, Value> = STORES
        .iter()
        .map(|store| {
            let played = scenarios.iter().filter(|scenario| scenario.is_for(store));
            let outcomes: Map<String, Value> =
                played.map(|scenario| (scenario.name.clone(), play(scenario, place, store, given))).collect();
            ((*store).to_owned(), outcomes.into())
        })
        .collect();
    std::fs::write(place.path().join("runlog/outcomes.json"), Value::from(outcomes).to_string()).unwrap();
}

#[test]
fn the_same_calls_leave_the_same_as_mlflow() {
    let (place, scenarios) = (Place::new(), scenarios());
    for side in ["mlflow", "runlog"] {
        for store in STORES {
            std::fs::create_dir_all(place.path().join(side).join(store)).unwrap();
        }
    }
    let given = place.path().join("given");
    give_files(&given);
    let given = given.to_str().unwrap();
    let all = Value::from(scenarios.iter().map(|scenario| scenario.whole.clone()).collect::<Vec<_>>());
    std::fs::write(place.path().join("scenarios.json"), all.to_string()).unwrap();

    // MLflow takes its time; ours pass beside it.
    let mut theirs = place.python("differential/play.py");
    theirs.args(["scenarios.json", given]).arg(place.path().join("mlflow"));
    let theirs = theirs.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    play_ours(&scenarios, &place, given);
    let theirs = theirs.wait_with_output().unwrap();
    assert!(theirs.status.success(), "{}", text(&theirs.stderr));

    let mut reader = place.python("differential/read.py");
    let read = reader.args(["mlflow", "runlog"]).output().unwrap();
    assert!(read.status.success(), "{}", text(&read.stderr));
    let read: Value = serde_json::from_slice(&read.stdout).unwrap();
    let found: Vec<String> = STORES
        .iter()
        .flat_map(|store| {
            scenarios.iter().filter(|scenario| scenario.is_for(store)).map(move |scenario| (store, scenario))
        })
        .flat_map(|(store, scenario)| {
            let side = |side: &str| read[side][store][&scenario.name].clone();
            differences(scenario, store, side("mlflow"), side("runlog"))
        })
        .collect();
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}
