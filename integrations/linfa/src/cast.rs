//! Recognising a value whose type is not known: the one place with `unsafe`.
//!
//! The blanket `Fit` has no bounds, so that every call which compiles with linfa compiles with us. What a type is
//! must therefore be found while running, and some types, such as views, borrow, which rules `Any` out. `typeid`
//! compares types up to their lifetimes; [`cast`] then lends the value for reading, for the lifetime of the borrow
//! alone, which is sound for every type that only holds data.

#![expect(unsafe_code, reason = "references are cast after their types were compared")]

use linfa::dataset::{CountedTargets, DatasetBase, Pr};
use ndarray::{ArcArray, Array, Array2, ArrayView, ArrayView2, Dimension};
use rand::rngs::{SmallRng, StdRng, ThreadRng};
use rand_xoshiro::Xoshiro256Plus;

/// A type that [`cast`] may give out, named with `'static` for all its lifetimes.
///
/// # Safety
/// - `At<'x>` is `Self` with every `'static` of a borrow replaced by `'x`.
/// - Reading is all that a shared reference to it allows: it has no cell, and no function that takes such a borrow.
///   Where the compiler sees that by itself, it is covariance, and checked below. It does not for ndarray's arrays,
///   whose element is a projection of their storage; there the storages are named, and hold plain elements.
pub(crate) unsafe trait Known: 'static {
    /// The type while it borrows for `'x`.
    type At<'x>: 'x;
}

/// `value`, if its type is `K` up to lifetimes.
pub(crate) fn cast<'x, K: Known, T>(value: &'x T) -> Option<&'x K::At<'x>> {
    let same = typeid::of::<T>() == typeid::of::<K::At<'x>>();
    // SAFETY: both types are the same up to lifetimes, so their layout is the same. `&'x T` exists, so all lifetimes
    // in `T` outlive `'x`, and those in `At<'x>` are `'x`: the cast only shortens them. By the contract of `Known` a
    // shared reference only reads, so nothing that lives shorter can be put where something longer is expected.
    same.then(|| unsafe { &*std::ptr::from_ref(value).cast::<K::At<'x>>() })
}

/// Types without lifetimes.
macro_rules! known {
    ($($free:ty),* $(,)?) => {$(
        // SAFETY: there is no lifetime to replace.
        unsafe impl Known for $free {
            type At<'x> = Self;
        }
    )*};
}

known!((), bool, u8, u32, u64, usize, i32, i64, f32, f64, String, Pr);
known!(SmallRng, StdRng, ThreadRng, Xoshiro256Plus);

// SAFETY: the one lifetime is replaced; shared references are covariant.
unsafe impl Known for &'static str {
    type At<'x> = &'x str;
}

// SAFETY: the one lifetime is replaced; shared references are covariant.
unsafe impl Known for &'static [bool] {
    type At<'x> = &'x [bool];
}

// SAFETY: as above.
unsafe impl Known for &'static [Pr] {
    type At<'x> = &'x [Pr];
}

// SAFETY: an owned array holds its elements; a shared reference to it only reads them.
unsafe impl<E: Known, D: Dimension + 'static> Known for Array<E, D> {
    type At<'x> = Array<E::At<'x>, D>;
}

// SAFETY: as above; the sharing is by count, without a cell.
unsafe impl<E: Known, D: Dimension + 'static> Known for ArcArray<E, D> {
    type At<'x> = ArcArray<E::At<'x>, D>;
}

// SAFETY: a view is a shared reference to elements; ndarray's own `reborrow` shortens it as well.
unsafe impl<E: Known, D: Dimension + 'static> Known for ArrayView<'static, E, D> {
    type At<'x> = ArrayView<'x, E::At<'x>, D>;
}

