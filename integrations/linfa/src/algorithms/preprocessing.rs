//! linfa-preprocessing: scaling and whitening. Texts are counted by methods of their own, which no trait sees.

use linfa::Float;
use linfa_preprocessing::linear_scaling::{LinearScaler, LinearScalerParams};
use linfa_preprocessing::norm_scaling::NormScaler;
use linfa_preprocessing::whitening::{FittedWhitener, Whitener};

use crate::forms::Own;
use crate::params::by_serialize;

algorithms! {
    "LinearScaler" fits {
        params by_serialize: LinearScalerParams<F>;
        model (transformer same), saved Own: LinearScaler<F>;
    }
    "Whitener" fits {
        params by_serialize: Whitener<>;
        model (transformer whitened), saved Own: FittedWhitener<F>;
    }
    "NormScaler" prepares {
        params by_serialize: NormScaler<>;
    }
}

fn same<F: Float>(_: &LinearScaler<F>, features: usize) -> usize {
    features
}

fn whitened<F: Float>(model: &FittedWhitener<F>, _features: usize) -> usize {
    model.transformation_matrix().nrows()
}
