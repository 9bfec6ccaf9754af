//! MLflow's search: which entities a query selects, in which order, page by page.

mod page;

use std::cmp::Reverse;

use crate::entity::{Experiment, LifecycleStage, LoggedModel, Run};
use crate::error::Result;
use crate::store::{ExperimentQuery, ModelQuery, Page, PageRequest, RunQuery};

/// The runs of `found` that `query` selects, in its order.
pub(crate) fn runs(
    found: impl IntoIterator<Item = Run>,
    query: &RunQuery,
    page: &PageRequest,
) -> Result<Page<Run>> {
    let mut found: Vec<Run> = found
        .into_iter()
        .filter(|run| query.run_view_type.shows(run.info.lifecycle_stage))
        .filter(|run| query.experiment_ids.contains(&run.info.experiment_id))
        .collect();
    found.sort_by(|a, b| {
        (Reverse(a.info.start_time), &a.info.run_id).cmp(&(Reverse(b.info.start_time), &b.info.run_id))
    });
    page::cut(found, page)
}

/// The experiments of `found` that `query` selects, in its order.
pub(crate) fn experiments(
    found: impl IntoIterator<Item = Experiment>,
    query: &ExperimentQuery,
    page: &PageRequest,
) -> Result<Page<Experiment>> {
    let found: Vec<Experiment> =
        found.into_iter().filter(|experiment| query.view_type.shows(experiment.lifecycle_stage)).collect();
    page::cut(found, page)
}

/// The active models of `found` that `query` selects, in its order.
pub(crate) fn models(
    found: impl IntoIterator<Item = LoggedModel>,
    query: &ModelQuery,
    page: &PageRequest,
) -> Result<Page<LoggedModel>> {
    let found: Vec<LoggedModel> = found
        .into_iter()
        .filter(|model| model.lifecycle_stage == LifecycleStage::Active)
        .filter(|model| query.experiment_ids.contains(&model.experiment_id))
        .collect();
    page::cut(found, page)
}
