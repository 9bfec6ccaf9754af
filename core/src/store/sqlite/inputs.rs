//! What runs read and made: `datasets`, `inputs`, `input_tags`.
//!
//! A link is a row of `inputs`. A dataset points to the run that read it, a run to the models that it used and made; the
//! directions are MLflow's. Its primary key is the link itself, so a link that is there already is left as it is.

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Outcome;
use super::{runs, schema};
use crate::entity::{Dataset, DatasetInput, ModelOutput};
use crate::id;

pub(super) fn log(
    db: &Connection,
    run_id: &str,
    datasets: &[DatasetInput],
    models: &[String],
) -> Outcome<()> {
    let experiment_id = runs::active(db, run_id)?;
    for input in datasets {
        let dataset_id = dataset(db, experiment_id, &input.dataset)?;
        let input_id = id::hex32();
        let linked = db
            .prepare_cached(
                "INSERT OR IGNORE INTO inputs
                     (input_uuid, source_type, source_id, destination_type, destination_id)
                 VALUES (?1, 'DATASET', ?2, 'RUN', ?3)",
            )?
            .execute([&input_id, &dataset_id, run_id])?;
        if linked == 0 {
            continue;
        }
        let mut insert = db.prepare_cached(
            "INSERT INTO input_tags (input_uuid, name, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (input_uuid, name) DO UPDATE SET value = excluded.value",
        )?;
        for (key, value) in &input.tags {
            insert.execute([&input_id, key, value])?;
        }
    }
    for model_id in models {
        db.prepare_cached(
            "INSERT OR IGNORE INTO inputs
                 (input_uuid, source_type, source_id, destination_type, destination_id)
             VALUES (?1, 'RUN_INPUT', ?2, 'MODEL_INPUT', ?3)",
        )?
        .execute([&id::hex32(), run_id, model_id])?;
    }
    Ok(())
}

/// The id of the dataset of this name and digest in the experiment, created if it is not there.
fn dataset(db: &Connection, experiment_id: i64, dataset: &Dataset) -> Outcome<String> {
    let known = db
        .prepare_cached(
            "SELECT dataset_uuid FROM datasets WHERE experiment_id = ?1 AND name = ?2 AND digest = ?3",
        )?
        .query_row(params![experiment_id, dataset.name, dataset.digest], |row| row.get(0))
        .optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    let dataset_id = id::hex32();
    db.prepare_cached(
        "INSERT INTO datasets
             (dataset_uuid, experiment_id, name, digest, dataset_source_type, dataset_source, dataset_schema,
              dataset_profile)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        dataset_id,
        experiment_id,
        dataset.name,
        dataset.digest,
        dataset.source_type,
        dataset.source,
        dataset.schema,
        dataset.profile
    ])?;
    Ok(dataset_id)
}

pub(super) fn log_outputs(db: &Connection, run_id: &str, outputs: &[ModelOutput]) -> Outcome<()> {
    runs::active(db, run_id)?;
    // Before MLflow 3.0 links had no step.
    let with_step = schema::has_column(db, "inputs", "step")?;
    for output in outputs {
        let input_id = id::hex32();
        if with_step {
            db.prepare_cached(
                "INSERT OR IGNORE INTO inputs
                     (input_uuid, source_type, source_id, destination_type, destination_id, step)
                 VALUES (?1, 'RUN_OUTPUT', ?2, 'MODEL_OUTPUT', ?3, ?4)",
            )?
            .execute(params![input_id, run_id, output.model_id, output.step])?;
        } else {
            db.prepare_cached(
                "INSERT OR IGNORE INTO inputs
                     (input_uuid, source_type, source_id, destination_type, destination_id)
                 VALUES (?1, 'RUN_OUTPUT', ?2, 'MODEL_OUTPUT', ?3)",
            )?
            .execute([&input_id, run_id, &output.model_id])?;
        }
    }
    Ok(())
}
