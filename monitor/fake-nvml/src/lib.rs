//! A `libnvidia-ml` that does what a script says, so that everything said of GPUs is tested without one.
//!
//! Cargo builds it as a library of C functions next to the tests that name it as a dev-dependency; [`FakeNvml`] finds
//! it there. Invariant: every exported function has the type that `nvml-wrapper-sys` generated from NVIDIA's header, or
//! nothing compiles.
//!
//! # Who reads which script
//!
//! - Within a process: [`FakeNvml::new`], each with a copy of the library and so with its own state.
//! - In another process, any program: `LD_LIBRARY_PATH` is [`FakeNvml::dir`] and `FAKE_NVML_SCRIPT` the path of a script
//!   ([`FakeNvml::environment`]). Without a script there is no driver.
//!
//! # The script
//!
//! One statement a line; `#` begins a comment; words with blanks stand in `"…"`. A GPU is named by its index, an
//! instance of it (MIG) as `0.1`, every GPU so far as `*`.
//!
//! ```text
//! clock manual                              # time moves by `advance` only; else it is the real one
//! driver 570.86.15                          # from 580.82 on, fields 251 to 273 have their new numbers
//! cuda 12.8
//! init DRIVER_NOT_LOADED                    # what nvmlInit says
//!
//! device 0 h100 name="NVIDIA H100" uuid=GPU-1 pci=0000:01:00.0 serial=1 minor=0 arch=9 brand=14 cores=16896 cc=9.0 numa=0
//! device 1                                  # bare: what is not set is not supported
//! mig 0.0 gi=1 ci=0 uuid=MIG-1 name="NVIDIA H100 MIG 1g.10gb"
//!
//! set 0 power.usage 300_000                 # in NVML's units: milliwatts, bytes, millijoules, nanoseconds, percent
//!                                           # a counter that is set grows no more
//! unset 0 fan.0                             # not supported
//! step 0 utilization.gpu 0=90 9000=0        # values from that millisecond on
//! cycle 0 utilization.gpu 10000 0=90 9000=0 # the same, over again every 10 s
//! rate 0 energy 300_000                     # grows by so much a second; also `0=300_000 5000=0`
//!
//! process 0 self memory=1e9 sm=40           # `self` or a pid; from_ms= to_ms= kind=graphics memory_busy= encoder= decoder=
//! xid 0 79 at_ms=5000                       # an event
//!
//! lost 0 from_ms=2000 to_ms=9000            # every call on it, and opening it, says GPU_IS_LOST
//! fault 0 nvmlDeviceGetPowerUsage UNKNOWN   # also from_ms= to_ms= from_call= to_call=; `*` for every GPU, every call
//! fault 0 nvmlDeviceGetFieldValues/82 NO_DATA   # one field; nvmlGpmMetricsGet/2 and nvmlDeviceGetSamples/1 likewise
//! fault * nvmlDeviceGetCount_v2 25          # a code by its number
//! slow * nvmlDeviceGetUtilizationRates 3000 # takes so many ms; with a manual clock, time moves on by as much
//! hang 0 nvmlDeviceGetMemoryInfo_v2         # until `release`
//! ```
//!
//! A fault with `*` for the call meets every call on a handle, but not the search for one. `from_call=2 to_call=3` means
//! the second and third call that the statement would meet.
//!
//! What can be set: see [`key_names`]. `memory.used` is without `memory.reserved`, as in the second version of
//! the call; the first version answers with their sum.
//!
//! # What it is faithful in
//!
//! Checks of structures' versions; counting before filling (`INSUFFICIENT_SIZE`); a ring of 120 samples, one each 167 ms
//! of its clock, `NOT_FOUND` when nothing is newer; means between two GPM samples, `INVALID_ARGUMENT` when they are less
//! than 100 ms apart; `scopeId` of fields of `NVLink`, 4294967295 for all links; with MIG on, a GPU that knows neither its
//! utilization nor that of its processes. Not so: `PCIe` throughput answers at once where the driver blocks 20 ms, unless
//! a `slow` says otherwise.

#![expect(unsafe_code, reason = "a library of C functions; the pointers are taken in ffi.rs")]

mod clock;
mod codes;
mod control;
mod device;
mod exports;
mod ffi;
mod key;
mod library;
mod presets;
mod rules;
mod script;
mod series;
mod state;
mod words;

pub use key::key_names;
pub use library::FakeNvml;
