//! linfa-linear: least squares, isotonic and generalised linear regression.

use linfa_linear::{
    FittedIsotonicRegression, FittedLinearRegression, IsotonicRegression, LinearRegression, TweedieRegressor,
    TweedieRegressorParams, TweedieRegressorValidParams,
};

use crate::forms::Own;
use crate::params::{by_debug, by_serialize};

algorithms! {
    "LinearRegression" fits {
        params by_serialize: LinearRegression<>;
        model regressor, saved Own: FittedLinearRegression<F>;
    }
    "IsotonicRegression" fits {
        params by_serialize: IsotonicRegression<>;
        model regressor, saved Own: FittedIsotonicRegression<F>;
    }
    "TweedieRegressor" fits {
        params by_debug: TweedieRegressorParams<F>, TweedieRegressorValidParams<F>;
        model regressor, saved Own: TweedieRegressor<F>;
    }
}
