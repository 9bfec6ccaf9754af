//! When that is done again which costs more than a sample may.
//!
//! Invariant: over time no more things are looked at in a second than was agreed, however many there are, except after a
//! gap. As many as may be looked at in a second are looked at in every sample, so that a short run has them at its end.

use std::time::Duration;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    NotYet,
    /// There is nothing to compare with: the first time, or after a gap.
    Anew,
    /// So long after the last time.
    After(Duration),
}

/// Keeps count of the time since it was last done.
#[derive(Debug)]
pub(super) struct Turn {
    per_second: u32,
    waited: Duration,
    wait: Duration,
}

impl Turn {
    /// One in which so many things are looked at in a second.
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, waited: Duration::ZERO, wait: Duration::ZERO }
    }

    /// Whether a sample so long after the one before is to do it.
    pub(super) fn due(&mut self, since_last: Option<Duration>) -> Due {
        let Some(since_last) = since_last else { return Due::Anew };
        self.waited += since_last;
        // Nothing can be divided by no time.
        if self.waited < self.wait || self.waited.is_zero() { Due::NotYet } else { Due::After(self.waited) }
    }

    /// It was done, and so many things were looked at.
    pub(super) fn done(&mut self, things: usize) {
        let things = u32::try_from(things).unwrap_or(u32::MAX);
        self.waited = Duration::ZERO;
        let wait = Duration::from_secs(1) * things / self.per_second;
        self.wait = if things > self.per_second { wait } else { Duration::ZERO };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_have_their_turn_in_every_sample_however_soon_it_comes() {
        let soon = Duration::from_millis(1);
        for (things, expected) in [(20, Due::After(soon)), (21, Due::NotYet)] {
            let mut turn = Turn::new(20);
            turn.done(things);
            assert_eq!(turn.due(Some(Duration::ZERO)), Due::NotYet);
            assert_eq!(turn.due(Some(soon)), expected);
        }
    }

    #[test]
    fn the_more_there_is_to_read_the_longer_it_waits() {
        let second = Duration::from_secs(1);
        for (files, waits) in [(0, 1), (20, 1), (21, 2), (200, 10), (2000, 100)] {
            let mut turn = Turn::new(20);
            assert_eq!(turn.due(None), Due::Anew);
            turn.done(files);
            for _ in 1..waits {
                assert_eq!(turn.due(Some(second)), Due::NotYet, "{files} files");
            }
            assert_eq!(turn.due(Some(second)), Due::After(second * waits), "{files} files");
            assert_eq!(turn.due(None), Due::Anew, "a gap has no length");
        }
    }
}
