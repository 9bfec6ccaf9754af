//! Runs as a table: a row a run, a column whatever any of them logged, under the names that MLflow's data frame has.

mod csv;
mod json;
#[cfg(feature = "polars")]
mod polars;
mod show;

use std::collections::BTreeMap;

use crate::entity::Run;
use crate::error::{Error, Result};

/// How many columns an error about a wrong one names.
const NAMED_MAX: usize = 30;

/// Runs as a table, to look at, to save and to compute with.
///
/// The columns are those of MLflow's data frame: `run_id`, `experiment_id`, `status`, `artifact_uri`, `start_time`,
/// `end_time`, then `metrics.*` (the latest value of each), `params.*` and `tags.*`, each group sorted. The rows are in
/// the order of the runs.
///
/// Printed, it shows what people compare, in lines of at most 120 characters (or as many as `{:200}` says): names,
/// metrics, params, tags of the user's own. A last line says what did not fit; [`select`](Self::select) chooses.
///
/// ```
/// # use runlog_core::{RunQuery, RunTable, Tracker};
/// # let tracker = Tracker::open("memory:")?;
/// # for (name, loss) in [("narrow", 0.5), ("wide", 0.25)] {
/// #     let run = tracker.start_run(name)?;
/// #     run.log_metric("loss", loss, 1);
/// #     run.finish()?;
/// # }
/// let runs = tracker.search_runs(RunQuery::new().filter("metrics.loss < 1").order_by("metrics.loss"))?;
/// let table = RunTable::new(&runs);
/// println!("{table}");
/// println!("{}", table.to_csv());
///
/// let table = table.select(["tags.mlflow.runName", "metrics.loss"])?;
/// assert_eq!(table.to_csv(), "tags.mlflow.runName,metrics.loss\nwide,0.25\nnarrow,0.5\n");
/// # Ok::<(), runlog_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RunTable {
    columns: Vec<Column>,
    rows: usize,
    /// Whether the user chose the columns, so that all of them are shown.
    chosen: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Column {
    name: String,
    cells: Cells,
}

/// The cells of a column; `None` where a run has nothing to say.
#[derive(Clone, Debug, PartialEq)]
enum Cells {
    Text(Vec<Option<String>>),
    Number(Vec<Option<f64>>),
    /// Milliseconds since the Unix epoch.
    Time(Vec<Option<i64>>),
}

impl RunTable {
    /// The table of `runs`, as [`search_runs`](crate::Tracker::search_runs) returns them.
    pub fn new(runs: &[Run]) -> Self {
        let text = |name: &str, text: fn(&Run) -> String| Column {
            name: name.to_owned(),
            cells: Cells::Text(runs.iter().map(|run| Some(text(run))).collect()),
        };
        let time = |name: &str, time: fn(&Run) -> Option<i64>| Column {
            name: name.to_owned(),
            cells: Cells::Time(runs.iter().map(time).collect()),
        };
        let mut columns = vec![
            text("run_id", |run| run.info.run_id.clone()),
            text("experiment_id", |run| run.info.experiment_id.clone()),
            text("status", |run| run.info.status.to_string()),
            text("artifact_uri", |run| run.info.artifact_uri.clone()),
            time("start_time", |run| Some(run.info.start_time)),
            time("end_time", |run| run.info.end_time),
        ];
        let metrics = |run: &'_ Run| run.data.metrics.iter().map(|it| (it.key.clone(), it.value)).collect();
        let params =
            |run: &'_ Run| run.data.params.iter().map(|it| (it.key.clone(), it.value.clone())).collect();
        let tags = |run: &'_ Run| run.data.tags.iter().map(|it| (it.key.clone(), it.value.clone())).collect();
        columns.extend(group("metrics", Cells::Number, runs, metrics));
        columns.extend(group("params", Cells::Text, runs, params));
        columns.extend(group("tags", Cells::Text, runs, tags));
        Self { columns, rows: runs.len(), chosen: false }
    }

