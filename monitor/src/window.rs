//! What was read since the last point: one slot a key, filled by probes, emptied into the run's metrics.
//!
//! Invariants: a key has a value only if a probe put one since the window was last emptied (absent is absent, never 0);
//! after the keys are registered nothing here allocates.

use std::time::Duration;

use runlog_core::{Error, Result, validate};

/// What every key of system metrics begins with, in MLflow.
const PREFIX: &str = "system";

/// How the samples of a window become one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregation {
    /// The mean over the window's time: for readings of the moment.
    Mean,
    /// The latest: for totals that only grow.
    Last,
}

/// A registered key: the place of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(usize);

/// Where probes register their keys when they open, and only for hardware that is there.
#[derive(Debug)]
pub(crate) struct Registry {
    prefix: String,
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    key: Box<str>,
    aggregation: Aggregation,
    value: f64,
    /// The seconds that `value` stands for; `None` while there is no value.
    secs: Option<f64>,
    /// Whether this key has had a point.
    logged: bool,
}

impl Registry {
    /// A registry of keys `system/<name>`, or `system/<node_id>/<name>`.
    ///
    /// # Errors
    /// A node id that cannot stand in a metric's key.
    pub(crate) fn new(node_id: Option<&str>) -> Result<Self> {
        let prefix = match node_id {
            None | Some("") => format!("{PREFIX}/"),
            Some(node) => format!("{PREFIX}/{node}/"),
        };
        // Room for the longest name: a refused key would otherwise show only once points are logged.
        validate::key(&format!("{prefix}{}", "x".repeat(NAME_CHARS_MAX))).map_err(|error| {
            Error::invalid(
                "the node id of system metrics cannot stand in a key; MLflow's UI expects `node_<number>`",
            )
            .because(error)
        })?;
        Ok(Self { prefix, slots: Vec::new() })
    }

    /// Interns the metric `name`; the same name is the same key.
    pub(crate) fn key(&mut self, name: &str, aggregation: Aggregation) -> Key {
        debug_assert!(name.len() <= NAME_CHARS_MAX, "{name}");
        let key = format!("{}{name}", self.prefix);
        if let Some(place) = self.slots.iter().position(|slot| *slot.key == *key) {
            return Key(place);
        }
        self.slots.push(Slot {
            key: key.into_boxed_str(),
            aggregation,
            value: 0.0,
            secs: None,
            logged: false,
        });
        Key(self.slots.len() - 1)
    }
}

/// Longest name of a metric that a probe may register.
const NAME_CHARS_MAX: usize = 64;

/// The values of the current window.
#[derive(Debug)]
pub(crate) struct Window {
    slots: Vec<Slot>,
}

impl Window {
    /// An empty window over the registered keys.
    pub(crate) fn new(registry: Registry) -> Self {
        Self { slots: registry.slots }
    }

    /// A sink for one sample, which stands for the time `since_last`, or for `interval` where that is unknown.
    pub(crate) fn sink(&mut self, since_last: Option<Duration>, interval: Duration) -> Sink<'_> {
        let secs = since_last.unwrap_or(interval).as_secs_f64().max(1e-9);
        Sink { slots: &mut self.slots, since_last, secs }
    }

    /// Whether some key of the hardware found has never had a point.
    pub(crate) fn has_unlogged(&self) -> bool {
        self.slots.iter().any(|slot| !slot.logged)
    }

    /// Gives the keys that have their very first value, and keeps the values.
    pub(crate) fn first_values(&mut self, mut log: impl FnMut(&str, f64)) {
        for slot in &mut self.slots {
            if slot.secs.is_some() && !slot.logged {
                slot.logged = true;
                log(&slot.key, slot.value);
            }
        }
    }

    /// Gives every key that has a value, and empties the window.
    pub(crate) fn drain(&mut self, mut log: impl FnMut(&str, f64)) {
        for slot in &mut self.slots {
            if slot.secs.take().is_some() {
                slot.logged = true;
                log(&slot.key, slot.value);
            }
        }
    }

    /// Empties the window.
    pub(crate) fn clear(&mut self) {
        for slot in &mut self.slots {
            slot.secs = None;
        }
    }
}

/// What a probe reads into, for the length of one sample.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    slots: &'a mut [Slot],
    since_last: Option<Duration>,
    secs: f64,
}

