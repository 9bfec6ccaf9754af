//! The table as CSV (RFC 4180), as pandas' `to_csv(index=False)` writes MLflow's data frame.

use std::borrow::Cow;
use std::path::Path;

use super::{Cells, RunTable};
use crate::clock;
use crate::error::{Error, Result};
use crate::flatten::python_float;

impl RunTable {
    /// The table as CSV: a line of names, then a line a run.
    ///
    /// It is what pandas writes of MLflow's data frame: times in UTC, numbers in full, nothing where a run has no such
    /// metric, param or tag, and where a metric is NaN.
    pub fn to_csv(&self) -> String {
        let mut text = String::new();
        line(&mut text, self.columns().map(Cow::Borrowed));
        let whole_seconds: Vec<bool> =
            self.columns.iter().map(|column| column.cells.are_whole_seconds()).collect();
        for row in 0..self.rows {
            let cells = self.columns.iter().zip(&whole_seconds);
            line(&mut text, cells.map(|(column, whole_seconds)| column.cells.csv(row, *whole_seconds)));
        }
        text
    }

    /// Writes [`to_csv`](Self::to_csv) into the file at `path`, which is created or replaced.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_csv(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        std::fs::write(path, self.to_csv()).map_err(|cause| Error::io("write the table", path, cause))
    }
}

impl Cells {
    /// Whether no cell has a part of a second: pandas then writes none for the whole column.
    fn are_whole_seconds(&self) -> bool {
        matches!(self, Self::Time(times) if times.iter().flatten().all(|ms| ms % 1000 == 0))
    }

    fn csv(&self, row: usize, whole_seconds: bool) -> Cow<'_, str> {
        let text = match self {
            Self::Text(cells) => return Cow::Borrowed(cells[row].as_deref().unwrap_or_default()),
            Self::Number(cells) => cells[row].filter(|value| !value.is_nan()).map(python_float),
            Self::Time(cells) => cells[row].map(|ms| {
                let text = clock::utc_text(ms);
                let text = if whole_seconds { text.trim_end_matches(".000") } else { &text };
                format!("{text}+00:00")
            }),
        };
        Cow::Owned(text.unwrap_or_default())
    }
}

/// Adds a line of these fields; a field is quoted where its text would not be read back otherwise.
fn line<'a>(text: &mut String, fields: impl Iterator<Item = Cow<'a, str>>) {
    let start = text.len();
    for (place, field) in fields.enumerate() {
        if place > 0 {
            text.push(',');
        }
        if field.contains([',', '"', '\n', '\r']) {
            text.push('"');
            text.push_str(&field.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(&field);
        }
    }
    if text.len() == start {
        // An empty line would be no line at all for a reader.
        text.push_str("\"\"");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::tests::two_runs;
    use super::*;

    #[test]
    fn the_text_is_what_pandas_writes() {
        assert_eq!(
            RunTable::from(two_runs()).to_csv(),
            "run_id,experiment_id,status,artifact_uri,start_time,end_time,metrics.acc,metrics.inf,metrics.loss,\
             metrics.nan,params.lr,params.none,tags.empty,tags.mlflow.runName,tags.mlflow.user\n\
             a1,0,RUNNING,\"/x,y\",2023-11-14 22:13:20.123+00:00,,,,1e-05,,\"a \"\"quoted\"\"\ntext\",None,,first,ada\n\
             b2,1,RUNNING,,1970-01-01 00:00:00.000+00:00,2023-11-14 22:14:20+00:00,3.0,inf,,,,,,,\n"
        );
        assert_eq!(
            RunTable::new(&[]).to_csv(),
            "run_id,experiment_id,status,artifact_uri,start_time,end_time\n"
        );
    }

    #[test]
    fn what_would_end_a_line_is_quoted() {
        for (field, expect) in
            [("a\rb", "\"a\rb\"\n"), ("a\nb", "\"a\nb\"\n"), ("a\tb", "a\tb\n"), ("a;'b", "a;'b\n")]
        {
            let mut text = String::new();
            line(&mut text, [Cow::Borrowed(field)].into_iter());
            assert_eq!(text, expect);
        }
    }

    #[test]
    fn a_row_of_one_empty_field_is_still_a_row() {
        let table = RunTable::from(two_runs()).select(["tags.empty"]).unwrap();
        assert_eq!(table.to_csv(), "tags.empty\n\"\"\n\"\"\n");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let table = RunTable::from(two_runs());
        table.write_csv(dir.path().join("runs.csv")).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("runs.csv")).unwrap(), table.to_csv());
        let error = table.write_csv(dir.path().join("none/runs.csv")).unwrap_err();
        assert!(error.to_string().contains("none/runs.csv"), "{error}");
    }
}