    /// Only these columns, in this order.
    ///
    /// # Errors
    /// No column has such a name.
    pub fn select<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Result<Self> {
        let column = |name: N| {
            let name = name.as_ref();
            self.columns.iter().find(|column| column.name == name).cloned().ok_or_else(|| self.unknown(name))
        };
        let columns = names.into_iter().map(column).collect::<Result<_>>()?;
        Ok(Self { columns, rows: self.rows, chosen: true })
    }

    fn unknown(&self, name: &str) -> Error {
        let mut known = self.columns().take(NAMED_MAX).collect::<Vec<_>>().join(", ");
        if self.columns.len() > NAMED_MAX {
            known.push_str(", …");
        }
        Error::invalid(format!("none of the runs has this column; there are {known}")).with("column", name)
    }

    /// The names of the columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// How many rows it has: one a run.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no runs.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

/// The columns `group.*` of what `pairs` finds in each run, sorted by key.
fn group<T: Clone>(
    group: &str,
    cells: fn(Vec<Option<T>>) -> Cells,
    runs: &[Run],
    pairs: impl Fn(&Run) -> Vec<(String, T)>,
) -> Vec<Column> {
    let mut columns: BTreeMap<String, Vec<Option<T>>> = BTreeMap::new();
    for (row, run) in runs.iter().enumerate() {
        for (key, value) in pairs(run) {
            columns.entry(key).or_insert_with(|| vec![None; runs.len()])[row] = Some(value);
        }
    }
    let column = |(key, values)| Column { name: format!("{group}.{key}"), cells: cells(values) };
    columns.into_iter().map(column).collect()
}

impl From<&[Run]> for RunTable {
    fn from(runs: &[Run]) -> Self {
        Self::new(runs)
    }
}

impl From<Vec<Run>> for RunTable {
    fn from(runs: Vec<Run>) -> Self {
        Self::new(&runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::{Metric, Param, RunInfo, Tag};
    use crate::error::ErrorKind;

    /// Two runs that have nothing in common.
    pub(super) fn two_runs() -> Vec<Run> {
        let mut first = Run::new(RunInfo::new("a1", "0"));
        first.info.start_time = 1_700_000_000_123;
        first.info.artifact_uri = "/x,y".to_owned();
        first.data.metrics = vec![Metric::new("loss", 1e-5, 0, 0), Metric::new("nan", f64::NAN, 0, 0)];
        first.data.params = vec![Param::new("lr", "a \"quoted\"\ntext"), Param::new("none", "None")];
        first.data.tags = vec![Tag::new("mlflow.runName", "first"), Tag::new("mlflow.user", "ada")];
        let mut second = Run::new(RunInfo::new("b2", "1"));
        second.info.end_time = Some(1_700_000_060_000);
        second.data.metrics = vec![Metric::new("acc", 3.0, 0, 0), Metric::new("inf", f64::INFINITY, 0, 0)];
        second.data.tags = vec![Tag::new("empty", "")];
        vec![first, second]
    }

    #[test]
    fn columns_are_named_as_mlflow_names_them_and_sorted_in_their_group() {
        let table = RunTable::new(&two_runs());
        assert_eq!((table.len(), table.is_empty()), (2, false));
        let expect = "run_id,experiment_id,status,artifact_uri,start_time,end_time,metrics.acc,metrics.inf,metrics.loss,\
                      metrics.nan,params.lr,params.none,tags.empty,tags.mlflow.runName,tags.mlflow.user";
        assert_eq!(table.columns().collect::<Vec<_>>(), expect.split(',').collect::<Vec<_>>());
        assert_eq!(RunTable::new(&[]).columns().count(), 6);
    }

    #[test]
    fn columns_are_chosen_by_name_and_a_wrong_name_is_answered_with_the_right_ones() {
        let table = RunTable::from(two_runs());
        let chosen = table.clone().select(["params.lr", "run_id"]).unwrap();
        assert_eq!(chosen.columns().collect::<Vec<_>>(), ["params.lr", "run_id"]);
        let error = table.select(["metrics.los"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(
            error.to_string().contains("metrics.loss")
                && error.to_string().ends_with("(column: metrics.los)")
        );
    }
}
