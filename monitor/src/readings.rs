//! What one sample of a probe has read, before it goes into the windows of runs.
//!
//! Invariants: a metric has a reading only if the probe put one in this sample (absent is absent, never 0); taking a
//! sample does not allocate.

use std::fmt;
use std::time::Duration;

use crate::registry::{Key, Kind, Registry};

/// The readings of one sample, by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readings {
    values: Vec<Option<f64>>,
    /// The time since the sample before; `None` if there was none or a gap lies between.
    since_last: Option<Duration>,
}

impl Readings {
    /// No readings yet of what is registered.
    pub(crate) fn new(registry: &Registry) -> Self {
        Self { values: vec![None; registry.entries().len()], since_last: None }
    }

    /// Drops what was measured since the sample before; `kinds` are those of the keys.
    pub(crate) fn forget_past(&mut self, kinds: &[Kind]) {
        for (value, kind) in self.values.iter_mut().zip(kinds) {
            *value = value.filter(|_| *kind != Kind::Rate);
        }
        self.since_last = None;
    }

    /// Begins a sample.
    pub(crate) fn begin(&mut self, since_last: Option<Duration>) {
        self.values.fill(None);
        self.since_last = since_last;
    }

    /// Where probes put their readings of this sample.
    pub(crate) fn sink(&mut self) -> Sink<'_> {
        Sink { readings: self, so_far: None }
    }

    /// The same, where somebody may want what a probe has read before it has read all.
    pub(crate) fn shared_sink<'a>(&'a mut self, so_far: &'a (dyn Fn(&Self) + Sync)) -> Sink<'a> {
        Sink { readings: self, so_far: Some(so_far) }
    }

    /// Becomes what `other` is; both are of the same keys.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.values.clone_from(&other.values);
        self.since_last = other.since_last;
    }

    /// The time that the sample stands for.
    pub(crate) fn since_last(&self) -> Option<Duration> {
        self.since_last
    }

    /// The readings in the order of registration.
    pub(crate) fn values(&self) -> &[Option<f64>] {
        &self.values
    }
}

/// Where a probe puts what it reads, for the length of one sample.
pub struct Sink<'a> {
    readings: &'a mut Readings,
    /// Who takes what was read so far.
    so_far: Option<&'a (dyn Fn(&Readings) + Sync)>,
}

impl Sink<'_> {
    /// The time since the last sample. `None` at the first and after a gap (the process was stopped, the machine slept,
    /// the device was away): a rate has nothing to compare with then, and counters are to be looked at anew.
    pub fn since_last(&self) -> Option<Duration> {
        self.readings.since_last
    }

    /// Takes a reading. One that is not a finite number is no reading.
    pub fn put(&mut self, key: impl Into<Option<Key>>, value: f64) {
        let slot = key.into().and_then(|key| self.readings.values.get_mut(key.place()));
        if let Some(slot) = slot
            && value.is_finite()
        {
            *slot = Some(value);
        }
    }

    /// Hands over what was read so far, for a run that ends before the sample is whole. Worth it after what matters most,
    /// in a probe whose sample takes milliseconds.
    pub fn hand_over(&self) {
        if let Some(so_far) = self.so_far {
            so_far(self.readings);
        }
    }

    /// Takes what came together since the last sample as a rate a second; nothing where either is not known.
    pub fn put_rate(&mut self, key: impl Into<Option<Key>>, amount: Option<f64>) {
        let secs = self.readings.since_last.map(|since_last| since_last.as_secs_f64());
        if let (Some(amount), Some(secs)) = (amount, secs)
            && secs > 0.0
        {
            self.put(key, amount / secs);
        }
    }
}

impl fmt::Debug for Sink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("readings", &self.readings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use runlog_core::autolog::Tier;

    use super::*;
    use crate::registry::Kind;

    #[test]
    fn only_what_was_put_in_this_sample_is_read() {
        let mut registry = Registry::new(Tier::Standard);
        let key = registry.key("k", Kind::Gauge).unwrap();
        let mut readings = Readings::new(&registry);
        readings.begin(None);
        for no_reading in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            readings.sink().put(key, no_reading);
        }
        readings.sink().put(None, 1.0);
        assert_eq!(readings.values(), [None]);
        readings.sink().put(key, 1.0);
        assert_eq!(readings.values(), [Some(1.0)]);
        readings.begin(None);
        assert_eq!(readings.values(), [None]);
    }

    #[test]
    fn a_probe_may_read_with_the_help_of_threads() {
        fn may_be_sent(_: impl Send) {}
        may_be_sent(Readings::default().sink());
    }

    #[test]
    fn a_rate_needs_an_amount_and_a_time() {
        let mut registry = Registry::new(Tier::Standard);
        let key = registry.key("k", Kind::Rate).unwrap();
        let mut readings = Readings::new(&registry);
        let mut rate = |since_last: Option<u64>, amount| {
            readings.begin(since_last.map(Duration::from_secs));
            readings.sink().put_rate(key, amount);
            readings.values()[0]
        };
        assert_eq!(rate(None, Some(8.0)), None);
        assert_eq!(rate(Some(4), None), None);
        assert_eq!(rate(Some(4), Some(8.0)), Some(2.0));
        assert_eq!(rate(Some(0), Some(8.0)), None);
    }
}
