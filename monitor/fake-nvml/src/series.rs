//! One value over time: steps, repeated steps, and counters that grow.
//!
//! Invariant: a mean over an interval is the exact integral, not a sample.

use crate::clock::Millis;

/// From `from` on the value is `value`, and grows by `slope` a second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    from: Millis,
    value: f64,
    slope: f64,
}

impl Piece {
    fn at(&self, now: Millis) -> f64 {
        self.value + self.slope * seconds(now.saturating_sub(self.from))
    }
}

/// Before its first piece, a series is 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Series {
    pieces: Vec<Piece>,
    /// After so long it begins again, with the moment in which its first period began.
    period: Option<(Millis, Millis)>,
}

impl Series {
    /// From `from` on it is `value`.
    pub(crate) fn set(&mut self, from: Millis, value: f64) {
        self.piece(from, value, 0.0);
    }

    /// From `from` on it grows by `slope` a second, from where it stands.
    pub(crate) fn grow(&mut self, from: Millis, slope: f64) {
        self.piece(from, self.at(from), slope);
    }

    /// From `start` on, `steps` (relative to it) over again every `period`.
    pub(crate) fn cycle(start: Millis, period: Millis, steps: &[(Millis, f64)]) -> Self {
        let mut series = Self { pieces: Vec::new(), period: Some((start, period)) };
        for (from, value) in steps {
            series.pieces.push(Piece { from: *from, value: *value, slope: 0.0 });
        }
        series
    }

    fn piece(&mut self, from: Millis, value: f64, slope: f64) {
        if self.period.take().is_some() {
            self.pieces.clear();
        }
        self.pieces.retain(|piece| piece.from < from);
        self.pieces.push(Piece { from, value, slope });
    }

    pub(crate) fn at(&self, now: Millis) -> f64 {
        let now = match self.period {
            Some((start, period)) => now.saturating_sub(start) % period,
            None => now,
        };
        self.pieces.iter().rev().find(|piece| piece.from <= now).map_or(0.0, |piece| piece.at(now))
    }

    /// Its mean over `from..to`; at one moment, its value.
    pub(crate) fn mean(&self, from: Millis, to: Millis) -> f64 {
        if to <= from {
            return self.at(to);
        }
        (self.integral(to) - self.integral(from)) / seconds(to - from)
    }

    /// By how much it grew a second over `from..to`.
    pub(crate) fn growth(&self, from: Millis, to: Millis) -> f64 {
        if to <= from { 0.0 } else { (self.at(to) - self.at(from)) / seconds(to - from) }
    }

    /// Of value and seconds, from the beginning to `until`.
    fn integral(&self, until: Millis) -> f64 {
        let Some((start, period)) = self.period else { return self.plain_integral(until) };
        let until = until.saturating_sub(start);
        whole_number(until / period) * self.plain_integral(period) + self.plain_integral(until % period)
    }

    fn plain_integral(&self, until: Millis) -> f64 {
        let ends = self.pieces.iter().skip(1).map(|piece| piece.from).chain([Millis::MAX]);
        let area = |(piece, end): (&Piece, Millis)| {
            let end = end.min(until);
            if end <= piece.from {
                return 0.0;
            }
            f64::midpoint(piece.value, piece.at(end)) * seconds(end - piece.from)
        };
        self.pieces.iter().zip(ends).map(area).sum()
    }
}

fn seconds(millis: Millis) -> f64 {
    whole_number(millis) / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "a script's times and counts are far below 2^53")]
pub(crate) fn whole_number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} is not {right}");
    }

    #[test]
    fn the_mean_of_steps_is_their_integral() {
        let mut steps = Series::default();
        steps.set(0, 90.0);
        steps.set(9000, 0.0);
        near(steps.at(8999), 90.0);
        near(steps.at(9000), 0.0);
        near(steps.mean(0, 10_000), 81.0);
        near(steps.mean(8000, 10_000), 45.0);
        near(steps.mean(500, 500), 90.0);
    }

    #[test]
    fn a_cycle_begins_again() {
        let cycle = Series::cycle(1000, 10_000, &[(0, 100.0), (9000, 0.0)]);
        near(cycle.at(1000), 100.0);
        near(cycle.at(10_500), 0.0);
        near(cycle.at(11_000), 100.0);
        near(cycle.mean(1000, 101_000), 90.0);
        near(cycle.mean(10_500, 11_500), 50.0);
    }

    #[test]
    fn a_counter_grows_from_where_it_stands_and_can_be_set_back() {
        let mut counter = Series::default();
        counter.set(0, 1000.0);
        counter.grow(2000, 500.0);
        counter.grow(4000, 0.0);
        near(counter.at(3000), 1500.0);
        near(counter.at(9000), 2000.0);
        near(counter.growth(2000, 4000), 500.0);
        near(counter.mean(2000, 4000), 1500.0);
        counter.set(9500, 0.0);
        near(counter.at(9500), 0.0);
    }
}
