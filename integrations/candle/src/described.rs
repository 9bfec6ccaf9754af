//! Tensors in MLflow's terms: what goes into a model and what it was trained on.
//!
//! Each is read once, where the user hands it over for this, and only as much as is kept.

use candle_core::{DType, Device, Tensor, WithDType};
use runlog_core::data::{self, Arrays, Element, F16};
use runlog_core::digest::ELEMENTS_MAX;
use runlog_core::model::{InputExample, Schema};
use runlog_core::{Dataset, Error, ErrorKind, Result};
use serde_json::Value;

/// Rows of an input example, as MLflow's autologging takes.
const EXAMPLE_ROWS: usize = 5;

/// A batch of what goes into a model, without its values but for a few.
#[derive(Debug)]
pub(crate) struct Input {
    schema: Option<Schema>,
    rows: Tensor,
}

impl Input {
    pub(crate) fn of(batch: &Tensor) -> Result<Self> {
        let rows = batch.dims().first().copied().unwrap_or_default().min(EXAMPLE_ROWS);
        let first = if batch.rank() == 0 { batch.copy() } else { first_along(batch, rows) };
        Ok(Self { schema: schema(batch.dtype(), batch.dims()), rows: first.map_err(unreadable)?.detach() })
    }

    pub(crate) fn schema(&self) -> Option<Schema> {
        self.schema.clone()
    }

    pub(crate) fn example(&self) -> Result<InputExample> {
        let values = if self.rows.dtype().is_float() {
            elements::<f64>(&self.rows)?.into_iter().map(Value::from).collect()
        } else {
            elements::<i64>(&self.rows)?.into_iter().map(Value::from).collect()
        };
        Ok(InputExample::array(nested(values, self.rows.dims())))
    }
}

/// Batches of this shape, of any length; `None` for a type that numpy has no name for.
pub(crate) fn schema(dtype: DType, dims: &[usize]) -> Option<Schema> {
    let dtype = match dtype {
        DType::U8 => data::DType::UInt8,
        DType::U32 => data::DType::UInt32,
        DType::I16 => data::DType::Int16,
        DType::I32 => data::DType::Int32,
        DType::I64 => data::DType::Int64,
        DType::F16 => data::DType::Float16,
        DType::F32 => data::DType::Float32,
        DType::F64 => data::DType::Float64,
        _ => return None,
    };
    Some(data::Tensor::new(dtype, dims).batch_schema())
}

/// The data that a model is trained on, with the digest that MLflow gives the same arrays.
pub(crate) fn dataset(name: &str, inputs: &Tensor, targets: &Tensor) -> Result<Dataset> {
    with_array(with_array(Arrays::new(name), inputs, true)?, targets, false)?.dataset()
}

fn with_array(arrays: Arrays, tensor: &Tensor, features: bool) -> Result<Arrays> {
    macro_rules! with {
        ($candle:ty, $element:ty, $zero:expr, $of:expr) => {{
            let head: Vec<$candle> = head(tensor)?;
            // Only the first elements are in the digest; of the others only the number counts.
            let rest = tensor.elem_count() - head.len();
            let all = head.into_iter().map($of).chain(std::iter::repeat_n($zero, rest));
            add::<$element>(arrays, all, tensor.dims(), features)
        }};
        ($type:ty) => {
            with!($type, $type, <$type>::default(), |value| value)
        };
    }
    Ok(match tensor.dtype() {
        DType::U8 => with!(u8),
        DType::U32 => with!(u32),
        DType::I16 => with!(i16),
        DType::I32 => with!(i32),
        DType::I64 => with!(i64),
        DType::F64 => with!(f64),
        DType::F16 => {
            let bits: Vec<F16> = head_f16(tensor)?;
            let rest = tensor.elem_count() - bits.len();
            add::<F16>(
                arrays,
                bits.into_iter().chain(std::iter::repeat_n(F16(0), rest)),
                tensor.dims(),
                features,
            )
        }
        // numpy has no name for the others: they count as what Python makes of them.
        _ => with!(f32),
    })
}

fn add<E: Element>(
    arrays: Arrays,
    elements: impl Iterator<Item = E>,
    shape: &[usize],
    features: bool,
) -> Arrays {
    if features { arrays.features(elements, shape) } else { arrays.targets(elements, shape) }
}

/// The first elements, in row-major order.
fn head<T: WithDType>(tensor: &Tensor) -> Result<Vec<T>> {
    let flat = tensor.flatten_all().map_err(unreadable)?;
    let count = flat.elem_count().min(ELEMENTS_MAX);
    elements(&first_along(&flat, count).map_err(unreadable)?)
}

fn head_f16(tensor: &Tensor) -> Result<Vec<F16>> {
    let flat = tensor.flatten_all().map_err(unreadable)?;
    let count = flat.elem_count().min(ELEMENTS_MAX);
    let first =
        first_along(&flat, count).and_then(|first| first.to_device(&Device::Cpu)).map_err(unreadable)?;
    let (storage, layout) = first.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(candle_core::CpuStorage::F16(values)) => {
            let values = values.iter().skip(layout.start_offset()).take(count);
            Ok(values.map(|value| F16(value.to_bits())).collect())
        }
        _ => Err(Error::new(ErrorKind::Unexpected, "a tensor of 16 bits is none in main memory")),
    }
}

/// A copy of the first `count` along the first dimension, without the storage of the others.
fn first_along(tensor: &Tensor, count: usize) -> candle_core::Result<Tensor> {
    tensor.narrow(0, 0, count)?.force_contiguous()
}

fn elements<T: WithDType>(tensor: &Tensor) -> Result<Vec<T>> {
    let read = || tensor.to_device(&Device::Cpu)?.to_dtype(T::DTYPE)?.flatten_all()?.to_vec1();
    read().map_err(unreadable)
}

fn unreadable(cause: candle_core::Error) -> Error {
    Error::new(ErrorKind::Unexpected, "a tensor cannot be read").because(cause)
}

/// Elements in row-major order, as arrays in arrays.
fn nested(elements: Vec<Value>, dims: &[usize]) -> Value {
    match dims {
        [] => elements.into_iter().next().unwrap_or_default(),
        [_] => Value::Array(elements),
        [count, inner @ ..] => {
            let each = inner.iter().product::<usize>();
            let mut elements = elements.into_iter();
            (0..*count).map(|_| nested(elements.by_ref().take(each).collect(), inner)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_example_is_the_first_rows_as_nested_arrays() {
        let batch = Tensor::arange(0_u32, 28, &Device::Cpu).unwrap().reshape((7, 2, 2)).unwrap();
        let example = Input::of(&batch).unwrap().example().unwrap();
        let rows: Vec<_> = (0..5).map(|row| row * 4).map(|n| json!([[n, n + 1], [n + 2, n + 3]])).collect();
        assert_eq!(example, InputExample::array(rows.into()));
    }

    /// The digests are those of `mlflow.data.from_numpy` of MLflow 3.17.2 for the same arrays.
    #[test]
    fn a_dataset_has_mlflows_digest_also_where_only_the_head_is_read() {
        let labels = Tensor::arange(0_i64, 150, &Device::Cpu).unwrap();
        let inputs = Tensor::arange(0_i64, 12_000, &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
        let inputs = inputs.reshape((150, 80)).unwrap();
        let data = dataset("data", &inputs, &labels).unwrap();
        assert_eq!(data.digest, "06e9345d");
        let half = dataset("data", &inputs.to_dtype(DType::F16).unwrap(), &labels).unwrap();
        assert_eq!(half.digest, "cda6e377");
    }
}
