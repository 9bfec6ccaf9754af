//! linfa-ica: independent components.

use linfa::Float;
use linfa::traits::PredictInplace;
use linfa_ica::fast_ica::FastIca;
use linfa_ica::hyperparams::{FastIcaParams, FastIcaValidParams};
use ndarray::Array2;

use crate::forms::Own;
use crate::params::by_debug;

algorithms! {
    "FastIca" fits {
        params by_debug: FastIcaParams<F>, FastIcaValidParams<F>;
        model (transformer components), saved Own: FastIca<F>;
    }
}

fn components<F: Float>(model: &FastIca<F>, features: usize) -> usize {
    model.default_target(&Array2::zeros((0, features))).ncols()
}
