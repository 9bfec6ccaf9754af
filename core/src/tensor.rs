//! What MLflow knows of an array without its data: the type of its elements, under numpy's name, and its shape.

use serde::{Deserialize, Serialize};

use crate::digest::Element;
use crate::model::{Schema, TensorField};

/// The type of an array's elements, under numpy's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    Float16,
    Float32,
    Float64,
    Complex64,
    Complex128,
    // Other units are read as well: MLflow writes those of the array.
    #[serde(
        rename = "datetime64[ns]",
        alias = "datetime64[us]",
        alias = "datetime64[ms]",
        alias = "datetime64[s]",
        alias = "datetime64[D]"
    )]
    Datetime64,
    #[serde(
        rename = "timedelta64[ns]",
        alias = "timedelta64[us]",
        alias = "timedelta64[ms]",
        alias = "timedelta64[s]",
        alias = "timedelta64[D]"
    )]
    Timedelta64,
    Str,
    Bytes,
    Object,
}

impl DType {
    /// Bytes of one element in memory; 0 for texts and bytes, whose length varies.
    pub fn bytes(self) -> usize {
        match self {
            Self::Str | Self::Bytes => 0,
            Self::Bool | Self::Int8 | Self::UInt8 => 1,
            Self::Int16 | Self::UInt16 | Self::Float16 => 2,
            Self::Int32 | Self::UInt32 | Self::Float32 => 4,
            Self::Int64
            | Self::UInt64
            | Self::Float64
            | Self::Complex64
            | Self::Datetime64
            | Self::Timedelta64
            | Self::Object => 8,
            Self::Complex128 => 16,
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
    /// Bytes of the elements in memory, as numpy holds them.
    pub nbytes: usize,
}

impl Tensor {
    /// An array in `shape`, whose elements are all of one length.
    pub fn new(dtype: DType, shape: &[usize]) -> Self {
        let mut tensor = Self { dtype, shape: shape.to_vec(), nbytes: 0 };
        tensor.nbytes = tensor.size().saturating_mul(dtype.bytes());
        tensor
    }

    /// The array of these elements in `shape`. Only texts are looked at: numpy makes all as long as the longest.
    pub fn of<E: Element>(elements: impl IntoIterator<Item = E>, shape: &[usize]) -> Self {
        let mut tensor = Self::new(E::DTYPE, shape);
        if E::DTYPE.bytes() == 0 {
            let longest = elements.into_iter().map(|element| element.item_bytes()).max();
            tensor.nbytes = tensor.size().saturating_mul(longest.unwrap_or_default());
        }
        tensor
    }

    /// Elements in the array; `usize::MAX` if the shape is of more than that.
    pub fn size(&self) -> usize {
        // A shape is what somebody says: it may be wrong, and of no array that fits into memory.
        self.shape.iter().fold(1, |size: usize, length| size.saturating_mul(*length))
    }

    /// As a schema of batches of any length: the first dimension is −1, as MLflow infers it.
    pub fn batch_schema(&self) -> Schema {
        Schema::Tensors(vec![self.batch_field(None)])
    }

    pub(crate) fn batch_field(&self, name: Option<String>) -> TensorField {
        let rest = self.shape.iter().skip(1).map(|length| i64::try_from(*length).unwrap_or(i64::MAX));
        TensorField { name, dtype: self.dtype, shape: std::iter::once(-1).chain(rest).collect() }
    }
}
