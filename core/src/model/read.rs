//! Reading a model folder, whoever wrote it: what a loader of a flavor needs to know.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{MLMODEL_FILE, Signature, mlmodel};
use crate::artifact::{self, Artifacts, FileInfo};
use crate::error::{Error, ErrorKind, Result};
use crate::json;

/// What an `MLmodel` file says, as far as a loader needs it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct MlModel {
    /// Who can load the model, and what they must know for it: flavor by name.
    #[serde(deserialize_with = "or_default")]
    pub flavors: Map<String, Value>,
    /// `m-` and 32 hex digits; `None` before MLflow 3.
    pub model_id: Option<String>,
    /// The run that made it.
    pub run_id: Option<String>,
    /// Where its files were written; before MLflow 3 a path in its run's artifacts.
    pub artifact_path: Option<String>,
    /// The release of MLflow whose format it is.
    pub mlflow_version: Option<String>,
    /// Bytes of its files.
    pub model_size_bytes: Option<u64>,
    /// `YYYY-MM-DD HH:MM:SS.ffffff`, in UTC.
    pub utc_time_created: Option<String>,
    /// Facts that were logged with it.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Map<String, Value>,
    saved_input_example_info: Option<ExampleInfo>,
    signature: Option<SignatureTexts>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct ExampleInfo {
    artifact_path: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct SignatureTexts {
    inputs: Option<String>,
    outputs: Option<String>,
    params: Option<String>,
}

fn or_default<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl MlModel {
    /// Reads the content of an `MLmodel` file.
    ///
    /// # Errors
    /// `Corrupt` for what is none.
    pub fn parse(content: &[u8]) -> Result<Self> {
        mlmodel::parse(content)
    }

    /// What a flavor's loader must know; `None` if the model has no such flavor.
    pub fn flavor(&self, name: &str) -> Option<&Map<String, Value>> {
        self.flavors.get(name)?.as_object()
    }

    /// What the loader of a framework's flavor must know, such as `runlog.linfa`, in a program that has `version` of the
    /// framework. The flavor's config says the version it was saved with, as `linfa_version`.
    ///
    /// # Errors
    /// `NotFound` if the model has no such flavor; `Unsupported` if another minor of the framework saved it (another
    /// major from 1.0 on), since neither promises to read the other's files.
    pub fn flavor_for(&self, name: &str, version: &str) -> Result<&Map<String, Value>> {
        let Some(config) = self.flavor(name) else {
            let has: Vec<_> = self.flavors.keys().map(String::as_str).collect();
            let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
            return Err(Error::not_found(format!("the model has no flavor `{name}`")).with("it_has", has));
        };
        let framework = name.rsplit('.').next().unwrap_or(name);
        // One that does not say is tried: its files will tell.
        let saved_by = config.get(&format!("{framework}_version")).and_then(Value::as_str);
        match saved_by {
            Some(saved_by) if release_line(saved_by) != release_line(version) => Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the model was saved with {framework} {saved_by} and cannot be read with {framework} {version}; load \
                     it in a program built with {framework} {}",
                    release_line(saved_by)
                ),
            )),
            _ => Ok(config),
        }
    }

    /// What goes into the model and comes out; `None` if it does not say.
    ///
    /// # Errors
    /// `Corrupt` for what is no signature, or has a type that is not known here, such as `float128`.
    pub fn signature(&self) -> Result<Option<Signature>> {
        let Some(SignatureTexts { inputs, outputs, params }) = &self.signature else { return Ok(None) };
        Signature::parse(inputs.as_deref(), outputs.as_deref(), params.as_deref()).map(Some)
    }
}

/// The folder of a model, opened to read.
///
/// ```no_run
/// let model = runlog_core::model::load("models:/m-0123456789abcdef0123456789abcdef")?;
/// if let Some(flavor) = model.mlmodel().flavor("my_net") {
///     let file = flavor.get("data").and_then(|data| data.as_str()).unwrap_or("net.json");
///     let weights = model.read(file)?;
///     # let _ = weights;
/// }
/// # Ok::<(), runlog_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ModelFiles {
    artifacts: Box<dyn Artifacts>,
    /// Of the folder, in the artifacts; `""` for the root.
    root: String,
    described: MlModel,
}

