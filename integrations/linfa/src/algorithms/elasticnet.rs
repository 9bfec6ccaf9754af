//! linfa-elasticnet: linear regression with a penalty.

use linfa_elasticnet::{
    ElasticNet, ElasticNetParams, ElasticNetValidParams, MultiTaskElasticNet, MultiTaskElasticNetParams,
    MultiTaskElasticNetValidParams,
};

use crate::forms::Own;
use crate::params::by_debug;

algorithms! {
    "ElasticNet" fits {
        params by_debug: ElasticNetParams<F>, ElasticNetValidParams<F>;
        model regressor, saved Own: ElasticNet<F>;
    }
    "MultiTaskElasticNet" fits {
        params by_debug: MultiTaskElasticNetParams<F>, MultiTaskElasticNetValidParams<F>;
        model multi_regressor, saved Own: MultiTaskElasticNet<F>;
    }
}
