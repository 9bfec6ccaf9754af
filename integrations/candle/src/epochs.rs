//! Where epochs begin and end: at the user's guard, or after as many samples as an epoch is said to have.

use std::time::{Duration, Instant};

use runlog_core::clock;

/// The epochs of one training.
#[derive(Debug, Default)]
pub(crate) struct Epochs {
    /// Samples of one, where no guard says.
    pub(crate) length: Option<usize>,
    /// That have ended.
    pub(crate) ended: usize,
    /// That have begun.
    begun: usize,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    number: usize,
    by_guard: bool,
    since: Instant,
    steps: usize,
    samples: usize,
}

/// An epoch that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) number: usize,
    pub(crate) took: Duration,
    pub(crate) samples: usize,
}

impl Epochs {
    /// A guard begins one; its number, from 1.
    pub(crate) fn begin(&mut self) -> usize {
        self.start(true)
    }

    fn start(&mut self, by_guard: bool) -> usize {
        self.begun += 1;
        let number = self.begun;
        self.current = Some(Current { number, by_guard, since: clock::instant(), steps: 0, samples: 0 });
        number
    }

    /// Before a step: without a guard the first one of an epoch begins it, and this says so.
    pub(crate) fn before_step(&mut self) -> bool {
        let begins = self.length.is_some() && self.current.is_none();
        if begins {
            self.start(false);
        }
        begins
    }

    /// Whether anything wants to know the mean loss of steps.
    pub(crate) fn is_in_one(&self) -> bool {
        self.current.is_some()
    }

    /// Counts a step, and says which epoch ended with it.
    pub(crate) fn after_step(&mut self, samples: usize) -> Option<usize> {
        let current = self.current.as_mut()?;
        current.steps += 1;
        current.samples += samples;
        (!current.by_guard && self.length.is_some_and(|length| current.samples >= length))
            .then_some(current.number)
    }

    /// Ends an epoch; `None` if it is not the current one, or had no step.
    pub(crate) fn end(&mut self, number: usize) -> Option<Ended> {
        let current = self.current.take_if(|current| current.number == number)?;
        if current.steps == 0 {
            self.begun -= 1;
            return None;
        }
        self.ended = number;
        Some(Ended {
            number,
            took: clock::instant().saturating_duration_since(current.since),
            samples: current.samples,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_of_a_length_end_with_the_step_that_reaches_it() {
        let mut epochs = Epochs { length: Some(100), ..Epochs::default() };
        let mut ends = Vec::new();
        for step in 1..=7 {
            epochs.before_step();
            if let Some(number) = epochs.after_step(40) {
                ends.push((step, epochs.end(number).unwrap().samples));
            }
        }
        assert_eq!((ends, epochs.ended), (vec![(3, 120), (6, 120)], 2));
    }

    #[test]
    fn a_guard_ends_its_own_epoch_only_and_one_without_steps_does_not_count() {
        let mut epochs = Epochs { length: Some(1), ..Epochs::default() };
        let empty = epochs.begin();
        assert!(epochs.end(empty).is_none());
        let first = epochs.begin();
        epochs.before_step();
        assert_eq!(epochs.after_step(50), None, "the guard decides");
        let second = epochs.begin();
        assert!(epochs.end(first).is_none(), "it has given way");
        epochs.after_step(50);
        let ended = epochs.end(second).unwrap();
        assert_eq!((empty, first, ended.number, ended.samples), (1, 1, 2, 50));
    }
}
