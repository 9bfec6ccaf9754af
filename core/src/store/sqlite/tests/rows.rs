//! The rows that deletion, restoration and models leave: `mlflow gc` and MLflow's pages go by them.

use super::{new_run, open, other, point, text};
use crate::entity::{LifecycleStage, Metric, NewExperiment, NewLoggedModel, NewRun};
use crate::store::{Batch, Store};

#[test]
fn a_deleted_run_says_when_and_keeps_that_when_it_is_deleted_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let run_id = new_run(&store);
    let row =
        || text(&other(directory.path()), "SELECT lifecycle_stage || ifnull(deleted_time, '') FROM runs");
    store.delete_run(&run_id, 10).unwrap();
    store.delete_run(&run_id, 20).unwrap();
    assert_eq!(row(), r#"Text("deleted10")"#);
    store.restore_run(&run_id).unwrap();
    assert_eq!(row(), r#"Text("active")"#);
}

#[test]
fn an_experiment_takes_its_runs_with_it_when_it_is_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let id =
        store.create_experiment(&NewExperiment { name: "x".to_owned(), ..NewExperiment::default() }).unwrap();
    for _ in 0..2 {
        store.create_run(&NewRun { experiment_id: id.clone(), ..NewRun::default() }).unwrap();
    }
    let rows = || {
        let sql = "SELECT group_concat(lifecycle_stage || ifnull(deleted_time, ''), ' ') FROM runs";
        text(&other(directory.path()), sql)
    };
    store.delete_experiment(&id, 20).unwrap();
    assert_eq!(rows(), r#"Text("deleted20 deleted20")"#);
    store.restore_experiment(&id, 30).unwrap();
    assert_eq!(rows(), r#"Text("active active")"#);
}

#[test]
fn the_default_experiment_can_be_deleted_and_stays_so() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.delete_experiment("0", 10).unwrap();
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.get_experiment("0").unwrap().lifecycle_stage, LifecycleStage::Deleted);
    store.restore_experiment("0", 20).unwrap();
    new_run(&store);
}

#[test]
fn a_run_can_be_restored_though_its_experiment_is_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let run_id = new_run(&store);
    store.delete_experiment("0", 10).unwrap();
    store.restore_run(&run_id).unwrap();
    store.log_batch(&run_id, &point(0.5, 1)).unwrap();
}

#[test]
fn a_models_point_is_stored_under_the_experiment_of_its_run() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let elsewhere =
        store.create_experiment(&NewExperiment { name: "x".to_owned(), ..NewExperiment::default() }).unwrap();
    let model =
        NewLoggedModel { experiment_id: elsewhere, name: "m".to_owned(), ..NewLoggedModel::default() };
    let model_id = store.create_logged_model(&model).unwrap().model_id;
    let run_id = new_run(&store);
    let metrics = vec![
        Metric::new("acc", f64::NAN, 5, 1).for_model(&model_id).on_dataset("iris", "0a1b"),
        Metric::new("acc", f64::INFINITY, 6, 2).for_model(&model_id),
    ];
    store.log_batch(&run_id, &Batch { metrics, ..Batch::default() }).unwrap();
    let sql = "SELECT group_concat(printf('%s %d %d %!.17g %d %s %s %s', metric_name, metric_timestamp_ms,
                      metric_step, metric_value, experiment_id, ifnull(dataset_uuid, '-'),
                      ifnull(dataset_name, '-'), ifnull(dataset_digest, '-')), '|')
                 FROM (SELECT * FROM logged_model_metrics ORDER BY metric_step)";
    let expect = "acc 5 1 0.0 0 - iris 0a1b|acc 6 2 1.7976931348623157e+308 0 - - -";
    assert_eq!(text(&other(directory.path()), sql), format!("Text({expect:?})"));
}

#[test]
fn a_model_input_points_from_the_run_to_the_model() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let run_id = new_run(&store);
    store.log_inputs(&run_id, &[], &["m-1".to_owned()]).unwrap();
    let sql = "SELECT group_concat(source_type || ' ' || source_id || ' ' || destination_type || ' ' || destination_id
                      || ' ' || step || ' ' || length(input_uuid)) FROM inputs";
    let expect = format!("RUN_INPUT {run_id} MODEL_INPUT m-1 0 32");
    assert_eq!(text(&other(directory.path()), sql), format!("Text({expect:?})"));
}
