//! The memory of the container (the formats: the kernel's `admin-guide/cgroup-v2.rst` and
//! `admin-guide/cgroup-v1/memory.rst`).
//!
//! The working set is what is used less the files that were not touched for a while (`inactive_file`), which the kernel
//! drops before anything else: what Kubernetes evicts by, and what a data loader's reading does not drive to the limit.
//!
//! Invariant: every limit of the chain is compared with what counts against it, and the one nearest to being reached is
//! the container's percentage.

use super::cgroup::{Chain, Level, Version};
use crate::counter::Sum;
use crate::metrics;
use crate::probe::pseudo::{Pseudo, number, value, words};
use crate::probe::{Key, MEGABYTE, ProbeError, Registry, Sink, corrupt, float};

/// v1 writes the absence of a limit as the highest number of whole pages below 2⁶³.
const NO_LIMIT_BYTES: u64 = 1 << 62;

pub(super) struct Memory {
    /// The tightest limit when the run began.
    pub(super) limit_bytes: Option<u64>,
    /// The own cgroup, then those above it that have a limit.
    groups: Vec<Group>,
    peak: Option<Pseudo>,
    kills: Option<Pseudo>,
    killed: Sum,
    keys: Keys,
}

#[derive(Default)]
struct Keys {
    working_set: Option<Key>,
    percentage: Option<Key>,
    peak: Option<Key>,
    kills: Option<Key>,
}

struct Group {
    version: Version,
    usage: Pseudo,
    stat: Pseudo,
    limits: Vec<Pseudo>,
}

impl Memory {
    /// `None` where the kernel keeps no account of memory for these cgroups.
    pub(super) fn open(chain: &Chain) -> Result<Option<Self>, ProbeError> {
        let (mut groups, mut limit_bytes, mut files) = (Vec::new(), None, None);
        for level in &chain.levels {
            let Some(mut group) = Group::open(chain.version, level)? else { continue };
            let limit = group.read()?.limit_bytes;
            if groups.is_empty() {
                let [peak, kills] = match chain.version {
                    Version::One => ["memory.max_usage_in_bytes", "memory.oom_control"],
                    Version::Two => ["memory.peak", "memory.events"],
                };
                files = Some((level.open(peak)?, level.open(kills)?));
            }
            if groups.is_empty() || limit.is_some() {
                groups.push(group);
            }
            limit_bytes = [limit, limit_bytes].into_iter().flatten().min();
        }
        let Some((peak, mut kills)) = files else { return Ok(None) };
        // Kernels before 4.13 have the file without the line.
        if let Some(file) = &mut kills
            && value(file.whole()?, b"oom_kill").is_none()
        {
            kills = None;
        }
        Ok(Some(Self { limit_bytes, groups, peak, kills, killed: Sum::default(), keys: Keys::default() }))
    }

    /// Registers what was found.
    pub(super) fn register(self, registry: &mut Registry) -> Self {
        let keys = Keys {
            working_set: registry.metric(&metrics::CONTAINER_MEMORY),
            percentage: self.limit_bytes.and_then(|_| registry.metric(&metrics::CONTAINER_MEMORY_PERCENTAGE)),
            peak: self.peak.as_ref().and_then(|_| registry.metric(&metrics::CONTAINER_MEMORY_PEAK)),
            kills: self.kills.as_ref().and_then(|_| registry.metric(&metrics::CONTAINER_OOM_KILLS)),
        };
        Self { keys, ..self }
    }

    pub(super) fn sample(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let usage = self.put_usage(sink);
        let peak = self.put_peak(sink);
        usage.and(peak).and(self.put_kills(sink))
    }

    fn put_usage(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        let mut nearest: Option<f64> = None;
        for (place, group) in self.groups.iter_mut().enumerate() {
            let Reading { working_set_bytes, limit_bytes } = group.read()?;
            if place == 0 {
                sink.put(self.keys.working_set, float(working_set_bytes) / MEGABYTE);
            }
            if let Some(limit_bytes) = limit_bytes {
                let share = float(working_set_bytes) / float(limit_bytes);
                nearest = Some(nearest.map_or(share, |nearest| nearest.max(share)));
            }
        }
        if let Some(nearest) = nearest {
            sink.put(self.keys.percentage, nearest * 100.0);
        }
        Ok(())
    }

    fn put_peak(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        if let Some(peak) = &mut self.peak {
            sink.put(self.keys.peak, float(bytes(peak.head()?)?) / MEGABYTE);
        }
        Ok(())
    }

    fn put_kills(&mut self, sink: &mut Sink<'_>) -> Result<(), ProbeError> {
        if let Some(kills) = &mut self.kills {
            let killed = value(kills.whole()?, b"oom_kill")
                .ok_or_else(|| corrupt("a cgroup's count of killed processes has an unknown form"))?;
            sink.put(self.keys.kills, float(self.killed.advance(killed)));
        }
        Ok(())
    }
}

struct Reading {
    working_set_bytes: u64,
    limit_bytes: Option<u64>,
}

impl Group {
    fn open(version: Version, level: &Level) -> Result<Option<Self>, ProbeError> {
        let (usage, limits): (_, &[_]) = match version {
            Version::One => ("memory.usage_in_bytes", &["memory.limit_in_bytes"]),
            // Above `memory.high` nothing is killed, but everything is slowed down until it is below again.
            Version::Two => ("memory.current", &["memory.max", "memory.high"]),
        };
        let (Some(usage), Some(stat)) = (level.open(usage)?, level.open("memory.stat")?) else {
            return Ok(None);
        };
        let mut found = Vec::new();
        for limit in limits {
            found.extend(level.open(limit)?);
        }
        Ok(Some(Self { version, usage, stat, limits: found }))
    }

    fn read(&mut self) -> Result<Reading, ProbeError> {
        let used = bytes(self.usage.head()?)?;
        let stat = self.stat.whole()?;
        let inactive_file = match self.version {
            Version::One => value(stat, b"total_inactive_file"),
            Version::Two => value(stat, b"inactive_file"),
        };
        let inactive_file = inactive_file
            .ok_or_else(|| corrupt("a cgroup's account of its memory does not say what is inactive"))?;
        // v1 tells the tightest limit of the whole chain, of what lies above a container's mount too. What counts
        // against that cannot be seen, but it is at least what the own cgroup has.
        let mut limit_bytes =
            value(stat, b"hierarchical_memory_limit").filter(|limit| *limit < NO_LIMIT_BYTES);
        for limit in &mut self.limits {
            limit_bytes = [limit_bytes, limit_of(limit.head()?)?].into_iter().flatten().min();
        }
        // The two files are not of the same instant.
        Ok(Reading { working_set_bytes: used.saturating_sub(inactive_file), limit_bytes })
    }
}

fn bytes(file: &[u8]) -> Result<u64, ProbeError> {
    let amount = words(file).next().and_then(number);
    amount.ok_or_else(|| corrupt("a cgroup's amount of memory has an unknown form"))
}

fn limit_of(file: &[u8]) -> Result<Option<u64>, ProbeError> {
    if words(file).next() == Some(b"max") {
        return Ok(None);
    }
    Ok(Some(bytes(file)?).filter(|limit| *limit < NO_LIMIT_BYTES))
}
