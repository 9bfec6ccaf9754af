//! What burn's metrics are called here, and what is known of them.

use burn::train::metric::{MetricAttributes, MetricDefinition};
use serde::Serialize;

/// A metric as `metric_definitions.json` describes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Definition {
    /// burn's name.
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    /// Of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) higher_is_better: Option<bool>,
}

impl Definition {
    pub(super) fn of(definition: &MetricDefinition) -> Self {
        let (unit, higher_is_better) = match &definition.attributes {
            MetricAttributes::Numeric(numeric) => (numeric.unit.clone(), Some(numeric.higher_is_better)),
            MetricAttributes::None => (None, None),
        };
        let MetricDefinition { name, description, .. } = definition;
        Self { name: name.to_string(), description: description.clone(), unit, higher_is_better }
    }
}

/// `Top-K Accuracy @ TopK(5)` as a part of a key: `top-k_accuracy_at_topk_5`.
///
/// MLflow takes letters, digits, `_`, `-`, `.`, spaces and slashes; a slash would make a folder of its charts. A point
/// stays in numbers only.
pub(super) fn key(name: &str) -> String {
    let mut key = String::new();
    let name = name.replace('@', " at ");
    let mut rest = name.chars();
    while let Some(c) = rest.next() {
        let digit_follows = rest.clone().next().is_some_and(|c| c.is_ascii_digit());
        if c.is_alphanumeric() || c == '-' || (c == '.' && digit_follows) {
            key.extend(c.to_lowercase());
        } else if !key.is_empty() && !key.ends_with('_') {
            key.push('_');
        }
    }
    key.truncate(key.trim_end_matches('_').len());
    if key.is_empty() { "metric".to_owned() } else { key }
}

/// What the keys of an evaluation begin with: `test`, and its name unless that says no more.
pub(super) fn test_prefix(name: &str) -> String {
    match key(name).as_str() {
        "test" => "test".to_owned(),
        name => format!("test_{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_metrics_become_keys_that_mlflow_takes() {
        for (name, expected) in [
            ("Loss", "loss"),
            ("Learning Rate", "learning_rate"),
            ("Top-K Accuracy @ TopK(5)", "top-k_accuracy_at_topk_5"),
            ("FBetaScore (1) @ Threshold(0.5) [Macro]", "fbetascore_1_at_threshold_0.5_macro"),
            ("AUROC [Micro]", "auroc_micro"),
            ("Cum. Reward", "cum_reward"),
            ("a/b:c", "a_b_c"),
            ("%", "metric"),
        ] {
            assert_eq!(key(name), expected);
        }
        assert_eq!((test_prefix("Test"), test_prefix("Hold out")), ("test".into(), "test_hold_out".into()));
    }
}
