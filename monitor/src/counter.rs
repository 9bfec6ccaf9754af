//! Counters of the system and of devices, which began somewhere before us and may begin anew.

/// What a counter has counted between two looks.
///
/// ```
/// let mut packets = runlog_monitor::Counter::default();
/// assert_eq!(packets.advance(1000), None, "it began somewhere before");
/// assert_eq!(packets.advance(1010), Some(10));
/// assert_eq!(packets.advance(3), None, "it began anew");
/// assert_eq!(packets.advance(5), Some(2));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    last: Option<u64>,
}

impl Counter {
    /// Takes the counter's reading: what was counted since the one before; `None` the first time and where the counter
    /// ran backwards, which only a new beginning explains.
    pub fn advance(&mut self, now: u64) -> Option<u64> {
        self.last.replace(now).and_then(|before| now.checked_sub(before))
    }

    /// Forgets the last reading: nothing is counted over a time in which nobody looked.
    pub fn rebase(&mut self) {
        self.last = None;
    }
}

/// What a counter has counted since we first looked, new beginnings left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    counter: Counter,
    sum: u64,
}

impl Sum {
    /// Takes the counter's reading: all that was counted since the first one.
    pub fn advance(&mut self, now: u64) -> u64 {
        self.sum = self.sum.saturating_add(self.counter.advance(now).unwrap_or(0));
        self.sum
    }

    /// What was counted so far.
    pub fn get(&self) -> u64 {
        self.sum
    }

    /// Forgets the last reading and keeps the sum.
    pub fn rebase(&mut self) {
        self.counter.rebase();
    }
}

/// Energy from power: each pair of readings in a row stands for the time between them (the trapezoid rule).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Integral {
    last: Option<f64>,
    joules: Option<f64>,
}

impl Integral {
    /// Takes a reading in watts, so many seconds after the one before: the joules since the first one. Nothing is added
    /// over a time of unknown length.
    pub(crate) fn advance(&mut self, watts: f64, secs: Option<f64>) -> f64 {
        if let (Some(before), Some(secs)) = (self.last.replace(watts), secs) {
            *self.joules.get_or_insert(0.0) += f64::midpoint(before, watts) * secs;
        }
        self.joules.unwrap_or(0.0)
    }

    /// `None` before there were two readings in a row.
    pub(crate) fn get(&self) -> Option<f64> {
        self.joules
    }

    /// Forgets the last reading and keeps the sum.
    pub(crate) fn rebase(&mut self) {
        self.last = None;
    }
}

/// What a counter that is no whole number has grown by since we first looked, new beginnings left out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Growth {
    last: Option<f64>,
    sum: f64,
}

impl Growth {
    /// Takes the counter's reading.
    pub(crate) fn add(&mut self, reading: f64) {
        if let Some(last) = self.last.replace(reading) {
            self.sum += (reading - last).max(0.0);
        }
    }

    /// `None` before the first look.
    pub(crate) fn get(&self) -> Option<f64> {
        self.last.map(|_| self.sum)
    }

    /// What it grew by since this was last asked.
    pub(crate) fn take(&mut self) -> Option<f64> {
        let grown = self.get();
        self.sum = 0.0;
        grown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_leaves_out_what_came_before_and_new_beginnings() {
        let mut sum = Sum::default();
        let sums = [100, 110, 4, 9, 9].map(|now| sum.advance(now));
        assert_eq!(sums, [0, 10, 10, 15, 15]);
        sum.rebase();
        assert_eq!((sum.advance(1000), sum.advance(1001), sum.get()), (15, 16, 16));
    }

    #[test]
    fn power_becomes_energy_over_the_times_that_are_known() {
        let mut energy = Integral::default();
        let second = Some(1.0);
        energy.advance(300.0, None);
        assert_eq!(energy.get(), None, "one reading stands for no time");
        assert_eq!(
            [(100.0, None), (200.0, second), (200.0, None), (100.0, second)]
                .map(|(watts, secs)| Some(energy.advance(watts, secs))),
            [0.0, 150.0, 150.0, 300.0].map(Some)
        );
        energy.rebase();
        let later = [50.0, 50.0].map(|watts| Some(energy.advance(watts, second)));
        assert_eq!(later, [Some(300.0), Some(350.0)]);
    }

    #[test]
    fn growth_leaves_out_what_came_before_and_new_beginnings() {
        let mut growth = Growth::default();
        assert_eq!(growth.get(), None);
        let sums = [100.0, 110.0, 4.0, 9.0].map(|reading| {
            growth.add(reading);
            growth.get()
        });
        assert_eq!(sums, [0.0, 10.0, 10.0, 15.0].map(Some));
        assert_eq!([growth.take(), growth.take()], [Some(15.0), Some(0.0)]);
    }
}
