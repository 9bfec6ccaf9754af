//! Where probes say what they will read: metrics, and facts of the hardware that are told once.
//!
//! Invariant: a probe registers only what it found, when it is opened; after that nothing here allocates or changes.

use runlog_core::autolog::Tier;
use runlog_core::{Error, Result, validate};

use crate::metrics::{self, Metric};

/// What follows a metric's name in those of its lowest and highest reading.
pub(crate) const LOWEST: &str = "_min";
pub(crate) const HIGHEST: &str = "_max";

/// Longest name of a metric that a probe may register.
pub(crate) const NAME_CHARS_MAX: usize = 128;

/// What a metric's readings are, and so how those of a window become one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A reading of the moment. The point is the mean over the window's time.
    Gauge,
    /// A mean since the last sample, so there is none at the first. The point is the mean over the window's time.
    Rate,
    /// What has come together since the probe was opened, which only grows. The point is what has come together since
    /// the run began; in a resumed run it goes on from there.
    Total,
    /// A state that matters however short it lasts. The point is the highest reading of the window.
    Peak,
}

/// A metric that a probe registered, to [put](crate::Sink::put) readings under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(usize);

impl Key {
    /// The place among what was registered.
    pub(crate) fn place(self) -> usize {
        self.0
    }
}

/// A registered metric.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The name without `system/` and node.
    pub(crate) name: Box<str>,
    pub(crate) kind: Kind,
    /// Whether windows have the lowest and highest reading too.
    pub(crate) ranged: bool,
}

impl Entry {
    /// Every name that it has points under.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let ends: &[&str] = if self.ranged { &["", LOWEST, HIGHEST] } else { &[""] };
        ends.iter().map(|end| format!("{}{end}", self.name))
    }
}

/// What probes have registered.
#[derive(Debug)]
pub struct Registry {
    tier: Tier,
    entries: Vec<Entry>,
    facts: Vec<(String, String)>,
}

impl Registry {
    pub(crate) fn new(tier: Tier) -> Self {
        Self { tier, entries: Vec::new(), facts: Vec::new() }
    }

    /// Registers the metric `system/<name>`. A name that is registered already is the same metric.
    ///
    /// # Errors
    /// A name that MLflow does not take in a metric, or one of more than 128 bytes.
    pub fn key(&mut self, name: &str, kind: Kind) -> Result<Key> {
        validate::key(name)?;
        if name.len() > NAME_CHARS_MAX {
            return Err(Error::invalid("the name of a system metric is too long").with("name", name));
        }
        Ok(self.enter(name.to_owned(), kind, false))
    }

    /// Says something of the hardware that stays as it is, such as its name: the tag `runlog.<name>` of the run.
    #[expect(clippy::needless_pass_by_value, reason = "callers have a text or a number at hand")]
    pub fn fact(&mut self, name: impl Into<String>, value: impl ToString) {
        self.facts.push((name.into(), value.to_string()));
    }

    /// Registers a metric of the table; `None` if the tier leaves it out.
    pub(crate) fn metric(&mut self, metric: &Metric) -> Option<Key> {
        self.enter_metric(metric.name.to_owned(), metric)
    }

    /// Registers a metric of the table for one of several devices: `<device>_<index>_<name>`.
    pub(crate) fn metric_of(&mut self, device: &str, index: u32, metric: &Metric) -> Option<Key> {
        self.enter_metric(metrics::of_device(device, index, metric.name), metric)
    }

    /// How much is to be read.
    pub(crate) fn tier(&self) -> Tier {
        self.tier
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The kinds of all keys, by place.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.entries.iter().map(|entry| entry.kind).collect()
    }

    /// Names, without `runlog.`, and values.
    pub(crate) fn facts(&self) -> &[(String, String)] {
        &self.facts
    }

    fn enter_metric(&mut self, name: String, metric: &Metric) -> Option<Key> {
        let ranged = metric.ranged && self.tier > Tier::Compat;
        (metric.tier <= self.tier).then(|| self.enter(name, metric.kind, ranged))
    }

    fn enter(&mut self, name: String, kind: Kind, ranged: bool) -> Key {
        if let Some(place) = self.entries.iter().position(|entry| *entry.name == *name) {
            return Key(place);
        }
        self.entries.push(Entry { name: name.into_boxed_str(), kind, ranged });
        Key(self.entries.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_leaves_out_what_belongs_to_a_higher_one() {
        let read = |tier| {
            let mut registry = Registry::new(tier);
            [&metrics::MEMORY_USED, &metrics::SWAP_USED, &metrics::LOAD_AVERAGE]
                .map(|metric| registry.metric(metric).map(|key| registry.entries()[key.place()].ranged))
        };
        assert_eq!(read(Tier::Compat), [Some(false), None, None]);
        assert_eq!(read(Tier::Standard), [Some(true), Some(false), None]);
        assert_eq!(read(Tier::Full), [Some(true), Some(false), Some(false)]);
    }

    #[test]
    fn names_are_checked_and_one_name_is_one_key() {
        let mut registry = Registry::new(Tier::Standard);
        let key = registry.key("queue length", Kind::Gauge).unwrap();
        assert_eq!(registry.key("queue length", Kind::Gauge).unwrap(), key);
        for bad in ["", "a//b", "50%", &"x".repeat(129)] {
            registry.key(bad, Kind::Gauge).unwrap_err();
        }
    }
}
