//! Reading back the weights that autologging saved.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use runlog_core::{Error, ErrorKind, Result, model};

use crate::{FLAVOR, INTEGRATION, MODEL_FILE, VarMap};

/// Differences that a message names; the rest is counted.
const NAMED_MAX: usize = 5;

/// Weights, by name.
#[derive(Clone, Debug)]
pub struct LoadedModel {
    tensors: BTreeMap<String, Tensor>,
    device: Device,
}

/// Reads the weights of a model that autologging saved, onto `device`: `uri` is `models:/m-<id>`,
/// `runs:/<run id>/model`, the folder of a logged model, or a safetensors file.
///
/// # Errors
/// `NotFound` for what is not there and for a model of another kind, `Unsupported` for one that another version of
/// candle saved, `Corrupt` for a file that is no safetensors.
///
/// ```no_run
/// use candle_core::{DType, Device};
///
/// let model = runlog_candle::load_model("runs:/0123456789abcdef0123456789abcdef/model", &Device::Cpu)?;
/// let vb = model.var_builder(DType::F32);
/// // let net = Mlp::new(vb)?;
/// # let _ = vb;
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn load_model(uri: impl AsRef<Path>, device: &Device) -> Result<LoadedModel> {
    let uri = uri.as_ref();
    let bytes = if uri.is_file() {
        std::fs::read(uri).map_err(|cause| Error::io("read the weights", uri, cause))?
    } else {
        let files = model::load(&uri.to_string_lossy())?;
        let flavor = files
            .flavor_for(FLAVOR, INTEGRATION.framework_version())
            .map_err(|error| error.with("model", uri.display()))?;
        files.read(flavor.get("data").and_then(|data| data.as_str()).unwrap_or(MODEL_FILE))?
    };
    let tensors = candle_core::safetensors::load_buffer(&bytes, device).map_err(|cause| {
        Error::new(ErrorKind::Corrupt, "the weights cannot be read")
            .with("path", uri.display())
            .because(cause)
    })?;
    Ok(LoadedModel { tensors: tensors.into_iter().collect(), device: device.clone() })
}

impl LoadedModel {
    /// The tensors by name, in the types that they were saved in.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// The tensors themselves.
    pub fn into_tensors(self) -> BTreeMap<String, Tensor> {
        self.tensors
    }

    /// Builds the model to predict with; a name or shape that it has and the file has not is candle's error.
    pub fn var_builder(&self, dtype: DType) -> VarBuilder<'static> {
        VarBuilder::from_tensors(self.tensors.clone().into_iter().collect(), dtype, &self.device)
    }

    /// The tensors as variables, to build the model with `VarBuilder::from_varmap` and train on.
    ///
    /// # Errors
    /// The device cannot take them.
    pub fn var_map(&self) -> Result<VarMap> {
        let map = VarMap::new();
        {
            let mut vars = map.data().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            for (name, tensor) in &self.tensors {
                // `from_tensor` of a tensor that is none copies it.
                vars.insert(name.clone(), Var::from_tensor(tensor).map_err(not_taken)?);
            }
        }
        Ok(map)
    }

    /// Gives the variables of a model that was built already these values. All fit, or none is changed.
    ///
    /// # Errors
    /// `InvalidInput` names the variables that the file has not or in another shape, and the tensors that the model has
    /// not.
    pub fn load_into(&self, map: &candle_nn::VarMap) -> Result<()> {
        let vars = map.data().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let names: BTreeSet<&String> = vars.keys().chain(self.tensors.keys()).collect();
        let different: Vec<String> = names
            .into_iter()
            .filter_map(|name| match (vars.get(name), self.tensors.get(name)) {
                (Some(_), None) => Some(format!("`{name}` is not in the saved model")),
                (None, Some(_)) => Some(format!("`{name}` is not in this model")),
                (Some(var), Some(tensor)) if var.dims() != tensor.dims() => {
                    Some(format!("`{name}` is {:?} here and was saved as {:?}", var.dims(), tensor.dims()))
                }
                _ => None,
            })
            .collect();
        if !different.is_empty() {
            let more = different.len().saturating_sub(NAMED_MAX);
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            let first = different[..different.len().min(NAMED_MAX)].join(", ");
            return Err(Error::invalid(format!("the saved model is another one: {first}{more}")));
        }
        let mut fitting = Vec::new();
        for (name, tensor) in &self.tensors {
            let Some(var) = vars.get(name) else { continue };
            let fits = tensor.to_dtype(var.dtype()).and_then(|tensor| tensor.to_device(var.device()));
            fitting.push((var, fits.map_err(not_taken)?));
        }
        fitting.iter().try_for_each(|(var, tensor)| var.set(tensor).map_err(not_taken))
    }
}

fn not_taken(cause: candle_core::Error) -> Error {
    Error::new(ErrorKind::Unexpected, "the device does not take the weights").because(cause)
}
