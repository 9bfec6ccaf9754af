//! linfa-svm: support vector machines, for flags, probabilities and numbers.

use linfa::dataset::Pr;
use linfa_svm::{Svm, SvmParams, SvmValidParams};

use crate::forms::Own;
use crate::params::by_debug;

type Flags<F> = Svm<F, bool>;
type FlagsParams<F> = SvmParams<F, bool>;
type FlagsValidParams<F> = SvmValidParams<F, bool>;
type Probabilities<F> = Svm<F, Pr>;
type ProbabilitiesParams<F> = SvmParams<F, Pr>;
type ProbabilitiesValidParams<F> = SvmValidParams<F, Pr>;
type Numbers<F> = Svm<F, F>;
type NumbersParams<F> = SvmParams<F, F>;
type NumbersValidParams<F> = SvmValidParams<F, F>;

algorithms! {
    "Svm" fits {
        params by_debug: FlagsParams<F>, FlagsValidParams<F>, ProbabilitiesParams<F>, ProbabilitiesValidParams<F>;
        params by_debug: NumbersParams<F>, NumbersValidParams<F>;
        model decider, saved Own: Flags<F>;
        model probable, saved Own: Probabilities<F>;
        model regressor, saved Own: Numbers<F>;
    }
}
