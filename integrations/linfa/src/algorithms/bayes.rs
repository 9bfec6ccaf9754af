//! linfa-bayes: naive Bayes.

use linfa_bayes::{
    BernoulliNb, BernoulliNbParams, BernoulliNbValidParams, GaussianNb, GaussianNbParams,
    GaussianNbValidParams, MultinomialNb, MultinomialNbParams, MultinomialNbValidParams,
};

use crate::forms::Own;
use crate::params::by_debug;

algorithms! {
    "GaussianNb" fits {
        params by_debug: GaussianNbParams<F, L>, GaussianNbValidParams<F, L>;
        model classifier, saved Own: GaussianNb<F, L>;
    }
    "MultinomialNb" fits {
        params by_debug: MultinomialNbParams<F, L>, MultinomialNbValidParams<F, L>;
        model classifier, saved Own: MultinomialNb<F, L>;
    }
    "BernoulliNb" fits {
        params by_debug: BernoulliNbParams<F, L>, BernoulliNbValidParams<F, L>;
        model classifier, unsaved "linfa-bayes gives its fields to nobody": BernoulliNb<F, L>;
    }
}
