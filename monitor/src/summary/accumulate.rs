//! What grows with a run and never allocates: means, percentiles, sums and peaks over time.
//!
//! Invariant: each is exact for what it was given; time in which nobody looked adds nothing.

/// A mean over time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    value: f64,
    secs: f64,
}

impl Mean {
    /// Takes a reading that stands for `secs`.
    pub(super) fn add(&mut self, reading: f64, secs: f64) {
        if secs > 0.0 {
            self.secs += secs;
            // Moves the mean instead of summing, so that equal readings have exactly their own value as the mean.
            self.value += (reading - self.value) * (secs / self.secs);
        }
    }

    /// `None` before the first reading that stands for some time.
    pub(super) fn get(&self) -> Option<f64> {
        (self.secs > 0.0).then_some(self.value)
    }

    /// The time that was read.
    pub(super) fn secs(&self) -> f64 {
        self.secs
    }
}

/// Bins of a spread: a percentage to one decimal, 0 to 100.
const BINS: usize = 1001;

/// How a percentage is spread over time: its mean, and its percentiles to one decimal.
#[derive(Debug)]
pub(super) struct Spread {
    mean: Mean,
    /// Seconds by tenths of a percent.
    bins: Box<[f64]>,
    idle_secs: f64,
}

impl Default for Spread {
    fn default() -> Self {
        Self { mean: Mean::default(), bins: vec![0.0; BINS].into_boxed_slice(), idle_secs: 0.0 }
    }
}

impl Spread {
    /// Below this percentage a device did nothing worth the name.
    pub(super) const IDLE: f64 = 5.0;

    pub(super) fn add(&mut self, percentage: f64, secs: f64) {
        let percentage = percentage.clamp(0.0, 100.0);
        self.mean.add(percentage, secs);
        let tenths = (percentage * 10.0).round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 1000, by the clamp"
        )]
        let bin = self.bins.get_mut(tenths as usize);
        if let Some(bin) = bin {
            *bin += secs;
        }
        if percentage < Self::IDLE {
            self.idle_secs += secs;
        }
    }

    pub(super) fn mean(&self) -> Option<f64> {
        self.mean.get()
    }

    /// The share of the time below [`Self::IDLE`].
    pub(super) fn idle_fraction(&self) -> Option<f64> {
        self.mean.get().map(|_| (self.idle_secs / self.mean.secs()).clamp(0.0, 1.0))
    }

    /// The lowest percentage that was not exceeded in the share `rank` of the time.
    pub(super) fn percentile(&self, rank: f64) -> Option<f64> {
        self.mean.get()?;
        let needed = rank * self.bins.iter().sum::<f64>();
        let (mut reached, mut tenths, mut highest) = (0.0, 0.0, 0.0);
        for secs in &self.bins {
            if *secs > 0.0 {
                reached += secs;
                highest = tenths;
                if reached >= needed {
                    break;
                }
            }
            tenths += 1.0;
        }
        Some(highest / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spread(readings: &[(f64, f64)]) -> Spread {
        let mut spread = Spread::default();
        for (percentage, secs) in readings {
            spread.add(*percentage, *secs);
        }
        spread
    }

    #[test]
    fn percentiles_and_means_are_weighted_by_time() {
        let readings = [(10.0, 6.0), (20.0, 3.0), (90.0, 1.0)];
        let spread = spread(&readings);
        for (rank, expected) in
            [(0.0, 10.0), (0.5, 10.0), (0.6, 10.0), (0.61, 20.0), (0.95, 90.0), (1.0, 90.0)]
        {
            assert_eq!(spread.percentile(rank), Some(expected), "{rank}");
        }
        assert!((spread.mean().unwrap() - 21.0).abs() < 1e-12);
    }

    #[test]
    fn idle_is_below_five_percent() {
        let spread = spread(&[(4.99, 1.0), (5.0, 3.0)]);
        assert_eq!(spread.idle_fraction(), Some(0.25));
    }

    #[test]
    fn nothing_read_is_nothing_known() {
        let spread = spread(&[(50.0, 0.0)]);
        assert_eq!([spread.mean(), spread.percentile(0.5), spread.idle_fraction()], [None; 3]);
        assert_eq!(Mean::default().get(), None);
    }

    proptest! {
        #[test]
        fn percentiles_rise_with_their_rank_and_stay_percentages(
            readings in proptest::collection::vec((-10.0..120.0_f64, 0.001..100.0_f64), 1..50),
        ) {
            let spread = spread(&readings);
            let mut last = 0.0;
            for rank in [0.0, 0.25, 0.5, 0.75, 0.95, 1.0] {
                let percentile = spread.percentile(rank).unwrap();
                prop_assert!(percentile >= last && percentile <= 100.0);
                last = percentile;
            }
            prop_assert!((0.0..=1.0).contains(&spread.idle_fraction().unwrap()));
            prop_assert!((0.0..=100.0).contains(&spread.mean().unwrap()));
        }
    }
}
