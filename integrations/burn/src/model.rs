//! A trained module as a logged model: its files, and what `MLmodel` says of it.

use burn::module::Module;
use runlog_core::autolog::AutologOptions;
use runlog_core::model::ModelSpec;
use runlog_core::{Error, ErrorKind, Result};

/// The name under which `MLmodel` says how a model is loaded.
const FLAVOR: &str = "runlog.burn";

/// Describes the trained `module` for `log_model`.
pub(crate) fn spec<M: Module>(module: &M, _options: &AutologOptions) -> Result<ModelSpec> {
    let bytes = module.clone().into_record().into_bytes().map_err(|cause| {
        Error::new(ErrorKind::Unexpected, "the weights cannot be written as burnpack").because(cause)
    })?;
    Ok(ModelSpec::new("model").flavor(FLAVOR, [("data", "model.bpk")]).file("model.bpk", bytes.to_vec()))
}
