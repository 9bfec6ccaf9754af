//! linfa-logistic: logistic regression over two classes and over many.

use linfa_logistic::{
    FittedLogisticRegression, LogisticRegression, MultiFittedLogisticRegression, MultiLogisticRegression,
    ValidLogisticRegression, ValidMultiLogisticRegression,
};

use crate::forms::Own;
use crate::params::by_serialize;

algorithms! {
    "LogisticRegression" fits {
        params by_serialize: LogisticRegression<F>, ValidLogisticRegression<F>;
        model classifier, saved Own: FittedLogisticRegression<F, C>;
    }
    "MultiLogisticRegression" fits {
        params by_serialize: MultiLogisticRegression<F>, ValidMultiLogisticRegression<F>;
        model classifier, saved Own: MultiFittedLogisticRegression<F, C>;
    }
}
