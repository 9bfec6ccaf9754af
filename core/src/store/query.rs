//! What a search asks for, and how its answer comes in pages.

use crate::entity::ViewType;

/// How many runs, experiments or models one page holds at most; as many as MLflow's server gives.
pub const PAGE_MAX: usize = 50_000;

/// How many results a search returns if it does not say, as in MLflow.
const RESULTS_MAX: usize = 100_000;

/// A part of an answer, and where it goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// In the order that was asked for.
    pub items: Vec<T>,
    /// What the next request names; `None` at the end.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The only page of an answer.
    pub fn last(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// Which part of an answer is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// How many items at most, of [`PAGE_MAX`].
    pub max_results: usize,
    /// What the page before said comes next; `None` for the first page.
    pub token: Option<String>,
}

impl PageRequest {
    /// The first page, of at most `max_results` items.
    pub fn first(max_results: usize) -> Self {
        Self { max_results, token: None }
    }
}

/// Which runs a search returns, and in which order.
///
/// The filter and the order are MLflow's: `metrics.loss < 0.3 AND params.optimizer = 'adam'`, `metrics.loss ASC`.
/// A plain filter will do where nothing else is wanted.
///
/// ```
/// use runlog_core::RunQuery;
///
/// let best = RunQuery::new()
///     .experiment_name("vision")
///     .filter("metrics.loss < 0.3 AND tags.stage != 'draft'")
///     .order_by("metrics.loss ASC")
///     .max_results(10);
/// let good: RunQuery = "metrics.accuracy > 0.9".into();
/// # assert_eq!(best.order_by, ["metrics.loss ASC"]);
/// # assert_eq!(good.filter, "metrics.accuracy > 0.9");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunQuery {
    /// The experiments to look in, by id. The only choice of experiments that a [`Store`](super::Store) looks at: a
    /// [`Tracker`](crate::Tracker) turns the other ones into ids.
    pub experiment_ids: Vec<String>,
    /// The experiments to look in, by name.
    pub experiment_names: Vec<String>,
    /// Whether to look in every active experiment; without any choice it is the active one.
    pub search_all_experiments: bool,
    /// Which runs, in MLflow's grammar; empty means all.
    pub filter: String,
    /// Active runs, deleted runs, or both.
    pub run_view_type: ViewType,
    /// What to sort by, such as `metrics.loss DESC`; equal runs come newest first, then by id.
    pub order_by: Vec<String>,
    /// How many runs at most.
    pub max_results: usize,
}

impl Default for RunQuery {
    fn default() -> Self {
        Self {
            experiment_ids: Vec::new(),
            experiment_names: Vec::new(),
            search_all_experiments: false,
            filter: String::new(),
            run_view_type: ViewType::default(),
            order_by: Vec::new(),
            max_results: RESULTS_MAX,
        }
    }
}

impl RunQuery {
    /// Every active run of the active experiment, at most 100,000.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks in this experiment too.
    #[must_use]
    pub fn experiment_id(mut self, experiment_id: impl Into<String>) -> Self {
        self.experiment_ids.push(experiment_id.into());
        self
    }

    /// Looks in the experiment of this name too; a name that no experiment has is warned of.
    #[must_use]
    pub fn experiment_name(mut self, name: impl Into<String>) -> Self {
        self.experiment_names.push(name.into());
        self
    }

    /// Looks in every active experiment.
    #[must_use]
    pub fn all_experiments(mut self) -> Self {
        self.search_all_experiments = true;
        self
    }

    /// Returns only the runs that this filter, in MLflow's grammar, matches.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Returns active runs, deleted runs, or both.
    #[must_use]
    pub fn run_view_type(mut self, view: ViewType) -> Self {
        self.run_view_type = view;
        self
    }

    /// Sorts by this, such as `metrics.loss DESC`, after what was said before.
    #[must_use]
    pub fn order_by(mut self, order: impl Into<String>) -> Self {
        self.order_by.push(order.into());
        self
    }

    /// Returns at most this many runs.
    #[must_use]
    pub fn max_results(mut self, count: usize) -> Self {
        self.max_results = count;
        self
    }
}

impl From<()> for RunQuery {
    fn from((): ()) -> Self {
        Self::new()
    }
}

impl From<&str> for RunQuery {
    fn from(filter: &str) -> Self {
        Self::new().filter(filter)
    }
}

