//! Logged models in MLflow's form: what [`ModelSpec`] is given becomes the files of one model folder.
//!
//! Everything here is pure: the same spec in the same place gives the same bytes. Creating the model in a store and
//! writing the files is the caller's part.

mod example;
pub(crate) mod log;
mod mlmodel;
mod signature;

use serde_json::{Map, Value};

pub use example::InputExample;
pub use signature::{Column, DataType, ParamField, Property, Schema, Signature, TensorField};

use crate::error::{Error, Result};
use crate::validate;

/// The release of MLflow whose model format is written.
pub const MLFLOW_VERSION: &str = "3.1.4";

/// The file that describes a model folder to MLflow.
pub const MLMODEL_FILE: &str = "MLmodel";

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
#[non_exhaustive]
pub struct ModelSpec {
    /// The name people read; not empty, none of `/ : . % " '`.
    pub name: String,
    /// Free text, such as the algorithm.
    pub model_type: Option<String>,
    /// Who can load the model, and what they must know for it: flavor by name. A flavor that Python's MLflow does not
    /// know is shown by its UI, and refused by its loader.
    pub flavors: Map<String, Value>,
    /// What goes in and comes out.
    pub signature: Option<Signature>,
    /// A few inputs, for people and for serving.
    pub input_example: Option<InputExample>,
    /// Name, relative to the model's folder, and content.
    pub files: Vec<(String, Vec<u8>)>,
    /// Settings of the model itself.
    pub params: Vec<(String, String)>,
    /// The training step it was made at.
    pub step: i64,
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
    /// A model without files, called `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Sets the free text that says what kind of model it is, such as the algorithm.
    #[must_use]
    pub fn model_type(mut self, model_type: impl Into<String>) -> Self {
        self.model_type = Some(model_type.into());
        self
    }

    /// Adds a way to load it: the flavor's name and what its loader must know.
    #[must_use]
    pub fn flavor<K: Into<String>, V: Into<Value>>(
        mut self,
        name: impl Into<String>,
        config: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let config = config.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        self.flavors.insert(name.into(), Value::Object(config));
        self
    }

    /// Sets what goes in and comes out.
    #[must_use]
    pub fn signature(mut self, signature: Signature) -> Self {
        self.signature = Some(signature);
        self
    }

    /// Sets a few inputs, for people and for serving.
    #[must_use]
    pub fn input_example(mut self, example: InputExample) -> Self {
        self.input_example = Some(example);
        self
    }

    /// Adds a file of the model's folder.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.into(), content.into()));
        self
    }

    /// Adds a setting of the model itself.
    #[must_use]
    pub fn param(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.params.push((key.into(), value.into()));
        self
    }

    /// Sets the training step it was made at, which is 0 otherwise.
    #[must_use]
    pub fn step(mut self, step: i64) -> Self {
        self.step = step;
        self
    }

    /// Every file of the model's folder: `MLmodel` first, then the model's own files, then those of the input example.
    ///
    /// # Errors
    /// A name that MLflow refuses, a file that would leave the folder or take another's place, and a signature or
    /// example that cannot be written as JSON.
    pub fn files(self, place: &ModelPlace<'_>) -> Result<Vec<(String, Vec<u8>)>> {
        validate::model_name(&self.name)?;
        let example_files = self.input_example.as_ref().map(InputExample::files).transpose()?;
        let data_files: Vec<_> =
            self.files.iter().cloned().chain(example_files.into_iter().flatten()).collect();
        for (place, (name, _)) in data_files.iter().enumerate() {
            let leaves = name.contains('\\') || name.split('/').any(|part| matches!(part, "" | "." | ".."));
            let taken = name == MLMODEL_FILE || data_files[..place].iter().any(|(other, _)| other == name);
            if leaves || taken {
                let why = if leaves { "a clean relative path" } else { "used once, and not as `MLmodel`" };
                return Err(Error::invalid(format!("the name of a model's file must be {why}"))
                    .with("file", format!("{name:?}")));
            }
        }
        let size_bytes: usize = data_files.iter().map(|(_, content)| content.len()).sum();
        let mut files =
            vec![(MLMODEL_FILE.to_owned(), mlmodel::yaml(&self, place, size_bytes)?.into_bytes())];
        files.extend(data_files);
        Ok(files)
    }
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
        for name in ["../x", "/x", "a//b", "", "a\\b", "MLmodel"] {
            assert!(ModelSpec::new("model").file(name, []).files(&PLACE).is_err(), "{name:?}");
        }
        let twice = ModelSpec::new("model").file("a", []).file("a", []);
        assert!(twice.files(&PLACE).is_err());
        assert!(ModelSpec::new("a/b").files(&PLACE).is_err());
        assert!(ModelSpec::new("model").file("a/b.bin", []).files(&PLACE).is_ok());
    }

    #[test]
    fn an_example_brings_its_own_files() {
        let example = InputExample::Ndarray(serde_json::json!([[1.0, 2.0]]));
        let files = ModelSpec::new("model").file("x", []).input_example(example).files(&PLACE).unwrap();
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["MLmodel", "x", "input_example.json", "serving_input_example.json"]);
    }
}
