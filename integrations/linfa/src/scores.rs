//! Measures of a fitted model on its own training data, by scikit-learn's definitions.
//!
//! MLflow's users compare these numbers with those of Python runs, so where linfa's and scikit-learn's formulas differ
//! (R² with a small constant in its denominator, inertia as a mean), scikit-learn's are used. Weights are not.

mod classification;
mod clustering;
mod probability;
mod regression;

pub(crate) use classification::classification;
pub(crate) use clustering::{inertia, silhouette};
pub(crate) use probability::{Curve, log_loss, precision_recall_curve, roc_auc, roc_curve};
pub(crate) use regression::regression;

/// Metrics by key, in the order they are reported.
pub(crate) type Metrics = Vec<(&'static str, f64)>;

/// A count as a number to calculate with; exact below 2⁵³.
#[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}
