//! What probabilities tell beyond labels: log loss, the area under the ROC curve, and the curves of two classes.
//!
//! `truth` is the place of each sample's class among the columns of `probabilities`. As in scikit-learn there is no
//! value where a class never occurs, and as in MLflow many classes are compared in pairs, weighted by their size.

use ndarray::{ArrayView1, ArrayView2, Axis};

use super::number;

/// The most classes whose ROC areas are taken: the pairs grow with their square.
const ROC_CLASSES_MAX: usize = 32;

/// How far the probabilities of a sample may sum up from one, as NumPy's `allclose` has it.
const SUM_TOLERANCE: f64 = 1e-5;

/// A curve over the threshold, from the highest score down.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Curve {
    pub(crate) points: Vec<(f64, f64)>,
    /// The area below the ROC curve; of precision over recall the average precision.
    pub(crate) area: f64,
}

/// The mean of `-ln` of the true class's probability, each kept `epsilon` away from 0 and 1.
pub(crate) fn log_loss(truth: &[usize], probabilities: &ArrayView2<'_, f64>, epsilon: f64) -> Option<f64> {
    if !all_classes_occur(truth, probabilities) {
        return None;
    }
    let loss = |(row, class): (ArrayView1<'_, f64>, &usize)| -row[*class].clamp(epsilon, 1.0 - epsilon).ln();
    Some(probabilities.rows().into_iter().zip(truth).map(loss).sum::<f64>() / number(truth.len()))
}

/// The area under the ROC curve: of the second of two classes, or the mean over all pairs of more.
pub(crate) fn roc_auc(truth: &[usize], probabilities: &ArrayView2<'_, f64>) -> Option<f64> {
    let classes = probabilities.ncols();
    if !all_classes_occur(truth, probabilities) || classes > ROC_CLASSES_MAX {
        return None;
    }
    if classes == 2 {
        return roc(&of_second(truth, probabilities)).map(|curve| curve.area);
    }
    if probabilities.sum_axis(Axis(1)).iter().any(|sum| (sum - 1.0).abs() > SUM_TOLERANCE) {
        return None;
    }
    let mut rows_of = vec![Vec::new(); classes];
    for (row, class) in truth.iter().enumerate() {
        rows_of[*class].push(row);
    }
    let area = |own: usize, other: usize| {
        let score = |is_own: bool| move |row: &usize| (probabilities[(*row, own)], is_own);
        let scored = rows_of[own].iter().map(score(true)).chain(rows_of[other].iter().map(score(false)));
        roc(&scored.collect::<Vec<_>>()).map(|curve| curve.area)
    };
    let (mut sum, mut weights) = (0.0, 0.0);
    for first in 0..classes {
        for second in first + 1..classes {
            let weight = number(rows_of[first].len() + rows_of[second].len());
            sum += weight * f64::midpoint(area(first, second)?, area(second, first)?);
            weights += weight;
        }
    }
    Some(sum / weights)
}

/// The false positive rate and the true positive rate of the second of two classes.
pub(crate) fn roc_curve(truth: &[usize], probabilities: &ArrayView2<'_, f64>) -> Option<Curve> {
    let two = probabilities.ncols() == 2 && all_classes_occur(truth, probabilities);
    two.then(|| roc(&of_second(truth, probabilities)))?
}

/// The recall and the precision of the second of two classes.
pub(crate) fn precision_recall_curve(truth: &[usize], probabilities: &ArrayView2<'_, f64>) -> Option<Curve> {
    if probabilities.ncols() != 2 || !all_classes_occur(truth, probabilities) {
        return None;
    }
    let counts = counts(&of_second(truth, probabilities));
    let positives = number(counts.last()?.1);
    let mut points = vec![(0.0, 1.0)];
    let mut area = 0.0;
    for (negative, positive) in counts {
        let (recall, precision) =
            (number(positive) / positives, number(positive) / number(positive + negative));
        let before = points.last().map_or(0.0, |(recall, _)| *recall);
        area += (recall - before) * precision;
        points.push((recall, precision));
    }
    Some(Curve { points, area })
}

fn all_classes_occur(truth: &[usize], probabilities: &ArrayView2<'_, f64>) -> bool {
    let mut seen = vec![false; probabilities.ncols()];
    for class in truth {
        match seen.get_mut(*class) {
            Some(seen) => *seen = true,
            None => return false,
        }
    }
    seen.len() >= 2
        && seen.iter().all(|seen| *seen)
        && probabilities.nrows() == truth.len()
        && probabilities.iter().all(|probability| probability.is_finite())
}

fn of_second(truth: &[usize], probabilities: &ArrayView2<'_, f64>) -> Vec<(f64, bool)> {
    probabilities.column(1).iter().zip(truth).map(|(score, class)| (*score, *class == 1)).collect()
}

/// How many negatives and positives there are down to each score, highest first.
fn counts(scored: &[(f64, bool)]) -> Vec<(usize, usize)> {
    let mut scored = scored.to_vec();
    scored.sort_unstable_by(|left, right| right.0.total_cmp(&left.0));
    let (mut negative, mut positive) = (0, 0);
    let mut counts = Vec::new();
    for (place, (score, is_positive)) in scored.iter().enumerate() {
        if *is_positive {
            positive += 1;
        } else {
            negative += 1;
        }
        let next = scored.get(place + 1).map(|(next, _)| next);
        if next.is_none_or(|next| next < score) {
            counts.push((negative, positive));
        }
    }
    counts
}

fn roc(scored: &[(f64, bool)]) -> Option<Curve> {
    let counts = counts(scored);
    let (negatives, positives) = counts.last().filter(|(negative, positive)| negative * positive > 0)?;
    let (negatives, positives) = (number(*negatives), number(*positives));
    let mut points = vec![(0.0, 0.0)];
    let mut area = 0.0;
    for (negative, positive) in counts {
        let (x, y) = (number(negative) / negatives, number(positive) / positives);
        let (x_before, y_before) = points.last().copied().unwrap_or_default();
        area += (x - x_before) * f64::midpoint(y_before, y);
        points.push((x, y));
    }
    Some(Curve { points, area })
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    fn close(value: Option<f64>, expect: f64) {
        let value = value.unwrap();
        assert!((value - expect).abs() < 1e-12, "{value}, not {expect}");
    }

    /// Expected values by scikit-learn 1.9.1: `log_loss`, `roc_auc_score`, `average_precision_score`.
    #[test]
    fn values_of_two_classes_are_scikit_learns() {
        let truth = [0, 0, 1, 1, 1, 0];
        let second = array![0.1, 0.4, 0.35, 0.8, 0.4, 0.0];
        let probabilities =
            Array2::from_shape_fn(
                (6, 2),
                |(row, class)| if class == 1 { second[row] } else { 1.0 - second[row] },
            );
        close(log_loss(&truth, &probabilities.view(), f64::EPSILON), 0.467_573_757_851_81);
        close(roc_auc(&truth, &probabilities.view()), 0.833_333_333_333_333_4);
        close(
            precision_recall_curve(&truth, &probabilities.view()).map(|curve| curve.area),
            0.805_555_555_555_555_6,
        );
        let curve = roc_curve(&truth, &probabilities.view()).unwrap();
        assert_eq!((curve.points[0], *curve.points.last().unwrap()), ((0.0, 0.0), (1.0, 1.0)));
    }

    /// Expected values by scikit-learn 1.9.1: `roc_auc_score(multi_class="ovo", average="weighted")`.
    #[test]
    fn values_of_many_classes_are_scikit_learns() {
        let truth = [0, 1, 2, 2, 1, 0, 2];
        let probabilities = array![
            [0.7, 0.2, 0.1],
            [0.3, 0.4, 0.3],
            [0.1, 0.3, 0.6],
            [0.5, 0.2, 0.3],
            [0.2, 0.2, 0.6],
            [0.4, 0.5, 0.1],
            [0.1, 0.1, 0.8],
        ];
        close(log_loss(&truth, &probabilities.view(), f64::EPSILON), 0.819_519_471_361_039_9);
        close(roc_auc(&truth, &probabilities.view()), 0.776_785_714_285_714_3);
        assert_eq!(roc_curve(&truth, &probabilities.view()), None);
    }

    #[test]
    fn a_class_that_never_occurs_and_what_is_no_number_have_no_value() {
        let probabilities = array![[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.2, 0.5, 0.3]];
        assert_eq!(log_loss(&[0, 1, 1], &probabilities.view(), 0.0), None);
        assert_eq!(roc_auc(&[0, 1, 1], &probabilities.view()), None);
        let mut unknown = probabilities.clone();
        unknown[(0, 0)] = f64::NAN;
        assert_eq!(roc_auc(&[0, 1, 2], &unknown.view()), None);
        assert_eq!(log_loss(&[0, 1, 3], &probabilities.view(), 0.0), None);
    }
}
