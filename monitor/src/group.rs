//! The probes that one thread reads, one after another.
//!
//! Invariants: a probe that panics ends alone, and one that fails is warned of once; a sample allocates nothing of its
//! own.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use runlog_core::autolog::Tier;
use runlog_core::notice;

use crate::TARGET;
use crate::probe::{Driver, Machine, Probe, ProbeError};
use crate::readings::Readings;
use crate::registry::{Kind, Registry};

/// Probes that are read together.
pub(crate) struct Group {
    probes: Vec<Armed>,
    /// By key.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) readings: Readings,
    last: Option<Duration>,
}

struct Armed {
    name: Cow<'static, str>,
    probe: Box<dyn Probe>,
    health: Health,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    /// It has failed at least once, which was said; it is asked again.
    Failing,
    /// It panicked and is not asked again: what it had half done cannot be known.
    Ended,
}

/// What a group's drivers have found.
#[derive(Debug)]
pub(crate) struct Found {
    /// What the probes registered.
    pub(crate) registry: Registry,
    /// Every driver's name, and why it has no probe if it has none.
    pub(crate) tried: Vec<(Cow<'static, str>, Option<String>)>,
}

impl Group {
    /// Opens every probe whose hardware is there.
    pub(crate) fn open(drivers: &[Driver], machine: &Machine, tier: Tier) -> (Self, Found) {
        let mut registry = Registry::new(tier);
        let (mut probes, mut tried) = (Vec::with_capacity(drivers.len()), Vec::with_capacity(drivers.len()));
        for driver in drivers {
            let name = driver.name.clone();
            let missing = match catch_unwind(AssertUnwindSafe(|| driver.open(machine, &mut registry))) {
                Ok(Ok(probe)) => {
                    probes.push(Armed { name: name.clone(), probe, health: Health::Well });
                    None
                }
                Ok(Err(ProbeError::Absent(reason))) => {
                    tracing::debug!(target: TARGET, probe = &*name, reason = &*reason, "not there, so without metrics");
                    Some(reason.into_owned())
                }
                Ok(Err(ProbeError::Failed(error))) => {
                    warn(&name, format_args!("cannot be read, so there are no metrics of it: {error}"));
                    Some(error.to_string())
                }
                Err(_panic) => {
                    warn(&name, format_args!("panicked while opening, so there are no metrics of it"));
                    Some("it panicked while opening".to_owned())
                }
            };
            tried.push((name, missing));
        }
        let kinds = registry.kinds();
        let readings = Readings::new(&registry);
        (Self { probes, kinds, readings, last: None }, Found { registry, tried })
    }

    /// Reads every probe at `now`, a time that only grows. After a `gap` nothing is averaged over the time before. What
    /// a probe hands over in the middle goes to `so_far`.
    pub(crate) fn sample(&mut self, now: Duration, gap: bool, so_far: &(dyn Fn(&Readings) + Sync)) {
        let since_last = self.last.replace(now).filter(|_| !gap).map(|last| now.saturating_sub(last));
        self.readings.begin(since_last);
        for Armed { name, probe, health } in &mut self.probes {
            if *health == Health::Ended {
                continue;
            }
            match catch_unwind(AssertUnwindSafe(|| probe.sample(&mut self.readings.shared_sink(so_far)))) {
                Ok(Ok(()) | Err(ProbeError::Absent(_))) => {}
                Ok(Err(ProbeError::Failed(error))) => {
                    if *health == Health::Well {
                        *health = Health::Failing;
                        warn(name, format_args!("failed, so its metrics have holes: {error}"));
                    }
                }
                Err(_panic) => {
                    *health = Health::Ended;
                    warn(name, format_args!("panicked, so its metrics end here"));
                }
            }
        }
    }

    /// Takes back of the last sample what was measured since the one before.
    pub(crate) fn forget_past(&mut self) {
        self.readings.forget_past(&self.kinds);
    }

    /// Whether no probe is left to read.
    pub(crate) fn is_over(&self) -> bool {
        self.probes.iter().all(|armed| armed.health == Health::Ended)
    }
}

/// Says once what is wrong with a probe.
pub(crate) fn warn(probe: &str, what: fmt::Arguments<'_>) {
    notice::warn(
        &format!("monitor {probe} {what}"),
        format_args!("the system monitor's probe `{probe}` {what}"),
    );
}
