//! Processor time that comes to light late: told at the pace at which it can have been used.
//!
//! The kernel counts in ticks of 10 ms, and a process of the tree may be found after it has used some time. What is too
//! much for one sample is told with the next ones.
//!
//! Invariant: no more than 100 % is told, and over a run all that was used, unless more than [`SAMPLES_MAX`] samples
//! could tell is left.

use std::time::Duration;

/// If there is more left, it is not late, but the processors are more than we know of.
const SAMPLES_MAX: f64 = 10.0;

/// What is still to be told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread {
    rest_secs: f64,
}

impl Spread {
    /// The percentage of `processors` over a time in which so many seconds more came to light; `None` if the time has no
    /// beginning.
    pub(super) fn percentage(
        &mut self,
        more_secs: f64,
        processors: f64,
        since_last: Option<Duration>,
    ) -> Option<f64> {
        let Some(time) = since_last.filter(|time| !time.is_zero()) else {
            *self = Self::default();
            return None;
        };
        let most_secs = processors * time.as_secs_f64();
        let all_secs = self.rest_secs + more_secs;
        let told_secs = all_secs.min(most_secs);
        self.rest_secs = (all_secs - told_secs).min(most_secs * SAMPLES_MAX);
        Some(told_secs / most_secs * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Option<Duration> = Some(Duration::from_secs(1));

    #[test]
    fn what_is_too_much_for_one_sample_is_told_with_the_next_ones() {
        let mut spread = Spread::default();
        let told = [5.0, 0.5, 0.0, 1.0].map(|more_secs| spread.percentage(more_secs, 2.0, SECOND));
        assert_eq!(told, [Some(100.0), Some(100.0), Some(75.0), Some(50.0)]);
    }

    #[test]
    fn a_gap_forgets_and_what_never_ends_is_bounded() {
        let mut spread = Spread::default();
        spread.percentage(50.0, 1.0, SECOND);
        assert_eq!(spread.percentage(50.0, 1.0, None), None);
        assert_eq!(spread.percentage(0.5, 1.0, SECOND), Some(50.0));
        assert_eq!(spread.percentage(0.5, 1.0, Some(Duration::ZERO)), None);
        spread.percentage(1e9, 1.0, SECOND);
        let told = (0..20).filter(|_| spread.percentage(0.0, 1.0, SECOND) > Some(0.0)).count();
        assert_eq!(told, 10);
    }
}
