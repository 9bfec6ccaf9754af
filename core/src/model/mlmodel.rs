//! The `MLmodel` file, as MLflow writes it.

use serde_json::{Value, json};

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
        // Files that are elsewhere have a size too, which is not known.
        "model_size_bytes": (size_bytes > 0).then_some(size_bytes),
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
    crate::yaml::text(&model)
}

/// What the content of an `MLmodel` says.
pub(super) fn parse(content: &[u8]) -> Result<MlModel> {
    let not_mlflows = || Error::new(ErrorKind::Corrupt, "the file `MLmodel` is not MLflow's");
    let text = std::str::from_utf8(content).map_err(|cause| not_mlflows().because(cause))?;
    crate::yaml::parse(text).map_err(|cause| not_mlflows().because(cause))
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
        assert_eq!(yaml(&spec, &place, 0).unwrap(), WRITTEN.replace("bytes: 29", "bytes: null"));
    }
}