impl ModelFiles {
    pub(crate) fn open(artifacts: Box<dyn Artifacts>, root: String) -> Result<Self> {
        let described = artifacts.read(&below(&root, MLMODEL_FILE)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::not_found("there is no model: the file `MLmodel` is missing"),
            _ => error,
        })?;
        Ok(Self { described: MlModel::parse(&described)?, artifacts, root })
    }

    /// What the file `MLmodel` says.
    pub fn mlmodel(&self) -> &MlModel {
        &self.described
    }

    /// As [`MlModel::flavor_for`]: every loader of a framework's models begins with it.
    ///
    /// # Errors
    /// As there.
    pub fn flavor_for(&self, name: &str, version: &str) -> Result<&Map<String, Value>> {
        self.described.flavor_for(name, version)
    }

    /// The content of a file of the folder.
    ///
    /// # Errors
    /// There is no such file, or it cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        self.artifacts.read(&below(&self.root, &artifact::clean_path(name)?))
    }

    /// What lies directly in the directory `dir` of the folder (`""` is the folder), sorted by path.
    ///
    /// # Errors
    /// A path that leaves the folder, or files that cannot be listed.
    pub fn list(&self, dir: &str) -> Result<Vec<FileInfo>> {
        let dir = artifact::clean_dir(dir)?;
        let mut infos = self.artifacts.list(below(&self.root, &dir).trim_end_matches('/'))?;
        for info in &mut infos {
            if let Some(path) = info.path.strip_prefix(&self.root) {
                info.path = path.trim_start_matches('/').to_owned();
            }
        }
        Ok(infos)
    }

    /// Copies the folder into the local directory `dst`, and returns where it is then.
    ///
    /// # Errors
    /// The files cannot be read, or `dst` cannot be written.
    pub fn download(&self, dst: impl AsRef<Path>) -> Result<PathBuf> {
        artifact::download(&*self.artifacts, &self.root, dst.as_ref())
    }

    /// The few inputs that were logged with it, as MLflow keeps them; `None` if there are none. What Python wrote as
    /// `NaN` is null.
    ///
    /// # Errors
    /// They cannot be read, or are no JSON.
    pub fn input_example(&self) -> Result<Option<Value>> {
        let Some(info) = &self.described.saved_input_example_info else { return Ok(None) };
        let content = self.read(&info.artifact_path)?;
        let no_json = || Error::new(ErrorKind::Corrupt, "the model's input example is no JSON");
        let text = std::str::from_utf8(&content).map_err(|cause| no_json().because(cause))?;
        json::from_python(text).map(Some).map_err(|cause| no_json().because(cause))
    }
}

/// What of a version must be the same: `0.8` of `0.8.1`, `1` of `1.4.0`.
fn release_line(version: &str) -> &str {
    let parts = if version.starts_with("0.") { 2 } else { 1 };
    version.match_indices('.').nth(parts - 1).map_or(version, |(end, _)| &version[..end])
}

