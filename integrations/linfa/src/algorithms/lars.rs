//! linfa-lars: least-angle regression.

use linfa::{Float, ParamGuard};
use linfa_lars::{Lars, LarsParams, LarsValidParams};
use linfa_linear::FittedLinearRegression;
use ndarray::Array1;
use runlog_core::Result;
use runlog_core::flatten::flatten;
use serde::Serialize;

use crate::forms::{Write, class_of, to_msgpack};
use crate::params::Pairs;

algorithms! {
    "Lars" fits {
        params unchecked: LarsParams<F>;
        params checked: LarsValidParams<F>;
        model regressor, written Linear: Lars<F>;
    }
}

fn unchecked<F: Float + Serialize>(params: &LarsParams<F>) -> Result<Pairs> {
    // Settings that linfa refuses are told by nobody.
    params.check_ref().map_or_else(|_| Ok(Pairs::new()), checked)
}

fn checked<F: Float + Serialize>(params: &LarsValidParams<F>) -> Result<Pairs> {
    #[derive(Serialize)]
    struct Fields<F> {
        fit_intercept: bool,
        n_nonzero_coefs: usize,
        eps: F,
        verbose: bool,
    }
    flatten(&Fields {
        fit_intercept: params.fit_intercept(),
        n_nonzero_coefs: params.n_nonzero_coefs(),
        eps: params.eps(),
        verbose: params.verbose(),
    })
}

/// As the `FittedLinearRegression` that it is once it is fitted: `Lars` can be read, and not be made.
struct Linear;

impl<F: Float + Serialize> Write<Lars<F>> for Linear {
    fn write(model: &Lars<F>) -> Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Fields<'m, F> {
            intercept: F,
            params: &'m Array1<F>,
        }
        to_msgpack(&Fields { intercept: model.intercept(), params: model.hyperplane() })
    }

    fn loads_as() -> String {
        class_of::<FittedLinearRegression<F>>()
    }
}
