//! Loading the tables that several runs logged under one name.

use serde_json::Value;

use super::{Cells, Column, Table, log, names};
use crate::entity::Run;
use crate::error::{Error, Result};
use crate::notice;
use crate::store::RunQuery;
use crate::tracker::Tracker;

/// Which tables are loaded, and what comes with them. A file's name will do where nothing else is wanted.
///
/// ```
/// use runlog_core::LoadTable;
///
/// let answers = LoadTable::new("eval/answers.json").extra_columns(["run_id", "params.learning_rate"]);
/// let plain: LoadTable = "eval/answers.json".into();
/// # assert!(format!("{answers:?}{plain:?}").contains("run_id"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadTable {
    /// The file in each run.
    pub artifact_file: String,
    /// The runs to look at; none means every run of the experiment.
    pub run_ids: Vec<String>,
    /// What of its run each row gets: `run_id`, `experiment_id`, `status`, `artifact_uri`, `start_time`, `end_time` (both
    /// in milliseconds since the Unix epoch), `metrics.<key>`, `params.<key>`, `tags.<key>`.
    pub extra_columns: Vec<String>,
    /// The experiment to look in; the active one if there is none here.
    pub experiment_id: Option<String>,
}

impl LoadTable {
    /// The tables of this name of every run in the active experiment.
    pub fn new(artifact_file: impl Into<String>) -> Self {
        Self { artifact_file: artifact_file.into(), ..Self::default() }
    }

    /// Looks only at these runs.
    #[must_use]
    pub fn run_ids(mut self, run_ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.run_ids.extend(run_ids.into_iter().map(Into::into));
        self
    }

    /// Adds these facts of each run to its rows; one that the table has a column for gets `_` after its name.
    #[must_use]
    pub fn extra_columns(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.extra_columns.extend(columns.into_iter().map(Into::into));
        self
    }

    /// Looks in this experiment instead of the active one.
    #[must_use]
    pub fn experiment_id(mut self, experiment_id: impl Into<String>) -> Self {
        self.experiment_id = Some(experiment_id.into());
        self
    }
}

impl From<&str> for LoadTable {
    fn from(artifact_file: &str) -> Self {
        Self::new(artifact_file)
    }
}

impl From<String> for LoadTable {
    fn from(artifact_file: String) -> Self {
        Self::new(artifact_file)
    }
}

impl Tracker {
    /// The rows of the tables that the runs of an experiment logged under one name, newest run first.
    ///
    /// `table` is the file's name, or [`LoadTable`] with more to say. First waits, for at most 5 s, until what this
    /// process logged is stored.
    ///
    /// # Errors
    /// `NotFound` if no run has such a table; an extra column that no run has; the store or a table cannot be read.
    ///
    /// ```
    /// use runlog_core::{LoadTable, Table, Tracker};
    ///
    /// let tracker = Tracker::open("memory:")?;
    /// let run = tracker.start_run("eval")?;
    /// run.log_table(&Table::new().column("input", ["1 + 1"]).column("output", [2]), "answers.json")?;
    /// run.log_table(&Table::new().column("input", ["2 + 2"]).column("output", [4]), "answers.json")?;
    /// run.finish()?;
    ///
    /// let answers = tracker.load_table(LoadTable::new("answers.json").extra_columns(["status"]))?;
    /// assert_eq!(answers.len(), 2);
    /// assert_eq!(answers.get(1, "output").and_then(|value| value.as_i64()), Some(4));
    /// # Ok::<(), runlog_core::Error>(())
    /// ```
    pub fn load_table(&self, table: impl Into<LoadTable>) -> Result<Table> {
        let LoadTable { artifact_file, run_ids, extra_columns, experiment_id } = table.into();
        let path = names::table_file(&artifact_file)?;
        let mut query = RunQuery::new().filter(log::filter(&path));
        query.experiment_ids.extend(experiment_id);
        let mut runs = self.search_runs(query)?;
        // The filter takes `%` and `_` in the name for any character.
        runs.retain(|run| log::is_noted(log::tag_of(run), &path));
        if !run_ids.is_empty() {
            runs.retain(|run| run_ids.contains(&run.info.run_id));
            if run_ids.iter().any(|id| runs.iter().all(|run| run.info.run_id != *id)) {
                notice::warn(
                    &format!("table of some: {path}"),
                    format_args!(
                        "not every run that was asked for has a table {path:?}; the others are left out"
                    ),
                );
            }
        }
        if runs.is_empty() {
            return Err(Error::not_found("no run of the experiment has such a table").with("artifact", path));
        }
        for column in &extra_columns {
            let is_known = |run: &Run| fact(run, column).is_some();
            if !RUN_FACTS.contains(&column.as_str()) && !runs.iter().any(is_known) {
                return Err(Error::invalid(
                    "no run has this column; name `run_id`, `status`, `params.…`, `metrics.…` or `tags.…`",
                )
                .with("column", column));
            }
        }
        let mut whole = Table::new();
        for run in &runs {
            let mut table = log::read(&*self.artifacts_at(&run.info.artifact_uri)?, &path)?;
            for column in &extra_columns {
                table.add_fact(column, &fact(run, column).unwrap_or_default());
            }
            whole.append(table);
        }
        Ok(whole)
    }
}

