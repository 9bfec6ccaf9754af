//! Classification: accuracy, and precision, recall and F1 weighted by how often each class is true.

use std::collections::BTreeMap;

use ndarray::ArrayView1;
use serde::Serialize;

use super::{Metrics, number};

/// The most classes that have a confusion matrix: its size is their square, and a label may be an id.
const MATRIX_CLASSES_MAX: usize = 256;

/// How often each class was taken for each other one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Confusion<L> {
    /// The classes, sorted: those that are true and those that were predicted.
    pub(crate) labels: Vec<L>,
    /// A row per true class, a column per predicted one.
    pub(crate) matrix: Vec<Vec<usize>>,
}

/// One label per sample; `None` without samples. With more than [`MATRIX_CLASSES_MAX`] classes there is no matrix.
pub(crate) fn classification<L: Ord + Clone>(
    truth: &ArrayView1<'_, L>,
    predicted: &ArrayView1<'_, L>,
) -> Option<(Metrics, Option<Confusion<L>>)> {
    if truth.len() != predicted.len() || truth.is_empty() {
        return None;
    }
    let mut classes: BTreeMap<&L, Class> =
        truth.iter().chain(predicted).map(|label| (label, Class::default())).collect();
    for (place, class) in classes.values_mut().enumerate() {
        class.place = place;
    }
    let side = if classes.len() <= MATRIX_CLASSES_MAX { classes.len() } else { 0 };
    let mut matrix = vec![vec![0; side]; side];
    for (truth, predicted) in truth.iter().zip(predicted) {
        let (row, column) = (classes[truth].place, classes[predicted].place);
        if side > 0 {
            matrix[row][column] += 1;
        }
        classes.entry(truth).and_modify(|class| {
            class.support += 1;
            class.hits += usize::from(row == column);
        });
        classes.entry(predicted).and_modify(|class| class.predicted += 1);
    }
    let metrics = weighted(classes.values(), number(truth.len()));
    let labels = || classes.keys().map(|label| (*label).clone()).collect();
    let confusion = (side > 0).then(|| Confusion { labels: labels(), matrix });
    Some((metrics, confusion))
}

/// What is counted of one class.
#[derive(Default)]
struct Class {
    place: usize,
    /// How often it is true.
    support: usize,
    predicted: usize,
    /// How often it is both.
    hits: usize,
}

fn weighted<'c>(classes: impl Iterator<Item = &'c Class>, samples: f64) -> Metrics {
    let ratio = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let (mut all_hits, mut precision, mut recall, mut f1) = (0.0, 0.0, 0.0, 0.0);
    for class in classes {
        let (hits, support, predicted) = (number(class.hits), number(class.support), number(class.predicted));
        let weight = support / samples;
        all_hits += hits;
        precision += weight * ratio(hits, predicted);
        recall += weight * ratio(hits, support);
        f1 += weight * ratio(2.0 * hits, support + predicted);
    }
    let accuracy = all_hits / samples;
    vec![
        ("training_accuracy_score", accuracy),
        ("training_precision_score", precision),
        ("training_recall_score", recall),
        ("training_f1_score", f1),
        ("training_score", accuracy),
    ]
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, array};

    use super::*;

    /// Expected values by scikit-learn 1.9.1, `average="weighted"`.
    #[test]
    fn values_are_scikit_learns() {
        let truth = array!["b", "a", "c", "b", "a", "b"];
        let predicted = array!["b", "c", "c", "a", "a", "d"];
        let (metrics, confusion) = classification(&truth.view(), &predicted.view()).unwrap();
        let confusion = confusion.unwrap();
        assert_eq!(confusion.labels, ["a", "b", "c", "d"]);
        assert_eq!(confusion.matrix, [[1, 0, 1, 0], [1, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]);
        for ((key, value), expect) in metrics.iter().zip([0.5, 0.75, 0.5, 0.527_777_777_777_777_7, 0.5]) {
            assert!((value - expect).abs() < 1e-12, "{key} = {value}, not {expect}");
        }
        assert!(classification::<usize>(&array![].view(), &array![].view()).is_none());
    }

    #[test]
    fn as_many_classes_as_rows_have_metrics_and_no_matrix() {
        let ids: Array1<usize> = (0..100_000).collect();
        let (metrics, confusion) = classification(&ids.view(), &ids.view()).unwrap();
        assert!(metrics.iter().all(|(_, value)| (value - 1.0).abs() < 1e-9), "{metrics:?}");
        assert_eq!(confusion, None);
    }
}
