//! What runs read and made: `datasets`, `inputs`, `input_tags`.
//!
//! A link is a row of `inputs`. A dataset points to the run that read it, a run to the models that it used and made; the
//! directions are MLflow's. Its primary key is the link itself, so a link that is there already is left as it is.

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Outcome;
use super::{runs, schema};
use crate::entity::{Dataset, DatasetInput, ModelOutput, RunInputs};
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

pub(super) fn of(db: &Connection, run_id: &str) -> Outcome<RunInputs> {
    let models = db
        .prepare_cached(
            "SELECT destination_id FROM inputs
              WHERE source_type = 'RUN_INPUT' AND source_id = ?1 AND destination_type = 'MODEL_INPUT'
              ORDER BY 1",
        )?
        .query_map([run_id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(RunInputs { datasets: datasets_of(db, run_id)?, models })
}

fn datasets_of(db: &Connection, run_id: &str) -> Outcome<Vec<DatasetInput>> {
    let mut tags =
        db.prepare_cached("SELECT name, value FROM input_tags WHERE input_uuid = ?1 ORDER BY name")?;
    let found: Vec<(String, Dataset)> = db
        .prepare_cached(
            "SELECT input_uuid, name, digest, dataset_source_type, dataset_source, dataset_schema, dataset_profile
               FROM inputs JOIN datasets ON dataset_uuid = source_id
              WHERE destination_type = 'RUN' AND destination_id = ?1 AND source_type = 'DATASET'
              ORDER BY name, digest",
        )?
        .query_map([run_id], |row| {
            let mut dataset = Dataset::new(row.get::<_, String>(1)?, row.get::<_, String>(2)?);
            dataset.source_type = row.get(3)?;
            dataset.source = row.get(4)?;
            dataset.schema = row.get(5)?;
            dataset.profile = row.get(6)?;
            Ok((row.get(0)?, dataset))
        })?
        .collect::<Result<_, _>>()?;
    found
        .into_iter()
        .map(|(input_id, dataset)| {
            let tags = tags
                .query_map([input_id], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            Ok(DatasetInput { dataset, tags })
        })
        .collect()
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

pub(super) fn outputs_of(db: &Connection, run_id: &str) -> Outcome<Vec<ModelOutput>> {
    let step = if schema::has_column(db, "inputs", "step")? { "step" } else { "0" };
    let mut statement = db.prepare_cached(&format!(
        "SELECT destination_id, {step} FROM inputs
          WHERE source_type = 'RUN_OUTPUT' AND source_id = ?1 AND destination_type = 'MODEL_OUTPUT'
          ORDER BY 2, 1"
    ))?;
    let rows =
        statement.query_map([run_id], |row| Ok(ModelOutput::new(row.get::<_, String>(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
