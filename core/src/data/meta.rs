//! Data that is not at hand: MLflow's `MetaDataset`.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Source;
use crate::digest::first_8_digits;
use crate::entity::Dataset;
use crate::error::Result;
use crate::json::python_style;
use crate::model::Schema;

impl Dataset {
    /// Data that is described without being read: where it is, and the schema of its columns if it is known. The digest
    /// is of the description.
    ///
    /// # Errors
    /// None that depend on the arguments.
    ///
    /// ```
    /// use runlog_core::Dataset;
    ///
    /// let reviews = Dataset::meta("reviews", "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz", None)?;
    /// assert_eq!(reviews.source_type, "http");
    /// # Ok::<(), runlog_core::Error>(())
    /// ```
    pub fn meta(name: impl Into<String>, source: impl Into<Source>, schema: Option<&Schema>) -> Result<Self> {
        let mut dataset = Self::new(name, "");
        (dataset.source_type, dataset.source) = source.into().texts()?;
        let schema = schema.map(Schema::to_value);
        let described = python_style(&json!({
            "name": dataset.name,
            "source": dataset.source,
            "source_type": dataset.source_type,
            "schema": schema.clone().unwrap_or_else(|| Value::String(String::new())),
        }))?;
        dataset.digest = first_8_digits(&Sha256::digest(described));
        dataset.schema = schema.map(|schema| python_style(&json!({"mlflow_colspec": schema}))).transpose()?;
        Ok(dataset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Column, DataType};

    /// Made by MLflow 3.17.2's `MetaDataset`.
    #[test]
    fn descriptions_and_digests_are_mlflows() {
        let url = "https://example.com/é.csv";
        let plain = Dataset::meta("dataset", url, None).unwrap();
        assert_eq!((&*plain.digest, plain.schema, plain.profile), ("90fa04db", None, None));
        assert_eq!(plain.source, r#"{"url": "https://example.com/\u00e9.csv"}"#);
        let columns = vec![
            Column::new("text", DataType::String),
            Column { required: false, ..Column::new("l", DataType::Long) },
        ];
        let described = Dataset::meta("n", url, Some(&Schema::Columns(columns))).unwrap();
        assert_eq!(described.digest, "94c7ce21");
        assert_eq!(
            described.schema.unwrap(),
            r#"{"mlflow_colspec": [{"type": "string", "name": "text", "required": true}, {"type": "long", "name": "l", "required": false}]}"#
        );
    }
}
