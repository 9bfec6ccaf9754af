//! Runs, whole: their row, and everything that they logged.

use std::collections::BTreeMap;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};

use super::super::failure::Outcome;
use super::super::schema;
use super::statement::{Entity, Metrics, Select};
use super::{Ids, Source};
use crate::entity::{
    Dataset, DatasetInput, LifecycleStage, Metric, ModelOutput, Param, Run, RunInfo, RunStatus, Tag,
};
use crate::search;
use crate::store::{Page, PageRequest, RunQuery, point};

static RUNS: Entity = Entity {
    table: "runs",
    id: "run_uuid",
    params: ("params", "key", "value"),
    tags: ("tags", "key", "value"),
    column: |attribute| match attribute {
        "run_id" => "run_uuid",
        "run_name" => "name",
        other => other,
    },
    nullable: true,
    metrics: Metrics::OfRun,
};

/// Old MLflow releases left `runs.name` empty and wrote only the tag.
const COLUMNS: &str = "runs.run_uuid, experiment_id,
        coalesce(nullif(name, ''),
                 (SELECT value FROM tags WHERE tags.run_uuid = runs.run_uuid AND key = 'mlflow.runName'),
                 ''),
        coalesce(user_id, ''), status, coalesce(start_time, 0), end_time, coalesce(artifact_uri, ''), lifecycle_stage";

/// The run with this id.
pub(in super::super) fn run(db: &Connection, run_id: &str) -> Outcome<Option<Run>> {
    let found = db
        .prepare_cached(&format!("SELECT {COLUMNS} FROM runs WHERE run_uuid = ?1"))?
        .query_row([run_id], read)
        .optional()?;
    let Some(run) = found else { return Ok(None) };
    let mut runs = [run];
    fill(db, &mut runs)?;
    let [run] = runs;
    Ok(Some(run))
}

/// The runs that `query` selects, in its order.
pub(in super::super) fn runs(db: &Connection, query: &RunQuery, page: &PageRequest) -> Outcome<Page<Run>> {
    let clauses = search::filter(&query.filter, &search::RUNS)?;
    let orders = search::orders(&query.order_by, &search::RUNS)?;
    let mut select = Select::new(&RUNS, COLUMNS);
    select.only_seen(query.run_view_type);
    select.only_in(&query.experiment_ids);
    select.query(&clauses, &orders);
    let mut found = select.page(db, page, read)?;
    fill(db, &mut found.items)?;
    Ok(found)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Run> {
    let status: String = row.get(4)?;
    let mut info = RunInfo::new(row.get::<_, String>(0)?, row.get::<_, i64>(1)?.to_string());
    info.run_name = row.get(2)?;
    info.user_id = row.get(3)?;
    info.status = RunStatus::from_text(&status)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(4, Type::Text, Box::new(error)))?;
    info.start_time = row.get(5)?;
    info.end_time = row.get(6)?;
    info.artifact_uri = row.get(7)?;
    info.lifecycle_stage = LifecycleStage::from_text(&row.get::<_, Option<String>>(8)?.unwrap_or_default());
    Ok(Run::new(info))
}

const METRICS: Source = Source {
    columns: "its.key, its.value, its.is_nan, coalesce(its.timestamp, 0), its.step",
    from: "latest_metrics AS its",
    id: "run_uuid",
    condition: "TRUE",
};

const PARAMS: Source =
    Source { columns: "its.key, its.value", from: "params AS its", id: "run_uuid", condition: "TRUE" };

const TAGS: Source = Source { columns: "its.key, coalesce(its.value, '')", from: "tags AS its", ..PARAMS };

const DATASETS: Source = Source {
    columns: "datasets.name, digest, dataset_source_type, dataset_source, dataset_schema, dataset_profile,
              (SELECT json_group_object(name, value) FROM input_tags WHERE input_tags.input_uuid = its.input_uuid)",
    from: "inputs AS its CROSS JOIN datasets ON dataset_uuid = its.source_id",
    id: "destination_id",
    condition: "its.destination_type = 'RUN' AND its.source_type = 'DATASET'",
};

const MODELS: Source = Source {
    columns: "its.destination_type, its.destination_id, its.step",
    from: "inputs AS its",
    id: "source_id",
    condition: "its.source_type IN ('RUN_INPUT', 'RUN_OUTPUT')
                AND its.destination_type IN ('MODEL_INPUT', 'MODEL_OUTPUT')",
};

/// Before MLflow 3.0 links had no step.
const MODELS_WITHOUT_STEP: Source =
    Source { columns: "its.destination_type, its.destination_id, 0", ..MODELS };

/// Reads what `runs` logged.
fn fill(db: &Connection, runs: &mut [Run]) -> Outcome<()> {
    // Not fewer than there are, and found without counting.
    let all =
        db.prepare_cached("SELECT coalesce(max(rowid), 0) FROM runs")?.query_row([], |row| row.get(0))?;
    let ids: Vec<&str> = runs.iter().map(|run| run.info.run_id.as_str()).collect();
    let ids = Ids::new(&ids, all);
    METRICS.each(db, &ids, runs, |run, row| {
        let value = point::Value { number: row.get(2)?, is_nan: row.get(3)? };
        run.data.metrics.push(Metric::new(row.get::<_, String>(1)?, value.get(), row.get(4)?, row.get(5)?));
        Ok(())
    })?;
    PARAMS.each(db, &ids, runs, |run, row| {
        run.data.params.push(Param::new(row.get::<_, String>(1)?, row.get::<_, String>(2)?));
        Ok(())
    })?;
    TAGS.each(db, &ids, runs, |run, row| {
        run.data.tags.push(Tag::new(row.get::<_, String>(1)?, row.get::<_, String>(2)?));
        Ok(())
    })?;
    DATASETS.each(db, &ids, runs, |run, row| {
        let mut dataset = Dataset::new(row.get::<_, String>(1)?, row.get::<_, String>(2)?);
        dataset.source_type = row.get(3)?;
        dataset.source = row.get(4)?;
        dataset.schema = row.get(5)?;
        dataset.profile = row.get(6)?;
        run.inputs.datasets.push(DatasetInput { dataset, tags: tags_of(row, 7)? });
        Ok(())
    })?;
    let models = if schema::has_column(db, "inputs", "step")? { MODELS } else { MODELS_WITHOUT_STEP };
    models.each(db, &ids, runs, |run, row| {
        let model_id: String = row.get(2)?;
        if row.get_ref(1)?.as_str()? == "MODEL_INPUT" {
            run.inputs.models.push(model_id);
        } else {
            run.outputs.push(ModelOutput::new(model_id, row.get(3)?));
        }
        Ok(())
    })?;
    for run in runs {
        // Sorting here is cheaper than in the database.
        run.data.metrics.sort_unstable_by(|left, right| left.key.cmp(&right.key));
        run.data.params.sort_unstable();
        run.data.tags.sort_unstable();
        run.inputs.datasets.sort_unstable();
        run.inputs.models.sort_unstable();
        run.outputs.sort_unstable();
    }
    Ok(())
}

/// The tags in a JSON object, sorted by key.
fn tags_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<(String, String)>> {
    let tags: BTreeMap<String, String> = serde_json::from_str(row.get_ref(column)?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))?;
    Ok(tags.into_iter().collect())
}
