//! The arguments of a step, as JSON has them.

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
