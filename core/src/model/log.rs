//! Logging a model: its row, its link from the run, its files.

use serde_json::Value;

use super::{Column, DataType, IS_EXTERNAL, ModelOptions, ModelPlace, ModelSpec, Schema, Signature};
use crate::entity::{LoggedModel, Metric, ModelOutput, ModelStatus, Param, Run};
use crate::error::Result;
use crate::run::{RunHandle, is_of_the_machine};
use crate::store::{Batch, Store};
use crate::tracker::Tracker;
use crate::{clock, notice};

/// Stores `spec` as a model of the run, or of none: pending, then ready, or failed if its files cannot be written.
///
/// As in MLflow the model takes over the params that the run has so far, and the run's points at the same step. What a
/// training is known to have set itself wins, and points from before it are not the model's.
pub(crate) fn log_model(tracker: &Tracker, run: Option<&RunHandle>, spec: ModelSpec) -> Result<LoggedModel> {
    let engine = tracker.engine()?;
    // The params and metrics logged so far are the model's, too.
    engine.flush(engine.patience())?;
    let store = &*engine.store;
    let logged = run.map(|run| store.get_run(run.run_id())).transpose()?;
    let model = if let Some(model_id) = &spec.model_id {
        store.get_logged_model(model_id)?
    } else {
        let options = spec.options.clone();
        let options = if let Some(run) = run { options.of_run(run.info()) } else { options };
        let known = |param: &&Param| spec.observed.iter().any(|(key, _)| *key == param.key);
        let params = logged.iter().flat_map(|run| &run.data.params).filter(|param| !known(param));
        let options = spec.observed.iter().fold(options, |options, (key, value)| options.param(key, value));
        create(tracker, &options, &params.cloned().collect::<Vec<_>>())?
    };
    tracker.remember_model(&model.model_id);
    let logging = || -> Result<()> {
        if let (Some(handle), Some(run)) = (run, &logged) {
            store.log_outputs(handle.run_id(), &[ModelOutput::new(&model.model_id, spec.step)])?;
            handle.remember_output(&model.model_id, spec.step);
            if spec.since_ms.is_some() {
                handle.observed_model(&model.model_id);
            }
            measure(store, run, &spec, &model.model_id)?;
        }
        write_files(tracker, run.map(RunHandle::run_id), spec.with_environment(), &model)?;
        // The model has files here now.
        match model.tags.iter().find(|tag| tag.key == IS_EXTERNAL) {
            Some(tag) => store.delete_logged_model_tag(&model.model_id, &tag.key),
            None => Ok(()),
        }
    };
    let written = logging();
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

/// Creates a pending model, in the experiment that `options` say, that of its run, or the one where new runs go.
pub(crate) fn create(tracker: &Tracker, options: &ModelOptions, params: &[Param]) -> Result<LoggedModel> {
    let store = &tracker.engine()?.store;
    let experiment_id = match (&options.experiment_id, &options.source_run_id) {
        (Some(experiment_id), _) => experiment_id.clone(),
        (None, Some(run_id)) => store.get_run(run_id)?.info.experiment_id,
        (None, None) => tracker.experiment_of_new_runs()?,
    };
    store.create_logged_model(&options.to_new(experiment_id, params, tracker.config())?)
}

/// Creates a model whose files are elsewhere: MLflow's stub of an `MLmodel` stands for them.
pub(crate) fn create_external(tracker: &Tracker, options: ModelOptions) -> Result<LoggedModel> {
    let model = create(tracker, &options.tag(IS_EXTERNAL, "true"), &[])?;
    // MLflow's registry wants a signature of every model.
    let flag = || Schema::Columns(vec![Column { name: None, data_type: DataType::Boolean, required: true }]);
    let stub = ModelSpec::new(&*model.name)
        .metadata(IS_EXTERNAL, Value::Bool(true))
        .signature(Signature::new(flag(), flag()));
    write_files(tracker, model.source_run_id.as_deref(), stub, &model)?;
    let store = &tracker.engine()?.store;
    store.finalize_logged_model(&model.model_id, ModelStatus::Ready, clock::now_ms())
}

/// Lets the run's points at the model's step measure the model as well, but not the machine's.
fn measure(store: &dyn Store, run: &Run, spec: &ModelSpec, model_id: &str) -> Result<()> {
    let step = spec.step;
    let run_id = &run.info.run_id;
    let mut metrics = Vec::new();
    // A metric whose latest point is of an earlier step has none of this one.
    let reaches = |metric: &&Metric| metric.step >= step && !is_of_the_machine(&metric.key);
    for latest in run.data.metrics.iter().filter(reaches) {
        let history = store.metric_history(run_id, &latest.key)?;
        let of_step = history.into_iter().filter(|point| {
            point.step == step
                && spec.since_ms.is_none_or(|since| point.timestamp >= since)
                && point.model_id.is_none()
        });
        metrics.extend(of_step.map(|point| point.for_model(model_id)));
    }
    for metrics in metrics.chunks(store.limits().metrics) {
        store.log_batch(run_id, &Batch { metrics: metrics.to_vec(), ..Batch::default() })?;
    }
    Ok(())
}

fn write_files(tracker: &Tracker, run_id: Option<&str>, spec: ModelSpec, model: &LoggedModel) -> Result<()> {
    let artifacts = tracker.artifacts_at(&model.artifact_location)?;
    let place = ModelPlace {
        model_id: &model.model_id,
        run_id,
        artifact_location: &model.artifact_location,
        created_ms: model.creation_timestamp,
    };
    spec.files(&place)?.iter().try_for_each(|(name, file)| file.write(&*artifacts, name))
}
