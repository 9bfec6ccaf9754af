//! Asks the fake through `nvml-wrapper`, as programs do.
//!
//! Invariant: each test has a library of its own and, where time counts, a clock that only the test moves.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]
#![expect(unsafe_code, reason = "the calls that nvml-wrapper leaves out are asked for by their C types")]

mod failures;
mod instances;
mod over_time;
mod readings;
mod scripts;

use std::ops::Deref;

use fake_nvml::FakeNvml;
use nvml_wrapper::{Device, Nvml};

/// A library opened on a fake of its own.
struct Driver {
    /// Before the fake, so that it is shut down while the library is still there.
    nvml: Nvml,
    fake: FakeNvml,
}

impl Driver {
    fn new(script: &str) -> Self {
        let fake = FakeNvml::new(&format!("clock manual\n{script}")).unwrap();
        Self { nvml: open(&fake), fake }
    }

    fn device(&self) -> Device<'_> {
        self.nvml.device_by_index(0).unwrap()
    }
}

impl Deref for Driver {
    type Target = Nvml;

    fn deref(&self) -> &Nvml {
        &self.nvml
    }
}

fn open(fake: &FakeNvml) -> Nvml {
    Nvml::builder().lib_path(fake.path().as_os_str()).init().unwrap()
}

fn near(left: f64, right: f64) {
    assert!((left - right).abs() < 1e-6, "{left} is not {right}");
}
