//! Classification: accuracy, and precision, recall and F1 weighted by how often each class is true.

use std::collections::BTreeMap;

use ndarray::ArrayView1;
use serde::Serialize;

use super::{Metrics, number};

/// How often each class was taken for each other one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Confusion<L> {
    /// The classes, sorted: those that are true and those that were predicted.
    pub(crate) labels: Vec<L>,
    /// A row per true class, a column per predicted one.
    pub(crate) matrix: Vec<Vec<usize>>,
}

/// One label per sample; `None` without samples.
pub(crate) fn classification<L: Ord + Clone>(
    truth: &ArrayView1<'_, L>,
    predicted: &ArrayView1<'_, L>,
) -> Option<(Metrics, Confusion<L>)> {
    if truth.len() != predicted.len() || truth.is_empty() {
        return None;
    }
    let mut places: BTreeMap<&L, usize> = truth.iter().chain(predicted).map(|label| (label, 0)).collect();
    for (place, slot) in places.values_mut().enumerate() {
        *slot = place;
    }
    let mut matrix = vec![vec![0; places.len()]; places.len()];
    for (truth, predicted) in truth.iter().zip(predicted) {
        matrix[places[truth]][places[predicted]] += 1;
    }
    let metrics = weighted(&matrix, number(truth.len()));
    Some((metrics, Confusion { labels: places.into_keys().cloned().collect(), matrix }))
}

fn weighted(matrix: &[Vec<usize>], samples: f64) -> Metrics {
    let ratio = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let (mut hits, mut precision, mut recall, mut f1) = (0.0, 0.0, 0.0, 0.0);
    for (class, row) in matrix.iter().enumerate() {
        let hit = number(row[class]);
        let support = number(row.iter().sum());
        let predicted = number(matrix.iter().map(|row| row[class]).sum());
        let weight = support / samples;
        hits += hit;
        precision += weight * ratio(hit, predicted);
        recall += weight * ratio(hit, support);
        f1 += weight * ratio(2.0 * hit, support + predicted);
    }
    let accuracy = hits / samples;
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
    use ndarray::array;

    use super::*;

    /// Expected values by scikit-learn 1.9.1, `average="weighted"`.
    #[test]
    fn values_are_scikit_learns() {
        let truth = array!["b", "a", "c", "b", "a", "b"];
        let predicted = array!["b", "c", "c", "a", "a", "d"];
        let (metrics, confusion) = classification(&truth.view(), &predicted.view()).unwrap();
        assert_eq!(confusion.labels, ["a", "b", "c", "d"]);
        assert_eq!(confusion.matrix, [[1, 0, 1, 0], [1, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]);
        for ((key, value), expect) in metrics.iter().zip([0.5, 0.75, 0.5, 0.527_777_777_777_777_7, 0.5]) {
            assert!((value - expect).abs() < 1e-12, "{key} = {value}, not {expect}");
        }
        assert!(classification::<usize>(&array![].view(), &array![].view()).is_none());
    }
}
