//! The rules that points of a metric obey in every local store: which are the same, which is the latest.

use std::cmp::Ordering;

use crate::entity::Metric;

/// A value as MLflow's tables hold it: NaN is 0 with a mark, and zero has no sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Value {
    /// Never NaN.
    pub(super) number: f64,
    pub(super) is_nan: bool,
}

impl Value {
    pub(super) fn new(value: f64) -> Self {
        // Adding zero turns -0 into 0, which SQL holds to be equal.
        if value.is_nan() {
            Self { number: 0.0, is_nan: true }
        } else {
            Self { number: value + 0.0, is_nan: false }
        }
    }

    /// The same, as SQL stores keep it: ±∞ becomes the largest number, as MLflow has it.
    #[cfg(feature = "sqlite")]
    pub(super) fn finite(value: f64) -> Self {
        Self::new(value.clamp(f64::MIN, f64::MAX))
    }

    /// The value that a reader gets.
    pub(super) fn get(self) -> f64 {
        if self.is_nan { f64::NAN } else { self.number }
    }
}

/// Which of two points of one metric is later: by step, then time, then number. NaN counts as 0, as in MLflow.
pub(super) fn compare(left: &Metric, right: &Metric) -> Ordering {
    (left.step, left.timestamp)
        .cmp(&(right.step, right.timestamp))
        .then_with(|| Value::new(left.value).number.total_cmp(&Value::new(right.value).number))
}
