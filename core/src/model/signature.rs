//! Signatures: what goes into a model and comes out, as the JSON texts that MLflow keeps in `MLmodel`.
//!
//! Field order and spacing are MLflow's: its UI and its checks read these texts.

mod parse;

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::json::python_style;
use crate::tensor::DType;

/// What goes into a model and comes out.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Signature {
    /// The inputs of one prediction.
    pub inputs: Option<Schema>,
    /// What a prediction gives.
    pub outputs: Option<Schema>,
    /// Settings that a caller may pass with the inputs.
    pub params: Vec<ParamField>,
}

impl Signature {
    /// From these inputs to these outputs.
    pub fn new(inputs: impl Into<Option<Schema>>, outputs: impl Into<Option<Schema>>) -> Self {
        Self { inputs: inputs.into(), outputs: outputs.into(), params: Vec::new() }
    }

    /// Adds a setting that a caller may pass with the inputs.
    #[must_use]
    pub fn param(mut self, param: ParamField) -> Self {
        self.params.push(param);
        self
    }

    /// The three JSON texts of `MLmodel`: inputs, outputs, params.
    pub(super) fn texts(&self) -> Result<[Option<String>; 3]> {
        let schema = |schema: &Option<Schema>| schema.as_ref().map(Schema::to_json).transpose();
        let params: Vec<Value> = self.params.iter().map(ParamField::to_value).collect();
        let params = if params.is_empty() { None } else { Some(python_style(&params)?) };
        Ok([schema(&self.inputs)?, schema(&self.outputs)?, params])
    }
}

/// Columns or tensors; never both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// A table.
    Columns(Vec<Column>),
    /// Arrays; one without a name, or several with names.
    Tensors(Vec<TensorField>),
}

impl Schema {
    /// The text that MLflow stores.
    ///
    /// # Errors
    /// None that depend on the schema.
    pub fn to_json(&self) -> Result<String> {
        python_style(&self.to_value())
    }

    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Columns(columns) => columns.iter().map(Column::to_value).collect(),
            Self::Tensors(tensors) => tensors.iter().map(TensorField::to_value).collect(),
        }
    }
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// `None` for the only column of an unnamed sequence.
    pub name: Option<String>,
    /// What it holds.
    pub data_type: DataType,
    /// Whether every row has a value.
    pub required: bool,
}

impl Column {
    /// A named column with a value in every row.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self { name: Some(name.into()), data_type, required: true }
    }

    fn to_value(&self) -> Value {
        let mut fields = self.data_type.fields();
        if let Some(name) = &self.name {
            fields.insert("name".to_owned(), name.as_str().into());
        }
        fields.insert("required".to_owned(), self.required.into());
        fields.into()
    }
}

/// What a column holds, under MLflow's name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataType {
    /// True or false.
    Boolean,
    /// 32 bits, signed.
    Integer,
    /// 64 bits, signed.
    Long,
    /// 32 bits.
    Float,
    /// 64 bits.
    Double,
    /// Text.
    String,
    /// Bytes.
    Binary,
    /// A date with a time.
    Datetime,
    /// A list of these.
    Array(Box<Self>),
    /// Values with names.
    Object(Vec<Property>),
    /// Values of one type, under any names.
    Map(Box<Self>),
    /// Anything.
    Any,
    /// A vector of Spark's.
    SparkVector,
}

/// A value of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// What it is called.
    pub name: String,
    /// What it holds.
    pub data_type: DataType,
    /// Whether every object has it.
    pub required: bool,
}

impl DataType {
    /// The type of a column that holds elements of `dtype`; `None` for those that MLflow has no name for: complex
    /// numbers, durations, objects. 64 unsigned bits are a [`Long`](Self::Long), the nearest that MLflow has.
    pub fn of(dtype: DType) -> Option<Self> {
        Some(match dtype {
            DType::Bool => Self::Boolean,
            DType::Int8 | DType::Int16 | DType::Int32 | DType::UInt8 | DType::UInt16 => Self::Integer,
            DType::Int64 | DType::UInt32 | DType::UInt64 => Self::Long,
            DType::Float16 | DType::Float32 => Self::Float,
            DType::Float64 => Self::Double,
            DType::Str => Self::String,
            DType::Bytes => Self::Binary,
            DType::Datetime64 => Self::Datetime,
            DType::Complex64 | DType::Complex128 | DType::Timedelta64 | DType::Object => return None,
        })
    }

