//! linfa-ftrl: follow the regularized leader, a classifier that learns in portions. Its checked settings have no public name.

use linfa_ftrl::{Ftrl, FtrlParams};

use crate::forms::Own;
use crate::params::by_debug;

algorithms! {
    "Ftrl" fits {
        params by_debug: FtrlParams<F, R>;
        model probable, saved Own: Ftrl<F>;
    }
}
