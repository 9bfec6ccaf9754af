//! Autologging's options, and whose run a training gets, are MLflow's: both are told the same words, and what is left
//! behind is compared.

use runlog::RunStatus;
use serde_json::{Value, json};

use crate::python::answer;
use crate::support::{Place, text};

/// What happens in a program: calls of the own and the global function with an option, runs of the user's, trainings.
const PROGRAMS: [&str; 28] = [
    "train",
    "own train",
    "own train train",
    "own:tag train",
    "own:reserved train",
    "own:tag start train end",
    "own start train end train",
    "own start train train",
    "own start train-and-fail train",
    "own train-and-fail train",
    "own train-inside-another",
    "own start nested train end end",
    "own start nested end train end",
    "own:exclusive train",
    "own:exclusive start train end train",
    "own:disable train",
    "own own:disable train own train",
    "own:exclusive own start train",
    "global train",
    "global:tag start end train",
    "global:exclusive start train end",
    "global:disable train",
    "global:exclude train",
    "global global:exclude train",
    "global:tag own train",
    "own:tag global train",
    "own:disable global train",
    "own global:disable train",
];

#[test]
fn the_same_words_leave_the_same_runs_in_mlflow_and_here() {
    let words: Vec<Vec<&str>> = PROGRAMS.iter().map(|program| program.split(' ').collect()).collect();
    let place = Place::of_files();
    let theirs = answer(place.python("mlflow/autolog.py").arg(json!(words).to_string()));
    for (program, theirs) in PROGRAMS.iter().zip(theirs.as_array().unwrap()) {
        assert_eq!(sorted(&ours(program)), sorted(theirs.as_array().unwrap()), "{program}");
    }
}

fn ours(program: &str) -> Vec<Value> {
    let place = Place::new();
    let words: Vec<&str> = ["training", "words"].into_iter().chain(program.split(' ')).collect();
    let output = place.play(&words);
    assert!(output.status.success(), "{program}: {}", text(&output.stderr));
    if !place.database().exists() {
        return Vec::new();
    }
    let runs = place.runs();
    let runs = runs.iter().map(|run| {
        json!({
            "status": run.info.status.as_str(),
            "managed": run.tag("mlflow.autologging") == Some("scenario"),
            "team": run.tag("team"),
            "recorded": (run.info.status == RunStatus::Finished).then_some(!run.data.params.is_empty()),
            "child": run.tag("mlflow.parentRunId").is_some(),
        })
    });
    runs.collect()
}

/// Runs that start in the same millisecond have no order.
fn sorted(runs: &[Value]) -> Vec<String> {
    let mut texts: Vec<_> = runs.iter().map(Value::to_string).collect();
    texts.sort();
    texts
}