    /// The field `type`, and those that a nested type has besides.
    fn fields(&self) -> Map<String, Value> {
        let plain = |name: &str| Map::from_iter([("type".to_owned(), name.into())]);
        let nested = |name: &str, key: &str, value: Value| {
            Map::from_iter([("type".to_owned(), name.into()), (key.to_owned(), value)])
        };
        match self {
            Self::Boolean => plain("boolean"),
            Self::Integer => plain("integer"),
            Self::Long => plain("long"),
            Self::Float => plain("float"),
            Self::Double => plain("double"),
            Self::String => plain("string"),
            Self::Binary => plain("binary"),
            Self::Datetime => plain("datetime"),
            Self::Any => plain("any"),
            Self::SparkVector => plain("sparkml_vector"),
            Self::Array(items) => nested("array", "items", items.fields().into()),
            Self::Map(values) => nested("map", "values", values.fields().into()),
            Self::Object(properties) => {
                let property = |property: &Property| {
                    let mut fields = property.data_type.fields();
                    fields.insert("required".to_owned(), property.required.into());
                    (property.name.clone(), Value::Object(fields))
                };
                nested("object", "properties", Value::Object(properties.iter().map(property).collect()))
            }
        }
    }
}

/// One array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorField {
    /// Only where there are several.
    pub name: Option<String>,
    /// The type of its elements.
    pub dtype: DType,
    /// The length of each dimension; −1 for any.
    pub shape: Vec<i64>,
}

impl TensorField {
    fn to_value(&self) -> Value {
        let mut fields = Map::new();
        if let Some(name) = &self.name {
            fields.insert("name".to_owned(), name.as_str().into());
        }
        fields.insert("type".to_owned(), "tensor".into());
        fields.insert("tensor-spec".to_owned(), json!({"dtype": self.dtype, "shape": self.shape}));
        fields.into()
    }
}

/// A setting that a caller may pass with the inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamField {
    /// What the caller calls it.
    pub name: String,
    /// What it is when the caller does not pass it; an array for a list.
    pub default: Value,
    /// What it, or each item of the list, is.
    pub data_type: DataType,
}

impl ParamField {
    fn to_value(&self) -> Value {
        let shape = if self.default.is_array() { json!([-1]) } else { Value::Null };
        let mut fields = Map::from_iter([
            ("name".to_owned(), self.name.as_str().into()),
            ("default".to_owned(), self.default.clone()),
            ("shape".to_owned(), shape),
        ]);
        fields.extend(self.data_type.fields());
        fields.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts that MLflow 3.17.2 wrote.
    #[test]
    fn texts_are_mlflows() {
        let columns = Schema::Columns(vec![
            Column::new("a", DataType::Double),
            Column { name: None, data_type: DataType::String, required: false },
        ]);
        assert_eq!(
            columns.to_json().unwrap(),
            r#"[{"type": "double", "name": "a", "required": true}, {"type": "string", "required": false}]"#
        );
        let tensor = TensorField { name: None, dtype: DType::Float32, shape: vec![-1, 3] };
        assert_eq!(
            Schema::Tensors(vec![tensor]).to_json().unwrap(),
            r#"[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}]"#
        );
        let signature = Signature::default()
            .param(ParamField {
                name: "temperature".to_owned(),
                default: json!(0.5),
                data_type: DataType::Double,
            })
            .param(ParamField {
                name: "stop".to_owned(),
                default: json!(["a"]),
                data_type: DataType::String,
            });
        assert_eq!(
            signature.texts().unwrap()[2].as_deref().unwrap(),
            r#"[{"name": "temperature", "default": 0.5, "shape": null, "type": "double"}, {"name": "stop", "default": ["a"], "shape": [-1], "type": "string"}]"#
        );
    }
}
