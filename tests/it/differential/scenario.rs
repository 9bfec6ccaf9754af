//! What the scenarios say: their steps, what is refused, and where we differ from MLflow on purpose.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::STORES;

/// A list of calls that belong together, in an experiment of their own.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) name: String,
    /// Whether its own experiment is the active one at the start.
    pub(super) has_experiment: bool,
    pub(super) steps: Vec<Step>,
    differs: Vec<Differs>,
    stores: Vec<String>,
    /// As it is in the file, for MLflow's side.
    pub(super) whole: Value,
}

/// One call.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) call: String,
    pub(super) args: Value,
    /// Its result's name in later steps.
    pub(super) result: Option<String>,
    /// How both sides refuse it.
    pub(super) error: Option<String>,
    differs: Option<Differs>,
}

/// A place where both sides differ on purpose.
#[derive(Clone, Debug)]
pub(super) struct Differs {
    /// A JSON pointer into what was read.
    pub(super) at: String,
    stores: Vec<String>,
    pub(super) mlflow: Value,
    pub(super) runlog: Value,
}

impl Scenario {
    pub(super) fn is_for(&self, store: &str) -> bool {
        self.stores.iter().any(|known| known == store)
    }

    /// Where the state left behind differs on purpose.
    pub(super) fn differs(&self, store: &str) -> impl Iterator<Item = &Differs> {
        self.differs.iter().filter(move |differs| differs.stores.iter().any(|known| known == store))
    }
}

impl Step {
    /// The step that every scenario begins with, if it does not say otherwise.
    pub(super) fn set_experiment(name: &str) -> Self {
        step(&json!({"call": "set_experiment", "args": {"experiment_name": name}, "as": "experiment"}))
    }

    /// How the outcome of the step differs on purpose.
    pub(super) fn differs(&self, store: &str) -> Option<&Differs> {
        self.differs.as_ref().filter(|differs| differs.stores.iter().any(|known| known == store))
    }
}

/// Every scenario, in the order of the files' names.
pub(super) fn scenarios() -> Vec<Scenario> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/differential/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file| {
        let all: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        all.as_array().unwrap().iter().map(scenario).collect::<Vec<_>>()
    };
    files.into_iter().flat_map(read).collect()
}

fn scenario(whole: &Value) -> Scenario {
    let differs = whole["differs"].as_array().into_iter().flatten();
    Scenario {
        name: whole["name"].as_str().unwrap().to_owned(),
        has_experiment: whole["experiment"] != false,
        steps: whole["steps"].as_array().unwrap().iter().map(step).collect(),
        differs: differs.map(|differs| self::differs(differs, differs["at"].as_str().unwrap())).collect(),
        stores: stores(whole),
        whole: whole.clone(),
    }
}

fn step(step: &Value) -> Step {
    let text = |name: &str| step[name].as_str().map(str::to_owned);
    Step {
        call: text("call").unwrap(),
        args: step.get("args").cloned().unwrap_or_else(|| json!({})),
        result: text("as"),
        error: text("error"),
        differs: step.get("differs").map(|differs| self::differs(differs, "")),
    }
}

fn differs(differs: &Value, at: &str) -> Differs {
    assert!(differs["why"].is_string(), "a difference has its reason: {differs}");
    let side = |side: &str| expand(&differs[side], &BTreeMap::new());
    Differs { at: at.to_owned(), stores: stores(differs), mlflow: side("mlflow"), runlog: side("runlog") }
}

/// The stores that something is said of; all where it is said of none.
fn stores(of: &Value) -> Vec<String> {
    let Some(stores) = of["stores"].as_array() else { return STORES.map(str::to_owned).to_vec() };
    assert!(of["why"].is_string(), "what is not for every store has its reason: {}", of["name"]);
    stores.iter().map(|store| store.as_str().unwrap().to_owned()).collect()
}

/// Puts names' values and long texts where the data only speaks of them.
pub(super) fn expand(value: &Value, names: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => expand_text(text, names).into(),
        Value::Array(items) => items.iter().map(|item| expand(item, names)).collect(),
        Value::Object(fields) => match (fields.get("repeat"), fields.get("numbered"), fields.get("times")) {
            (Some(text), None, Some(times)) => {
                text.as_str().unwrap().repeat(usize::try_from(times.as_u64().unwrap()).unwrap()).into()
            }
            (None, Some(key), Some(times)) => {
                let numbered = (0..times.as_u64().unwrap())
                    .map(|number| (format!("{}{number}", key.as_str().unwrap()), number.to_string().into()));
                Value::Object(numbered.collect())
            }
            _ => {
                let fields = fields.iter();
                fields.map(|(key, value)| (expand_text(key, names), expand(value, names))).collect()
            }
        },
        other => other.clone(),
    }
}

fn expand_text(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut parts = text.split('$');
    let mut expanded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(part.len());
        match names.get(&part[..end]) {
            Some(value) => expanded.extend([value, &part[end..]]),
            None => expanded.extend(["$", part]),
        }
    }
    expanded
}
