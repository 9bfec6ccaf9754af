//! What was read since a run's last point: one slot a key, filled from samples, emptied into the run's metrics.
//!
//! Invariants: a key has a value only if a probe read one since the window was last emptied; after it is made nothing
//! here allocates.

use std::time::Duration;

use runlog_core::{Error, Metric, Result, validate};

use crate::metrics::CPU_UTILIZATION;
use crate::readings::Readings;
use crate::registry::{Entry, HIGHEST, Kind, LOWEST, NAME_CHARS_MAX, Registry};

/// What every key of system metrics begins with, in MLflow.
const PREFIX: &str = "system";

/// What the keys of a run begin with: `system/`, or `system/<node_id>/`.
///
/// # Errors
/// A node id that cannot stand in a metric's key.
pub(crate) fn prefix(node_id: Option<&str>) -> Result<String> {
    let prefix = match node_id {
        None | Some("") => format!("{PREFIX}/"),
        Some(node) => format!("{PREFIX}/{node}/"),
    };
    // A refused key would otherwise show only once points are logged. First a name that a message may show, then room for
    // the longest one.
    let names = [CPU_UTILIZATION.name, &"x".repeat(NAME_CHARS_MAX)];
    names.iter().try_for_each(|name| validate::key(&format!("{prefix}{name}"))).map_err(|error| {
        let node = node_id.unwrap_or_default();
        Error::invalid(format!(
            "the node id of system metrics, {node:.40?}, cannot stand in a key; MLflow's UI expects `node_<number>`"
        ))
        .because(error)
    })?;
    Ok(prefix)
}

/// The step of a run's first point: one more than the last of those with this `prefix` that it has already.
///
/// MLflow looks at other nodes' points too. Its UI compares nodes by their steps, so that one that joins later than
/// others must begin where they began.
pub(crate) fn first_step(earlier: &[Metric], prefix: &str) -> i64 {
    let steps = earlier.iter().filter(|metric| metric.key.starts_with(prefix)).map(|metric| metric.step);
    steps.max().map_or(0, |last| last.saturating_add(1))
}

/// The values of one run's current window.
#[derive(Debug)]
pub(crate) struct Window {
    /// By key; `None` where the metric is another group's.
    slots: Vec<Option<Slot>>,
    /// Whether a sample was ever taken.
    begun: bool,
    /// Whether the first values were logged.
    opened: bool,
}

#[derive(Debug)]
struct Slot {
    key: Box<str>,
    kind: Kind,
    value: f64,
    /// The seconds that `value` stands for; `None` while there is no value.
    secs: Option<f64>,
    /// The lowest and highest reading, with the keys that they are logged under.
    range: Option<Range>,
    /// What is taken off a total: its reading when the run began, less what the run had before it was resumed.
    base: Option<f64>,
    /// What a resumed run's total had reached.
    earlier: f64,
    /// Whether this key has had a point.
    logged: bool,
}

#[derive(Debug)]
struct Range {
    keys: [Box<str>; 2],
    lowest: f64,
    highest: f64,
}

impl Window {
    /// An empty window over what is registered, less the metrics that are `taken`. `earlier` knows the latest value of a
    /// resumed run's metric.
    pub(crate) fn new(
        registry: &Registry,
        taken: &[bool],
        prefix: &str,
        earlier: impl Fn(&str) -> Option<f64>,
    ) -> Self {
        let slot = |entry: &Entry| {
            let key = format!("{prefix}{}", entry.name);
            let range = entry.ranged.then(|| Range {
                keys: [LOWEST, HIGHEST].map(|end| format!("{key}{end}").into_boxed_str()),
                lowest: 0.0,
                highest: 0.0,
            });
            Slot {
                earlier: earlier(&key).unwrap_or(0.0),
                key: key.into_boxed_str(),
                kind: entry.kind,
                value: 0.0,
                secs: None,
                range,
                base: None,
                logged: false,
            }
        };
        let is_taken = |place: usize| taken.get(place).copied().unwrap_or_default();
        let entries = registry.entries().iter().enumerate();
        let slots = entries.map(|(place, entry)| (!is_taken(place)).then(|| slot(entry))).collect();
        Self { slots, begun: false, opened: false }
    }

    /// Takes the readings of a sample; those of unknown duration count as one `interval`.
    pub(crate) fn take(&mut self, readings: &Readings, interval: Duration) {
        self.begun = true;
        let secs = readings.since_last().unwrap_or(interval).as_secs_f64().max(1e-9);
        for (slot, reading) in self.slots.iter_mut().zip(readings.values()) {
            if let (Some(slot), Some(reading)) = (slot, reading) {
                slot.take(*reading, secs);
            }
        }
    }

