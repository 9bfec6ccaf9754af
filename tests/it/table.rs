//! The table of runs is the data frame that MLflow makes of the same runs.

use runlog::{RunOptions, RunQuery, RunTable};

use crate::support::Place;

#[test]
fn the_csv_is_that_of_mlflows_data_frame() {
    let place = Place::new();
    let tracker = place.tracker();
    let run = tracker.start_run(RunOptions::new().name("first").tag("note", "a, \"b\"\nc")).unwrap();
    run.log_metrics([("loss", 1e-5), ("third", 1.0 / 3.0), ("nan", f64::NAN), ("inf", f64::INFINITY)], 1);
    run.log_metric("whole", 3, 1);
    run.log_param("none", None::<u8>);
    run.log_param("deep/key with: all", "é 🦀");
    run.finish().unwrap();
    tracker.set_experiment("another").unwrap();
    let open = tracker.start_run("still running").unwrap();
    open.log_metric("loss", 0.25, 7);
    open.log_param("empty", "");
    tracker.flush().unwrap();

    let theirs = place.mlflow(&["table"]);
    let columns: Vec<&str> =
        theirs["columns"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let runs = tracker.search_runs(RunQuery::new().all_experiments()).unwrap();
    let ours = RunTable::new(&runs);
    let sorted = |mut names: Vec<&str>| {
        names.sort_unstable();
        names.join("\n")
    };
    assert_eq!(sorted(ours.columns().collect()), sorted(columns.clone()));
    assert_eq!(ours.select(columns).unwrap().to_csv(), theirs["csv"].as_str().unwrap());
    open.finish().unwrap();
}
