//! Regression: errors and R², averaged over the targets with equal weights.

use ndarray::{ArrayView1, ArrayView2};

use super::{Metrics, number};

/// `truth` and `predicted` have one row per sample and one column per target; `None` without samples.
pub(crate) fn regression<F: Copy + Into<f64>>(
    truth: &ArrayView2<'_, F>,
    predicted: &ArrayView2<'_, F>,
) -> Option<Metrics> {
    if truth.dim() != predicted.dim() || truth.is_empty() {
        return None;
    }
    let mut sums = Errors::default();
    for (truth, predicted) in truth.columns().into_iter().zip(predicted.columns()) {
        sums.add(&Errors::of_target(&truth, &predicted));
    }
    let mean = sums.over(number(truth.ncols()));
    Some(vec![
        ("training_mean_squared_error", mean.squared),
        ("training_mean_absolute_error", mean.absolute),
        ("training_r2_score", mean.r2),
        ("training_root_mean_squared_error", mean.root),
        ("training_score", mean.r2),
    ])
}

#[derive(Default)]
struct Errors {
    squared: f64,
    absolute: f64,
    r2: f64,
    root: f64,
}

impl Errors {
    fn of_target<F: Copy + Into<f64>>(truth: &ArrayView1<'_, F>, predicted: &ArrayView1<'_, F>) -> Self {
        let count = number(truth.len());
        let average = truth.iter().map(|value| (*value).into()).sum::<f64>() / count;
        let (mut squared, mut absolute, mut spread) = (0.0, 0.0, 0.0);
        for (truth, predicted) in truth.iter().zip(predicted) {
            let truth: f64 = (*truth).into();
            let error = truth - (*predicted).into();
            squared += error * error;
            absolute += error.abs();
            spread += (truth - average) * (truth - average);
        }
        let r2 = if truth.len() < 2 || squared.is_nan() {
            // Of one sample there is no variance, and what is no number explains none.
            f64::NAN
        } else if spread > 0.0 {
            1.0 - squared / spread
        } else if squared > 0.0 {
            // A constant target that is missed: scikit-learn's finite answer.
            0.0
        } else {
            1.0
        };
        Self { squared: squared / count, absolute: absolute / count, r2, root: (squared / count).sqrt() }
    }

    fn add(&mut self, other: &Self) {
        let Self { squared, absolute, r2, root } = other;
        self.squared += squared;
        self.absolute += absolute;
        self.r2 += r2;
        self.root += root;
    }

    fn over(&self, count: f64) -> Self {
        Self {
            squared: self.squared / count,
            absolute: self.absolute / count,
            r2: self.r2 / count,
            root: self.root / count,
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    fn check(metrics: &Metrics, expect: [f64; 4]) {
        for ((key, value), expect) in metrics.iter().zip(expect) {
            assert!((value - expect).abs() < 1e-12, "{key} = {value}, not {expect}");
        }
    }

    /// Expected values by scikit-learn 1.9.1.
    #[test]
    fn values_are_scikit_learns() {
        let truth = array![[3.0], [-0.5], [2.0], [7.0]];
        let predicted = array![[2.5], [0.0], [2.0], [8.0]];
        check(
            &regression(&truth.view(), &predicted.view()).unwrap(),
            [0.375, 0.5, 0.948_608_137_044_967_9, 0.612_372_435_695_794_5],
        );
        let truth = array![[0.5, 1.0], [-1.0, 1.0], [7.0, -6.0]];
        let predicted = array![[0.0, 2.0], [-1.0, 2.0], [8.0, -5.0]];
        check(
            &regression(&truth.view(), &predicted.view()).unwrap(),
            [0.708_333_333_333_333_4, 0.75, 0.936_800_526_662_277_9, 0.822_748_612_183_951_3],
        );
    }

    #[test]
    fn what_is_no_number_and_a_single_sample_explain_nothing() {
        let r2 = |truth: &Array2<f64>, predicted: &Array2<f64>| {
            let metrics = regression(&truth.view(), &predicted.view()).unwrap();
            metrics.iter().find(|(key, _)| *key == "training_r2_score").unwrap().1
        };
        let (plain, unknown) = (array![[1.0], [1.0]], array![[1.0], [f64::NAN]]);
        assert!(r2(&plain, &unknown).is_nan());
        assert!(r2(&unknown, &plain).is_nan());
        assert!(r2(&array![[1.0]], &array![[1.0]]).is_nan());
    }

    #[test]
    fn constant_targets_have_a_finite_score() {
        let truth = array![[1.0_f32], [1.0]];
        check(&regression(&truth.view(), &truth.view()).unwrap(), [0.0, 0.0, 1.0, 0.0]);
        check(&regression(&truth.view(), &array![[2.0], [2.0]].view()).unwrap(), [1.0, 1.0, 0.0, 1.0]);
        assert!(regression(&truth.view(), &array![[2.0]].view()).is_none());
    }
}
