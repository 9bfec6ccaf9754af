//! The algorithms that are known, one file for each crate of linfa: to add one, name its types there.
//!
//! Invariant: a type that stands here is recorded whole; every other one by its name, its data and its time.

/// The table of one crate: for each algorithm its settings and how they are read, its models, their kind and form.
///
/// ```text
/// "DecisionTree" fits {
///     params by_serialize: DecisionTreeParams<F, L>, DecisionTreeValidParams<F, L>;
///     model classifier, saved Own: DecisionTree<F, L>;
/// }
/// ```
/// - It `fits`, or `transforms`, which is a run as well, or `prepares` data for others, which is none.
/// - Letters stand for the types of [`instances`].
/// - `by_serialize`, `by_debug`, `name_only`, or a function of the file.
/// - The kinds are those of [`kind`].
/// - `saved Form` is written and loaded again, `written Form` loads as another type, `unsaved "…"` says why not.
/// - `gives` names the `Result`s of transforming, whose error ends the run.
macro_rules! algorithms {
    ($($algorithm:literal $does:ident {
        $(params $read:ident: $($params:ident<$($of_params:ident),*>),+;)*
        $(model $kind:tt, $how:ident $form:tt: $($model:ident<$($of_model:ident),*>),+;)*
        $(gives $($result:ident<$($of_result:ident),*>),+;)?
    })*) => {
        $($($(instances!({known_instance} 'x $params<$($of_params),*>);)+)*)*
        $($($(
            instances!({known_instance} 'x $model<$($of_model),*>);
            instances!({loadable, $how, $form} 'x $model<$($of_model),*>);
        )+)*)*

        $($($(instances!({known_instance} 'x $result<$($of_result),*>);)+)?)*

        pub(super) fn transforms<P>() -> Option<()> {
            $($($(instances!({transforms, P, $does} 'x $params<$($of_params),*>);)+)*)*
            None
        }

        pub(super) fn open<T>(output: &T) -> Option<$crate::transform::Made<'_>> {
            $($($(instances!({open, T, output} 'x $result<$($of_result),*>);)+)?)*
            let _ = output;
            None
        }

        pub(super) fn settings<P>(params: &P) -> Option<$crate::algorithms::Settings> {
            $($($(instances!({read, P, params, $algorithm, $read} 'x $params<$($of_params),*>);)+)*)*
            None
        }

        pub(super) fn model<'x, M>(model: &'x M) -> Option<Box<dyn $crate::kinds::Model<'x> + 'x>> {
            $($($(instances!({wrap, M, model, $algorithm, $kind, $how, $form} 'x $model<$($of_model),*>);)+)*)*
            let _ = model;
            None
        }
    };
}

/// Returns if a `$P` transforms.
macro_rules! transforms {
    ($P:ident transforms $x:lifetime $long:ty => $short:ty, $types:tt) => {
        if typeid::of::<$P>() == typeid::of::<$long>() {
            return Some(());
        }
    };
    ($P:ident $_does:ident $x:lifetime $long:ty => $short:ty, $types:tt) => {};
}

/// Returns what is in `$output` if it is this `Result`.
macro_rules! open {
    ($T:ident $output:ident $x:lifetime $long:ty => $short:ty, $types:tt) => {
        if let Some(output) = $crate::cast::cast::<$long, $T>($output) {
            return Some(match output {
                Ok(made) => $crate::transform::Made::of(made),
                Err(error) => $crate::transform::Made::Nothing(error),
            });
        }
    };
}

/// Returns the settings if `$params` is of this type.
macro_rules! read {
    ($P:ident $params:ident $algorithm:literal $read:ident $x:lifetime $long:ty => $short:ty, $types:tt) => {
        if let Some(params) = $crate::cast::cast::<$long, $P>($params) {
            return Some($crate::algorithms::Settings { algorithm: $algorithm, pairs: $read(params) });
        }
    };
}

/// Returns the model if `$model` is of this type.
macro_rules! wrap {
    ($M:ident $model:ident $algorithm:literal $kind:tt $how:ident $form:tt
        $x:lifetime $long:ty => $short:ty, $types:tt) => {
        if let Some(model) = $crate::cast::cast::<$long, $M>($model) {
            return Some(Box::new($crate::kinds::Known::<$short, _> {
                name: $algorithm,
                model,
                form: form!($how $form),
                kind: kind!($kind $types),
            }));
        }
    };
}

macro_rules! form {
    (unsaved $why:literal) => {
        $crate::forms::Form::Unsaved($why)
    };
    ($_how:ident $form:ident) => {
        $crate::forms::Form::of::<$form>()
    };
}

/// A type that is read as it was saved; one over borrowed labels never is.
macro_rules! loadable {
    (saved $form:ident $x:lifetime $long:ty => $short:ty, $types:tt) => {
        impl $crate::load::LoadModel for $long {
            fn from_msgpack(bytes: &[u8]) -> runlog_core::Result<Self> {
                <$form as $crate::forms::Read<Self>>::read(bytes)
            }
        }
    };
    ($_how:ident $_form:tt $x:lifetime $long:ty => $short:ty, $types:tt) => {};
}

/// The kind by its name, for the types of the letters.
macro_rules! kind {
    // One number, or several, for each sample.
    (regressor [$float:ty]) => {
        $crate::kinds::Regressor($crate::kinds::predict_column::<$float, _>)
    };
    (multi_regressor [$float:ty]) => {
        $crate::kinds::Regressor($crate::kinds::predict::<$float, ndarray::Array2<$float>, _>)
    };
    (classifier [$float:ty, $label:ty]) => {
        $crate::kinds::Classifier($crate::kinds::predict::<$float, ndarray::Array1<$label>, _>)
    };
    // Records must be owned.
    (ensemble [$float:ty, $label:ty]) => {
        $crate::kinds::Classifier($crate::kinds::predict_owned::<$float, ndarray::Array1<$label>, _>)
    };
    // Of `bool`, as such or as a probability.
    (decider [$float:ty]) => {
        $crate::kinds::Classifier($crate::kinds::predict::<$float, ndarray::Array1<bool>, _>)
    };
    (probable [$float:ty]) => {
        $crate::kinds::Classifier($crate::kinds::predict_probable::<$float, _>)
    };
    (clusterer [$float:ty $(, $_distance:ty)?]) => {
        $crate::kinds::Clusterer {
            predict: $crate::kinds::predict::<$float, ndarray::Array1<usize>, _>,
            centroids: None,
        }
    };
    ((around $centroids:ident) [$float:ty]) => {
        $crate::kinds::Clusterer {
            predict: $crate::kinds::predict::<$float, ndarray::Array1<usize>, _>,
            centroids: Some($centroids),
        }
    };
    // Matrix to matrix; the function says how many columns come out.
    ((transformer $columns:ident) [$float:ty]) => {
        $crate::kinds::Transformer { columns: $columns, element: std::marker::PhantomData::<$float> }
    };
    ((transformer $columns:ident) []) => {
        kind!((transformer $columns) [f64])
    };
    (outcome [$_float:ty]) => {
        $crate::kinds::Outcome
    };
}

#[cfg(feature = "bayes")]
mod bayes;
#[cfg(feature = "clustering")]
mod clustering;
#[cfg(feature = "elasticnet")]
mod elasticnet;
#[cfg(feature = "ensemble")]
mod ensemble;
#[cfg(feature = "ftrl")]
mod ftrl;
#[cfg(feature = "hierarchical")]
mod hierarchical;
#[cfg(feature = "ica")]
mod ica;
#[cfg(feature = "kernel")]
mod kernel;
#[cfg(feature = "lars")]
mod lars;
#[cfg(feature = "linear")]
mod linear;
#[cfg(feature = "logistic")]
mod logistic;
#[cfg(feature = "pls")]
mod pls;
#[cfg(feature = "preprocessing")]
mod preprocessing;
#[cfg(feature = "reduction")]
mod reduction;
#[cfg(feature = "svm")]
mod svm;
#[cfg(feature = "trees")]
mod trees;
#[cfg(feature = "tsne")]
mod tsne;

use runlog_core::Result;

use crate::kinds::Model;
use crate::params::Pairs;
use crate::transform::Made;

/// What is read of an estimator.
pub(crate) struct Settings {
    /// The algorithm's name, such as `DecisionTree`.
    pub(crate) algorithm: &'static str,
    pub(crate) pairs: Result<Pairs>,
}

/// Tries a function of each crate that is built in, in turn.
macro_rules! first_of {
    (@ $call:tt $($feature:literal $module:ident),*) => {
        $(first_of!(@in $feature $module $call);)*
    };
    (@in $feature:literal $module:ident [$($call:tt)*]) => {
        #[cfg(feature = $feature)]
        if let Some(found) = $module::$($call)* {
            return Some(found);
        }
    };
    ($($call:tt)*) => {{
        first_of!(@ [$($call)*]
            "bayes" bayes, "clustering" clustering, "elasticnet" elasticnet, "ensemble" ensemble, "ftrl" ftrl,
            "hierarchical" hierarchical, "ica" ica, "kernel" kernel, "lars" lars, "linear" linear,
            "logistic" logistic, "pls" pls, "preprocessing" preprocessing, "reduction" reduction, "svm" svm,
            "trees" trees, "tsne" tsne);
        None
    }};
}

/// The settings of an estimator of a known type.
pub(crate) fn settings<P>(params: &P) -> Option<Settings> {
    let _ = params;
    first_of!(settings(params))
}

/// `model` as a known one.
pub(crate) fn recognise<'x, M>(model: &'x M) -> Option<Box<dyn Model<'x> + 'x>> {
    let _ = model;
    first_of!(model(model))
}

/// Whether to transform with a `P` is to run an algorithm: scalers, projections and kernels are steps on the way, done
/// again for each batch, and a run for each would drown the others.
pub(crate) fn transforms<P>() -> bool {
    fn found<P>() -> Option<()> {
        first_of!(transforms::<P>())
    }
    found::<P>().is_some()
}

/// What is in the `Result` of a transformation; `None` for another type.
pub(crate) fn open<T>(output: &T) -> Option<Made<'_>> {
    let _ = output;
    first_of!(open(output))
}
