//! Writing a trained module: its files, and what `MLmodel` says of it.

use std::fmt::Display;
use std::path::Path;

use burn::module::Module;
use burn::store::{BurnpackStore, ModuleSnapshot, SafetensorsStore};
use runlog_core::autolog::{AutologOptions, Recorder};
use runlog_core::model::ModelSpec;
use runlog_core::{Error, ErrorKind, LoggedModel, Result, json};
use serde_json::Value;

use super::architecture::Architecture;
use super::{
    ARCHITECTURE_FILE, BURNPACK_FILE, FLAVOR, SAFETENSORS_FILE, SUMMARY_FILE, burn_version, numbered,
};

/// Logs the trained `module` as `name`, made at `step`, and its summary among the run's files; `describe` adds what only
/// the user knows, such as a signature.
pub(crate) fn log_with<M: Module + Display>(
    recorder: &Recorder,
    module: &M,
    name: &str,
    step: usize,
    describe: impl FnOnce(ModelSpec, &AutologOptions) -> Result<ModelSpec>,
) -> Option<LoggedModel> {
    recorder.record("the model's summary", |run| {
        let architecture = Architecture::of(module);
        recorder.log_param(&numbered("total_params", recorder.part()), architecture.total_params());
        run.log_text(&architecture.summary(module), SUMMARY_FILE)
    });
    let mut folder = None;
    recorder.log_model(|options| {
        // Written piece by piece: a model may be larger than what is left of the memory.
        let local = tempfile::tempdir()
            .map_err(|cause| Error::new(ErrorKind::Denied, "no temporary directory").because(cause))?;
        let spec = written(module, name, local.path())?;
        folder = Some(local);
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        describe(spec.step(step), options)
    })
}

/// Writes the files of `module` into `folder` and describes them.
fn written<M: Module + Display>(module: &M, name: &str, folder: &Path) -> Result<ModelSpec> {
    let architecture = Architecture::of(module);
    let burnpack = folder.join(BURNPACK_FILE);
    module.save_into(&mut BurnpackStore::from_file(&burnpack)).map_err(not_written(BURNPACK_FILE))?;
    let safetensors = folder.join(SAFETENSORS_FILE);
    let has_safetensors = architecture.fits_safetensors();
    if has_safetensors {
        module
            .save_into(&mut SafetensorsStore::from_file(&safetensors))
            .map_err(not_written(SAFETENSORS_FILE))?;
    }
    let mut flavor = vec![
        ("data", BURNPACK_FILE.into()),
        ("architecture", ARCHITECTURE_FILE.into()),
        ("burn_version", burn_version().into()),
        ("model_class", std::any::type_name::<M>().into()),
        ("total_params", Value::from(architecture.total_params())),
    ];
    if has_safetensors {
        flavor.push(("safetensors", SAFETENSORS_FILE.into()));
    }
    let mut spec = ModelSpec::new(name)
        .flavor(FLAVOR, flavor)
        .file_from(BURNPACK_FILE, burnpack)
        .file(ARCHITECTURE_FILE, json::python_style(&architecture.json())?)
        .file(SUMMARY_FILE, architecture.summary(module));
    if has_safetensors {
        spec = spec.file_from(SAFETENSORS_FILE, safetensors);
    }
    Ok(spec)
}

fn not_written<E: Display>(file: &'static str) -> impl FnOnce(E) -> Error {
    move |cause| {
        Error::new(ErrorKind::Unexpected, "the weights cannot be written")
            .with("file", file)
            .with("cause", cause)
    }
}
