//! When to sample: deadlines at start + k · interval, so that slow samples or a late wake-up never add up to drift.
//!
//! Invariant: a deadline that has passed is never served twice nor caught up with; the next one is always ahead.

use std::time::Duration;

/// More missed deadlines than this are a gap: the process was stopped or the machine slept.
///
/// One or two are a busy machine, over which a rate is still a fair average.
const MISSED_MAX: u64 = 2;

/// The deadlines of one run, in time since its start.
#[derive(Debug)]
pub(crate) struct Schedule {
    interval_nanos: u64,
    /// The number of the deadline that is waited for; the start itself is number 0.
    next: u64,
}

impl Schedule {
    /// A schedule whose first deadline is one interval after the start.
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval_nanos: nanos(interval).max(1), next: 1 }
    }

    /// The time to wait for, since the start.
    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_nanos(self.next.saturating_mul(self.interval_nanos))
    }

    /// Takes note that it is now `elapsed` since the start, past the deadline, and says whether that leaves a gap.
    pub(crate) fn arrive(&mut self, elapsed: Duration) -> bool {
        let gap = self.is_gap(elapsed);
        self.next = self.reached(elapsed).saturating_add(1);
        gap
    }

    /// Whether it is a gap if it is now `elapsed` since the start.
    pub(crate) fn is_gap(&self, elapsed: Duration) -> bool {
        self.reached(elapsed) - self.next > MISSED_MAX
    }

    fn reached(&self, elapsed: Duration) -> u64 {
        (nanos(elapsed) / self.interval_nanos).max(self.next)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn late_wake_ups_do_not_drift() {
        let mut schedule = Schedule::new(SECOND);
        for k in 1..=10_000 {
            assert_eq!(schedule.deadline(), SECOND * k);
            assert!(!schedule.arrive(SECOND * k + Duration::from_millis(400)));
        }
    }

    #[test]
    fn missed_deadlines_are_skipped_and_more_than_two_are_a_gap() {
        let arrive = |late: f64| {
            let mut schedule = Schedule::new(SECOND);
            let gap = schedule.arrive(SECOND + Duration::from_secs_f64(late));
            (gap, schedule.deadline().as_secs())
        };
        assert_eq!(arrive(0.0), (false, 2));
        assert_eq!(arrive(0.9), (false, 2));
        assert_eq!(arrive(1.0), (false, 3));
        assert_eq!(arrive(2.9), (false, 4));
        assert_eq!(arrive(3.0), (true, 5));
        assert_eq!(arrive(3600.5), (true, 3602));
    }

    #[test]
    fn an_interval_of_ages_never_overflows() {
        let mut schedule = Schedule::new(Duration::MAX);
        assert!(!schedule.arrive(Duration::MAX));
        assert!(schedule.deadline() > SECOND);
    }

    proptest! {
        #[test]
        fn the_next_deadline_is_ahead_by_at_most_one_interval(
            interval_ms in 1_u64..20_000,
            lateness_ms in proptest::collection::vec(0_u64..200_000, 1..50),
        ) {
            let interval = Duration::from_millis(interval_ms);
            let mut schedule = Schedule::new(interval);
            for late in lateness_ms {
                let now = schedule.deadline() + Duration::from_millis(late);
                schedule.arrive(now);
                prop_assert!(schedule.deadline() > now);
                prop_assert!(schedule.deadline() <= now + interval);
            }
        }
    }
}
