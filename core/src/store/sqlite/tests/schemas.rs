//! Schemas older and newer than the one that is created here.

use std::sync::Arc;

use super::{new_run, open, other, point};
use crate::entity::{Metric, ModelOutput, ModelStatus, NewExperiment, NewLoggedModel, Param, Tag};
use crate::error::ErrorKind;
use crate::store::{Batch, Store, conformance};

/// What MLflow 3.10 and later make of `experiments`, and some of their new tables.
const NEWER: &str = "
    BEGIN;
    CREATE TABLE workspaces (name VARCHAR(63) NOT NULL PRIMARY KEY, description TEXT);
    INSERT INTO workspaces (name) VALUES ('default');
    CREATE TABLE spans (trace_id VARCHAR(50) NOT NULL, content TEXT NOT NULL);
    CREATE TABLE _alembic_tmp_experiments (
        experiment_id INTEGER NOT NULL PRIMARY KEY, workspace VARCHAR(63) DEFAULT 'default' NOT NULL,
        name VARCHAR(256) NOT NULL, artifact_location VARCHAR(256),
        lifecycle_stage VARCHAR(32) CHECK (lifecycle_stage IN ('active', 'deleted')),
        creation_time BIGINT, last_update_time BIGINT, UNIQUE (workspace, name));
    INSERT INTO _alembic_tmp_experiments
        (experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time)
        SELECT experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time
          FROM experiments;
    DROP TABLE experiments;
    ALTER TABLE _alembic_tmp_experiments RENAME TO experiments;
    ALTER TABLE metrics ADD COLUMN of_the_future TEXT DEFAULT 'x' NOT NULL;
    CREATE INDEX index_metrics_run_uuid_key_step ON metrics (run_uuid, key, step);
    UPDATE alembic_version SET version_num = 'dc11669786a5';
    COMMIT;";

#[test]
fn writes_go_on_while_mlflow_migrates() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let run_id = new_run(&store);
    store.log_batch(&run_id, &point(0.5, 1)).unwrap();
    store
        .create_experiment(&NewExperiment { name: "before".to_owned(), ..NewExperiment::default() })
        .unwrap();

    let migrating = other(directory.path());
    migrating.pragma_update(None, "foreign_keys", false).unwrap();
    migrating.execute_batch(NEWER).unwrap();

    store.log_batch(&run_id, &point(0.25, 2)).unwrap();
    assert_eq!(store.metric_history(&run_id, "loss").unwrap().len(), 2);
    assert!(store.get_experiment_by_name("before").unwrap().is_some());
    let store: Arc<dyn Store> = Arc::new(store);
    conformance::check(&|| Arc::clone(&store));
    conformance::check(&|| Arc::new(open(directory.path())));

    migrating
        .execute_batch(
            "INSERT INTO experiments (workspace, name, lifecycle_stage) VALUES ('team', 'theirs', 'active')",
        )
        .unwrap();
    assert_eq!(store.get_experiment_by_name("theirs").unwrap(), None, "other workspaces are not ours");
}

#[test]
fn a_database_of_mlflow_2_takes_all_but_models() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    other(directory.path())
        .execute_batch(
            "DROP TABLE logged_model_metrics; DROP TABLE logged_model_params; DROP TABLE logged_model_tags;
             DROP TABLE logged_models; ALTER TABLE inputs DROP COLUMN step;
             UPDATE alembic_version SET version_num = '0584bdc529eb'",
        )
        .unwrap();
    let store = open(directory.path());
    let run_id = new_run(&store);
    store.log_batch(&run_id, &point(0.5, 1)).unwrap();
    store.log_outputs(&run_id, &[ModelOutput::new("m-1", 7)]).unwrap();
    assert_eq!(store.get_run(&run_id).unwrap().outputs, [ModelOutput::new("m-1", 0)]);
    store.log_inputs(&run_id, &[], &["m-1".to_owned()]).unwrap();
    assert_eq!(store.get_run(&run_id).unwrap().inputs.models, ["m-1"]);
    store.delete_experiment("0", 1).unwrap();
    store.restore_experiment("0", 2).unwrap();
    store.delete_run(&run_id, 3).unwrap();
    store.restore_run(&run_id).unwrap();
    store.set_experiment_tag("0", &Tag::new("a", "1")).unwrap();

    let new =
        NewLoggedModel { experiment_id: "0".to_owned(), name: "m".to_owned(), ..NewLoggedModel::default() };
    let of_a_model =
        Batch { metrics: vec![Metric::new("loss", 0.5, 1, 1).for_model("m-1")], ..Batch::default() };
    for refused in [
        store.create_logged_model(&new).map(drop),
        store.finalize_logged_model("m-1", ModelStatus::Ready, 1).map(drop),
        store.get_logged_model("m-1").map(drop),
        store.log_logged_model_params("m-1", &[Param::new("a", "1")]),
        store.set_logged_model_tags("m-1", &[Tag::new("a", "1")]),
        store.delete_logged_model_tag("m-1", "a"),
        store.delete_logged_model("m-1", 1),
        store.log_batch(&run_id, &of_a_model),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("mlflow db upgrade"), "{error}");
    }
}

#[test]
fn a_table_that_is_gone_may_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let run_id = new_run(&store);
    let migrating = other(directory.path());
    migrating.execute_batch("ALTER TABLE latest_metrics RENAME TO _alembic_tmp_latest_metrics").unwrap();
    let error = store.log_batch(&run_id, &point(0.5, 1)).unwrap_err();
    assert!(error.is_temporary() && error.to_string().contains("latest_metrics"), "{error}");
    migrating.execute_batch("ALTER TABLE _alembic_tmp_latest_metrics RENAME TO latest_metrics").unwrap();
    assert_eq!(store.metric_history(&run_id, "loss").unwrap(), [], "the refused batch stored nothing");
    store.log_batch(&run_id, &point(0.5, 1)).unwrap();
}
