//! linfa-pls: partial least squares.

use linfa::Float;
use linfa_pls::{
    PlsCanonical, PlsCanonicalParams, PlsCanonicalValidParams, PlsCca, PlsCcaParams, PlsCcaValidParams,
    PlsRegression, PlsRegressionParams, PlsRegressionValidParams, PlsSvd, PlsSvdParams,
};

use crate::forms::Own;
use crate::params::{by_serialize, name_only};

algorithms! {
    "PlsRegression" fits {
        params name_only: PlsRegressionParams<F>, PlsRegressionValidParams<F>;
        model multi_regressor, saved Own: PlsRegression<F>;
    }
    "PlsCanonical" fits {
        params name_only: PlsCanonicalParams<F>, PlsCanonicalValidParams<F>;
        model multi_regressor, saved Own: PlsCanonical<F>;
    }
    "PlsCca" fits {
        params name_only: PlsCcaParams<F>, PlsCcaValidParams<F>;
        model multi_regressor, saved Own: PlsCca<F>;
    }
    "PlsSvd" fits {
        params by_serialize: PlsSvdParams<>;
        model (transformer components), unsaved "linfa-pls gives the means and deviations in it to nobody": PlsSvd<F>;
    }
}

fn components<F: Float>(model: &PlsSvd<F>, _features: usize) -> usize {
    model.weights().0.ncols()
}
