//! What MLflow knows of an array without its data: the type of its elements, under numpy's name, and its shape.

use serde::Serialize;
use serde_json::json;

use crate::entity::Dataset;
use crate::error::Result;
use crate::json::python_style;
use crate::model::{Column, Schema, TensorField};

/// The type of an array's elements, under numpy's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are numpy's, and say all")]
pub enum DType {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float32,
    Float64,
    Str,
}

impl DType {
    /// Bytes of one element in memory; 0 for texts, whose length varies.
    pub fn bytes(self) -> usize {
        match self {
            Self::Str => 0,
            Self::Bool | Self::Int8 | Self::UInt8 => 1,
            Self::Int16 | Self::UInt16 => 2,
            Self::Int32 | Self::UInt32 | Self::Float32 => 4,
            Self::Int64 | Self::UInt64 | Self::Float64 => 8,
        }
    }
}

/// An array without its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// The type of the elements.
    pub dtype: DType,
    /// Elements in each dimension, rows first.
    pub shape: Vec<usize>,
    /// Bytes of the elements in memory.
    pub nbytes: usize,
}

impl Tensor {
    /// An array of numbers or booleans in `shape`.
    pub fn new(dtype: DType, shape: &[usize]) -> Self {
        Self { dtype, shape: shape.to_vec(), nbytes: shape.iter().product::<usize>() * dtype.bytes() }
    }

    /// Elements in the array.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// As a schema of batches of any length: the first dimension is −1, as MLflow infers it.
    pub fn batch_schema(&self) -> Schema {
        let rest = self.shape.iter().skip(1).map(|length| i64::try_from(*length).unwrap_or(i64::MAX));
        Schema::Tensors(vec![TensorField {
            name: None,
            dtype: self.dtype,
            shape: std::iter::once(-1).chain(rest).collect(),
        }])
    }
}

impl Dataset {
    /// A dataset of arrays, described as MLflow describes one of numpy arrays.
    ///
    /// # Errors
    /// None that depend on the arguments.
    pub fn from_tensors(
        name: impl Into<String>,
        digest: impl Into<String>,
        features: &Tensor,
        targets: Option<&Tensor>,
    ) -> Result<Self> {
        let mut dataset = Self::new(name, digest);
        let targets_schema = targets.map(|targets| targets.batch_schema().to_json()).transpose()?;
        dataset.schema = Some(python_style(&json!({"mlflow_tensorspec": {
            "features": features.batch_schema().to_json()?,
            "targets": targets_schema,
        }}))?);
        let mut profile = json!({
            "features_shape": features.shape,
            "features_size": features.size(),
            "features_nbytes": features.nbytes,
        });
        if let Some(targets) = targets {
            profile["targets_shape"] = json!(targets.shape);
            profile["targets_size"] = json!(targets.size());
            profile["targets_nbytes"] = json!(targets.nbytes);
        }
        dataset.profile = Some(python_style(&profile)?);
        Ok(dataset)
    }

    /// A dataset of named columns, described as MLflow describes a data frame.
    ///
    /// # Errors
    /// None that depend on the arguments.
    pub fn from_columns(
        name: impl Into<String>,
        digest: impl Into<String>,
        columns: Vec<Column>,
        rows: usize,
    ) -> Result<Self> {
        let mut dataset = Self::new(name, digest);
        let elements = rows * columns.len();
        dataset.schema = Some(python_style(&json!({"mlflow_colspec": Schema::Columns(columns).to_value()}))?);
        dataset.profile = Some(python_style(&json!({"num_rows": rows, "num_elements": elements}))?);
        Ok(dataset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DataType;

    /// Written by MLflow 3.17.2 for `from_numpy(float64[4, 3], targets=float64[4])`.
    #[test]
    fn arrays_are_described_as_mlflow_describes_numpys() {
        let features = Tensor::new(DType::Float64, &[4, 3]);
        let targets = Tensor::new(DType::Float64, &[4]);
        let dataset = Dataset::from_tensors("dataset", "e99a65c3", &features, Some(&targets)).unwrap();
        assert_eq!(
            dataset.schema.unwrap(),
            r#"{"mlflow_tensorspec": {"features": "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float64\", \"shape\": [-1, 3]}}]", "targets": "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float64\", \"shape\": [-1]}}]"}}"#
        );
        assert_eq!(
            dataset.profile.unwrap(),
            r#"{"features_shape": [4, 3], "features_size": 12, "features_nbytes": 96, "targets_shape": [4], "targets_size": 4, "targets_nbytes": 32}"#
        );
        let alone = Dataset::from_tensors("dataset", "faa446c4", &features, None).unwrap();
        assert!(alone.schema.unwrap().ends_with(r#", "targets": null}}"#));
    }

    #[test]
    fn columns_are_described_as_mlflow_describes_data_frames() {
        let columns = vec![Column::new("a", DataType::Double), Column::new("b", DataType::Long)];
        let dataset = Dataset::from_columns("dataset", "0", columns, 3).unwrap();
        assert_eq!(
            dataset.schema.unwrap(),
            r#"{"mlflow_colspec": [{"type": "double", "name": "a", "required": true}, {"type": "long", "name": "b", "required": true}]}"#
        );
        assert_eq!(dataset.profile.unwrap(), r#"{"num_rows": 3, "num_elements": 6}"#);
    }
}