impl Table {
    fn add_fact(&mut self, column: &str, value: &Value) {
        let mut name = column.to_owned();
        if self.columns().any(|other| other == name) {
            notice::warn(
                &format!("table column: {name}"),
                format_args!("the table has a column `{name}` of its own; what the run says is in `{name}_`"),
            );
            name.push('_');
            // A column of the longer name gives way, as one that is assigned to does.
            self.columns.retain(|other| other.name != name);
        }
        self.columns.push(Column { name, cells: Cells::Values(vec![value.clone(); self.rows]) });
    }
}

/// What every run has.
const RUN_FACTS: [&str; 6] = ["run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time"];

/// What a run says under the name of a column; `None` if it has no such fact.
fn fact(run: &Run, column: &str) -> Option<Value> {
    let info = &run.info;
    match column.split_once('.') {
        Some(("metrics", key)) => run.metric(key).map(Value::from),
        Some(("params", key)) => run.param(key).map(Value::from),
        Some(("tags", key)) => run.tag(key).map(Value::from),
        Some(_) => None,
        None => Some(match column {
            "run_id" => info.run_id.as_str().into(),
            "experiment_id" => info.experiment_id.as_str().into(),
            "status" => info.status.as_str().into(),
            "artifact_uri" => info.artifact_uri.as_str().into(),
            "start_time" => info.start_time.into(),
            "end_time" => info.end_time.into(),
            _ => return None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ErrorKind;

    fn table(values: &[i64]) -> Table {
        Table::new().column("a", values)
    }

    #[test]
    fn rows_of_every_run_come_with_what_is_asked_of_the_run() {
        let tracker = Tracker::open("memory:").unwrap();
        let first = tracker.start_run("first").unwrap();
        first.log_param("lr", 0.1);
        first.log_table(&table(&[1, 2]), "t/x.json").unwrap();
        let first_id = first.run_id().to_owned();
        first.finish().unwrap();
        let second = tracker.start_run("second").unwrap();
        second.log_table(&Table::new().column("a", [3]).column("status", ["own"]), "t/x.json").unwrap();
        second.log_table(&table(&[9]), "other.json").unwrap();
        let second_id = second.run_id().to_owned();
        second.finish().unwrap();

        let all = tracker
            .load_table(
                LoadTable::new("t/x.json")
                    .extra_columns(["params.lr", "status"])
                    .run_ids([&first_id, &second_id]),
            )
            .unwrap();
        let mut rows: Vec<Value> = all.to_rows().unwrap();
        rows.sort_by_key(|row| row["a"].as_i64());
        assert_eq!(
            rows,
            [
                json!({"a": 1, "status": "FINISHED", "params.lr": "0.1", "status_": null}),
                json!({"a": 2, "status": "FINISHED", "params.lr": "0.1", "status_": null}),
                json!({"a": 3, "status": "own", "params.lr": null, "status_": "FINISHED"}),
            ]
        );
        let one = tracker.load_table(LoadTable::new("t/x.json").run_ids([&first_id])).unwrap();
        assert_eq!(one, table(&[1, 2]));
        // To the store's filter `_` is any character.
        let none = tracker.load_table("t_x.json").unwrap_err();
        assert_eq!(none.kind(), ErrorKind::NotFound);
        assert!(none.to_string().contains("no run of the experiment"), "{none}");
        let unknown =
            tracker.load_table(LoadTable::new("t/x.json").extra_columns(["params.none"])).unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn a_fact_of_the_run_takes_the_place_of_a_column_that_has_its_longer_name() {
        let tracker = Tracker::open("memory:").unwrap();
        let run = tracker.start_run(()).unwrap();
        let own = Table::new().column("status", [1]).column("status_", [2]);
        run.log_table(&own, "a.json").unwrap();
        let loaded = tracker.load_table(LoadTable::new("a.json").extra_columns(["status"])).unwrap();
        assert_eq!(loaded.to_rows::<Value>().unwrap(), [json!({"status": 1, "status_": "RUNNING"})]);
        run.finish().unwrap();
    }

    #[test]
    fn more_tables_than_the_tag_can_tell_of_are_refused() {
        let tracker = Tracker::open("memory:").unwrap();
        let run = tracker.start_run(()).unwrap();
        let log = |number: usize| run.log_table(&table(&[1]), &format!("{number:0>2000}.json"));
        (0..3).for_each(|number| log(number).unwrap());
        assert_eq!(log(3).unwrap_err().kind(), ErrorKind::InvalidInput);
        log(2).unwrap();
        run.finish().unwrap();
    }

    #[test]
    fn each_table_is_noted_once_in_mlflows_order_and_threads_lose_no_rows() {
        let tracker = Tracker::open("memory:").unwrap();
        let run = tracker.start_run(()).unwrap();
        std::thread::scope(|scope| {
            for value in 0..8 {
                let run = run.handle();
                scope.spawn(move || run.log_table(&table(&[value]), "a.json").unwrap());
            }
        });
        run.log_table(&table(&[1]), "b/c.json").unwrap();
        assert_eq!(
            tracker.get_run(run.run_id()).unwrap().tag("mlflow.loggedArtifacts"),
            Some(r#"[{"path": "a.json", "type": "table"}, {"path": "b/c.json", "type": "table"}]"#)
        );
        assert_eq!(tracker.load_table("a.json").unwrap().len(), 8);
        run.finish().unwrap();
    }
}
