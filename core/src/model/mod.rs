//! Logged models in MLflow's form: what [`ModelSpec`] is given becomes the files of one model folder, and
//! [`ModelFiles`] reads such a folder, whoever wrote it.

mod example;
mod files;
pub(crate) mod log;
mod mlmodel;
mod options;
mod read;
mod signature;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value};

pub use crate::fluent::load_model as load;
pub use example::InputExample;
pub use files::ModelFile;
pub use options::ModelOptions;
pub(crate) use options::{params_of, tags_of};
pub use read::{MlModel, ModelFiles};
pub use signature::{Column, DataType, ParamField, Property, Schema, Signature, TensorField};

use crate::artifact;
use crate::error::{Error, Result};
use crate::provenance;

/// The release of MLflow whose model format is written.
pub const MLFLOW_VERSION: &str = "3.1.4";

/// The file that describes a model folder to MLflow.
pub const MLMODEL_FILE: &str = "MLmodel";

/// The tag of a model whose files are elsewhere, and the same in the metadata of its `MLmodel`.
pub(crate) const IS_EXTERNAL: &str = "mlflow.model.isExternal";

/// A fitted model to be logged: its files and what describes them.
///
/// ```
/// use runlog_core::model::{ModelPlace, ModelSpec};
///
/// let spec = ModelSpec::new("model").flavor("rust_ridge", [("format", "json")]).file("ridge.json", *b"{}");
/// let place = ModelPlace { model_id: "m-1", run_id: None, artifact_location: "/models/m-1", created_ms: 0 };
/// let names: Vec<_> = spec.files(&place)?.into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["MLmodel", "ridge.json"]);
/// # Ok::<(), runlog_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a model is stored when it is given to `log_model`"]
pub struct ModelSpec {
    pub(crate) options: ModelOptions,
    /// The model that exists already.
    pub(crate) model_id: Option<String>,
    flavors: Map<String, Value>,
    metadata: Map<String, Value>,
    signature: Option<Signature>,
    input_example: Option<InputExample>,
    files: Vec<(String, ModelFile)>,
    pub(crate) step: i64,
    /// The params of the training that made it.
    pub(crate) observed: Vec<(String, String)>,
    /// When that training began, in milliseconds since the Unix epoch, if it is one that autologging observed.
    pub(crate) since_ms: Option<i64>,
    /// Whether it says what built the program that logs it.
    tells_environment: bool,
}

/// Where and for whom a model's files are written.
#[derive(Clone, Copy, Debug)]
pub struct ModelPlace<'a> {
    /// `m-` and 32 hex digits.
    pub model_id: &'a str,
    /// The run that made it.
    pub run_id: Option<&'a str>,
    /// An absolute path or a URI.
    pub artifact_location: &'a str,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
}

impl ModelSpec {
    /// A model without files: its name, `()` for a random one, or [`ModelOptions`].
    pub fn new(options: impl Into<ModelOptions>) -> Self {
        Self { options: options.into(), ..Self::default() }
    }

    /// The files are of this model, which was initialized before; what else is said of a model when it is created is as
    /// it was said then.
    pub fn model_id(mut self, model_id: impl Into<String>) -> Self {
        self.model_id = Some(model_id.into());
        self
    }

    /// Sets the free text that says what kind of model it is, such as the algorithm.
    pub fn model_type(mut self, model_type: impl Into<String>) -> Self {
        self.options = self.options.model_type(model_type);
        self
    }

    /// Adds a setting of the model itself.
    pub fn param(mut self, key: &str, value: impl Serialize) -> Self {
        self.options = self.options.param(key, value);
        self
    }

    /// Adds a tag.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options = self.options.tag(key, value);
        self
    }

    /// Adds a way to load it: the flavor's name and what its loader must know. A flavor that Python's MLflow does not
    /// know is shown by its UI, and refused by its loader.
    pub fn flavor<K: Into<String>, V: Into<Value>>(
        mut self,
        name: impl Into<String>,
        config: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let config = config.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        self.flavors.insert(name.into(), Value::Object(config));
        self
    }

    /// Adds a fact about the model that is kept with its files.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Sets what goes in and comes out.
    pub fn signature(mut self, signature: Signature) -> Self {
        self.signature = Some(signature);
        self
    }

    /// Sets a few inputs, for people and for serving.
    pub fn input_example(mut self, example: InputExample) -> Self {
        self.input_example = Some(example);
        self
    }

    /// Adds a file of the model's folder.
    pub fn file(mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.into(), ModelFile::Bytes(content.into())));
        self
    }

    /// Adds a copy of a local file, or of everything in a local directory, as `name` in the model's folder. It is read
    /// piece by piece, when the model is logged.
    pub fn file_from(mut self, name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.files.push((name.into(), ModelFile::Path(path.into())));
        self
    }

    /// Sets the training step it was made at, which is 0 otherwise.
    pub fn step(mut self, step: i64) -> Self {
        self.step = step;
        self
    }

    /// With the files that say what built this program, unless the user has given their names to other ones.
    pub(crate) fn with_environment(mut self) -> Self {
        self.tells_environment = true;
        self
    }

    /// Every file of the model's folder: `MLmodel` first, then the model's own files, then those of the input example.
    ///
    /// # Errors
    /// A file that would leave the folder or take another's place, a local file that cannot be read, and a signature or
    /// example that cannot be written as JSON.
    pub fn files(mut self, place: &ModelPlace<'_>) -> Result<Vec<(String, ModelFile)>> {
        let example_files = self.input_example.as_ref().map(InputExample::files).transpose()?;
        let given = std::mem::take(&mut self.files).into_iter().chain(example_files.into_iter().flatten());
        let mut data_files = Vec::new();
        let mut size_bytes = 0;
        for (name, file) in given {
            size_bytes += file.expand(name, &mut data_files)?;
        }
        if self.tells_environment {
            size_bytes += self.add_environment(&mut data_files)?;
        }
        check_names(data_files.iter().map(|(name, _)| name.as_str()))?;
        let described = mlmodel::yaml(&self, place, size_bytes)?.into_bytes();
        let mut files = vec![(MLMODEL_FILE.to_owned(), ModelFile::Bytes(described))];
        files.extend(data_files);
        Ok(files)
    }

    /// Adds the files that say what built this program; how many bytes that are.
    fn add_environment(&mut self, files: &mut Vec<(String, ModelFile)>) -> Result<u64> {
        let mut size_bytes = 0;
        for (name, content) in provenance::environment_files()? {
            let below = format!("{name}/");
            if files.iter().any(|(taken, _)| taken == name || taken.starts_with(&below)) {
                continue;
            }
            if name == provenance::ENV_FILE {
                // MLflow keeps what it does not know there, and nowhere else.
                self.metadata.entry("rust_env").or_insert_with(|| name.into());
            }
            size_bytes += ModelFile::Bytes(content.to_vec()).expand(name.to_owned(), files)?;
        }
        Ok(size_bytes)
    }
}

