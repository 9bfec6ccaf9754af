//! NVML's functions, by topic.
//!
//! Invariant: each has the type of its field in `NvmlLib`, which bindgen made from NVIDIA's header: `exports!` writes
//! an assignment for each, and an assignment of another type does not compile.

mod clocks;
mod energy;
mod errors;
mod events;
mod fields;
mod gpm;
mod identity;
mod instances;
mod memory;
mod pcie;
mod processes;
mod samples;
mod system;

/// Defines exported functions. `device` stands before those whose first argument is a device's handle, `system` before
/// the others, `always` before those that need no initialization. The body sees the [`Call`](crate::state::Call) that
/// was let in under the name given, and the other arguments as what [`Argument`](crate::ffi::Argument) makes of them.
macro_rules! exports {
    ($($kind:ident fn $symbol:ident($($call:ident)+ $(, $argument:ident: $type:ty)*) $body:block)+) => {
        $($crate::exports::exports!(@ $kind $symbol [$($call)+] [$($argument: $type),*] $body);)+

        /// Proves that every function here is what the header declares.
        fn prove(library: &mut nvml_wrapper_sys::bindings::NvmlLib) {
            $(library.$symbol = Ok($symbol);)+
        }

        const _: fn(&mut nvml_wrapper_sys::bindings::NvmlLib) = prove;
    };
    (@ device $symbol:ident [$($call:ident)+] [$($argument:ident: $type:ty),*] $body:block) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $symbol(
            device: nvml_wrapper_sys::bindings::nvmlDevice_t $(, $argument: $type)*
        ) -> nvml_wrapper_sys::bindings::nvmlReturn_t {
            // SAFETY: arguments of this call, used until it returns.
            $(let $argument = unsafe { $crate::ffi::Argument::take($argument) };)*
            let body = || {
                let $($call)+ = $crate::state::Call::on_handle(stringify!($symbol), device.addr())?;
                $body
            };
            $crate::state::code(body())
        }
    };
    (@ system $symbol:ident [$($call:ident)+] [$($argument:ident: $type:ty),*] $body:block) => {
        $crate::exports::exports!(@ enter $symbol [$($call)+] [$($argument: $type),*] $body);
    };
    (@ $entrance:ident $symbol:ident [$($call:ident)+] [$($argument:ident: $type:ty),*] $body:block) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $symbol($($argument: $type),*) -> nvml_wrapper_sys::bindings::nvmlReturn_t {
            // SAFETY: arguments of this call, used until it returns.
            $(let $argument = unsafe { $crate::ffi::Argument::take($argument) };)*
            let body = || {
                let $($call)+ = $crate::state::Call::$entrance(stringify!($symbol), None)?;
                $body
            };
            $crate::state::code(body())
        }
    };
}

use exports;

/// `NVML_STRUCT_VERSION` of the header: the size of the structure, and its version above.
const fn struct_version<T>(version: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "structures are far smaller")]
    let size = size_of::<T>() as u32;
    size | (version << 24)
}
