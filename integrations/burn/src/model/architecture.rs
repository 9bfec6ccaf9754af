//! What a module is made of: the names, shapes and types of its tensors, for programs and for people.
//!
//! Nothing here reads a value off a device.

use std::fmt::Display;

use burn::module::Module;
use burn::store::ModuleSnapshot;
use burn::tensor::DType;
use runlog_core::terminal::{grouped, headed_table};
use serde_json::{Value, json};

/// The tensors of a module as its files hold them, in the module's order.
#[derive(Debug)]
pub(super) struct Architecture {
    tensors: Vec<Tensor>,
    /// As burn counts: the numbers of all float tensors.
    total_params: usize,
}

#[derive(Debug)]
struct Tensor {
    name: String,
    shape: Vec<usize>,
    dtype: DType,
    bytes: usize,
}

impl Tensor {
    fn params(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Architecture {
    pub(super) fn of<M: Module>(module: &M) -> Self {
        let tensors = module
            .collect(None, None, false)
            .into_iter()
            .map(|tensor| Tensor {
                bytes: tensor.byte_len(),
                dtype: tensor.dtype,
                shape: tensor.shape.to_vec(),
                name: tensor.name,
            })
            .collect();
        Self { tensors, total_params: module.num_params() }
    }

    pub(super) fn total_params(&self) -> usize {
        self.total_params
    }

    /// Whether burn has a type of safetensors for every tensor.
    pub(super) fn fits_safetensors(&self) -> bool {
        !self.tensors.iter().any(|tensor| matches!(tensor.dtype, DType::U16 | DType::QFloat(_)))
    }

    fn total_bytes(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.bytes).sum()
    }

    pub(super) fn json(&self) -> Value {
        let tensor = |tensor: &Tensor| {
            json!({
                "name": tensor.name,
                "shape": tensor.shape,
                "dtype": tensor.dtype.name(),
                "params": tensor.params(),
            })
        };
        json!({
            "tensors": self.tensors.iter().map(tensor).collect::<Vec<_>>(),
            "total_params": self.total_params,
            "total_bytes": self.total_bytes(),
        })
    }

    /// burn's own picture of the module, and a table of its tensors.
    pub(super) fn summary(&self, module: &impl Display) -> String {
        let head = ["Name", "Shape", "Type", "Params"].map(str::to_owned).to_vec();
        let rows = self.tensors.iter().map(|tensor| {
            let (shape, count) = (format!("{:?}", tensor.shape), grouped(tensor.params()));
            vec![tensor.name.clone(), shape, tensor.dtype.name().to_owned(), count]
        });
        let table = headed_table(std::iter::once(head).chain(rows).collect(), &[3]);
        let (params, bytes) = (grouped(self.total_params), grouped(self.total_bytes()));
        format!("{module}\n\n{table}\nTotal params: {params}\nSize: {bytes} bytes\n")
    }
}
