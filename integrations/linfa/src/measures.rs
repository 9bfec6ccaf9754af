//! linfa's metrics under their own names: each call gives linfa's value, and where its prediction is one of a recorded
//! model, the value is logged to that model's run.

use std::panic::Location;

use linfa::Float;
use linfa::dataset::{AsMultiTargets, AsSingleTargets};
use linfa::error::Result;
use linfa::metrics::{ConfusionMatrix, ReceiverOperatingCharacteristic};
use ndarray::Array1;

use crate::INTEGRATION;
use crate::evaluate::{self, Call};

fn number<F: Float>(value: F) -> f64 {
    value.to_f64().unwrap_or(f64::NAN)
}

/// A trait of linfa whose methods compare with `compare_to`: the same methods, with scikit-learn's names for the log.
macro_rules! regression {
    (
        $(#[$doc:meta])* $name:ident($targets:ident) -> $value:ty, |$result:ident| $numbers:expr;
        $($(#[$method_doc:meta])* $method:ident as $metric:literal),* $(,)?
    ) => {
        $(#[$doc])*
        pub trait $name<F: Float, T: $targets<Elem = F>>: $targets<Elem = F> {$(
            $(#[$method_doc])*
            ///
            /// # Errors
            /// linfa's own.
            #[track_caller]
            fn $method(&self, compare_to: &T) -> Result<$value>;
        )*}

        impl<F: Float, T: $targets<Elem = F>, P: linfa::metrics::$name<F, T>> $name<F, T> for P {$(
            #[track_caller]
            fn $method(&self, compare_to: &T) -> Result<$value> {
                let result = linfa::metrics::$name::$method(self, compare_to);
                if INTEGRATION.is_on()
                    && let Ok($result) = &result
                {
                    let call = Call { metric: $metric, method: stringify!($method), caller: Location::caller() };
                    evaluate::measured(call, self, compare_to, &$numbers);
                }
                result
            }
        )*}
    };
}

regression! {
    /// linfa's `SingleTargetRegression`, recorded.
    SingleTargetRegression(AsSingleTargets) -> F, |value| [number(*value)];
    /// The largest error.
    max_error as "max_error",
    /// The mean of the errors' sizes.
    mean_absolute_error as "mean_absolute_error",
    /// The mean of the squared errors.
    mean_squared_error as "mean_squared_error",
    /// The mean squared error of the logarithms.
    mean_squared_log_error as "mean_squared_log_error",
    /// The median of the errors' sizes.
    median_absolute_error as "median_absolute_error",
    /// The mean of the errors' sizes in proportion to the value.
    mean_absolute_percentage_error as "mean_absolute_percentage_error",
    /// The share of the variance that is explained.
    r2 as "r2_score",
    /// As `r2`, with biased variance.
    explained_variance as "explained_variance_score",
}

regression! {
    /// linfa's `MultiTargetRegression`, recorded: a metric `…_0`, `…_1`, … for each target.
    MultiTargetRegression(AsMultiTargets) -> Array1<F>, |values| values.mapv(number).to_vec();
    /// The largest error of each target.
    max_error as "max_error",
    /// The mean of the errors' sizes of each target.
    mean_absolute_error as "mean_absolute_error",
    /// The mean of the squared errors of each target.
    mean_squared_error as "mean_squared_error",
    /// The mean squared error of the logarithms of each target.
    mean_squared_log_error as "mean_squared_log_error",
    /// The median of the errors' sizes of each target.
    median_absolute_error as "median_absolute_error",
    /// The mean of the errors' sizes of each target in proportion to the value.
    mean_absolute_percentage_error as "mean_absolute_percentage_error",
    /// The share of the variance of each target that is explained.
    r2 as "r2_score",
    /// As `r2`, with biased variance.
    explained_variance as "explained_variance_score",
}

/// linfa's `ToConfusionMatrix`, recorded: accuracy, and weighted precision, recall and F1 as scikit-learn defines them.
pub trait ToConfusionMatrix<A, T> {
    /// How often each label was taken for each other one.
    ///
    /// # Errors
    /// linfa's own.
    #[track_caller]
    fn confusion_matrix(&self, ground_truth: T) -> Result<ConfusionMatrix<A>>;
}

impl<A, T, P: linfa::metrics::ToConfusionMatrix<A, T>> ToConfusionMatrix<A, T> for P {
    #[track_caller]
    fn confusion_matrix(&self, ground_truth: T) -> Result<ConfusionMatrix<A>> {
        if INTEGRATION.is_on() {
            let call =
                Call { metric: "confusion_matrix", method: "confusion_matrix", caller: Location::caller() };
            evaluate::confused(call, self, &ground_truth);
        }
        linfa::metrics::ToConfusionMatrix::confusion_matrix(self, ground_truth)
    }
}

/// linfa's `BinaryClassification`, recorded.
pub trait BinaryClassification<T> {
    /// The receiver operating characteristic; the area under it is logged as `roc_auc_score`.
    ///
    /// # Errors
    /// linfa's own.
    #[track_caller]
    fn roc(&self, y: T) -> Result<ReceiverOperatingCharacteristic>;

    /// The mean of `-ln` of the true class's probability.
    ///
    /// # Errors
    /// linfa's own.
    #[track_caller]
    fn log_loss(&self, y: T) -> Result<f32>;
}

impl<T: Copy, P: linfa::metrics::BinaryClassification<T>> BinaryClassification<T> for P {
    #[track_caller]
    fn roc(&self, y: T) -> Result<ReceiverOperatingCharacteristic> {
        let result = linfa::metrics::BinaryClassification::roc(self, y);
        if INTEGRATION.is_on()
            && let Ok(curve) = &result
        {
            let call = Call { metric: "roc_auc_score", method: "roc", caller: Location::caller() };
            evaluate::area(call, self, &y, curve);
        }
        result
    }

    #[track_caller]
    fn log_loss(&self, y: T) -> Result<f32> {
        let result = linfa::metrics::BinaryClassification::log_loss(self, y);
        if INTEGRATION.is_on()
            && let Ok(value) = &result
        {
            let call = Call { metric: "log_loss", method: "log_loss", caller: Location::caller() };
            evaluate::measured(call, self, &y, &[f64::from(*value)]);
        }
        result
    }
}

/// linfa's `SilhouetteScore`, recorded.
pub trait SilhouetteScore<F> {
    /// The mean silhouette of a clustered dataset.
    ///
    /// # Errors
    /// linfa's own.
    #[track_caller]
    fn silhouette_score(&self) -> Result<F>;
}

impl<F: Float, P: linfa::metrics::SilhouetteScore<F>> SilhouetteScore<F> for P {
    #[track_caller]
    fn silhouette_score(&self) -> Result<F> {
        let result = linfa::metrics::SilhouetteScore::silhouette_score(self);
        if INTEGRATION.is_on()
            && let Ok(value) = &result
        {
            let call =
                Call { metric: "silhouette_score", method: "silhouette_score", caller: Location::caller() };
            evaluate::clustered(call, self, number(*value));
        }
        result
    }
}