impl From<&Self> for RunQuery {
    fn from(query: &Self) -> Self {
        query.clone()
    }
}

/// Which experiments a search returns, and in which order.
///
/// ```
/// use runlog_core::ExperimentQuery;
///
/// let query = ExperimentQuery::new().filter("name LIKE 'vision%'").order_by("name ASC");
/// # assert_eq!(query.filter, "name LIKE 'vision%'");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExperimentQuery {
    /// Which experiments, in MLflow's grammar; empty means all.
    pub filter: String,
    /// Active experiments, deleted ones, or both.
    pub view_type: ViewType,
    /// What to sort by; the default is the newest first.
    pub order_by: Vec<String>,
    /// How many experiments at most.
    pub max_results: usize,
}

impl Default for ExperimentQuery {
    fn default() -> Self {
        Self {
            filter: String::new(),
            view_type: ViewType::default(),
            order_by: Vec::new(),
            max_results: RESULTS_MAX,
        }
    }
}

impl ExperimentQuery {
    /// Every active experiment, newest first.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns only the experiments that this filter, in MLflow's grammar, matches.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Returns active experiments, deleted ones, or both.
    #[must_use]
    pub fn view_type(mut self, view: ViewType) -> Self {
        self.view_type = view;
        self
    }

    /// Sorts by this, such as `last_update_time DESC`, after what was said before.
    #[must_use]
    pub fn order_by(mut self, order: impl Into<String>) -> Self {
        self.order_by.push(order.into());
        self
    }

    /// Returns at most this many experiments.
    #[must_use]
    pub fn max_results(mut self, count: usize) -> Self {
        self.max_results = count;
        self
    }
}

impl From<()> for ExperimentQuery {
    fn from((): ()) -> Self {
        Self::new()
    }
}

impl From<&str> for ExperimentQuery {
    fn from(filter: &str) -> Self {
        Self::new().filter(filter)
    }
}

/// Which logged models a search returns, and in which order.
///
/// ```
/// use runlog_core::ModelQuery;
///
/// let query = ModelQuery::new().filter("metrics.accuracy > 0.9").order_by("metrics.accuracy DESC");
/// # assert_eq!(query.filter, "metrics.accuracy > 0.9");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelQuery {
    /// The experiments to look in, by id; for a [`Tracker`](crate::Tracker) none means the active one.
    pub experiment_ids: Vec<String>,
    /// Which models, in MLflow's grammar for models; empty means all.
    pub filter: String,
    /// Name and, if given, digest of datasets: `metrics.` in the filter then means what was measured on one of them.
    pub datasets: Vec<(String, Option<String>)>,
    /// What to sort by; the default is the newest first.
    pub order_by: Vec<String>,
    /// How many models at most.
    pub max_results: usize,
}

impl Default for ModelQuery {
    fn default() -> Self {
        Self {
            experiment_ids: Vec::new(),
            filter: String::new(),
            datasets: Vec::new(),
            order_by: Vec::new(),
            max_results: RESULTS_MAX,
        }
    }
}

impl ModelQuery {
    /// Every model of the active experiment, newest first.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks in this experiment too.
    #[must_use]
    pub fn experiment_id(mut self, experiment_id: impl Into<String>) -> Self {
        self.experiment_ids.push(experiment_id.into());
        self
    }

    /// Returns only the models that this filter, in MLflow's grammar for models, matches.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Lets `metrics.` in the filter mean what was measured on this dataset (or on another one named so).
    #[must_use]
    pub fn dataset(mut self, name: impl Into<String>, digest: Option<&str>) -> Self {
        self.datasets.push((name.into(), digest.map(str::to_owned)));
        self
    }

    /// Sorts by this, such as `metrics.accuracy DESC`, after what was said before.
    #[must_use]
    pub fn order_by(mut self, order: impl Into<String>) -> Self {
        self.order_by.push(order.into());
        self
    }

    /// Returns at most this many models.
    #[must_use]
    pub fn max_results(mut self, count: usize) -> Self {
        self.max_results = count;
        self
    }
}

impl From<()> for ModelQuery {
    fn from((): ()) -> Self {
        Self::new()
    }
}

impl From<&str> for ModelQuery {
    fn from(filter: &str) -> Self {
        Self::new().filter(filter)
    }
}
