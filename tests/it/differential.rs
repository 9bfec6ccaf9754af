//! The same calls, made by MLflow and by us, leave the same behind: told by MLflow's own client, for every store.
//!
//! The calls are data, in `differential/scenarios/`. Each scenario is a list of steps under MLflow's names; `$name` in
//! an argument is what the step with that name (`"as"`) made. `play.py` makes the calls of MLflow, the program
//! `scenario` those of this library; `read.py` reads what both left in every store, and [`compare`] says where it is
//! not the same.

mod compare;
mod scenario;

use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use self::compare::differences;
use self::scenario::{Scenario, scenarios};
use crate::python::answer;
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

/// MLflow and this library play the scenarios of one store, side by side.
fn start(place: &Place, store: &str, scenarios: &[Scenario]) -> [Child; 2] {
    let file = place.path().join(format!("{store}.json"));
    let chosen = scenarios.iter().filter(|scenario| scenario.is_for(store));
    let chosen: Value = chosen.map(|scenario| scenario.whole.clone()).collect();
    std::fs::write(&file, chosen.to_string()).unwrap();
    ["mlflow", "runlog"].map(|side| {
        let dir = place.path().join(side).join(store);
        std::fs::create_dir_all(&dir).unwrap();
        let mut player = match side {
            "mlflow" => place.python("differential/play.py"),
            _ => place.scenario(&["play"]),
        };
        let uri = match store {
            "sqlite" => format!("sqlite:///{}/mlflow.db", dir.display()),
            _ => format!("{}/mlruns", dir.display()),
        };
        player.current_dir(&dir).arg(&file).arg(place.path().join("given")).args([&uri, "outcomes.json"]);
        player.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    })
}

#[test]
fn the_same_calls_leave_the_same_as_mlflow() {
    let (place, scenarios) = (Place::new(), scenarios());
    give_files(&place.path().join("given"));
    let players: Vec<Child> = STORES.iter().flat_map(|store| start(&place, store, &scenarios)).collect();
    for player in players {
        let output = player.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let read = answer(place.python("differential/read.py").args(["mlflow", "runlog"]));
    let mut found = Vec::new();
    for store in STORES {
        for scenario in scenarios.iter().filter(|scenario| scenario.is_for(store)) {
            let of = |side: &str| read[side][store][&scenario.name].clone();
            found.extend(differences(scenario, store, of("mlflow"), of("runlog")));
        }
    }
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}