fn below(root: &str, path: &str) -> String {
    if root.is_empty() { path.to_owned() } else { format!("{root}/{path}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::artifact::MemoryArtifacts;
    use crate::model::{DataType, Schema};
    use crate::tensor::DType;

    /// An `MLmodel` that `mlflow.sklearn.log_model` of MLflow 3.17.2 wrote, with a run id that looks like a number.
    const FROM_PYTHON: &str = r#"artifact_path: /mlruns/1/models/m-8e74a3f1d2d44fd5a1b5d4b0e9a1c5ee/artifacts
env_vars: null
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    model_path: model.pkl
    predict_fn: predict
    python_version: 3.11.2
  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.8.0
is_signature_from_type_hint: false
mlflow_version: 3.17.2
model_id: m-8e74a3f1d2d44fd5a1b5d4b0e9a1c5ee
model_size_bytes: 703
model_uuid: m-8e74a3f1d2d44fd5a1b5d4b0e9a1c5ee
prompts: null
run_id: 12345678901234567890123456e78901
saved_input_example_info:
  artifact_path: input_example.json
  pandas_orient: split
  serving_input_path: serving_input_example.json
  type: dataframe
signature:
  inputs: '[{"type": "double", "name": "a", "required": true}, {"type": "array", "items":
    {"type": "object", "properties": {"k": {"type": "string", "required": false}}},
    "name": "n", "required": true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
  params: '[{"name": "t", "default": 0.5, "shape": null, "type": "double"}]'
type_hint_from_example: false
utc_time_created: '2026-11-23 08:00:00.123456'
"#;

    #[test]
    fn what_python_wrote_is_read() {
        let model = MlModel::parse(FROM_PYTHON.as_bytes()).unwrap();
        assert_eq!(model.run_id.as_deref(), Some("12345678901234567890123456e78901"));
        assert_eq!(model.mlflow_version.as_deref(), Some("3.17.2"));
        assert_eq!(model.utc_time_created.as_deref(), Some("2026-11-23 08:00:00.123456"));
        assert_eq!(model.model_size_bytes, Some(703));
        assert_eq!(model.flavor("sklearn").unwrap()["pickled_model"], "model.pkl");
        assert_eq!(model.flavor("sklearn").unwrap()["code"], Value::Null);
        assert_eq!(model.flavor("python_function").unwrap()["env"]["conda"], "conda.yaml");
        assert_eq!(model.flavor("keras"), None);
        let signature = model.signature().unwrap().unwrap();
        let Some(Schema::Columns(columns)) = signature.inputs else { panic!("columns") };
        assert!(
            matches!(&columns[1].data_type, DataType::Array(items) if matches!(**items, DataType::Object(_)))
        );
        let Some(Schema::Tensors(tensors)) = signature.outputs else { panic!("tensors") };
        assert_eq!((tensors[0].dtype, &*tensors[0].shape), (DType::Int64, &[-1][..]));
        assert_eq!(signature.params[0].default, json!(0.5));
    }

    #[test]
    fn a_flavor_is_for_the_framework_of_its_release_line_only() {
        let described = |flavors: &str| MlModel::parse(format!("flavors: {flavors}").as_bytes()).unwrap();
        let model = described("{runlog.linfa: {linfa_version: '0.8.1', data: m}, python_function: {}}");
        for fits in ["0.8", "0.8.0", "0.8.1", "0.8.17"] {
            assert_eq!(model.flavor_for("runlog.linfa", fits).unwrap()["data"], "m", "{fits}");
        }
        for other in ["0.9.0", "0.80.1", "0.7", "1.8.1"] {
            let error = model.flavor_for("runlog.linfa", other).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains("built with linfa 0.8"), "{error}");
        }
        let error = model.flavor_for("runlog.burn", "0.22.1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("runlog.linfa, python_function"), "{error}");
        let stable = described("{runlog.x: {x_version: 1.4.0}}");
        assert!(
            stable.flavor_for("runlog.x", "1.9").is_ok() && stable.flavor_for("runlog.x", "2.0").is_err()
        );
        assert!(described("{runlog.x: {}}").flavor_for("runlog.x", "2.0").is_ok(), "it does not say");
        assert!(described("{}").flavor_for("x", "1").unwrap_err().to_string().contains("none"));
    }

    #[test]
    fn a_file_that_says_little_or_nothing_of_a_model_is_taken_for_what_it_is() {
        let model = MlModel::parse(b"flavors: {}\nmetadata: null\nsignature: null\n").unwrap();
        assert_eq!(model, MlModel::default());
        assert_eq!(MlModel::parse(b"- a list").unwrap_err().kind(), ErrorKind::Corrupt);
        let odd = MlModel::parse(b"signature: {inputs: '[{\"type\": \"quark\"}]'}").unwrap();
        assert_eq!(odd.signature().unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_folder_is_read_by_names_in_it_and_by_no_others() {
        let artifacts = MemoryArtifacts::at("memory:/reading");
        for (path, text) in [
            ("model/MLmodel", "saved_input_example_info: {artifact_path: example.json, type: ndarray}"),
            ("model/example.json", "[[1.0, NaN]]"),
            ("model/deep/w.bin", "w"),
            ("secret", "s"),
        ] {
            artifacts.write(path, &mut text.as_bytes()).unwrap();
        }
        let model = ModelFiles::open(Box::new(artifacts.clone()), "model".to_owned()).unwrap();
        assert_eq!(model.read("deep/w.bin").unwrap(), b"w");
        assert_eq!(model.read("../secret").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(model.input_example().unwrap(), Some(json!([[1.0, null]])));
        let names: Vec<_> = model.list("").unwrap().into_iter().map(|info| info.path).collect();
        assert_eq!(names, ["MLmodel", "deep", "example.json"]);
        assert_eq!(model.list("deep").unwrap()[0].path, "deep/w.bin");
        let missing = ModelFiles::open(Box::new(artifacts), String::new()).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }
}
