//! linfa-tsne: an embedding to look at; what it makes is the data itself, not a model.

use linfa::DatasetBase;
use linfa_tsne::{TSneError, TSneParams, TSneValidParams};
use ndarray::{Array1, Array2};

use crate::params::by_debug;

type Embedded<F> = Result<Array2<F>, TSneError>;
type Labelled<F, L> = Result<DatasetBase<Array2<F>, Array1<L>>, TSneError>;
type Unlabelled<F> = Labelled<F, ()>;
type Valued<F> = Labelled<F, F>;

algorithms! {
    "TSne" transforms {
        params by_debug: TSneParams<F, R>, TSneValidParams<F, R>;
        gives Embedded<F>, Unlabelled<F>, Valued<F>, Labelled<F, I>;
    }
}
