//! The processor time of the container, and how long its quotas stopped it (the formats: the kernel's
//! `admin-guide/cgroup-v2.rst`, `admin-guide/cgroup-v1/cpuacct.rst`, `scheduler/sched-bwc.rst`).
//!
//! Invariant: every quota of the chain is compared with what was used of it, and the one nearest to being used up is the
//! container's percentage; a cgroup without a quota is compared with the processors of its own set. This process may be
//! bound to fewer of them and others of the cgroup to the rest, so its own count only where sets are not told.

use super::cgroup::{Chain, Level, Version};
use super::quota::Quota;
use crate::counter::{Counter, Sum};
use crate::metrics;
use crate::probe::process::allowed;
use crate::probe::pseudo::{Pseudo, number, value, words};
use crate::probe::sysfs::processors;
use crate::probe::{Key, Machine, ProbeError, Registry, Sink, corrupt, float};

pub(super) struct Cpu {
    /// The tightest quota when the run began, as a number of processors.
    pub(super) limit: Option<f64>,
    /// The own cgroup, then those above it that have a quota.
    groups: Vec<Group>,
    /// The processors that processes of the own cgroup may run on.
    allowed: f64,
    utilization: Option<Key>,
    throttled: Option<Key>,
}

struct Group {
    version: Version,
    /// `cpu.stat` of v2, which has everything, or `cpuacct.usage` of v1.
    account: Pseudo,
    used_nanos: Counter,
    quota: Option<Quota>,
    /// `cpu.stat` of v1.
    stat: Option<Pseudo>,
    throttled_nanos: Sum,
}

impl Cpu {
    /// `None` where the kernel keeps no account of processor time for these cgroups.
    pub(super) fn open(
        machine: &Machine,
        quotas: &Chain,
        accounting: &Chain,
        sets: Option<&Chain>,
    ) -> Result<Option<Self>, ProbeError> {
        let (mut groups, mut limit) = (Vec::new(), None);
        for level in &accounting.levels {
            let Some(mut group) = Group::open(accounting.version, level)? else { continue };
            // In v1 the two may be mounted apart; the cgroup of the same name belongs to the same processes.
            let namesake = quotas.levels.iter().find(|quotas| quotas.name == level.name);
            if let Some(level) = namesake {
                group.add_quota(quotas.version, level)?;
            }
            let processors = match &mut group.quota {
                Some(quota) => quota.processors()?,
                None => None,
            };
            limit = [processors, limit].into_iter().flatten().reduce(f64::min);
            if groups.is_empty() || group.quota.is_some() {
                groups.push(group);
            }
        }
        let allowed = match sets.map(of_set).transpose()?.flatten() {
            Some(count) => count as u64,
            None => allowed(machine)?,
        };
        Ok((!groups.is_empty()).then_some(Self {
            limit,
            groups,
            allowed: float(allowed),
            utilization: None,
            throttled: None,
        }))
    }

    /// Registers what was found.
    pub(super) fn register(self, registry: &mut Registry) -> Self {
        let utilization = registry.metric(&metrics::CONTAINER_CPU);
        let throttled = self.limit.and_then(|_| registry.metric(&metrics::CONTAINER_THROTTLED));
        Self { utilization, throttled, ..self }
    }

    pub(super) fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let outcome = self.read(sink);
        if outcome.is_err() {
            // The time of the next sample does not reach back to the last one that could be read.
            for group in &mut self.groups {
                group.used_nanos.rebase();
            }
        }
        outcome
    }

    fn read(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let (mut nearest, mut throttled_nanos): (Option<f64>, u64) = (None, 0);
        for (place, group) in self.groups.iter_mut().enumerate() {
            let (used_nanos, throttled) = group.read()?;
            throttled_nanos = throttled_nanos.saturating_add(throttled);
            let quota = match &mut group.quota {
                Some(quota) => quota.processors()?,
                None => None,
            };
            // The cgroups above may have other processes, on other processors.
            let available = match (place, quota) {
                (0, quota) => quota.map_or(self.allowed, |quota| quota.min(self.allowed)),
                (_, Some(quota)) => quota,
                (_, None) => continue,
            };
            if let Some(used_nanos) = used_nanos {
                let share = float(used_nanos) / 1e9 / available;
                nearest = Some(nearest.map_or(share, |nearest| nearest.max(share)));
            }
        }
        sink.put_rate(self.utilization, nearest.map(|share| share * 100.0));
        sink.put(self.throttled, float(throttled_nanos) / 1e9);
        Ok(())
    }
}

/// How many processors the set of the cgroup has (the format: `cpuset(7)`); `None` where that is not told.
fn of_set(sets: &Chain) -> Result<Option<usize>, ProbeError> {
    let file = match sets.version {
        Version::One => "cpuset.effective_cpus",
        Version::Two => "cpuset.cpus.effective",
    };
    for level in &sets.levels {
        if let Some(mut set) = level.open(file)? {
            let set = str::from_utf8(set.whole()?).ok().and_then(processors);
            let set = set.ok_or_else(|| corrupt("a cgroup's set of processors has an unknown form"))?;
            return Ok(Some(set.len()));
        }
    }
    Ok(None)
}

impl Group {
    fn open(version: Version, level: &Level) -> Result<Option<Self>, ProbeError> {
        let account = level.open(match version {
            Version::One => "cpuacct.usage",
            Version::Two => "cpu.stat",
        })?;
        Ok(account.map(|account| Self {
            version,
            account,
            used_nanos: Counter::default(),
            quota: None,
            stat: None,
            throttled_nanos: Sum::default(),
        }))
    }

    fn add_quota(&mut self, version: Version, level: &Level) -> Result<(), ProbeError> {
        self.quota = Quota::open(version, level)?;
        if self.quota.is_some() && version == Version::One {
            self.stat = level.open("cpu.stat")?;
        }
        Ok(())
    }

    /// What was used since the last reading, and how long the quota has stopped it since the first.
    fn read(&mut self) -> Result<(Option<u64>, u64), ProbeError> {
        let unknown = || corrupt("a cgroup's account of processor time has an unknown form");
        let account = self.account.whole()?;
        let (used_nanos, mut throttled_nanos) = match self.version {
            Version::One => (words(account).next().and_then(number), None),
            Version::Two => {
                let nanos = |name| value(account, name).and_then(|micros| micros.checked_mul(1000));
                (nanos(b"usage_usec"), nanos(b"throttled_usec"))
            }
        };
        if let Some(stat) = &mut self.stat {
            throttled_nanos = Some(value(stat.whole()?, b"throttled_time").ok_or_else(unknown)?);
        }
        let used_nanos = self.used_nanos.advance(used_nanos.ok_or_else(unknown)?);
        if self.quota.is_some() {
            self.throttled_nanos.advance(throttled_nanos.ok_or_else(unknown)?);
        }
        Ok((used_nanos, self.throttled_nanos.get()))
    }
}
