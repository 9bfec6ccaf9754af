//! The table, and the numbers in it.

use std::fmt;

use crate::measure::median;

/// Rows of what was measured.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Row>);

#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) ours: String,
    pub(crate) beside: String,
    pub(crate) ratio: String,
    pub(crate) wanted: String,
    /// Nothing where nothing is wanted, or where it could not be measured.
    pub(crate) held: Option<bool>,
}

impl Table {
    pub(crate) fn add(&mut self, row: Row) {
        eprintln!("{row}");
        self.0.push(row);
    }

    /// A row that could not be measured here.
    pub(crate) fn missing(&mut self, what: &str, why: &str) {
        self.add(Row { what: what.into(), ours: format!("not measured: {why}"), ..Row::default() });
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | runlog | beside it, in the same run | ratio | wanted | held |")?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- |")?;
        self.0.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = match self.held {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        let Self { what, ours, beside, ratio, wanted, .. } = self;
        write!(f, "| {what} | {ours} | {beside} | {ratio} | {wanted} | {held} |")
    }
}

/// The median of what was measured several times, with the smallest and the largest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    pub(crate) fn new(mut numbers: Vec<f64>) -> Self {
        let median = median(&mut numbers);
        Self { median, min: numbers[0], max: numbers[numbers.len() - 1] }
    }

    /// The same of something that is less where this is more, such as speed where this is time.
    pub(crate) fn inverse(&self, of: impl Fn(f64) -> f64) -> Self {
        Self { median: of(self.median), min: of(self.max), max: of(self.min) }
    }

    pub(crate) fn show(&self, show: impl Fn(f64) -> String) -> String {
        format!("{} ({}..{})", show(self.median), show(self.min), show(self.max))
    }
}

/// Two things that were measured in turns.
#[derive(Debug)]
pub(crate) struct Pairs {
    pub(crate) ours: Spread,
    pub(crate) other: Spread,
    /// Ours divided by the other, pair by pair.
    pub(crate) ratio: Spread,
}

/// Measures both `count` times; they take turns at being first.
pub(crate) fn pairs(count: usize, mut ours: impl FnMut() -> f64, mut other: impl FnMut() -> f64) -> Pairs {
    let mut measured = Vec::new();
    for pair in 0..count {
        measured.push(if pair % 2 == 0 {
            let first = ours();
            (first, other())
        } else {
            let first = other();
            (ours(), first)
        });
    }
    let of = |number: fn(&(f64, f64)) -> f64| Spread::new(measured.iter().map(number).collect());
    Pairs { ours: of(|pair| pair.0), other: of(|pair| pair.1), ratio: of(|pair| pair.0 / pair.1) }
}

/// Nanoseconds, as a person writes them.
pub(crate) fn ns(nanoseconds: f64) -> String {
    match nanoseconds {
        small if small < 1e3 => format!("{small:.0} ns"),
        micro if micro < 1e6 => format!("{:.1} µs", micro / 1e3),
        large => format!("{:.1} ms", large / 1e6),
    }
}

pub(crate) fn ms(secs: f64) -> String {
    format!("{:.1} ms", secs * 1e3)
}

pub(crate) fn times(ratio: f64) -> String {
    format!("{ratio:.2}")
}

/// Points a second.
pub(crate) fn rate(rate: f64) -> String {
    format!("{:.0} k/s", rate / 1e3)
}
