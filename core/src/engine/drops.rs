//! Records that the journal did not take, counted by run.
//!
//! Invariant: counting costs an atomic add, as logging does: a loop whose store is gone goes on at its speed.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind, Losses};

/// Why the journal did not take a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// It is full.
    Full,
    /// It is closed.
    Ending,
    /// The record is too large for its slots, and no file could be written for it.
    Large,
}

impl Dropped {
    const ALL: [Self; 3] = [Self::Full, Self::Ending, Self::Large];

    fn reason(self) -> &'static str {
        match self {
            Self::Full => "the journal is full, since the store took too little; the record was dropped",
            Self::Ending => "the process was ending; the record was not taken any more",
            Self::Large => "no file could be written for a record over 16 MiB; the record was dropped",
        }
    }

    /// What a receipt says.
    pub(crate) fn error(self) -> Error {
        match self {
            Self::Full | Self::Large => Error::new(ErrorKind::Unavailable, self.reason()),
            Self::Ending => Error::invalid(self.reason()),
        }
    }
}

/// How many records of each run were dropped, by reason.
#[derive(Debug, Default)]
pub(super) struct Drops(boxcar::Vec<[AtomicU64; Dropped::ALL.len()]>);

impl Drops {
    /// Counts a record of `run` and returns how many there are now, for the same reason.
    pub(super) fn count(&self, run: u32, why: Dropped) -> u64 {
        let counts = loop {
            match self.0.get(run as usize) {
                Some(counts) => break counts,
                // Other threads may do the same, which leaves room for more runs.
                None => drop(self.0.push(Default::default())),
            }
        };
        counts[why as usize].fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Adds what `run` lost so to its losses.
    pub(super) fn add_to(&self, losses: &mut Losses, run: u32) {
        let Some(counts) = self.0.get(run as usize) else { return };
        for why in Dropped::ALL {
            let count = counts[why as usize].load(Ordering::Relaxed);
            if count > 0 {
                losses.add(why.reason(), count);
            }
        }
    }

    /// How many records of any run were dropped.
    pub(super) fn total(&self) -> u64 {
        self.0.iter().flat_map(|(_, counts)| counts).map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_has_its_own_counts_from_whatever_threads() {
        const RUNS: u32 = 100;
        let drops = Drops::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                // The last run first: its place is not there yet.
                scope.spawn(|| {
                    for run in (0..RUNS).rev() {
                        for _ in 0..=run {
                            drops.count(run, Dropped::Full);
                        }
                        drops.count(run, Dropped::Ending);
                    }
                });
            }
        });
        for run in 0..RUNS {
            let mut losses = Losses::default();
            drops.add_to(&mut losses, run);
            let counts: Vec<u64> = losses.iter().map(|(_, count)| count).collect();
            assert_eq!(counts, [u64::from(run + 1) * 4, 4]);
        }
        let mut none = Losses::default();
        drops.add_to(&mut none, 100_000);
        assert!(none.is_empty());
        assert_eq!(drops.total(), 4 * (5050 + 100));
    }
}