/// Refuses names that are not clean paths, or that cannot all be in one folder with `MLmodel`.
fn check_names<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Result<()> {
    let refuse = |name: &str, why: &str| {
        Err(Error::invalid(format!("the name of a model's file must be {why}"))
            .with("file", format!("{name:?}")))
    };
    let mut taken = BTreeSet::from([MLMODEL_FILE]);
    for name in names.clone() {
        if name.contains('\\') || artifact::clean_path(name).ok().as_deref() != Some(name) {
            return refuse(name, "a clean relative path");
        }
        if !taken.insert(name) {
            return refuse(name, "used once, and not as `MLmodel`");
        }
    }
    for name in names {
        if name.match_indices('/').any(|(end, _)| taken.contains(&name[..end])) {
            return refuse(name, "below no other file's name");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: ModelPlace<'_> = ModelPlace {
        model_id: "m-00000000000000000000000000000001",
        run_id: Some("01234567890123456789012345678901"),
        artifact_location: "/m",
        created_ms: 0,
    };

    #[test]
    fn names_that_would_leave_the_folder_or_collide_are_refused() {
        for name in ["../x", "/x", "a//b", "", "a\\b", "a\0b", "MLmodel", "MLmodel/x"] {
            assert!(ModelSpec::new("model").file(name, []).files(&PLACE).is_err(), "{name:?}");
        }
        for (one, other) in [("a", "a"), ("a", "a/b"), ("a/b/c", "a"), ("input_example.json/x", "y")] {
            let spec = ModelSpec::new("model").file(one, []).file("a-b", []).file(other, []);
            assert!(
                spec.input_example(InputExample::json(Value::Null)).files(&PLACE).is_err(),
                "{one} {other}"
            );
        }
        assert!(ModelSpec::new("model").file("a/b.bin", []).files(&PLACE).is_ok());
    }

    #[test]
    fn an_example_brings_its_own_files() {
        let example = InputExample::array(serde_json::json!([[1.0, 2.0]]));
        let files = ModelSpec::new("model").file("x", []).input_example(example).files(&PLACE).unwrap();
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["MLmodel", "x", "input_example.json", "serving_input_example.json"]);
    }

    #[test]
    fn the_environment_is_told_beside_the_models_own_files_and_gives_way_to_them() {
        let files = |spec: ModelSpec| spec.with_environment().files(&PLACE).unwrap();
        let names = |files: &[(String, ModelFile)]| -> Vec<String> {
            files.iter().map(|(name, _)| name.clone()).collect()
        };
        let told = files(ModelSpec::new("model").file("x", [1]));
        assert_eq!(names(&told), ["MLmodel", "x", "rust_env.yaml", "Cargo.lock"]);
        let ModelFile::Bytes(described) = &told[0].1 else { panic!("{told:?}") };
        let described = MlModel::parse(described).unwrap();
        assert_eq!(described.metadata["rust_env"], "rust_env.yaml");
        let bytes = |(_, file): &(String, ModelFile)| match file {
            ModelFile::Bytes(content) => content.len() as u64,
            ModelFile::Path(_) => 0,
        };
        assert_eq!(described.model_size_bytes, Some(told[1..].iter().map(bytes).sum()));

        let own = files(ModelSpec::new("model").file("Cargo.lock", [1]).file("rust_env.yaml/x", [2]));
        assert_eq!(names(&own), ["MLmodel", "Cargo.lock", "rust_env.yaml/x"]);
        let ModelFile::Bytes(described) = &own[0].1 else { panic!("{own:?}") };
        assert!(MlModel::parse(described).unwrap().metadata.is_empty());
    }

    #[test]
    fn local_files_and_directories_are_named_in_the_folder_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("a.bin"), [0; 10]).unwrap();
        std::fs::write(dir.path().join("sub/b.bin"), [0; 20]).unwrap();
        let spec = ModelSpec::new("model").file_from("one.bin", dir.path().join("a.bin"));
        let files = spec.file_from("all", dir.path()).file("c", [1]).files(&PLACE).unwrap();
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["MLmodel", "one.bin", "all/a.bin", "all/sub/b.bin", "c"]);
        let ModelFile::Bytes(described) = &files[0].1 else { panic!("{files:?}") };
        assert_eq!(MlModel::parse(described).unwrap().model_size_bytes, Some(41));
        let none = ModelSpec::new("model").file_from("x", dir.path().join("none"));
        assert_eq!(none.files(&PLACE).unwrap_err().kind(), crate::error::ErrorKind::NotFound);
    }
}
