//! Experiments with their tags.

use rusqlite::Connection;

use super::super::failure::Outcome;
use super::super::{experiments as rows, schema};
use super::statement::{Entity, Metrics, Select, json};
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
    clauses.iter().for_each(|clause| select.clause(clause));
    orders.iter().for_each(|order| select.order(order));
    let mut found = select.page(db, page, rows::read)?;
    let ids: Vec<&str> = found.items.iter().map(|experiment| experiment.experiment_id.as_str()).collect();
    super::each(
        db,
        "SELECT page.key, its.key, coalesce(its.value, '')
           FROM json_each(?1) AS page
          CROSS JOIN experiment_tags AS its ON its.experiment_id = CAST(page.value AS INTEGER)
          ORDER BY page.key, its.key",
        &json(&ids),
        &mut found.items,
        |experiment, row| {
            experiment.tags.push(Tag::new(row.get::<_, String>(1)?, row.get::<_, String>(2)?));
            Ok(())
        },
    )?;
    Ok(found)
}
