//! Signatures and examples from the user's own tensors: what burn's batches do not tell of themselves.

use burn::tensor::kind::Basic;
use burn::tensor::{DType, Tensor, TensorData};
use runlog_core::model::{InputExample, Signature};
use runlog_core::tensor::{self, DType as NumpyType};
use runlog_core::{Error, ErrorKind, Result};
use serde_json::Value;

/// What goes into a model and comes out, from a batch of inputs and the outputs for it.
///
/// The first dimension counts as the batch and may have any length. Types that numpy lacks (`bf16`) are told as
/// `float32`. Only shapes and types are looked at.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let (images, scores) = (Tensor::<2>::zeros([8, 64], &device), Tensor::<2>::zeros([8, 10], &device));
/// let signature = runlog_burn::signature_of(&images, &scores);
/// # assert!(signature.inputs.is_some());
/// ```
pub fn signature_of<const I: usize, const O: usize, K: Basic, L: Basic>(
    input: &Tensor<I, K>,
    output: &Tensor<O, L>,
) -> Signature {
    let schema = |dtype, shape: &[usize]| tensor::Tensor::new(numpy_type(dtype), shape).batch_schema();
    let (inputs, outputs) = (schema(input.dtype(), &input.dims()), schema(output.dtype(), &output.dims()));
    Signature::new(inputs, outputs)
}

/// The first rows of a batch of inputs, five at most, as an example that is kept beside the model.
///
/// # Errors
/// The values cannot be read from their device.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let example = runlog_burn::example_of(&Tensor::<2>::zeros([8, 64], &Device::flex()))?;
/// # let _ = example;
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn example_of<const D: usize, K: Basic>(input: &Tensor<D, K>) -> Result<InputExample> {
    let data = input.try_to_data().map_err(|cause| {
        Error::new(ErrorKind::Unavailable, "the input example cannot be read from its device")
            .with("cause", format!("{cause:?}"))
    })?;
    let shape: Vec<usize> = data.shape().iter().copied().collect();
    let mut numbers = numbers(&data).into_iter();
    let rows = shape.first().map_or(1, |rows| (*rows).min(5));
    let row = shape.get(1..).unwrap_or_default();
    if shape.is_empty() {
        return Ok(InputExample::array(numbers.next().unwrap_or_default()));
    }
    Ok(InputExample::array((0..rows).map(|_| nested(&mut numbers, row)).collect()))
}

fn nested(numbers: &mut impl Iterator<Item = Value>, shape: &[usize]) -> Value {
    match shape {
        [] => numbers.next().unwrap_or_default(),
        [length, rest @ ..] => (0..*length).map(|_| nested(numbers, rest)).collect(),
    }
}

fn numbers(data: &TensorData) -> Vec<Value> {
    match data.dtype() {
        DType::Bool(_) => data.iter::<bool>().map(Value::from).collect(),
        dtype if dtype.is_int() => data.iter::<i64>().map(Value::from).collect(),
        dtype if dtype.is_uint() => data.iter::<u64>().map(Value::from).collect(),
        _ => data.iter::<f64>().map(Value::from).collect(),
    }
}

fn numpy_type(dtype: DType) -> NumpyType {
    match dtype {
        DType::F64 => NumpyType::Float64,
        DType::F16 => NumpyType::Float16,
        DType::F32 | DType::Flex32 | DType::BF16 | DType::QFloat(_) => NumpyType::Float32,
        DType::I64 => NumpyType::Int64,
        DType::I32 => NumpyType::Int32,
        DType::I16 => NumpyType::Int16,
        DType::I8 => NumpyType::Int8,
        DType::U64 => NumpyType::UInt64,
        DType::U32 => NumpyType::UInt32,
        DType::U16 => NumpyType::UInt16,
        DType::U8 => NumpyType::UInt8,
        DType::Bool(_) => NumpyType::Bool,
    }
}
