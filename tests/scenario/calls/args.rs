//! The arguments of a step, as JSON has them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What a call is given, by MLflow's name for it.
#[derive(Clone, Debug)]
pub(super) struct Args(Map<String, Value>);

impl Args {
    pub(super) fn new(args: Value) -> Self {
        let Value::Object(args) = args else { panic!("arguments have names: {args}") };
        Self(args)
    }

    /// Everything that is given.
    pub(super) fn all(&self) -> &Map<String, Value> {
        &self.0
    }

    /// An argument that may be left out, or be `null`.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// An argument that may be `null`.
    pub(super) fn value(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    pub(super) fn opt_text(&self, name: &str) -> Option<&str> {
        self.get(name).map(|value| value.as_str().unwrap())
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.opt_text(name).unwrap_or_else(|| panic!("no {name}"))
    }

    pub(super) fn opt_number(&self, name: &str) -> Option<i64> {
        self.get(name).map(|value| value.as_i64().unwrap())
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.as_bool().unwrap())
    }

    /// The items of a list; none if it is left out.
    pub(super) fn list(&self, name: &str) -> Vec<&Value> {
        self.get(name).map(|value| value.as_array().unwrap().iter().collect()).unwrap_or_default()
    }

    /// The texts of a list; none if it is left out.
    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        self.list(name).into_iter().map(|value| value.as_str().unwrap()).collect()
    }

    /// Names and texts; none if they are left out.
    pub(super) fn pairs(&self, name: &str) -> Vec<(&str, &str)> {
        let Some(pairs) = self.get(name) else { return Vec::new() };
        pairs
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str().unwrap()))
            .collect()
    }

    /// The arguments of something inside, such as a dataset.
    pub(super) fn inner(&self, name: &str) -> Self {
        Self::new(self.value(name).clone())
    }
}

/// A metric's value: JSON has no NaN and no infinities, they are text in the data.
pub(super) fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("NaN") => f64::NAN,
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        Some(text) => panic!("no number: {text}"),
        None => value.as_f64().unwrap_or_else(|| f64::from(u8::from(value.as_bool().unwrap()))),
    }
}

/// A number in an outcome, as `play.py` writes it.
pub(super) fn plain(value: f64) -> Value {
    if value.is_finite() { value.into() } else { format!("{value}").to_lowercase().into() }
}

/// The elements of nested lists in their order, and the lengths of the lists.
pub(super) fn flatten<'v>(
    value: &'v Value,
    depth: usize,
    shape: &mut Vec<usize>,
    elements: &mut Vec<&'v Value>,
) {
    let Some(items) = value.as_array() else {
        elements.push(value);
        return;
    };
    if shape.len() == depth {
        shape.push(items.len());
    }
    for item in items {
        flatten(item, depth + 1, shape, elements);
    }
}

/// Puts names' values and long texts where the data only speaks of them.
pub(super) fn expand(value: &Value, names: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => expand_text(text, names).into(),
        Value::Array(items) => items.iter().map(|item| expand(item, names)).collect(),
        Value::Object(fields) => match (fields.get("repeat"), fields.get("numbered"), fields.get("times")) {
            (Some(text), None, Some(times)) => {
                text.as_str().unwrap().repeat(usize::try_from(times.as_u64().unwrap()).unwrap()).into()
            }
            (None, Some(key), Some(times)) => {
                let numbered = (0..times.as_u64().unwrap())
                    .map(|number| (format!("{}{number}", key.as_str().unwrap()), number.to_string().into()));
                Value::Object(numbered.collect())
            }
            _ => {
                let fields = fields.iter();
                fields.map(|(key, value)| (expand_text(key, names), expand(value, names))).collect()
            }
        },
        other => other.clone(),
    }
}

fn expand_text(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut parts = text.split('$');
    let mut expanded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(part.len());
        match names.get(&part[..end]) {
            Some(value) => expanded.extend([value, &part[end..]]),
            None => expanded.extend(["$", part]),
        }
    }
    expanded
}
