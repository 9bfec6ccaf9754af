//! The probe on a library that does what a script says.
//!
//! Invariant: time moves only when a test says so, in the library and in the probe by as much.

mod activity;
mod anything;
mod devices;
mod failing;
mod loading;
mod losing;
mod readings;
mod sleeping;
mod totals;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use fake_nvml::FakeNvml;
use runlog_core::autolog::{Gpus, Tier};
use runlog_core::config::Config;
use tempfile::TempDir;

use super::DRIVER;
use crate::probe::testing::{Bench, empty};
use crate::probe::{Machine, ProbeError};

/// What was read, by name.
type Values = BTreeMap<String, f64>;

/// A machine with a driver of its own.
struct Rig {
    fake: FakeNvml,
    machine: Machine,
    _dir: TempDir,
}

/// A rig, and the probe opened on it.
struct Running {
    rig: Rig,
    bench: Bench,
    /// What samples said of GPUs that are lost.
    losses: Vec<String>,
}

impl Rig {
    fn new(script: &str) -> Self {
        Self::without(&[], script)
    }

    /// With a library that lacks these functions.
    fn without(functions: &[&str], script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fake = FakeNvml::without(functions, &format!("clock manual\n{script}")).unwrap();
        let machine = Machine { nvml: Some(fake.path().to_owned()), ..empty(dir.path()) };
        Self { fake, machine, _dir: dir }
    }

    /// Only what these variables leave visible.
    fn visible(mut self, variables: &[(&str, &str)]) -> Self {
        let owned: HashMap<_, _> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.machine.config = Config::from_map(&owned).unwrap();
        self.machine.gpus = Gpus::Visible;
        self
    }

    fn absence(&self) -> String {
        match Bench::open(&DRIVER, &self.machine) {
            Err(ProbeError::Absent(reason)) => reason.into_owned(),
            Err(other) => panic!("not absent but failed: {other}"),
            Ok(_) => panic!("it was opened"),
        }
    }

    fn open(self) -> Running {
        self.open_in(Tier::Full)
    }

    fn open_in(self, tier: Tier) -> Running {
        let bench = Bench::open_in(tier, &DRIVER, &self.machine).unwrap();
        Running { rig: self, bench, losses: Vec::new() }
    }
}

impl Running {
    /// Opens the highest tier on this script, and takes the first sample.
    fn of(script: &str) -> Self {
        let mut running = Rig::new(script).open();
        running.first();
        running
    }

    fn fake(&self) -> &FakeNvml {
        &self.rig.fake
    }

    /// A sample with nothing before it that it could be compared with.
    fn first(&mut self) -> Values {
        self.read_after(None)
    }

    /// A sample, also one that says of a GPU that it is lost.
    fn read_after(&mut self, since_last: Option<Duration>) -> Values {
        match self.bench.read_after(since_last) {
            Ok(values) => values,
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains(" is lost: "), "{error}");
                self.losses.push(error);
                self.bench.values()
            }
        }
    }

    /// A sample so much later.
    fn after(&mut self, millis: u64) -> Values {
        self.fake().advance(millis);
        self.read_after(Some(Duration::from_millis(millis)))
    }

    fn fact(&self, name: &str) -> Option<String> {
        self.bench.facts().remove(name)
    }
}

/// The reading `name`, which must be there.
#[track_caller]
fn value(values: &Values, name: &str) -> f64 {
    *values.get(name).unwrap_or_else(|| panic!("{name} is not among {values:?}"))
}

#[track_caller]
fn assert_close(values: &Values, name: &str, expected: f64) {
    let value = value(values, name);
    assert!((value - expected).abs() <= expected.abs() * 1e-9 + 1e-9, "{name}: {value}, not {expected}");
}
