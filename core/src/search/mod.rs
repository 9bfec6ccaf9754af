//! MLflow's search: which entities a query selects, in which order, page by page.
//!
//! [`runs`], [`experiments`] and [`models`] answer a query on entities that are in memory. A store that can search by
//! itself takes the parsed [`filter`] and [`orders`] and translates them.
//!
//! The language is the one of MLflow 3.17 on a SQL store: what it accepts is accepted, with the same results, and what
//! it refuses is refused, as `InvalidInput` with the place in the filter. In detail, and in places surprisingly:
//!
//! - Conditions are joined by AND, but AND may be left out between comparisons, doubled, or trail.
//! - There are no escapes: `'it''s'` is the text `it''s`. Use the other kind of quotes.
//! - Text is compared by its bytes; `ILIKE` knows the case of ASCII letters only.
//! - What is missing matches no comparison, not even `!=`; NaN matches `!=` alone.
//! - `run_name` in a filter is the tag `mlflow.runName`, and in an order the run's name.
//! - The status of a model is a number: 1 pending, 2 ready, 3 failed.
//! - For experiments, `LIKE`, `ILIKE` and `IN` must be in capital letters.
//!
//! What differs, on purpose:
//!
//! - MLflow fails with an internal error, which its clients try again for minutes, on a field that an order of runs names
//!   twice, on an unknown attribute of models, and on a list after `=`. Here they are invalid input.
//! - AND may not be left out before a condition with IS or IN: MLflow takes the condition before it for a part of the
//!   name, and finds what nobody asked for.
//! - For models, MLflow takes double quotes around text as a part of it, so that nothing matches, and takes words
//!   without quotes as text unless SQL has a meaning for them. Both are refused: text has single quotes. `attributes.`
//!   may stand before `creation_timestamp` too, and a list may have one number.
//! - An order of models is text here, a name and a direction; in MLflow it is an object.
//! - Text in a list has neither backslashes nor its own quotes in it, and each has its comma: MLflow reads lists, and
//!   only lists, as Python.
//! - What only a SQL tokenizer finds a meaning in is refused: an empty part of a name, a space after its dot, keys in
//!   brackets, in acute accents or like functions, two quoted parts of a name as text, a sum, `inf` or `nan` as the
//!   number that a model's metric is compared with.
//! - There are bounds where MLflow's database gives up, at 64 joined tables: 200 conditions, 20 orders.

mod clause;
mod entities;
mod evaluate;
mod grammar;
mod lexer;
mod like;
mod order;
pub(crate) mod page;
mod parser;
#[cfg(test)]
mod tests;

use crate::entity::{Experiment, LifecycleStage, LoggedModel, Run};
use crate::error::Result;
use crate::store::{ExperimentQuery, ModelQuery, Page, PageRequest, RunQuery};
use entities::Measured;
use evaluate::{selects, sorted};

pub(crate) use clause::Field;
#[cfg(feature = "sqlite")]
pub(crate) use clause::{Clause, Comparison, DatasetField, Likeness, Number, Order, Test};
pub(crate) use grammar::{EXPERIMENTS, MODELS, RUNS};
pub(crate) use order::orders;
pub(crate) use parser::filter;

/// The runs of `found` that `query` selects, in its order.
pub(crate) fn runs(
    found: impl IntoIterator<Item = Run>,
    query: &RunQuery,
    page: &PageRequest,
) -> Result<Page<Run>> {
    let (clauses, orders) = (filter(&query.filter, &RUNS)?, orders(&query.order_by, &RUNS)?);
    let found = found
        .into_iter()
        .filter(|run| query.run_view_type.shows(run.info.lifecycle_stage))
        .filter(|run| query.experiment_ids.contains(&run.info.experiment_id))
        .filter(|run| selects(&clauses, run));
    page::cut(sorted(found.collect(), &orders), page)
}

/// The experiments of `found` that `query` selects, in its order.
pub(crate) fn experiments(
    found: impl IntoIterator<Item = Experiment>,
    query: &ExperimentQuery,
    page: &PageRequest,
) -> Result<Page<Experiment>> {
    let (clauses, orders) = (filter(&query.filter, &EXPERIMENTS)?, orders(&query.order_by, &EXPERIMENTS)?);
    let found = found
        .into_iter()
        .filter(|experiment| query.view_type.shows(experiment.lifecycle_stage))
        .filter(|experiment| selects(&clauses, experiment));
    page::cut(sorted(found.collect(), &orders), page)
}

/// The active models of `found` that `query` selects, in its order.
pub(crate) fn models(
    found: impl IntoIterator<Item = LoggedModel>,
    query: &ModelQuery,
    page: &PageRequest,
) -> Result<Page<LoggedModel>> {
    let (clauses, orders) = (filter(&query.filter, &MODELS)?, orders(&query.order_by, &MODELS)?);
    // With datasets, and nothing asked of metrics, any metric that was measured on one of them will do.
    let must_be_measured =
        !query.datasets.is_empty() && !clauses.iter().any(|clause| matches!(clause.field, Field::Metric(_)));
    let found = found
        .into_iter()
        .filter(|model| model.lifecycle_stage == LifecycleStage::Active)
        .filter(|model| query.experiment_ids.contains(&model.experiment_id))
        .map(|model| Measured { model, datasets: &query.datasets })
        .filter(|measured| !must_be_measured || measured.metrics().next().is_some())
        .filter(|measured| selects(&clauses, measured));
    let sorted = sorted(found.collect(), &orders);
    page::cut(sorted.into_iter().map(|measured| measured.model).collect(), page)
}
