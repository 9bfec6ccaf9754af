//! Experiments with their tags.

use rusqlite::Connection;

use super::super::failure::Outcome;
use super::super::{experiments as rows, schema};
use super::statement::{Entity, Metrics, Select};
use super::{Ids, Source};
use crate::entity::{Experiment, Tag};
use crate::search;
use crate::store::{ExperimentQuery, Page, PageRequest};

static EXPERIMENTS: Entity = Entity {
    table: "experiments",
    id: "experiment_id",
    // The grammar has neither params nor metrics of experiments.
    params: ("experiment_tags", "key", "value"),
    tags: ("experiment_tags", "key", "value"),
    column: |attribute| attribute,
    nullable: false,
    metrics: Metrics::OfRun,
};

const TAGS: Source = Source {
    columns: "its.key, coalesce(its.value, '')",
    from: "experiment_tags AS its",
    id: "experiment_id",
    condition: "TRUE",
};

/// The experiments that `query` selects, in its order.
pub(in super::super) fn experiments(
    db: &Connection,
    query: &ExperimentQuery,
    page: &PageRequest,
) -> Outcome<Page<Experiment>> {
    let clauses = search::filter(&query.filter, &search::EXPERIMENTS)?;
    let orders = search::orders(&query.order_by, &search::EXPERIMENTS)?;
    let mut select = Select::new(&EXPERIMENTS, rows::COLUMNS);
    select.only_seen(query.view_type);
    // Those of other workspaces are not ours.
    if schema::has_column(db, "experiments", "workspace")? {
        select.only("workspace = 'default'");
    }
    select.query(&clauses, &orders);
    let mut found = select.page(db, page, rows::read)?;
    let ids: Vec<&str> = found.items.iter().map(|experiment| experiment.experiment_id.as_str()).collect();
    // No index finds the tags of one experiment, so they are all read.
    TAGS.each(db, &Ids::new(&ids, 0), &mut found.items, |experiment, row| {
        experiment.tags.push(Tag::new(row.get::<_, String>(1)?, row.get::<_, String>(2)?));
        Ok(())
    })?;
    for experiment in &mut found.items {
        experiment.tags.sort_unstable();
    }
    Ok(found)
}
