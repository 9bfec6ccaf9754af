//! What the benches measure with: a stopwatch for calls, and what the system counts of a process.
//!
//! The package of the peers includes this file too, so that a peer's call stands in the same loop as runlog's.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Calls in one reading of the clock, where calls are timed back to back.
const CALLS_TOGETHER: u64 = 1000;

#[expect(clippy::disallowed_methods, reason = "a stopwatch; the peers have no clock of runlog's")]
fn now() -> Instant {
    Instant::now()
}

/// Nanoseconds a call takes when nothing is between calls: the median of slices of a thousand.
pub(crate) fn back_to_back(calls: u64, mut call: impl FnMut(u64)) -> f64 {
    let mut slices = Vec::new();
    for first in (0..calls).step_by(CALLS_TOGETHER as usize) {
        let begun = now();
        for number in first..first + CALLS_TOGETHER {
            call(black_box(number));
        }
        slices.push(begun.elapsed().as_nanos() as f64 / CALLS_TOGETHER as f64);
    }
    median(&mut slices)
}

/// What each single call takes, in nanoseconds, with the two readings of the clock around it.
pub(crate) fn one_by_one(calls: u64, mut call: impl FnMut(u64)) -> Singles {
    let mut took = Vec::with_capacity(calls as usize);
    for number in 0..calls {
        let begun = now();
        call(black_box(number));
        took.push(begun.elapsed());
    }
    Singles::new(took)
}

/// As [`one_by_one`], with a call each `pace`; the thread spins in between, as one that trains.
pub(crate) fn at_a_pace(calls: u64, pace: Duration, mut call: impl FnMut(u64)) -> Vec<Duration> {
    let mut took = Vec::with_capacity(calls as usize);
    let mut due = now();
    for number in 0..calls {
        due += pace;
        while now() < due {
            std::hint::spin_loop();
        }
        let begun = now();
        call(black_box(number));
        took.push(begun.elapsed());
        // Who was kept from the processor does not hurry afterwards.
        due = due.max(begun);
    }
    took
}

/// Quantiles of single calls, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Singles {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
}

impl Singles {
    pub(crate) fn new(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let last = took.len() - 1;
        let at = |share: f64| took[(last as f64 * share).round() as usize].as_nanos() as f64;
        let mean = took.iter().map(Duration::as_nanos).sum::<u128>() as f64 / took.len() as f64;
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1.0), mean }
    }
}

pub(crate) fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
