//! Reading a logged model into a module of the same shape.
//!
//! Invariant: a module is changed as a whole or not at all; what does not fit is named, tensor by tensor.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::store::burn_pack::{Reader, Tensor as PackTensor, Writer};
use burn::store::{ModuleRecord, ModuleStore, SafetensorsStore};
use burn::tensor::{Bool, Bytes, Int, Tensor};
use runlog_core::{Error, ErrorKind, Result, model};

use super::{BURNPACK_FILE, FLAVOR, burn_version};

/// How many tensors a message names.
const NAMED_MAX: usize = 5;

/// Reads a logged model into `module`, which has its architecture, and returns the module with the model's weights.
///
/// `place` is the URI of the model (`models:/m-<id>`, `runs:/<run id>/model`), its folder, or one of its files:
/// `model.bpk` or `model.safetensors`. The weights come to the device that `module` is on; a fresh one will do, since
/// parameters that burn has not made yet are never made.
///
/// # Errors
/// `NotFound` if there is no such model, or one that burn did not train; `Unsupported` if another minor of burn wrote
/// it; `InvalidInput` if `module` is of another architecture: the message names the tensors; `Corrupt` if a file is
/// broken.
///
/// ```no_run
/// use burn::nn::LinearConfig;
/// use burn::tensor::Device;
///
/// let fresh = LinearConfig::new(64, 10).init(&Device::flex());
/// let model = runlog_burn::load_model("models:/m-0123456789abcdef0123456789abcdef", fresh)?;
/// # let _ = model;
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn load_model<M: Module>(place: impl AsRef<Path>, module: M) -> Result<M> {
    let place = place.as_ref();
    let shown = |error: Error| error.with("model", place.display());
    let tensors = read(place).map_err(shown)?;
    check(&tensors, &module).map_err(shown)?;
    let record = Writer::new(tensors).into_bytes().map_err(corrupt).map_err(shown)?;
    let record = ModuleRecord::from_bytes(record).map_err(corrupt).map_err(shown)?;
    module.try_load_record(record).map_err(corrupt).map_err(shown)
}

/// The tensors of the model's file.
fn read(place: &Path) -> Result<Vec<PackTensor>> {
    if place.is_file() {
        let content = std::fs::read(place).map_err(|cause| Error::io("read the model", place, cause))?;
        let is_safetensors = place.extension().is_some_and(|extension| extension == "safetensors");
        return if is_safetensors { safetensors(content) } else { burnpack(content) };
    }
    let uri = place.to_str().ok_or_else(|| Error::invalid("the model's address must be UTF-8"))?;
    let files = model::load(uri)?;
    let flavor = files.flavor_for(FLAVOR, &burn_version())?;
    let file = flavor.get("data").and_then(serde_json::Value::as_str).unwrap_or(BURNPACK_FILE);
    burnpack(files.read(file)?)
}

fn burnpack(content: Vec<u8>) -> Result<Vec<PackTensor>> {
    let reader = Reader::from_bytes(Bytes::from_bytes_vec(content)).map_err(corrupt)?;
    reader.into_tensors().map_err(corrupt)
}

fn safetensors(content: Vec<u8>) -> Result<Vec<PackTensor>> {
    let mut store = SafetensorsStore::from_bytes(Some(content));
    Ok(store.get_all_tensors().map_err(corrupt)?.values().cloned().collect())
}

fn corrupt(cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, "this is no model that burn can read").with("cause", cause)
}

/// Refuses tensors that are not those of `module`, all differences in one message.
fn check<M: Module>(tensors: &[PackTensor], module: &M) -> Result<()> {
    let mut expected = Shapes::default();
    module.visit(&mut expected);
    let (mut unknown, mut differing) = (Vec::new(), Vec::new());
    for tensor in tensors {
        let found = tensor.shape.to_vec();
        match expected.shapes.remove(&tensor.name) {
            None => unknown.push(tensor.name.clone()),
            Some(shape) if shape != found => {
                differing
                    .push(format!("{} is {shape:?} in the module and {found:?} in the model", tensor.name));
            }
            Some(_) => {}
        }
    }
    let missing: Vec<String> = expected.shapes.into_keys().collect();
    let differences: Vec<String> =
        [("not in the model: ", missing), ("not in the module: ", unknown), ("", differing)]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what}{}", shortened(&names)))
            .collect();
    if differences.is_empty() {
        return Ok(());
    }
    let class = std::any::type_name::<M>();
    Err(Error::invalid(format!(
        "the model is of another architecture than this {class}: {}",
        differences.join("; ")
    )))
}

fn shortened(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMED_MAX)].join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The shapes that a module's parameters have or will have; makes none.
#[derive(Default)]
struct Shapes {
    path: Vec<String>,
    shapes: BTreeMap<String, Vec<usize>>,
}

impl Shapes {
    fn add(&mut self, shape: &[usize]) {
        self.shapes.insert(self.path.join("."), shape.to_vec());
    }
}

impl ModuleVisitor for Shapes {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.add(&param.lazy_shape());
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.add(&param.lazy_shape());
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.add(&param.lazy_shape());
    }
}
