//! Creating MLflow's schema, and telling whether a database has it.
//!
//! A database that has any table is never changed here. Revision numbers are not looked at: a revision that this code
//! has never heard of is fine as long as the columns it writes are there.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::failure::Outcome;
use crate::clock;
use crate::error::{Error, ErrorKind};

const CREATE: &str = include_str!("schema.sql");

/// The columns that every MLflow since 2.4 has, and that a store cannot do without.
const CORE: [(&str, &[&str]); 10] = [
    (
        "experiments",
        &[
            "experiment_id",
            "name",
            "artifact_location",
            "lifecycle_stage",
            "creation_time",
            "last_update_time",
        ],
    ),
    ("experiment_tags", &["key", "value", "experiment_id"]),
    (
        "runs",
        &[
            "run_uuid",
            "name",
            "source_type",
            "source_name",
            "entry_point_name",
            "user_id",
            "status",
            "start_time",
            "end_time",
            "source_version",
            "lifecycle_stage",
            "artifact_uri",
            "experiment_id",
            "deleted_time",
        ],
    ),
    ("tags", &["key", "value", "run_uuid"]),
    ("params", &["key", "value", "run_uuid"]),
    ("metrics", &["key", "value", "timestamp", "run_uuid", "step", "is_nan"]),
    ("latest_metrics", &["key", "value", "timestamp", "step", "is_nan", "run_uuid"]),
    (
        "datasets",
        &[
            "dataset_uuid",
            "experiment_id",
            "name",
            "digest",
            "dataset_source_type",
            "dataset_source",
            "dataset_schema",
            "dataset_profile",
        ],
    ),
    ("inputs", &["input_uuid", "source_type", "source_id", "destination_type", "destination_id"]),
    ("input_tags", &["input_uuid", "name", "value"]),
];

/// Whether nothing has been created in the database yet.
pub(super) fn is_empty(db: &Connection) -> Outcome<bool> {
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    Ok(tables == 0)
}

/// Whether a database can be used.
pub(super) enum Readiness {
    Ready,
    /// It is MLflow's, but these tables and columns are not there (yet).
    Missing(Vec<String>),
}

/// Creates the schema in an empty database, and checks that any other is MLflow's.
pub(super) fn ensure(db: &mut Connection, artifact_root: &str) -> Outcome<Readiness> {
    if is_empty(db)? {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have been first while this one waited for the lock.
        if is_empty(&transaction)? {
            transaction.execute_batch(CREATE)?;
        }
        transaction.commit()?;
    }
    let missing = missing(db)?;
    if missing.is_empty() {
        add_default_experiment(db, artifact_root)?;
        return Ok(Readiness::Ready);
    }
    if CORE.iter().all(|(table, _)| missing.iter().any(|name| name == table)) {
        return Err(foreign().into());
    }
    Ok(Readiness::Missing(missing))
}

/// Adds experiment 0 to a database without experiments, as MLflow does when it opens one.
fn add_default_experiment(db: &mut Connection, artifact_root: &str) -> Outcome<()> {
    const ANY: &str = "SELECT 1 FROM experiments LIMIT 1";
    if db.query_row(ANY, [], |_| Ok(())).optional()?.is_some() {
        return Ok(());
    }
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if transaction.query_row(ANY, [], |_| Ok(())).optional()?.is_none() {
        transaction.execute(
            "INSERT INTO experiments
                 (experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time)
             VALUES (0, 'Default', ?1, 'active', ?2, ?2)",
            params![crate::store::location::below(artifact_root, "0"), clock::now_ms()],
        )?;
    }
    transaction.commit()?;
    Ok(())
}

/// The tables, and columns of present tables, that are needed and absent.
pub(super) fn missing(db: &Connection) -> Outcome<Vec<String>> {
    let mut statement = db.prepare_cached("SELECT name FROM pragma_table_info(?1)")?;
    let mut missing = Vec::new();
    for (table, columns) in CORE {
        let present: Vec<String> =
            statement.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
        if present.is_empty() {
            missing.push(table.to_owned());
            continue;
        }
        missing.extend(
            columns
                .iter()
                .filter(|column| !present.iter().any(|name| name == *column))
                .map(|column| format!("{table}.{column}")),
        );
    }
    Ok(missing)
}

/// Whether `table` has `column` now. Asked when it matters: MLflow may migrate the database while it is open here.
pub(super) fn has_column(db: &Connection, table: &str, column: &str) -> Outcome<bool> {
    let found = db
        .prepare_cached("SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2")?
        .query_row([table, column], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

/// A SQLite database of something else.
fn foreign() -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "the file is a SQLite database, but not MLflow's; name MLflow's database, or a path where none is yet",
    )
}

/// MLflow's database, but too old, or in the middle of being created or migrated; only time tells which.
pub(super) fn incomplete(missing: &[String]) -> Error {
    let message = format!(
        "MLflow's tables are incomplete ({} missing); if MLflow is creating or migrating the database, try again when \
         it is done, else run `mlflow db upgrade` on it",
        missing.join(", ")
    );
    Error::new(ErrorKind::Corrupt, message).temporary(true)
}
