//! The table of functions in `docs/mlflow.md` has a row for every function of MLflow's tracking.

use std::collections::BTreeSet;

use crate::support::Place;

const TABLE: &str = include_str!("../../docs/mlflow.md");
const FACADE: &str = include_str!("../../src/lib.rs");

/// What is not tracking runs: the names that have one of these words in them, by why there is no row for them.
const LEFT_OUT: [(&str, &[&str]); 7] = [
    ("traces", &["trace", "span", "assessment", "feedback", "expectation", "log_issue", "sessions"]),
    ("language models: prompts, tools, the gateway", &["prompt", "mcp_", "gateway"]),
    (
        "the model registry",
        &["registered_model", "model_version", "latest_versions", "register_model", "registry"],
    ),
    ("what a registry tells others", &["webhook"]),
    ("evaluation, and the datasets it keeps", &["evaluat", "_dataset"]),
    ("workspaces of a server", &["workspace"]),
    ("Databricks", &["import_checkpoints", "login"]),
];

/// As [`LEFT_OUT`], where the word is the whole name: projects, Python's models, who has trouble, and a module.
const LEFT_OUT_NAMES: [&str; 5] = ["run", "pyfunc", "doctor", "context", "test"];

/// The rows of the tables: MLflow's names, and the cell with ours.
fn rows() -> Vec<(Vec<&'static str>, &'static str)> {
    let rows = TABLE.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
    cells.map(|cells| (code_in(cells[0]), cells[1])).collect()
}

/// What stands between backticks.
fn code_in(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_function_of_mlflows_tracking_has_its_row() {
    let mlflow = Place::new().ask("functions.py", &[]);
    let mlflow: BTreeSet<&str> =
        mlflow.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(mlflow.len() > 200, "{mlflow:?}");
    let rows = rows();
    let mut told: Vec<&str> = rows.iter().flat_map(|(names, _)| names.clone()).collect();
    told.sort_unstable();
    assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "two rows for one name: {told:?}");
    let told: BTreeSet<&str> = told.into_iter().collect();

    let words = || LEFT_OUT.iter().flat_map(|(_, words)| words.iter().copied());
    let is_left_out = |name: &str| LEFT_OUT_NAMES.contains(&name) || words().any(|word| name.contains(word));
    let missing: Vec<&&str> =
        mlflow.iter().filter(|name| !is_left_out(name) && !told.contains(*name)).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
    let strange: Vec<&&str> =
        told.iter().filter(|name| is_left_out(name) || !mlflow.contains(*name)).collect();
    assert!(strange.is_empty(), "a row for what MLflow has not, or what is left out: {strange:?}");
    let needless: Vec<&str> = words().filter(|word| !mlflow.iter().any(|name| name.contains(word))).collect();
    assert!(needless.is_empty(), "nothing is left out by {needless:?}");
}

/// Rustdoc refuses a link to what does not exist; what is behind a feature is no link, and looked for here.
#[test]
fn every_name_of_ours_in_the_table_exists() {
    for (mlflow, cell) in rows() {
        let ours = code_in(cell);
        assert!(!ours.is_empty(), "nothing stands beside {mlflow:?}");
        let (names, feature) =
            cell.split_once("(feature `").map_or((cell, None), |(names, feature)| (names, Some(feature)));
        if let Some(feature) = feature {
            assert!(
                FACADE.contains(&format!("#[cfg(feature = \"{}\")]", code_in(&format!("`{feature}"))[0]))
            );
        }
        for name in code_in(names) {
            let linked = names.contains(&format!("[`{name}`]"));
            assert!(linked || feature.is_some(), "{name} is to be a link");
            let first = name.split("::").next().unwrap();
            let exported = FACADE.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == first);
            assert!(exported, "the facade has no {first}");
        }
    }
}
