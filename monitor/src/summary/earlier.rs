//! What a resumed run's summary already says, which this session's goes on from.
//!
//! Invariant: every quantity goes on from the same sessions: those that ended with a summary. So quantities may be
//! divided by each other in a resumed run as in any other.

use runlog_core::Metric;
use runlog_core::autolog::Watch;

use super::quantities as q;

/// The quantities of the sessions before.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    values: Vec<(String, f64)>,
}

impl Earlier {
    pub(super) fn of(watch: &Watch) -> Self {
        let node = watch.settings.node_id.as_deref().filter(|node| !node.is_empty());
        let prefix = node.map_or_else(|| "system/".to_owned(), |node| format!("system/{node}/"));
        let of_summary = |Metric { key, value, .. }: &Metric| {
            let name = key.strip_prefix(&prefix)?;
            (name.starts_with(q::PREFIX) && value.is_finite()).then(|| (name.to_owned(), *value))
        };
        Self { values: watch.earlier.iter().filter_map(of_summary).collect() }
    }

    fn get(&self, quantity: &str) -> Option<f64> {
        self.values.iter().find(|(known, _)| known == quantity).map(|(_, value)| *value)
    }

    /// A sum with what came together before.
    pub(super) fn sum(&self, quantity: &str, now: f64) -> f64 {
        self.get(quantity).unwrap_or(0.0) + now
    }

    /// The higher of a peak and the one before.
    pub(super) fn peak(&self, quantity: &str, now: f64) -> f64 {
        self.get(quantity).map_or(now, |before| before.max(now))
    }

    /// A mean over this session's and the earlier ones' time, of which `observed` is the share that was read.
    pub(super) fn mean(&self, quantity: &str, now: f64, now_secs: f64, observed: &str) -> f64 {
        let before_secs = || Some(self.get(q::WALL)? * self.get(observed)?);
        let before = self.get(quantity).zip(before_secs()).filter(|(_, secs)| *secs > 0.0);
        before.map_or(now, |(before, before_secs)| {
            let share = before_secs / (before_secs + now_secs);
            before * share + now * (1.0 - share)
        })
    }

    /// The share of the time of all sessions that was read, of `now_secs` here.
    pub(super) fn observed(&self, quantity: &str, now_secs: f64, wall_secs: f64) -> Option<f64> {
        let before = self.get(q::WALL).filter(|secs| *secs > 0.0).zip(self.get(quantity));
        let (before_wall, before_secs) = before.map_or((0.0, 0.0), |(wall, share)| (wall, wall * share));
        let all = before_wall + wall_secs;
        (all > 0.0).then(|| ((before_secs + now_secs) / all).clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use runlog_core::autolog::SystemMetrics;
    use runlog_core::config::Config;

    use super::*;

    fn earlier(node: Option<&str>, values: &[(&str, f64)]) -> Earlier {
        let mut settings = SystemMetrics::new();
        settings.node_id = node.map(str::to_owned);
        let mut watch = Watch::new("", settings, Config::default());
        watch.earlier = values.iter().map(|(key, value)| Metric::new(*key, *value, 0, 0)).collect();
        Earlier::of(&watch)
    }

    #[test]
    fn a_node_goes_on_from_its_own_summary() {
        let values = [("system/summary/wall_seconds", 5.0), ("system/node_1/summary/wall_seconds", 7.0)];
        assert_eq!(earlier(None, &values).get(q::WALL), Some(5.0));
        assert_eq!(earlier(Some(""), &values).get(q::WALL), Some(5.0));
        assert_eq!(earlier(Some("node_1"), &values).get(q::WALL), Some(7.0));
        assert_eq!(earlier(Some("node_2"), &values).get(q::WALL), None);
    }

    #[test]
    fn sums_go_on_peaks_stay_and_means_are_weighted_by_the_time_that_was_read() {
        let before = earlier(
            None,
            &[
                ("system/summary/wall_seconds", 100.0),
                ("system/summary/observed_fraction", 0.5),
                ("system/summary/cpu_utilization_mean_percentage", 80.0),
            ],
        );
        assert!((before.sum(q::WALL, 10.0) - 110.0).abs() < 1e-12);
        for (quantity, now, expected) in
            [(q::WALL, 10.0, 100.0_f64), (q::WALL, 110.0, 110.0), ("new", 1.0, 1.0)]
        {
            assert_eq!(before.peak(quantity, now).to_bits(), expected.to_bits());
        }
        // 50 s at 80 % and 150 s at 40 %.
        assert!((before.mean(q::CPU_MEAN, 40.0, 150.0, q::OBSERVED) - 50.0).abs() < 1e-12);
        assert_eq!(before.mean("new", 40.0, 150.0, q::OBSERVED).to_bits(), 40.0_f64.to_bits());
        // 50 of 100 s and 100 of 100 s.
        assert!((before.observed(q::OBSERVED, 100.0, 100.0).unwrap() - 0.75).abs() < 1e-12);
    }
}
