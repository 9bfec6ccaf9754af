//! Searching, through a tracker: which experiments are meant, and page after page.

use super::Tracker;
use crate::entity::{Experiment, LoggedModel, Run};
use crate::error::{Error, Result};
use crate::notice;
use crate::store::{ExperimentQuery, ModelQuery, PAGE_MAX, Page, PageRequest, RunQuery};

impl Tracker {
    /// The runs that `query` selects, newest start first unless it says otherwise.
    ///
    /// `query` is a filter, `()` for all, or a [`RunQuery`]. Without a choice of experiments the active one is searched.
    /// First waits, for at most 5 s, until what this process logged is stored.
    ///
    /// # Errors
    /// The filter or the order is wrong, both ids and names of experiments are given, or the store cannot be read.
    pub fn search_runs(&self, query: impl Into<RunQuery>) -> Result<Vec<Run>> {
        let mut query = query.into();
        query.experiment_ids = self.experiments_of(&query)?;
        let store = &self.caught_up()?.store;
        every_page(query.max_results, |page| store.search_runs(&query, page))
    }

    /// The experiments that `query` selects, newest first unless it says otherwise.
    ///
    /// `query` is a filter, `()` for all, or an [`ExperimentQuery`].
    ///
    /// # Errors
    /// The filter or the order is wrong, or the store cannot be read.
    pub fn search_experiments(&self, query: impl Into<ExperimentQuery>) -> Result<Vec<Experiment>> {
        let (query, store) = (query.into(), self.store()?);
        every_page(query.max_results, |page| store.search_experiments(&query, page))
    }

    /// The logged models that `query` selects, newest first unless it says otherwise.
    ///
    /// `query` is a filter, `()` for all, or a [`ModelQuery`]. Without a choice of experiments the active one is
    /// searched. Waits as [`search_runs`](Self::search_runs).
    ///
    /// # Errors
    /// The filter or the order is wrong, or the store cannot be read.
    pub fn search_logged_models(&self, query: impl Into<ModelQuery>) -> Result<Vec<LoggedModel>> {
        let mut query = query.into();
        if query.experiment_ids.is_empty() {
            query.experiment_ids.push(self.experiment_of_new_runs()?);
        }
        let store = &self.caught_up()?.store;
        every_page(query.max_results, |page| store.search_logged_models(&query, page))
    }

    /// The ids of the experiments that `query` means.
    fn experiments_of(&self, query: &RunQuery) -> Result<Vec<String>> {
        let RunQuery { experiment_ids, experiment_names, search_all_experiments, .. } = query;
        match (experiment_ids.is_empty(), experiment_names.is_empty()) {
            (false, false) => {
                Err(Error::invalid("name the experiments to search by their ids or by their names, not both"))
            }
            (false, true) => Ok(experiment_ids.clone()),
            (true, false) => self.ids_of(experiment_names),
            (true, true) if *search_all_experiments => {
                let all = self.search_experiments(())?;
                Ok(all.into_iter().map(|experiment| experiment.experiment_id).collect())
            }
            (true, true) => Ok(vec![self.experiment_of_new_runs()?]),
        }
    }

    fn ids_of(&self, names: &[String]) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        for name in names {
            match self.get_experiment_by_name(name)? {
                Some(experiment) => ids.push(experiment.experiment_id),
                None => notice::warn(
                    &format!("no experiment: {name}"),
                    format_args!("no experiment is called {name:?}; it is left out of the search"),
                ),
            }
        }
        Ok(ids)
    }
}

/// Asks for page after page, until there is none or there are `max_results` items.
fn every_page<T>(max_results: usize, mut ask: impl FnMut(&PageRequest) -> Result<Page<T>>) -> Result<Vec<T>> {
    let mut found = Vec::new();
    let mut token = None;
    loop {
        let request = PageRequest { max_results: PAGE_MAX.min(max_results - found.len()), token };
        let page = ask(&request)?;
        found.extend(page.items);
        token = page.next;
        if token.is_none() || found.len() >= max_results {
            found.truncate(max_results);
            return Ok(found);
        }
    }
}
