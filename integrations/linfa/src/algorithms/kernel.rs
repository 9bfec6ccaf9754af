//! linfa-kernel: how alike the samples are, pair by pair.

use linfa_kernel::{Kernel, KernelParams};

use crate::params::by_debug;

algorithms! {
    "Kernel" prepares {
        params by_debug: KernelParams<F, N>;
        model outcome, unsaved "one number for each pair of samples: it is data, and grows with their square": Kernel<F>;
    }
}
