//! The `MLmodel` file, as MLflow writes it.

use serde_json::json;

use super::{MLFLOW_VERSION, ModelPlace, ModelSpec};
use crate::error::Result;

/// The `MLmodel` of `spec` at `place`, whose other files have `size_bytes`.
pub(super) fn yaml(spec: &ModelSpec, place: &ModelPlace<'_>, size_bytes: usize) -> Result<String> {
    let mut model = json!({
        "artifact_path": place.artifact_location,
        "flavors": spec.flavors,
        "mlflow_version": MLFLOW_VERSION,
        "model_id": place.model_id,
        "model_size_bytes": size_bytes,
        "model_uuid": place.model_id,
        "prompts": null,
        "utc_time_created": utc_text(place.created_ms),
    });
    if let Some(run_id) = place.run_id {
        model["run_id"] = run_id.into();
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

/// `YYYY-MM-DD HH:MM:SS.ffffff`, in UTC.
fn utc_text(ms: i64) -> String {
    let (days, ms_of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Days to a civil date: years of 365.2425 days that begin in March, so that leap days come last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, millis) = (ms_of_day / 1000, ms_of_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millis:03}000")
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
            .input_example(InputExample::Ndarray(json!([[1.0]])));
        let place = ModelPlace {
            model_id: "m-00000000000000000000000000000001",
            run_id: Some("01234567890123456789012345678901"),
            artifact_location: "/tmp/a dir/mlruns/0/models/m-0/artifacts",
            created_ms: 1_735_689_599_123,
        };
        assert_eq!(yaml(&spec, &place, 29).unwrap(), WRITTEN);
    }

    #[test]
    fn times_are_utc_dates() {
        for (ms, expect) in [
            (0, "1970-01-01 00:00:00.000000"),
            (951_825_600_000, "2000-02-29 12:00:00.000000"),
            (1_735_689_599_123, "2024-12-31 23:59:59.123000"),
            (-1, "1969-12-31 23:59:59.999000"),
        ] {
            assert_eq!(utc_text(ms), expect);
        }
    }
}
