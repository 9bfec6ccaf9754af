//! Searching: a query becomes one statement that selects and sorts; what the entities of a page have is then read with
//! one statement for each table.
//!
//! No index helps to find the runs of an experiment or the newest ones, in any schema of MLflow's: each search looks
//! at every run once. What a run has is found through the indexes by key and run, and by run.

mod experiments;
mod models;
mod runs;
mod statement;

use std::collections::HashMap;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::failure::Outcome;

pub(super) use experiments::experiments;
pub(super) use models::{model, models};
pub(super) use runs::{run, runs};

/// The entities of a page, by id.
struct Ids {
    /// The ids in order, as a JSON list.
    list: String,
    /// Where each id is in the page, if the page has so many of all entities that reading a whole table is faster than
    /// finding the rows of each through an index.
    places: Option<HashMap<String, usize>>,
}

impl Ids {
    /// The `ids` of a page, where there are `all` entities, or a few more.
    fn new(ids: &[&str], all: i64) -> Self {
        let are_most = i64::try_from(ids.len()).is_ok_and(|count| count > 1 && count >= all / 2);
        if are_most {
            let places = ids.iter().enumerate().map(|(place, id)| ((*id).to_owned(), place)).collect();
            Self { list: String::new(), places: Some(places) }
        } else {
            Self { list: statement::json(ids), places: None }
        }
    }
}

/// Rows that belong to entities.
struct Source {
    /// The columns to read; the first one is at 1.
    columns: &'static str,
    /// The tables, of which one is called `its`.
    from: &'static str,
    /// The column of `its` that names the entity.
    id: &'static str,
    /// What else must hold.
    condition: &'static str,
}

impl Source {
    /// Gives `add` each row of the entities in `ids`, with the item in the same place of `items`.
    fn each<T>(
        &self,
        db: &Connection,
        ids: &Ids,
        items: &mut [T],
        mut add: impl FnMut(&mut T, &Row<'_>) -> rusqlite::Result<()>,
    ) -> Outcome<()> {
        let Self { columns, from, id, condition } = self;
        let Some(places) = &ids.places else {
            let sql = format!(
                "SELECT page.key, {columns} FROM json_each(?1) AS page CROSS JOIN {from}
                  WHERE its.{id} = page.value AND {condition}"
            );
            let mut statement = db.prepare_cached(&sql)?;
            let mut rows = statement.query([&ids.list])?;
            while let Some(row) = rows.next()? {
                let place = usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX);
                if let Some(item) = items.get_mut(place) {
                    add(item, row)?;
                }
            }
            return Ok(());
        };
        let sql = format!("SELECT its.{id}, {columns} FROM {from} WHERE {condition}");
        let mut statement = db.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let place = match row.get_ref(0)? {
                ValueRef::Integer(id) => places.get(&id.to_string()),
                other => other.as_str().ok().and_then(|id| places.get(id)),
            };
            if let Some(item) = place.and_then(|place| items.get_mut(*place)) {
                add(item, row)?;
            }
        }
        Ok(())
    }
}
