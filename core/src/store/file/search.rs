//! Searches: everything there is, read, then filtered and sorted in memory.
//!
//! What cannot be read is passed over and told, as MLflow does: one broken directory must not hide all others.

use std::collections::BTreeSet;

use super::{Tree, experiments, layout, models, runs};
use crate::entity::{Experiment, LifecycleStage, LoggedModel, Run};
use crate::error::{Error, Result};
use crate::notice;
use crate::search;
use crate::store::{ExperimentQuery, ModelQuery, Page, PageRequest, RunQuery};

pub(super) fn experiments(
    tree: &Tree,
    query: &ExperimentQuery,
    page: &PageRequest,
) -> Result<Page<Experiment>> {
    search::experiments(experiments::all(tree)?, query, page)
}

pub(super) fn runs(tree: &Tree, query: &RunQuery, page: &PageRequest) -> Result<Page<Run>> {
    let mut found = Vec::new();
    for experiment in searched(tree, &query.experiment_ids) {
        for (run_id, dir) in layout::runs(&experiment.path)? {
            let read = || match runs::described(&dir, &run_id)? {
                // What is in the files of a run that is not shown need not be read.
                Some(meta) if query.run_view_type.shows(meta.stage()) => runs::whole(&dir, &meta).map(Some),
                _ => Ok(None),
            };
            found.extend(read().unwrap_or_else(skipped));
        }
    }
    search::runs(found, query, page)
}

pub(super) fn models(tree: &Tree, query: &ModelQuery, page: &PageRequest) -> Result<Page<LoggedModel>> {
    let mut found = Vec::new();
    for experiment in searched(tree, &query.experiment_ids) {
        for (model_id, dir) in layout::models(&experiment.path)? {
            let read = || match models::described(&dir, &model_id)? {
                Some(meta) if meta.stage() == LifecycleStage::Active => models::whole(&dir, &meta).map(Some),
                _ => Ok(None),
            };
            found.extend(read().unwrap_or_else(skipped));
        }
    }
    search::models(found, query, page)
}

/// The experiments of these ids that exist, each once.
fn searched(tree: &Tree, ids: &[String]) -> Vec<layout::ExperimentDir> {
    let ids: BTreeSet<&String> = ids.iter().collect();
    ids.into_iter().filter_map(|id| layout::experiment(&tree.root, id)).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "it takes what `unwrap_or_else` gives")]
fn skipped<T>(error: Error) -> Option<T> {
    notice::warn(&format!("skipped {error}"), format_args!("what cannot be read is passed over: {error}"));
    None
}
