//! Reading the JSON texts of a signature.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Column, DataType, ParamField, Property, Schema, Signature, TensorField};
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::DType;

#[derive(Deserialize)]
struct TensorText {
    name: Option<String>,
    #[serde(rename = "tensor-spec")]
    spec: SpecText,
}

#[derive(Deserialize)]
struct SpecText {
    dtype: DType,
    shape: Vec<i64>,
}

impl Signature {
    /// The signature of the texts in an `MLmodel`.
    pub(in crate::model) fn parse(
        inputs: Option<&str>,
        outputs: Option<&str>,
        params: Option<&str>,
    ) -> Result<Self> {
        let read = |text: Option<&str>| text.map(objects).transpose();
        Ok(Self {
            inputs: read(inputs)?.map(Schema::of).transpose()?,
            outputs: read(outputs)?.map(Schema::of).transpose()?,
            params: read(params)?.unwrap_or_default().iter().map(ParamField::of).collect::<Result<_>>()?,
        })
    }
}

impl Schema {
    fn of(fields: Vec<Map<String, Value>>) -> Result<Self> {
        if fields.first().is_some_and(|field| field.get("type").is_some_and(|kind| kind == "tensor")) {
            let tensor = |field| {
                let TensorText { name, spec: SpecText { dtype, shape } } =
                    serde_json::from_value(Value::Object(field)).map_err(|cause| corrupt().because(cause))?;
                Ok(TensorField { name, dtype, shape })
            };
            return Ok(Self::Tensors(fields.into_iter().map(tensor).collect::<Result<_>>()?));
        }
        let column = |field: &Map<String, Value>| {
            Ok(Column {
                name: field.get("name").and_then(Value::as_str).map(ToOwned::to_owned),
                data_type: DataType::of_fields(field)?,
                required: is_required(field),
            })
        };
        Ok(Self::Columns(fields.iter().map(column).collect::<Result<_>>()?))
    }
}

impl ParamField {
    fn of(fields: &Map<String, Value>) -> Result<Self> {
        let name = fields.get("name").and_then(Value::as_str).ok_or_else(corrupt)?;
        Ok(Self {
            name: name.to_owned(),
            default: fields.get("default").cloned().unwrap_or_default(),
            data_type: DataType::of_fields(fields)?,
        })
    }
}

impl DataType {
    fn of_fields(fields: &Map<String, Value>) -> Result<Self> {
        let nested = |key: &str| {
            let nested = fields.get(key).and_then(Value::as_object).ok_or_else(corrupt)?;
            Self::of_fields(nested).map(Box::new)
        };
        // Before 2.8 a param's type was called `dtype`.
        let kind = fields.get("type").or_else(|| fields.get("dtype")).and_then(Value::as_str);
        Ok(match kind.unwrap_or_default() {
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "string" => Self::String,
            "binary" => Self::Binary,
            "datetime" => Self::Datetime,
            "any" => Self::Any,
            "sparkml_vector" => Self::SparkVector,
            "array" => Self::Array(nested("items")?),
            "map" => Self::Map(nested("values")?),
            "object" => {
                let properties = fields.get("properties").and_then(Value::as_object).ok_or_else(corrupt)?;
                let property = |(name, fields): (&String, &Value)| {
                    let fields = fields.as_object().ok_or_else(corrupt)?;
                    let (data_type, required) = (Self::of_fields(fields)?, is_required(fields));
                    Ok(Property { name: name.clone(), data_type, required })
                };
                Self::Object(properties.iter().map(property).collect::<Result<_>>()?)
            }
            unknown => return Err(corrupt().with("type", unknown)),
        })
    }
}

fn is_required(fields: &Map<String, Value>) -> bool {
    fields.get("required").and_then(Value::as_bool).unwrap_or(true)
}

fn objects(text: &str) -> Result<Vec<Map<String, Value>>> {
    serde_json::from_str(text).map_err(|cause| corrupt().because(cause))
}

fn corrupt() -> Error {
    Error::new(ErrorKind::Corrupt, "the model's signature is not as MLflow writes one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            r#"[{"type": "double", "name": "a", "required": true}, {"type": "string", "required": false}]"#,
            r#"[{"name": "x", "type": "tensor", "tensor-spec": {"dtype": "datetime64[ns]", "shape": [-1, 3]}}]"#,
            r#"[{"type": "array", "items": {"type": "map", "values": {"type": "any"}}, "name": "m", "required": true}]"#,
            r#"[{"type": "object", "properties": {"k": {"type": "long", "required": false}}, "name": "o", "required": true}]"#,
            r#"[{"type": "sparkml_vector", "name": "v", "required": true}]"#,
        ] {
            let read = Signature::parse(Some(text), None, None).unwrap();
            assert_eq!(read.inputs.unwrap().to_json().unwrap(), text);
        }
        for (unit, dtype) in [("D", DType::Datetime64), ("us", DType::Datetime64)] {
            let text = format!(
                r#"[{{"type": "tensor", "tensor-spec": {{"dtype": "datetime64[{unit}]", "shape": [-1]}}}}]"#
            );
            let Some(Schema::Tensors(tensors)) = Signature::parse(Some(&text), None, None).unwrap().inputs
            else {
                panic!("{text}")
            };
            assert_eq!(tensors[0].dtype, dtype);
        }
        let params = r#"[{"name": "stop", "default": ["a"], "shape": [-1], "type": "string"}, {"name": "o", "default": {}, "shape": null, "type": "object", "properties": {}}]"#;
        let read = Signature::parse(None, None, Some(params)).unwrap();
        assert_eq!(read.texts().unwrap()[2].as_deref(), Some(params));
    }
}
