//! Logging a model: its row, its link from the run, its files.

use std::collections::BTreeMap;

use super::{ModelPlace, ModelSpec};
use crate::engine::Engine;
use crate::entity::{LoggedModel, Metric, ModelOutput, ModelStatus, NewLoggedModel, Param, RunInfo};
use crate::error::Result;
use crate::store::Batch;
use crate::tracker::Tracker;
use crate::{clock, context, notice};

/// Stores `spec` as a model of the run: pending, then ready, or failed if its files cannot be written.
///
/// As in MLflow the model takes over the params that the run has so far, and the run's latest metrics of the same step
/// (but not the machine's).
pub(crate) fn log_model(
    tracker: &Tracker,
    engine: &Engine,
    run: &RunInfo,
    spec: ModelSpec,
) -> Result<LoggedModel> {
    // The params and metrics logged so far are the model's, too.
    engine.flush(crate::run::END_WAIT)?;
    let store = &*engine.store;
    let logged = store.get_run(&run.run_id)?.data;
    let mut params: BTreeMap<&str, &str> =
        spec.params.iter().map(|(key, value)| (&**key, &**value)).collect();
    params.extend(logged.params.iter().map(|param| (&*param.key, &*param.value)));
    let model = store.create_logged_model(&NewLoggedModel {
        experiment_id: run.experiment_id.clone(),
        name: spec.name.clone(),
        model_type: spec.model_type.clone(),
        source_run_id: Some(run.run_id.clone()),
        creation_timestamp: clock::now_ms(),
        params: params.into_iter().map(|(key, value)| Param::new(key, value)).collect(),
        tags: context::default_tags(tracker.config()),
    })?;
    let step = spec.step;
    store.log_outputs(&run.run_id, &[ModelOutput::new(&model.model_id, step)])?;
    let measures_model = |metric: &Metric| {
        metric.step == step && metric.model_id.is_none() && !metric.key.starts_with("system/")
    };
    let of_this_step = logged.metrics.into_iter().filter(measures_model);
    let metrics = of_this_step.map(|metric| metric.for_model(&model.model_id)).collect();
    store.log_batch(&run.run_id, &Batch { metrics, ..Batch::default() })?;

    let written = write_files(tracker, run, spec, &model);
    let status = if written.is_ok() { ModelStatus::Ready } else { ModelStatus::Failed };
    let finalized = store.finalize_logged_model(&model.model_id, status, clock::now_ms());
    if let (Err(_), Err(error)) = (&written, &finalized) {
        notice::warn(
            "model-status",
            format_args!("a model whose files failed is still marked as pending: {error}"),
        );
    }
    written.and(finalized)
}

fn write_files(tracker: &Tracker, run: &RunInfo, spec: ModelSpec, model: &LoggedModel) -> Result<()> {
    let artifacts = tracker.artifacts_at(&model.artifact_location)?;
    let place = ModelPlace {
        model_id: &model.model_id,
        run_id: Some(&run.run_id),
        artifact_location: &model.artifact_location,
        created_ms: model.creation_timestamp,
    };
    spec.files(&place)?.into_iter().try_for_each(|(name, content)| artifacts.write(&name, &mut &content[..]))
}
