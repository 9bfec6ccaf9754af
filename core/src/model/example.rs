//! Input examples: a few rows, as the two JSON files that MLflow keeps beside a model.

use serde_json::{Value, json};

use crate::error::Result;
use crate::json::python_style;

/// A few inputs of a model.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum InputExample {
    /// A table: the names of its columns, and its rows.
    DataFrame {
        /// One name per column.
        columns: Vec<String>,
        /// One array per row.
        rows: Vec<Value>,
    },
    /// A nested JSON array.
    Ndarray(Value),
}

impl InputExample {
    pub(super) const FILE: &'static str = "input_example.json";
    pub(super) const SERVING_FILE: &'static str = "serving_input_example.json";

    /// The example itself, and the body of a request that asks a server for predictions of it.
    pub(super) fn files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let (example, serving) = match self {
            Self::DataFrame { columns, rows } => {
                let example = json!({"columns": columns, "data": rows});
                (example.clone(), json!({"dataframe_split": example}))
            }
            Self::Ndarray(array) => (array.clone(), json!({"inputs": array})),
        };
        Ok(vec![
            (Self::FILE.to_owned(), python_style(&example)?.into_bytes()),
            (Self::SERVING_FILE.to_owned(), python_style(&serving)?.into_bytes()),
        ])
    }

    /// What `MLmodel` says about it.
    pub(super) fn info(&self) -> Value {
        match self {
            Self::DataFrame { .. } => json!({
                "artifact_path": Self::FILE,
                "pandas_orient": "split",
                "serving_input_path": Self::SERVING_FILE,
                "type": "dataframe",
            }),
            Self::Ndarray(_) => json!({
                "artifact_path": Self::FILE,
                "serving_input_path": Self::SERVING_FILE,
                "type": "ndarray",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contents that MLflow 3.17.2 wrote, but for its indenting of the second file.
    #[test]
    fn files_are_mlflows() {
        let text = |example: InputExample, file: usize| {
            String::from_utf8(example.files().unwrap().swap_remove(file).1).unwrap()
        };
        let table = InputExample::DataFrame {
            columns: vec!["a".to_owned(), "b".to_owned()],
            rows: vec![json!([1.0, 3.0]), json!([2.0, 4.0])],
        };
        assert_eq!(text(table.clone(), 0), r#"{"columns": ["a", "b"], "data": [[1.0, 3.0], [2.0, 4.0]]}"#);
        assert_eq!(
            text(table, 1),
            r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 3.0], [2.0, 4.0]]}}"#
        );
        let array = InputExample::Ndarray(json!([[1.0, 3.0]]));
        assert_eq!(text(array.clone(), 0), "[[1.0, 3.0]]");
        assert_eq!(text(array, 1), r#"{"inputs": [[1.0, 3.0]]}"#);
    }
}
