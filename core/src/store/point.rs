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
    Point::of(left).recency(&Point::of(right))
}

/// A point without its key, in the order of a metric's history: by time, step and number. Equal points are the same
/// point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) timestamp: i64,
    pub(super) step: i64,
    pub(super) value: Value,
}

impl Point {
    pub(super) fn of(metric: &Metric) -> Self {
        Self { timestamp: metric.timestamp, step: metric.step, value: Value::new(metric.value) }
    }

    /// As [`compare`].
    pub(super) fn recency(&self, other: &Self) -> Ordering {
        (self.step, self.timestamp)
            .cmp(&(other.step, other.timestamp))
            .then_with(|| self.value.number.total_cmp(&other.value.number))
    }

    pub(super) fn metric(self, key: &str) -> Metric {
        Metric::new(key, self.value.get(), self.timestamp, self.step)
    }
}

impl Ord for Point {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.timestamp, self.step)
            .cmp(&(other.timestamp, other.step))
            .then_with(|| self.value.number.total_cmp(&other.value.number))
            .then(self.value.is_nan.cmp(&other.value.is_nan))
    }
}

impl PartialOrd for Point {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Point {}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(value: f64) -> Metric {
        Metric::new("loss", value, 1, 1)
    }

    #[test]
    fn nan_counts_as_zero_but_is_another_point() {
        assert_eq!(compare(&point(f64::NAN), &point(-0.0)), Ordering::Equal);
        assert_eq!(compare(&point(f64::NAN), &point(-1.0)), Ordering::Greater);
        assert_ne!(Point::of(&point(f64::NAN)), Point::of(&point(0.0)));
        assert_eq!(Point::of(&point(-0.0)), Point::of(&point(0.0)));
        assert!(Point::of(&point(f64::NAN)).metric("loss").value.is_nan());
    }
}
