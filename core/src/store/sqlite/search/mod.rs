//! Searching: a query becomes one statement that selects and sorts; what the entities of a page have is then read with
//! one statement for each table.
//!
//! No index helps to find the runs of an experiment or the newest ones, in any schema of MLflow's: each search looks
//! at every run once. What a run has is found through the indexes by key and run, and by run.

mod experiments;
mod models;
mod runs;
mod statement;

use rusqlite::{Connection, Row};

use super::failure::Outcome;

pub(super) use experiments::experiments;
pub(super) use models::{model, models};
pub(super) use runs::{run, runs};

/// Runs a statement whose first column says which of `items` a row belongs to, as a place in the list `ids`.
fn each<T>(
    db: &Connection,
    sql: &str,
    ids: &str,
    items: &mut [T],
    mut add: impl FnMut(&mut T, &Row<'_>) -> rusqlite::Result<()>,
) -> Outcome<()> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([ids])?;
    while let Some(row) = rows.next()? {
        let place = usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX);
        if let Some(item) = items.get_mut(place) {
            add(item, row)?;
        }
    }
    Ok(())
}
