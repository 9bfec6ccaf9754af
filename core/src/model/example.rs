//! Input examples: a few rows, as the two JSON files that MLflow keeps beside a model.

use serde_json::{Map, Value, json};

use super::ModelFile;
use crate::error::Result;
use crate::json::python_style;

/// A few inputs of a model.
///
/// ```
/// use runlog_core::model::InputExample;
/// use serde_json::json;
///
/// let rows = InputExample::table(["alcohol", "colour"], [json!([12.8, "red"]), json!([13.2, "white"])]);
/// let batch = InputExample::array(json!([[0.5, 1.5], [2.5, 3.5]]));
/// let chat = InputExample::json(json!({"question": "why?"})).params(json!({"temperature": 0.5}));
/// # let _ = (rows, batch, chat);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct InputExample {
    data: Data,
    params: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
enum Data {
    Table { columns: Vec<String>, rows: Vec<Value> },
    Ndarray(Value),
    Json(Value),
}

impl InputExample {
    pub(super) const FILE: &'static str = "input_example.json";
    pub(super) const SERVING_FILE: &'static str = "serving_input_example.json";

    /// Rows of a table: the names of its columns, and one JSON array per row.
    pub fn table<N: Into<String>>(
        columns: impl IntoIterator<Item = N>,
        rows: impl IntoIterator<Item = Value>,
    ) -> Self {
        let columns = columns.into_iter().map(Into::into).collect();
        Self { data: Data::Table { columns, rows: rows.into_iter().collect() }, params: None }
    }

    /// An array, as nested JSON arrays; or several, as an object of them by name.
    pub fn array(array: Value) -> Self {
        Self { data: Data::Ndarray(array), params: None }
    }

    /// Anything else that is JSON.
    pub fn json(value: Value) -> Self {
        Self { data: Data::Json(value), params: None }
    }

    /// Sets the settings that are passed with the inputs, as a JSON object.
    #[must_use]
    pub fn params(mut self, params: Value) -> Self {
        self.params = Some(params);
        self
    }

    /// The example itself, and the body of a request that asks a server for predictions of it.
    pub(super) fn files(&self) -> Result<Vec<(String, ModelFile)>> {
        let (mut example, mut serving) = match &self.data {
            Data::Table { columns, rows } => {
                let example = json!({"columns": columns, "data": rows});
                (example.clone(), json!({"dataframe_split": example}))
            }
            Data::Ndarray(value) | Data::Json(value) => (value.clone(), json!({"inputs": value})),
        };
        if let Some(params) = &self.params {
            example = json!({"inputs": example, "params": params});
            serving["params"] = params.clone();
        }
        let file = |name: &str, value: &Value| {
            Ok((name.to_owned(), ModelFile::Bytes(python_style(value)?.into_bytes())))
        };
        Ok(vec![file(Self::FILE, &example)?, file(Self::SERVING_FILE, &serving)?])
    }

    /// What `MLmodel` says about it.
    pub(super) fn info(&self) -> Value {
        let kind = match &self.data {
            Data::Table { .. } => "dataframe",
            Data::Ndarray(_) => "ndarray",
            Data::Json(_) => "json_object",
        };
        let mut info = Map::from_iter([
            ("artifact_path".to_owned(), Value::from(Self::FILE)),
            ("serving_input_path".to_owned(), Self::SERVING_FILE.into()),
            ("type".to_owned(), kind.into()),
        ]);
        if kind == "dataframe" {
            info.insert("pandas_orient".to_owned(), "split".into());
        }
        if self.params.is_some() {
            info.insert("params".to_owned(), "true".into());
        }
        info.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(example: &InputExample, file: &str, serving: &str) {
        let text = |(_, file): &(String, ModelFile)| match file {
            ModelFile::Bytes(content) => String::from_utf8(content.clone()).unwrap(),
            ModelFile::Path(path) => panic!("{path:?}"),
        };
        let files: Vec<_> = example.files().unwrap().iter().map(text).collect();
        assert_eq!(files, [file, serving]);
    }

    /// Contents that MLflow 3.17.2 wrote, but for its indenting of the second file.
    #[test]
    fn files_are_mlflows() {
        let table = InputExample::table(["a", "b"], [json!([1.0, 3.0]), json!([2.0, 4.0])]);
        check(
            &table,
            r#"{"columns": ["a", "b"], "data": [[1.0, 3.0], [2.0, 4.0]]}"#,
            r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 3.0], [2.0, 4.0]]}}"#,
        );
        assert_eq!(
            (&table.info()["type"], &table.info()["pandas_orient"]),
            (&json!("dataframe"), &json!("split"))
        );
        let array = InputExample::array(json!([[1.0, 3.0]]));
        check(&array, "[[1.0, 3.0]]", r#"{"inputs": [[1.0, 3.0]]}"#);
        assert_eq!(array.info()["type"], "ndarray");
        let chat = InputExample::json(json!({"q": "why?"})).params(json!({"t": 0.5}));
        check(
            &chat,
            r#"{"inputs": {"q": "why?"}, "params": {"t": 0.5}}"#,
            r#"{"inputs": {"q": "why?"}, "params": {"t": 0.5}}"#,
        );
        assert_eq!((&chat.info()["type"], &chat.info()["params"]), (&json!("json_object"), &json!("true")));
    }
}
