//! Searches find what MLflow's client finds in the same database, in the same order, and refuse what it refuses.

mod content;

use std::fs;

use runlog::store::{MemoryStore, Page, PageRequest, SqliteStore, Store};
use runlog::{ErrorKind, ExperimentQuery, ModelQuery, Result, RunQuery, ViewType};
use serde_json::Value;

use crate::support::Place;
use content::Content;

/// One search a line: what is searched with which filter, and `order`, `view` and `datasets` if they are not the usual
/// ones. `differs` says what is done here where MLflow does the opposite, on purpose; `by_id` that the order is one of
/// ids, which are random, so that two stores answer differently.
const SEARCHES: &str = include_str!("mlflow/searches.jsonl");

/// What was found, in order; `None` if the search was refused.
type Answer = Option<Vec<String>>;

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Asks for page after page, small ones, so that paging is compared as well.
fn every_page<T>(
    ask: impl Fn(&PageRequest) -> Result<Page<T>>,
    id: impl Fn(&T) -> &str,
) -> Result<Vec<String>> {
    let mut request = PageRequest::first(11);
    let mut found = Vec::new();
    loop {
        let page = ask(&request)?;
        found.extend(page.items.iter().map(|item| id(item).to_owned()));
        request.token = page.next;
        if request.token.is_none() {
            return Ok(found);
        }
    }
}

fn answer(store: &dyn Store, content: &Content, search: &Value) -> Answer {
    let filter = |name: &str| search[name].as_str().map(|text| content.with_ids(text));
    let view = match search["view"].as_str() {
        Some("all") => ViewType::All,
        Some("deleted") => ViewType::DeletedOnly,
        _ => ViewType::ActiveOnly,
    };
    let order = texts(&search["order"]);
    let found = if let Some(filter) = filter("runs") {
        let mut query = RunQuery::new().filter(filter).run_view_type(view);
        query.experiment_ids.clone_from(&content.experiments);
        query.order_by = order;
        every_page(|page| store.search_runs(&query, page), |run| &run.info.run_id)
    } else if let Some(filter) = filter("experiments") {
        let mut query = ExperimentQuery::new().filter(filter).view_type(view);
        query.order_by = order;
        every_page(|page| store.search_experiments(&query, page), |experiment| &experiment.experiment_id)
    } else {
        let mut query = ModelQuery::new().filter(filter("models").unwrap());
        query.experiment_ids.clone_from(&content.experiments);
        query.order_by = order;
        for dataset in search["datasets"].as_array().into_iter().flatten() {
            query = query.dataset(dataset[0].as_str().unwrap(), dataset[1].as_str());
        }
        every_page(|page| store.search_logged_models(&query, page), |model| &model.model_id)
    };
    match found {
        Ok(ids) => Some(ids.iter().map(|id| content.label(id)).collect()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{search}: {error:#}");
            assert!(!error.to_string().contains('\n'), "{search}: {error}");
            None
        }
    }
}

/// What is wrong with `ours`, if anything is.
fn judge(search: &Value, ours: &Answer, theirs: &Answer, why: &Value) -> Option<String> {
    let is_right = match search["differs"].as_str() {
        None => ours == theirs,
        Some("refused") => ours.is_none() && theirs.is_some(),
        Some(_) => ours.is_some() && theirs.is_none(),
    };
    (!is_right).then(|| format!("{search}\n  here: {ours:?}\n  MLflow: {theirs:?} {why}"))
}

#[test]
fn searches_find_what_mlflow_finds_and_refuse_what_it_refuses() {
    let searches: Vec<Value> = SEARCHES.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |what: &str| searches.iter().filter(|search| !search[what].is_null()).count();
    assert!(count("runs") >= 200 && count("experiments") >= 50 && count("models") >= 50);

    let place = Place::new();
    let sqlite = SqliteStore::open(&place.database(), &place.path().join("mlruns")).unwrap();
    let in_sqlite = Content::put_into(&sqlite);
    let memory = MemoryStore::new();
    let in_memory = Content::put_into(&memory);
    let by_memory: Vec<Answer> = searches.iter().map(|search| answer(&memory, &in_memory, search)).collect();
    let by_sqlite: Vec<Answer> = searches.iter().map(|search| answer(&sqlite, &in_sqlite, search)).collect();

    let file = place.path().join("searches.jsonl");
    fs::write(&file, in_sqlite.with_ids(SEARCHES)).unwrap();
    // MLflow migrates the database to its newest schema when it opens it.
    let theirs = place.ask("search.py", &[&place.uri(), file.to_str().unwrap()]);
    let by_sqlite_migrated: Vec<Answer> =
        searches.iter().map(|search| answer(&sqlite, &in_sqlite, search)).collect();

    let mut wrong = Vec::new();
    for (place, search) in searches.iter().enumerate() {
        let [found, why] = [&theirs[place][0], &theirs[place][1]];
        let found = found.as_array().map(|_| texts(found).iter().map(|id| in_sqlite.label(id)).collect());
        for (name, answers) in
            [("sqlite", &by_sqlite), ("memory", &by_memory), ("sqlite, migrated", &by_sqlite_migrated)]
        {
            if name == "memory" && search["by_id"] == true {
                assert_eq!(answers[place].as_ref().map(Vec::len), by_sqlite[place].as_ref().map(Vec::len));
                continue;
            }
            wrong.extend(judge(search, &answers[place], &found, why).map(|wrong| format!("{name}: {wrong}")));
        }
    }
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}
