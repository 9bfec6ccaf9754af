//! The `MLmodel` file: YAML in block style with sorted keys, as MLflow writes it.
//!
//! Python reads YAML 1.1, where `on`, `1_000`, `12:30` and all-digit ids are not texts, so every text that is not
//! plainly one is quoted.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use serde_saphyr::{SingleQuoted, to_string};

use super::{MLFLOW_VERSION, MlModel, ModelPlace, ModelSpec};
use crate::clock;
use crate::error::{Error, ErrorKind, Result};

/// The `MLmodel` of `spec` at `place`, whose other files have `size_bytes`.
pub(super) fn yaml(spec: &ModelSpec, place: &ModelPlace<'_>, size_bytes: u64) -> Result<String> {
    let mut model = json!({
        "artifact_path": place.artifact_location,
        "flavors": spec.flavors,
        "mlflow_version": MLFLOW_VERSION,
        "model_id": place.model_id,
        "model_size_bytes": size_bytes,
        "model_uuid": place.model_id,
        "prompts": null,
        "utc_time_created": format!("{}000", clock::utc_text(place.created_ms)),
    });
    if let Some(run_id) = place.run_id {
        model["run_id"] = run_id.into();
    }
    if !spec.metadata.is_empty() {
        model["metadata"] = Value::Object(spec.metadata.clone());
    }
    if let Some(example) = &spec.input_example {
        model["saved_input_example_info"] = example.info();
    }
    if let Some(signature) = &spec.signature {
        let [inputs, outputs, params] = signature.texts()?;
        model["signature"] = json!({"inputs": inputs, "outputs": outputs, "params": params});
        model["is_signature_from_type_hint"] = false.into();
        model["type_hint_from_example"] = false.into();
    }
    to_string(&Yaml(&model))
        .map_err(|cause| Error::new(ErrorKind::Unexpected, "cannot write the MLmodel file").because(cause))
}

/// What the content of an `MLmodel` says.
pub(super) fn parse(content: &[u8]) -> Result<MlModel> {
    serde_saphyr::from_slice(content)
        .map_err(|cause| Error::new(ErrorKind::Corrupt, "the file `MLmodel` is not MLflow's").because(cause))
}

/// A JSON value that serialises with sorted keys and with quotes where Python needs them.
struct Yaml<'a>(&'a Value);

impl Serialize for Yaml<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) if is_plain(text) => serializer.serialize_str(text),
            Value::String(text) if text.contains(|c: char| c.is_control()) => serializer.serialize_str(text),
            Value::String(text) => SingleQuoted(text).serialize(serializer),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Yaml)),
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().map(|(key, value)| (key, Yaml(value))).collect();
                fields.sort_by_key(|(key, _)| *key);
                serializer.collect_map(fields)
            }
            scalar => scalar.serialize(serializer),
        }
    }
}

/// Whether YAML 1.1 and 1.2 agree that the bare `text` is that text.
fn is_plain(text: &str) -> bool {
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null" | "nan" | "inf"
    );
    !word
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Column, DataType, InputExample, Schema, Signature};
    use crate::tensor::{DType, Tensor};

    /// Python's `yaml.safe_load` and `Model.load` of MLflow 3.17.2 read this text.
    const WRITTEN: &str = r#"artifact_path: '/tmp/a dir/mlruns/0/models/m-0/artifacts'
flavors:
  runlog_linfa:
    data: model.msgpack
    linfa_version: '0.8'
    model_type: DecisionTree
is_signature_from_type_hint: false
mlflow_version: '3.1.4'
model_id: m-00000000000000000000000000000001
model_size_bytes: 29
model_uuid: m-00000000000000000000000000000001
prompts: null
run_id: '01234567890123456789012345678901'
saved_input_example_info:
  artifact_path: input_example.json
  serving_input_path: serving_input_example.json
  type: ndarray
signature:
  inputs: '[{"type": "double", "name": "it''s", "required": true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "uint64", "shape": [-1]}}]'
  params: null
type_hint_from_example: false
utc_time_created: '2024-12-31 23:59:59.123000'
"#;

    #[test]
    fn the_file_is_as_mlflow_writes_it() {
        let spec = ModelSpec::new("model")
            .flavor(
                "runlog_linfa",
                [("linfa_version", "0.8"), ("model_type", "DecisionTree"), ("data", "model.msgpack")],
            )
            .signature(Signature::new(
                Schema::Columns(vec![Column::new("it's", DataType::Double)]),
                Tensor::new(DType::UInt64, &[10]).batch_schema(),
            ))
            .input_example(InputExample::array(json!([[1.0]])));
        let place = ModelPlace {
            model_id: "m-00000000000000000000000000000001",
            run_id: Some("01234567890123456789012345678901"),
            artifact_location: "/tmp/a dir/mlruns/0/models/m-0/artifacts",
            created_ms: 1_735_689_599_123,
        };
        assert_eq!(yaml(&spec, &place, 29).unwrap(), WRITTEN);
    }

    #[test]
    fn texts_that_python_would_read_as_something_else_are_quoted() {
        for (text, expect) in [
            ("model.msgpack", "model.msgpack\n"),
            ("on", "'on'\n"),
            ("12:30", "'12:30'\n"),
            ("0123", "'0123'\n"),
            ("a: b #c", "'a: b #c'\n"),
            ("it's", "'it''s'\n"),
            ("", "''\n"),
        ] {
            assert_eq!(to_string(&Yaml(&text.into())).unwrap(), expect);
        }
    }
}
