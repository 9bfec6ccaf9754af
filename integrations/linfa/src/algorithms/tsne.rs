//! linfa-tsne: an embedding to look at; what it makes is the data itself, not a model.

use linfa_tsne::{TSneParams, TSneValidParams};

use crate::params::by_debug;

algorithms! {
    "TSne" {
        params by_debug: TSneParams<F, R>, TSneValidParams<F, R>;
    }
}
