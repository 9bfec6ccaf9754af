//! Where two sides' outcomes and leavings are not the same, and were not said to differ.

use serde_json::{Map, Value};

use super::scenario::{Scenario, Step};

/// What MLflow's refusals are here: its error codes, and where its author used none, Python's exceptions.
const KINDS: [(&str, &[&str]); 10] = [
    // A changed param has no code of its own there.
    ("INVALID_PARAMETER_VALUE", &["InvalidInput", "Conflict"]),
    ("RESOURCE_DOES_NOT_EXIST", &["NotFound"]),
    ("RESOURCE_ALREADY_EXISTS", &["AlreadyExists"]),
    ("INVALID_STATE", &["InvalidInput"]),
    // Also the code of an error that was given none.
    ("INTERNAL_ERROR", &["InvalidInput", "Conflict", "NotFound"]),
    // Also whatever the database says.
    ("BAD_REQUEST", &["InvalidInput", "Conflict", "NotFound", "AlreadyExists", "Corrupt"]),
    ("Exception", &["InvalidInput", "Conflict"]),
    ("ValueError", &["InvalidInput"]),
    ("TypeError", &["InvalidInput"]),
    ("FileNotFoundError", &["NotFound"]),
];

/// Every difference, as a line for people.
pub(super) fn differences(scenario: &Scenario, store: &str, mlflow: Value, runlog: Value) -> Vec<String> {
    let (Value::Object(mut mlflow), Value::Object(mut runlog)) = (mlflow, runlog) else {
        return vec![format!("{store}: {}: was not played by both", scenario.name)];
    };
    let mut found = Vec::new();
    let outcomes = |side: &mut Map<String, Value>| match side.remove("steps") {
        Some(Value::Array(steps)) => steps,
        other => panic!("no steps: {other:?}"),
    };
    let (theirs, ours) = (outcomes(&mut mlflow), outcomes(&mut runlog));
    for (number, step) in scenario.steps.iter().enumerate() {
        let (theirs, ours) = (&theirs[number], &ours[number]);
        if let Some(difference) = step_difference(step, store, theirs, ours) {
            found.push(format!("step {number}, {}: {difference}", step.call));
        }
    }
    let (mut mlflow, mut runlog) = (Value::from(mlflow), Value::from(runlog));
    for differs in scenario.differs(store) {
        for (side, read, said) in
            [("MLflow", &mut mlflow, &differs.mlflow), ("runlog", &mut runlog, &differs.runlog)]
        {
            let there = take(read, &differs.at);
            if !same(&there, said) {
                found.push(format!("{}: {side} was to have {said}, and has {there}", differs.at));
            }
        }
    }
    compare("", &mlflow, &runlog, &mut found);
    found.iter().map(|difference| format!("{store}: {}: {}", scenario.name, cut(difference))).collect()
}

fn step_difference(step: &Step, store: &str, theirs: &Value, ours: &Value) -> Option<String> {
    let both = || format!("MLflow {theirs}, runlog {ours}");
    if let Some(differs) = step.differs(store) {
        let as_said = |outcome: &Value, said: &Value| {
            same(&outcome["ok"], &said["ok"]) && outcome["error"] == said["error"]
        };
        let right = as_said(theirs, &differs.mlflow) && as_said(ours, &differs.runlog);
        return (!right).then(|| format!("was to differ in another way: {}", both()));
    }
    if let Some(kind) = &step.error {
        let code = theirs["error"].as_str().unwrap_or_default();
        let kinds = KINDS.iter().find(|(known, _)| *known == code).map_or(&[][..], |(_, kinds)| kinds);
        let right = kinds.contains(&kind.as_str()) && ours["error"] == kind.as_str();
        return (!right).then(|| format!("was to be refused as {kind}: {}", both()));
    }
    let right = theirs.get("ok").is_some() && ours.get("ok").is_some() && same(&theirs["ok"], &ours["ok"]);
    (!right).then(both)
}

/// Takes what is at a JSON pointer out of a tree; `null` if there is nothing.
fn take(tree: &mut Value, at: &str) -> Value {
    let (parent, key) = at.rsplit_once('/').unwrap();
    let parent = tree.pointer_mut(parent).and_then(Value::as_object_mut);
    parent.and_then(|fields| fields.remove(&key.replace("~1", "/"))).unwrap_or_default()
}

/// Whether two values are the same; numbers are compared as numbers.
fn same(theirs: &Value, ours: &Value) -> bool {
    let mut found = Vec::new();
    compare("", theirs, ours, &mut found);
    found.is_empty()
}

fn compare(at: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let missing = ours.keys().filter(|key| !theirs.contains_key(*key));
            for key in theirs.keys().chain(missing) {
                let of = |side: &Map<String, Value>| side.get(key).cloned().unwrap_or_default();
                compare(&format!("{at}/{key}"), &of(theirs), &of(ours), found);
            }
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            for (place, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                compare(&format!("{at}/{place}"), theirs, ours, found);
            }
        }
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => {}
        _ if theirs == ours => {}
        _ => found.push(format!("{at}: MLflow {theirs}, runlog {ours}")),
    }
}

/// Long values are long because that is what is tested, not because people would read them.
fn cut(line: &str) -> String {
    const CHARS_MAX: usize = 600;
    line.char_indices()
        .nth(CHARS_MAX)
        .map_or_else(|| line.to_owned(), |(end, _)| format!("{}…", &line[..end]))
}