/// Types over a label, which may be a borrowed text.
macro_rules! known_over_labels {
    ($($float:ty),*) => {$(
        known_over_labels!(@label $float, 'x: (), ());
        known_over_labels!(@label $float, 'x: bool, bool);
        known_over_labels!(@label $float, 'x: usize, usize);
        known_over_labels!(@label $float, 'x: String, String);
        known_over_labels!(@label $float, 'x: &'static str, &'x str);
    )*};
    (@label $float:ty, $x:lifetime: $label:ty, $short:ty) => {
        known_over_labels!(@types $x:
            linfa_trees::DecisionTree<$float, $label> => linfa_trees::DecisionTree<$float, $short>,
            linfa_trees::DecisionTreeParams<$float, $label> => linfa_trees::DecisionTreeParams<$float, $short>,
            linfa_trees::DecisionTreeValidParams<$float, $label>
                => linfa_trees::DecisionTreeValidParams<$float, $short>,
            linfa_bayes::GaussianNb<$float, $label> => linfa_bayes::GaussianNb<$float, $short>,
            linfa_bayes::GaussianNbParams<$float, $label> => linfa_bayes::GaussianNbParams<$float, $short>,
            linfa_bayes::GaussianNbValidParams<$float, $label> => linfa_bayes::GaussianNbValidParams<$float, $short>,
            linfa_bayes::MultinomialNb<$float, $label> => linfa_bayes::MultinomialNb<$float, $short>,
            linfa_bayes::MultinomialNbParams<$float, $label> => linfa_bayes::MultinomialNbParams<$float, $short>,
            linfa_bayes::MultinomialNbValidParams<$float, $label>
                => linfa_bayes::MultinomialNbValidParams<$float, $short>,
            linfa_logistic::FittedLogisticRegression<$float, $label>
                => linfa_logistic::FittedLogisticRegression<$float, $short>,
            linfa_logistic::MultiFittedLogisticRegression<$float, $label>
                => linfa_logistic::MultiFittedLogisticRegression<$float, $short>,
        );
    };
    (@types $x:lifetime: $($long:ty => $short:ty,)*) => {$(
        // SAFETY: the label's lifetime, if any, is replaced; `covariant` makes the compiler check the variance.
        unsafe impl Known for $long {
            type At<$x> = $short;
        }
        const _: () = {
            fn covariant<'long: 'short, 'short>(
                value: &'short <$long as Known>::At<'long>,
            ) -> &'short <$long as Known>::At<'short> {
                value
            }
            let _ = covariant;
        };
    )*};
}

known_over_labels!(f32, f64);

/// Counted targets over a label, whose array may be a view.
macro_rules! known_counted {
    ($($x:lifetime: $label:ty => $short:ty),*) => {$(
        // SAFETY: the label's and the array's lifetimes are replaced; the struct holds both as plain data.
        unsafe impl<P: Known> Known for CountedTargets<$label, P> {
            type At<$x> = CountedTargets<$short, P::At<$x>>;
        }
    )*};
}

known_counted!('x: () => (), 'x: bool => bool, 'x: usize => usize, 'x: String => String, 'x: &'static str => &'x str);

/// Whole datasets, owned or views.
macro_rules! known_datasets {
    ($($x:lifetime: $float:ty),*) => {$(
        // SAFETY: the arrays replace their lifetimes themselves; the struct holds them as plain data.
        unsafe impl<E: Known, D: Dimension + 'static> Known for DatasetBase<Array2<$float>, Array<E, D>> {
            type At<$x> = DatasetBase<Array2<$float>, Array<E::At<$x>, D>>;
        }
        // SAFETY: as above.
        unsafe impl<E: Known, D: Dimension + 'static> Known
            for DatasetBase<ArrayView2<'static, $float>, Array<E, D>>
        {
            type At<$x> = DatasetBase<ArrayView2<$x, $float>, Array<E::At<$x>, D>>;
        }
        // SAFETY: as above.
        unsafe impl<E: Known, D: Dimension + 'static> Known
            for DatasetBase<ArrayView2<'static, $float>, ArrayView<'static, E, D>>
        {
            type At<$x> = DatasetBase<ArrayView2<$x, $float>, ArrayView<$x, E::At<$x>, D>>;
        }
    )*};
}

known_datasets!('x: f32, 'x: f64);

// SAFETY: a shared reference is covariant, in its own lifetime and in what it refers to.
unsafe impl<K: Known> Known for &'static K {
    type At<'x> = &'x K::At<'x>;
}

// SAFETY: a result holds its value as plain data.
#[cfg(feature = "tsne")]
unsafe impl<F: Known> Known for Result<Array2<F>, linfa_tsne::TSneError> {
    type At<'x> = Result<Array2<F::At<'x>>, linfa_tsne::TSneError>;
}
#[cfg(feature = "clustering")]
known!(
    linfa_clustering::IncrKMeansError<linfa_clustering::KMeans<f32, linfa_nn::distance::L2Dist>>,
    linfa_clustering::IncrKMeansError<linfa_clustering::KMeans<f64, linfa_nn::distance::L2Dist>>,
);
#[cfg(feature = "ftrl")]
known!(linfa_ftrl::Ftrl<f32>, linfa_ftrl::Ftrl<f64>);

// SAFETY: an option holds its value as plain data.
unsafe impl<K: Known> Known for Option<K> {
    type At<'x> = Option<K::At<'x>>;
}

/// Types over a float alone.
macro_rules! known_over_floats {
    ($($float:ty),*) => {$(
        known!(
            linfa_linear::FittedLinearRegression<$float>,
            linfa_linear::FittedIsotonicRegression<$float>,
            linfa_linear::TweedieRegressor<$float>,
            linfa_linear::TweedieRegressorParams<$float>,
            linfa_linear::TweedieRegressorValidParams<$float>,
            linfa_elasticnet::ElasticNet<$float>,
            linfa_elasticnet::ElasticNetParams<$float>,
            linfa_elasticnet::ElasticNetValidParams<$float>,
            linfa_elasticnet::MultiTaskElasticNet<$float>,
            linfa_elasticnet::MultiTaskElasticNetParams<$float>,
            linfa_elasticnet::MultiTaskElasticNetValidParams<$float>,
            linfa_logistic::LogisticRegression<$float>,
            linfa_logistic::ValidLogisticRegression<$float>,
            linfa_logistic::MultiLogisticRegression<$float>,
            linfa_logistic::ValidMultiLogisticRegression<$float>,
            linfa_svm::Svm<$float, bool>,
            linfa_svm::Svm<$float, Pr>,
            linfa_svm::Svm<$float, $float>,
            linfa_svm::SvmParams<$float, bool>,
            linfa_svm::SvmParams<$float, Pr>,
            linfa_svm::SvmParams<$float, $float>,
            linfa_svm::SvmValidParams<$float, bool>,
            linfa_svm::SvmValidParams<$float, Pr>,
            linfa_svm::SvmValidParams<$float, $float>,
            linfa_clustering::KMeans<$float, linfa_nn::distance::L2Dist>,
            linfa_clustering::GaussianMixtureModel<$float>,
        );
        known_over_floats!(@rng $float: SmallRng, StdRng, ThreadRng, Xoshiro256Plus);
    )*};
    (@rng $float:ty: $($rng:ty),*) => {
        known!($(
            linfa_clustering::KMeansParams<$float, $rng, linfa_nn::distance::L2Dist>,
            linfa_clustering::KMeansValidParams<$float, $rng, linfa_nn::distance::L2Dist>,
            linfa_clustering::GmmParams<$float, $rng>,
            linfa_clustering::GmmValidParams<$float, $rng>,
        )*);
    };
}

known_over_floats!(f32, f64);
known!(linfa_linear::LinearRegression, linfa_linear::IsotonicRegression);

#[cfg(test)]
mod tests {
    use ndarray::{Array1, ArrayView1};

    use super::*;

    #[test]
    fn a_value_is_only_what_it_is() {
        let text = "label".to_owned();
        let labels: Array1<&str> = Array1::from(vec![text.as_str()]);
        assert_eq!(cast::<Array1<&'static str>, _>(&labels).unwrap()[0], "label");
        assert!(cast::<Array1<String>, _>(&labels).is_none());
        assert!(cast::<ArrayView1<'static, &'static str>, _>(&labels).is_none());
        let view = labels.view();
        assert_eq!(cast::<ArrayView1<'static, &'static str>, _>(&view).unwrap()[0], "label");
        assert!(cast::<f32, _>(&1.0_f64).is_none());
    }
}
