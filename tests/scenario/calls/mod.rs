//! Makes the calls of scenarios that are data, each by its name, through the fluent functions.
//!
//! `tests/it/differential.rs` gives the same calls to MLflow and compares.

mod args;
mod artifacts;
mod data;
mod experiments;
mod logging;
mod models;
mod runs;
mod search;

use std::collections::{BTreeMap, HashMap};

use runlog::{ActiveRun, Config, Error, Tracker, with_tracker};
use serde_json::{Map, Value, json};

use self::args::{Args, expand};

/// What a call returns: a value to compare and, if it made something, its id.
type Outcome = Result<Returned, Error>;

/// A value to compare, and the id of what was made or found.
#[derive(Debug, Default)]
struct Returned {
    value: Value,
    id: Option<String>,
}

impl From<()> for Returned {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<Value> for Returned {
    fn from(value: Value) -> Self {
        Self { id: value.as_str().map(str::to_owned), value }
    }
}

/// Plays every scenario in the file `scenarios` on the store at `uri`, and writes to the file `outcomes` what the steps
/// returned and the names of what they made.
pub(crate) fn play(scenarios: &str, given: &str, uri: &str, outcomes: &str) {
    let scenarios: Vec<Value> = serde_json::from_slice(&std::fs::read(scenarios).unwrap()).unwrap();
    let played = scenarios.iter().map(|scenario| {
        let name = scenario["name"].as_str().unwrap();
        (name.to_owned(), Player::new(name, given, uri).play(scenario))
    });
    let played: Map<String, Value> = played.collect();
    std::fs::write(outcomes, Value::from(played).to_string()).unwrap();
}

/// A scenario as it is played: the tracker, and what has been made so far.
struct Player<'p> {
    uri: &'p str,
    tracker: Tracker,
    names: BTreeMap<String, String>,
    /// The active experiment, which a tracker with another environment must be told again.
    experiment: Option<String>,
    /// A run that is dropped ends.
    runs: Vec<ActiveRun>,
}

impl<'p> Player<'p> {
    fn new(scenario: &str, given: &str, uri: &'p str) -> Self {
        let names = [("scenario", scenario), ("given", given)];
        Self {
            uri,
            tracker: open(uri, &[]),
            names: names.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            experiment: None,
            runs: Vec::new(),
        }
    }

    fn play(mut self, scenario: &Value) -> Value {
        if scenario["experiment"] != false {
            let experiment = json!({"experiment_name": scenario["name"]});
            self.step(&json!({"call": "set_experiment", "args": experiment, "as": "experiment"}));
        }
        let steps: Vec<Value> =
            scenario["steps"].as_array().unwrap().iter().map(|step| self.step(step)).collect();
        self.names.retain(|name, _| name != "scenario" && name != "given");
        json!({"steps": steps, "names": self.names})
    }

    fn step(&mut self, step: &Value) -> Value {
        let args = step.get("args").map_or_else(|| json!({}), |args| expand(args, &self.names));
        let tracker = self.tracker.clone();
        let call = step["call"].as_str().unwrap();
        match with_tracker(&tracker, || self.call(call, &Args::new(args))) {
            Ok(Returned { value, id }) => {
                if let (Some(name), Some(id)) = (step["as"].as_str(), id) {
                    self.names.insert(name.to_owned(), id);
                }
                json!({"ok": value})
            }
            Err(error) => json!({"error": format!("{:?}", error.kind()), "message": error.to_string()}),
        }
    }

    fn call(&mut self, call: &str, args: &Args) -> Outcome {
        if call == "environment" {
            self.environment(args);
            return Ok(().into());
        }
        experiments::call(self, call, args)
            .or_else(|| runs::call(self, call, args))
            .or_else(|| search::call(call, args))
            .or_else(|| logging::call(call, args))
            .or_else(|| artifacts::call(&self.tracker, call, args))
            .or_else(|| data::call(call, args))
            .or_else(|| models::call(&self.tracker, call, args))
            .unwrap_or_else(|| panic!("nobody makes the call {call}"))
    }

    /// Goes on as a process would that has these variables besides.
    fn environment(&mut self, args: &Args) {
        let vars = args.all().iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
        let vars: Vec<(&str, &str)> = vars.collect();
        self.tracker = open(self.uri, &vars);
        if let Some(id) = &self.experiment {
            self.tracker.set_experiment_by_id(id).unwrap();
        }
    }
}

/// A tracker of a process that has these variables.
fn open(uri: &str, vars: &[(&str, &str)]) -> Tracker {
    let vars: HashMap<String, String> =
        vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut config = Config::from_map(&vars).unwrap();
    config.working_dir = std::env::current_dir().unwrap();
    config.journal_dir = Some(config.working_dir.join("journal"));
    config.login = Some("ada".to_owned());
    config.quiet = true;
    Tracker::with_config(Some(uri), config).unwrap()
}

/// What is made one after the other is not made at the same time, so that the newest is one.
fn next_millisecond() {
    let now = runlog_core::clock::now_ms();
    while runlog_core::clock::now_ms() == now {
        std::hint::spin_loop();
    }
}
