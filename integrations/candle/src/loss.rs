//! candle's loss functions, seen: the same names, the same arguments, the same results.
//!
//! What they are given tells autologging the name of the loss, the size of the batch and the shape of the model's
//! output; what they return is the loss of a step whose gradients are taken by `loss.backward()`. With autologging off
//! each one only calls candle's.

use candle_core::{Result, Tensor};
#[expect(
    unused_imports,
    unreachable_pub,
    reason = "all are seen; what a release of candle adds goes through until it is, too"
)]
#[doc(no_inline)]
pub use candle_nn::loss::*;

use crate::{INTEGRATION, noted};

macro_rules! seen {
    ($($name:ident($($more:ident: $type:ty)?);)*) => {$(
        #[doc = concat!("[`candle_nn::loss::", stringify!($name), "`], seen by autologging.")]
        ///
        /// # Errors
        /// Those of candle, untouched.
        #[inline]
        pub fn $name(inp: &Tensor, target: &Tensor $(, $more: $type)?) -> Result<Tensor> {
            let loss = candle_nn::loss::$name(inp, target $(, $more)?);
            if INTEGRATION.is_on() {
                noted::note(stringify!($name), inp, &loss);
            }
            loss
        }
    )*};
}

seen! {
    nll();
    cross_entropy();
    mse();
    binary_cross_entropy_with_logit();
    huber(delta: f64);
}