    /// Whether no sample was ever taken.
    pub(crate) fn is_new(&self) -> bool {
        !self.begun
    }

    /// Whether some key of the hardware found has never had a point.
    pub(crate) fn has_unlogged(&self) -> bool {
        self.slots.iter().flatten().any(|slot| !slot.logged)
    }

    /// Whether there is the first point of some key to log.
    pub(crate) fn has_first_reading(&self) -> bool {
        self.slots.iter().flatten().any(|slot| !slot.logged && slot.secs.is_some())
    }

    /// Whether there is anything to log.
    pub(crate) fn has_reading(&self) -> bool {
        self.slots.iter().flatten().any(|slot| slot.secs.is_some())
    }

    /// Gives the keys that have their very first value. Those of the first sample are of the window's beginning and do
    /// not count in it; later ones do.
    pub(crate) fn open(&mut self, mut log: impl FnMut(&str, f64)) {
        for slot in self.slots.iter_mut().flatten() {
            if slot.secs.is_some() && !slot.logged {
                slot.log(&mut log);
            }
            if !self.opened && self.begun {
                slot.secs = None;
            }
        }
        self.opened |= self.begun;
    }

    /// Gives every key that has a value, and empties the window.
    pub(crate) fn drain(&mut self, mut log: impl FnMut(&str, f64)) {
        self.opened |= self.begun;
        for slot in self.slots.iter_mut().flatten() {
            if slot.secs.is_some() {
                slot.log(&mut log);
                slot.secs = None;
            }
        }
    }
}

impl Slot {
    fn take(&mut self, reading: f64, secs: f64) {
        match (self.kind, self.secs) {
            (Kind::Gauge | Kind::Rate, Some(before)) => {
                // Moves the mean instead of summing, so that equal readings have exactly their own value as the mean.
                let all = before + secs;
                self.value += (reading - self.value) * (secs / all);
                self.secs = Some(all);
            }
            (Kind::Total, _) => {
                let base = *self.base.get_or_insert(reading - self.earlier);
                self.value = reading - base;
                self.secs = Some(secs);
            }
            (Kind::Peak, Some(_)) => self.value = self.value.max(reading),
            (Kind::Gauge | Kind::Rate | Kind::Peak, None) => {
                self.value = reading;
                self.secs = Some(secs);
                if let Some(range) = &mut self.range {
                    (range.lowest, range.highest) = (reading, reading);
                }
            }
        }
        if let Some(range) = &mut self.range {
            range.lowest = range.lowest.min(reading);
            range.highest = range.highest.max(reading);
        }
    }

