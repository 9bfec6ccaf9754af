//! Recognising a value whose type is not known: the one place with `unsafe`.
//!
//! The blanket `Fit` has no bounds, so that every call which compiles with linfa compiles with us. What a type is
//! must therefore be found while running, and some types, such as views, borrow, which rules `Any` out. `typeid`
//! compares types up to their lifetimes; [`cast`] then lends the value for reading, for the lifetime of the borrow
//! alone, which is sound for every type that only holds data.

#![expect(unsafe_code, reason = "references are cast after their types were compared")]

use linfa::dataset::{CountedTargets, DatasetBase, Pr};
use ndarray::{ArcArray, Array, Array2, ArrayView, ArrayView2, Dimension};

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

/// Calls a macro for every instance of a generic type: `instances!({then, args} 'x Type<letters>)` expands to
/// `then! { args 'x long => short, [types] }` for each combination, where `long` names borrowed labels for `'static`,
/// `short` for `'x`, and `types` are those of the letters, with the short label.
///
/// | letter | its types |
/// |---|---|
/// | `F` | the floats |
/// | `L` | the labels of linfa |
/// | `K` | those that are `Copy`, `I` the one that counts |
/// | `C` | whatever logistic regression takes as a class |
/// | `R` | random number generators |
/// | `D` | distances; `O` those other than the Euclidean one |
/// | `N` | searches for the nearest neighbours |
///
/// An alias hides what does not vary, as in `type Stumps<F> = AdaBoost<DecisionTree<F, usize>, usize>`.
macro_rules! instances {
    ($then:tt $x:lifetime $name:ident<$($letter:ident),*>) => {
        instances!(@ $then $x $name [] [] $($letter)*);
    };
    (@ {$then:ident $(, $arg:tt)*} $x:lifetime $name:ident [$($long:ty,)*] [$($short:ty,)*]) => {
        $then! { $($arg)* $x $name<$($long),*> => $name<$($short),*>, [$($short),*] }
    };
    (@ $then:tt $x:lifetime $name:ident $long:tt $short:tt F $($rest:ident)*) => {
        instances!(@each $then $x $name $long $short [$($rest)*] f64 => f64, f32 => f32);
    };
    (@ $then:tt $x:lifetime $name:ident $long:tt $short:tt L $($rest:ident)*) => {
        instances!(@each $then $x $name $long $short [$($rest)*] String => String);
        instances!(@ $then $x $name $long $short K $($rest)*);
    };
    (@ $then:tt $x:lifetime $name:ident $long:tt $short:tt I $($rest:ident)*) => {
        instances!(@each $then $x $name $long $short [$($rest)*] usize => usize);
    };
    (@ $then:tt $x:lifetime $name:ident $long:tt $short:tt K $($rest:ident)*) => {
        instances!(@each $then $x $name $long $short [$($rest)*] usize => usize, bool => bool);
        instances!(@text $then $x $name $long $short [$($rest)*]);
    };
    (@ $then:tt $x:lifetime $name:ident $long:tt $short:tt C $($rest:ident)*) => {
        instances!(@each $then $x $name $long $short [$($rest)*] i32 => i32, i64 => i64, u8 => u8, u32 => u32);
        instances!(@ $then $x $name $long $short L $($rest)*);
    };
    (@ $then:tt $x:lifetime $name:ident $long:tt $short:tt R $($rest:ident)*) => {
        instances!(@each $then $x $name $long $short [$($rest)*]
            rand_xoshiro::Xoshiro256Plus => rand_xoshiro::Xoshiro256Plus,
            rand::rngs::SmallRng => rand::rngs::SmallRng,
            rand::rngs::StdRng => rand::rngs::StdRng,
            rand::rngs::ThreadRng => rand::rngs::ThreadRng);
    };
    (@ $then:tt $x:lifetime $name:ident [$float:ty, $($long:ty,)*] $short:tt D $($rest:ident)*) => {
        instances!(@each $then $x $name [$float, $($long,)*] $short [$($rest)*]
            linfa_nn::distance::L2Dist => linfa_nn::distance::L2Dist);
        instances!(@ $then $x $name [$float, $($long,)*] $short O $($rest)*);
    };
    (@ $then:tt $x:lifetime $name:ident [$float:ty, $($long:ty,)*] $short:tt O $($rest:ident)*) => {
        instances!(@each $then $x $name [$float, $($long,)*] $short [$($rest)*]
            linfa_nn::distance::L1Dist => linfa_nn::distance::L1Dist,
            linfa_nn::distance::LInfDist => linfa_nn::distance::LInfDist,
            linfa_nn::distance::LpDist<$float> => linfa_nn::distance::LpDist<$float>);
    };
    (@ $then:tt $x:lifetime $name:ident $long:tt $short:tt N $($rest:ident)*) => {
        instances!(@each $then $x $name $long $short [$($rest)*]
            linfa_nn::CommonNearestNeighbour => linfa_nn::CommonNearestNeighbour,
            linfa_nn::KdTree => linfa_nn::KdTree,
            linfa_nn::BallTree => linfa_nn::BallTree,
            linfa_nn::LinearSearch => linfa_nn::LinearSearch);
    };
    // What is loaded borrows from nothing.
    (@text {loadable $(, $arg:tt)*} $x:lifetime $name:ident $long:tt $short:tt $rest:tt) => {};
    (@text $then:tt $x:lifetime $name:ident $long:tt $short:tt $rest:tt) => {
        instances!(@each $then $x $name $long $short $rest &'static str => &$x str);
    };
    (@each $then:tt $x:lifetime $name:ident $long:tt $short:tt $rest:tt) => {};
    (@each $then:tt $x:lifetime $name:ident [$($long:ty,)*] [$($short:ty,)*] [$($rest:ident)*]
        $long_one:ty => $short_one:ty $(, $more_long:ty => $more_short:ty)*) => {
        instances!(@ $then $x $name [$($long,)* $long_one,] [$($short,)* $short_one,] $($rest)*);
        instances!(@each $then $x $name [$($long,)*] [$($short,)*] [$($rest)*] $($more_long => $more_short),*);
    };
}

/// Makes one instance of [`instances`] a [`Known`] type.
///
/// For types that are named by a path and parameters: what they borrow is their label, and nothing else.
macro_rules! known_instance {
    ($x:lifetime $long:ty => $short:ty, $types:tt) => {
        #[expect(unsafe_code, reason = "the contract of `Known` is kept as said below")]
        // SAFETY: the label's lifetime, if any, is replaced; `covariant` makes the compiler check the variance.
        unsafe impl $crate::cast::Known for $long {
            type At<$x> = $short;
        }
        const _: () = {
            fn covariant<'long: 'short, 'short>(
                value: &'short <$long as $crate::cast::Known>::At<'long>,
            ) -> &'short <$long as $crate::cast::Known>::At<'short> {
                value
            }
            let _ = covariant;
        };
    };
}

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

// SAFETY: an option holds its value as plain data.
unsafe impl<K: Known> Known for Option<K> {
    type At<'x> = Option<K::At<'x>>;
}

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