impl Sink<'_> {
    /// The time since the last sample. `None` at the first and after a gap: a rate then has nothing to compare with.
    pub(crate) fn since_last(&self) -> Option<Duration> {
        self.since_last
    }

    /// Takes a reading. One that is not a finite number is no reading.
    pub(crate) fn put(&mut self, key: Key, value: f64) {
        let Some(slot) = self.slots.get_mut(key.0) else { return };
        if !value.is_finite() {
            return;
        }
        match (slot.aggregation, slot.secs) {
            (Aggregation::Mean, Some(before)) => {
                // Moves the mean instead of summing, so that equal readings have exactly their own value as the mean.
                let secs = before + self.secs;
                slot.value += (value - slot.value) * (self.secs / secs);
                slot.secs = Some(secs);
            }
            (Aggregation::Mean, None) | (Aggregation::Last, _) => {
                slot.value = value;
                slot.secs = Some(self.secs);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn window(aggregation: Aggregation) -> (Window, Key) {
        let mut registry = Registry::new(None).unwrap();
        let key = registry.key("k", aggregation);
        (Window::new(registry), key)
    }

    fn drained(window: &mut Window) -> Vec<f64> {
        let mut values = Vec::new();
        window.drain(|_, value| values.push(value));
        values
    }

    #[test]
    fn keys_are_mlflows_with_and_without_a_node() {
        let key = |node: Option<&str>| {
            let mut registry = Registry::new(node).unwrap();
            let key = registry.key("disk_usage_megabytes", Aggregation::Mean);
            assert_eq!(registry.key("disk_usage_megabytes", Aggregation::Mean), key);
            registry.slots[0].key.to_string()
        };
        assert_eq!(key(None), "system/disk_usage_megabytes");
        assert_eq!(key(Some("")), "system/disk_usage_megabytes");
        assert_eq!(key(Some("node_3")), "system/node_3/disk_usage_megabytes");
    }

    #[test]
    fn a_node_id_that_no_key_may_have_is_refused_at_once() {
        for bad in ["node*", "../x", "a//b", "/", &"n".repeat(200)] {
            let error = Registry::new(Some(bad)).unwrap_err();
            assert_eq!(error.kind(), runlog_core::ErrorKind::InvalidInput, "{bad}");
        }
    }

    #[test]
    fn a_key_without_a_reading_has_no_point() {
        let (mut window, key) = window(Aggregation::Mean);
        assert!(drained(&mut window).is_empty());
        for no_reading in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            window.sink(None, SECOND).put(key, no_reading);
        }
        assert!(drained(&mut window).is_empty());
        assert!(window.has_unlogged());
    }

    #[test]
    fn a_mean_is_over_time_and_a_last_is_the_latest() {
        for (aggregation, expected) in [(Aggregation::Mean, 12.5), (Aggregation::Last, 20.0)] {
            let (mut window, key) = window(aggregation);
            window.sink(Some(SECOND * 3), SECOND).put(key, 10.0);
            window.sink(None, SECOND).put(key, 20.0);
            assert_eq!(drained(&mut window), [expected]);
            assert!(drained(&mut window).is_empty(), "the next window begins empty");
        }
    }

    #[test]
    fn first_values_come_once_and_stay_in_the_window() {
        let (mut window, key) = window(Aggregation::Mean);
        window.sink(None, SECOND).put(key, 4.0);
        let mut first = Vec::new();
        window.first_values(|key, value| first.push((key.to_owned(), value)));
        window.first_values(|_, _| panic!("a second first value"));
        assert_eq!(first, [("system/k".to_owned(), 4.0)]);
        window.sink(None, SECOND).put(key, 8.0);
        assert_eq!(drained(&mut window), [6.0]);
    }

    proptest! {
        #[test]
        fn a_mean_lies_between_its_readings_and_is_exact_for_equal_ones(
            readings in proptest::collection::vec((0.0..1e9_f64, 1_u64..100_000), 1..100),
        ) {
            let (mut window, key) = window(Aggregation::Mean);
            for (value, millis) in &readings {
                window.sink(Some(Duration::from_millis(*millis)), SECOND).put(key, *value);
            }
            let mean = drained(&mut window)[0];
            let low = readings.iter().map(|(v, _)| *v).fold(f64::MAX, f64::min);
            let high = readings.iter().map(|(v, _)| *v).fold(0.0, f64::max);
            prop_assert!(mean >= low * (1.0 - 1e-12) && mean <= high * (1.0 + 1e-12));

            for (_, millis) in &readings {
                window.sink(Some(Duration::from_millis(*millis)), SECOND).put(key, 135.217_000_1);
            }
            prop_assert_eq!(drained(&mut window), [135.217_000_1]);
        }
    }
}