    fn log(&mut self, log: &mut impl FnMut(&str, f64)) {
        self.logged = true;
        log(&self.key, self.value);
        if let Some(Range { keys: [lowest_key, highest_key], lowest, highest }) = &self.range {
            log(lowest_key, *lowest);
            log(highest_key, *highest);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use runlog_core::autolog::Tier;

    use super::*;
    use crate::metrics::MEMORY_USED;

    const SECOND: Duration = Duration::from_secs(1);

    struct Bench {
        readings: Readings,
        window: Window,
    }

    impl Bench {
        fn of(kind: Kind) -> Self {
            let mut registry = Registry::new(Tier::Standard);
            registry.key("k", kind).unwrap();
            Self::over(&registry, None)
        }

        fn over(registry: &Registry, earlier: Option<f64>) -> Self {
            Self {
                readings: Readings::new(registry),
                window: Window::new(registry, &[], "system/", |_| earlier),
            }
        }

        fn take(&mut self, since_last: Option<Duration>, reading: f64) {
            let mut registry = Registry::new(Tier::Standard);
            let key = registry.key("k", Kind::Gauge).unwrap();
            self.readings.begin(since_last);
            self.readings.sink().put(key, reading);
            self.window.take(&self.readings, SECOND);
        }

        fn drained(&mut self) -> Vec<f64> {
            let mut values = Vec::new();
            self.window.drain(|_, value| values.push(value));
            values
        }
    }

    #[test]
    fn keys_are_mlflows_with_and_without_a_node() {
        assert_eq!(prefix(None).unwrap(), "system/");
        assert_eq!(prefix(Some("")).unwrap(), "system/");
        assert_eq!(prefix(Some("node_3")).unwrap(), "system/node_3/");
    }

    #[test]
    fn steps_go_on_after_those_of_the_same_node() {
        let point = |key: &str, step| Metric::new(key, 0.0, 0, step);
        let earlier = [point("system/node_0/a", 180), point("system/node_1/a", 4), point("system/b", 7)];
        let steps = ["system/node_0/", "system/node_1/", "system/node_2/", "system/"]
            .map(|prefix| first_step(&earlier, prefix));
        assert_eq!(steps, [181, 5, 0, 181]);
        assert_eq!(first_step(&[point("system/a", i64::MAX)], "system/"), i64::MAX);
    }

    #[test]
    fn a_node_id_that_no_key_may_have_is_refused_at_once() {
        for bad in ["node*", "../x", "a//b", "/", &"n".repeat(200)] {
            let error = prefix(Some(bad)).unwrap_err();
            assert_eq!(error.kind(), runlog_core::ErrorKind::InvalidInput, "{bad}");
            assert!(error.to_string().contains(&bad[..bad.len().min(40)]), "{error}");
        }
    }

    #[test]
    fn a_key_without_a_reading_has_no_point() {
        let mut bench = Bench::of(Kind::Gauge);
        assert!(bench.drained().is_empty());
        bench.take(None, f64::NAN);
        assert!(bench.drained().is_empty());
        assert!(bench.window.has_unlogged());
    }

    #[test]
    fn a_kind_says_how_readings_become_a_point() {
        for (kind, expected) in
            [(Kind::Gauge, 12.5), (Kind::Rate, 12.5), (Kind::Total, 10.0), (Kind::Peak, 20.0)]
        {
            let mut bench = Bench::of(kind);
            bench.take(Some(SECOND * 3), 10.0);
            bench.take(None, 20.0);
            assert_eq!(bench.drained(), [expected], "{kind:?}");
            assert!(bench.drained().is_empty(), "the next window begins empty");
        }
    }

    #[test]
    fn a_total_goes_on_where_the_resumed_run_stopped() {
        let mut registry = Registry::new(Tier::Standard);
        registry.key("k", Kind::Total).unwrap();
        let mut bench = Bench::over(&registry, Some(70.0));
        bench.take(None, 1000.0);
        assert_eq!(bench.drained(), [70.0]);
        bench.take(None, 1005.0);
        assert_eq!(bench.drained(), [75.0]);
    }

    #[test]
    fn a_ranged_metric_has_its_lowest_and_highest_beside_it() {
        let mut registry = Registry::new(Tier::Standard);
        registry.metric(&MEMORY_USED).unwrap();
        let mut bench = Bench::over(&registry, None);
        for reading in [5.0, 1.0, 6.0] {
            bench.take(None, reading);
        }
        let mut points = Vec::new();
        bench.window.drain(|key, value| points.push((key.to_owned(), value)));
        let name = "system/system_memory_usage_megabytes";
        let expected = [(name.to_owned(), 4.0), (format!("{name}_min"), 1.0), (format!("{name}_max"), 6.0)];
        assert_eq!(points, expected);
        bench.take(None, 9.0);
        assert_eq!(bench.drained(), [9.0, 9.0, 9.0], "the next window knows nothing of this one");
    }

    #[test]
    fn first_values_come_once_and_only_those_of_the_beginning_are_not_in_the_window() {
        let mut bench = Bench::of(Kind::Gauge);
        let opened = |bench: &mut Bench| {
            let mut first = Vec::new();
            bench.window.open(|_, value| first.push(value));
            first
        };
        assert!(opened(&mut bench).is_empty());
        bench.take(None, 4.0);
        assert_eq!(opened(&mut bench), [4.0]);
        bench.take(None, 8.0);
        assert!(opened(&mut bench).is_empty());
        assert_eq!(bench.drained(), [8.0]);

        let mut bench = Bench::of(Kind::Gauge);
        bench.take(None, f64::NAN);
        assert!(opened(&mut bench).is_empty());
        bench.take(None, 4.0);
        assert_eq!(opened(&mut bench), [4.0], "a reading that was not there at the first sample");
        bench.take(None, 8.0);
        assert_eq!(bench.drained(), [6.0]);
    }

    proptest! {
        #[test]
        fn a_mean_lies_between_its_readings_and_is_exact_for_equal_ones(
            readings in proptest::collection::vec((0.0..1e9_f64, 1_u64..100_000), 1..100),
        ) {
            let mut bench = Bench::of(Kind::Gauge);
            for (value, millis) in &readings {
                bench.take(Some(Duration::from_millis(*millis)), *value);
            }
            let mean = bench.drained()[0];
            let low = readings.iter().map(|(v, _)| *v).fold(f64::MAX, f64::min);
            let high = readings.iter().map(|(v, _)| *v).fold(0.0, f64::max);
            prop_assert!(mean >= low * (1.0 - 1e-12) && mean <= high * (1.0 + 1e-12));

            for (_, millis) in &readings {
                bench.take(Some(Duration::from_millis(*millis)), 135.217_000_1);
            }
            prop_assert_eq!(bench.drained(), [135.217_000_1]);
        }
    }
}
