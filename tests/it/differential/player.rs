//! Plays a scenario with this library: each call by its name, through the fluent functions.

use std::collections::BTreeMap;

use runlog::{ActiveRun, Config, Error, Tracker, with_tracker};
use serde_json::{Value, json};

use super::args::Args;
use super::scenario::{Scenario, Step, expand};
use super::{artifacts, data, experiments, logging, models, runs, search};
use crate::support::Place;

/// What a call returns: a value to compare and, if it made something, its id.
pub(super) type Outcome = Result<Returned, Error>;

/// A value to compare, and the id of what was made or found.
#[derive(Debug, Default)]
pub(super) struct Returned {
    pub(super) value: Value,
    pub(super) id: Option<String>,
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

/// A scenario as it is played: the tracker, and what has been made so far.
pub(super) struct Player<'p> {
    place: &'p Place,
    store: &'p str,
    pub(super) tracker: Tracker,
    names: BTreeMap<String, String>,
    /// The active experiment, which a tracker with another environment must be told again.
    pub(super) experiment: Option<String>,
    /// A run that is dropped ends.
    pub(super) runs: Vec<ActiveRun>,
}

/// What the steps returned, and the names of what they made, as `read.py` takes them.
pub(super) fn play(scenario: &Scenario, place: &Place, store: &str, given: &str) -> Value {
    let names = [("scenario", scenario.name.as_str()), ("given", given)];
    let mut player = Player {
        place,
        store,
        tracker: open(place, store, &[]),
        names: names.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        experiment: None,
        runs: Vec::new(),
    };
    if scenario.has_experiment {
        player.play(&Step::set_experiment(&scenario.name));
    }
    let steps: Vec<Value> = scenario.steps.iter().map(|step| player.play(step)).collect();
    player.names.retain(|name, _| name != "scenario" && name != "given");
    json!({"steps": steps, "names": player.names})
}

fn open(place: &Place, store: &str, vars: &[(&str, &str)]) -> Tracker {
    let mut config: Config = place.config(vars);
    config.working_dir = place.path().join("runlog").join(store);
    let uri = match store {
        "sqlite" => "sqlite:///mlflow.db".to_owned(),
        _ => config.working_dir.join("mlruns").to_str().unwrap().to_owned(),
    };
    Tracker::with_config(Some(&uri), config).unwrap()
}

impl Player<'_> {
    fn play(&mut self, step: &Step) -> Value {
        let args = Args::new(expand(&step.args, &self.names));
        let tracker = self.tracker.clone();
        match with_tracker(&tracker, || self.call(&step.call, &args)) {
            Ok(Returned { value, id }) => {
                if let (Some(name), Some(id)) = (&step.result, id) {
                    self.names.insert(name.clone(), id);
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
            .unwrap_or_else(|| {
                Err(Error::new(runlog::ErrorKind::Unsupported, format!("nobody makes the call {call}")))
            })
    }

    /// Goes on as a process would that has these variables besides.
    fn environment(&mut self, args: &Args) {
        let vars = args.all().iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
        let vars: Vec<(&str, &str)> = vars.collect();
        self.tracker = open(self.place, self.store, &vars);
        if let Some(id) = &self.experiment {
            self.tracker.set_experiment_by_id(id).unwrap();
        }
    }
}

/// What is made one after the other is not made at the same time, so that the newest is one.
pub(super) fn next_millisecond() {
    let now = runlog_core::clock::now_ms();
    while runlog_core::clock::now_ms() == now {
        std::hint::spin_loop();
    }
}
