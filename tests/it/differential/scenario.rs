//! What the scenarios say of their steps: which are refused, and where we differ from MLflow on purpose.

use std::path::Path;

use serde_json::Value;

use super::STORES;

/// A list of calls that belong together, in an experiment of their own.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) steps: Vec<Step>,
    differs: Vec<Differs>,
    stores: Vec<String>,
    /// As it is in the file, for those who play it.
    pub(super) whole: Value,
}

/// One call.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) call: String,
    /// How both sides refuse it.
    pub(super) error: Option<String>,
    differs: Option<Differs>,
}

/// A place where both sides differ on purpose.
#[derive(Debug)]
pub(super) struct Differs {
    /// A JSON pointer into what was read.
    pub(super) at: String,
    stores: Vec<String>,
    pub(super) mlflow: Value,
    pub(super) runlog: Value,
}

impl Scenario {
    fn new(whole: &Value) -> Self {
        let differs = whole["differs"].as_array().into_iter().flatten();
        Self {
            name: whole["name"].as_str().unwrap().to_owned(),
            steps: whole["steps"].as_array().unwrap().iter().map(Step::new).collect(),
            differs: differs.map(Differs::new).collect(),
            stores: stores(whole),
            whole: whole.clone(),
        }
    }

    pub(super) fn is_for(&self, store: &str) -> bool {
        self.stores.iter().any(|known| known == store)
    }

    /// Where the state left behind differs on purpose.
    pub(super) fn differs(&self, store: &str) -> impl Iterator<Item = &Differs> {
        self.differs.iter().filter(move |differs| differs.is_for(store))
    }
}

impl Step {
    fn new(step: &Value) -> Self {
        Self {
            call: step["call"].as_str().unwrap().to_owned(),
            error: step["error"].as_str().map(str::to_owned),
            differs: step.get("differs").map(Differs::new),
        }
    }

    /// How the outcome of the step differs on purpose.
    pub(super) fn differs(&self, store: &str) -> Option<&Differs> {
        self.differs.as_ref().filter(|differs| differs.is_for(store))
    }
}

impl Differs {
    fn new(differs: &Value) -> Self {
        assert!(differs["why"].is_string(), "a difference has its reason: {differs}");
        Self {
            at: differs["at"].as_str().unwrap_or_default().to_owned(),
            stores: stores(differs),
            mlflow: differs["mlflow"].clone(),
            runlog: differs["runlog"].clone(),
        }
    }

    fn is_for(&self, store: &str) -> bool {
        self.stores.iter().any(|known| known == store)
    }
}

/// Every scenario, in the order of the files' names.
pub(super) fn scenarios() -> Vec<Scenario> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/differential/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file| {
        let all: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        all.as_array().unwrap().iter().map(Scenario::new).collect::<Vec<_>>()
    };
    files.into_iter().flat_map(read).collect()
}

/// The stores that something is said of; all where it is said of none.
fn stores(of: &Value) -> Vec<String> {
    let Some(stores) = of["stores"].as_array() else { return STORES.map(str::to_owned).to_vec() };
    assert!(of["why"].is_string(), "what is not for every store has its reason: {of}");
    stores.iter().map(|store| store.as_str().unwrap().to_owned()).collect()
}
