//! One point of a metric as a line of text.
//!
//! ```text
//! a run's:    <ms> <value> <step>            (MLflow also writes, and reads wrongly: … <dataset> <digest>)
//! a model's:  <ms> <value> <step> <run id>[ <dataset> <digest>]
//! ```
//!
//! Values are as Python writes floats, `nan` and `inf` too. MLflow splits a line at each space, so a dataset's name
//! with spaces would make the file unreadable; here each becomes a no-break space, and back.

use std::cmp::Ordering;

use crate::entity::Metric;
use crate::flatten::float_in;
use crate::store::point::{Point, Value};

const NO_BREAK_SPACE: char = '\u{a0}';

/// Room for two whole numbers of at most 20 characters, a value of at most 24 and two spaces.
const FIELDS_BYTES: usize = 80;

/// A point with what else its line says. Equal lines are the same point: of a run if time, step and value are the
/// same, of a model if time, step and run are.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) point: Point,
    /// The run and the dataset of a model's point, as in the file; empty for a run's.
    source: String,
}

/// How a line of some file is read; `None` for what is no such line.
pub(super) type Parse = fn(&str) -> Option<Line>;

impl Line {
    pub(super) fn of_run(metric: &Metric) -> Self {
        Self { point: Point::of(metric), source: String::new() }
    }

    pub(super) fn of_model(metric: &Metric, run_id: &str) -> Self {
        let mut source = run_id.to_owned();
        if let (Some(name), Some(digest)) = (&metric.dataset_name, &metric.dataset_digest)
            && !name.is_empty()
            && !digest.is_empty()
        {
            for part in [name, digest] {
                source.push(' ');
                source.extend(
                    part.chars()
                        .map(|c| if c.is_whitespace() || c.is_control() { NO_BREAK_SPACE } else { c }),
                );
            }
        }
        Self { point: Point::of(metric), source }
    }

    /// A line of a run's file; what it says of a dataset is the model's.
    pub(super) fn parse_run(text: &str) -> Option<Self> {
        let (point, _dataset) = point(text)?;
        Some(Self { point, source: String::new() })
    }

    /// A line of a model's file.
    pub(super) fn parse_model(text: &str) -> Option<Self> {
        let (point, source) = point(text)?;
        (!source.is_empty()).then(|| Self { point, source: source.to_owned() })
    }

    /// Appends the line, with its line break.
    pub(super) fn write(&self, text: &mut Vec<u8>) {
        let Point { timestamp, step, value } = self.point;
        let mut fields = Fields { bytes: [b' '; FIELDS_BYTES], start: FIELDS_BYTES };
        fields.put_number(step);
        fields.start -= 1;
        fields.put(float_in(&mut zmij::Buffer::new(), value.get()).as_bytes());
        fields.start -= 1;
        fields.put_number(timestamp);
        text.extend_from_slice(&fields.bytes[fields.start..]);
        if !self.source.is_empty() {
            text.push(b' ');
            text.extend_from_slice(self.source.as_bytes());
        }
        text.push(b'\n');
    }

    /// The run that logged a model's point.
    fn run_id(&self) -> &str {
        self.source.split(' ').next().unwrap_or_default()
    }

    /// What a model's line says.
    pub(super) fn model_metric(&self, key: &str, model_id: &str) -> Metric {
        let mut metric = self.point.metric(key).for_model(model_id);
        let (run_id, dataset) = self.source.split_once(' ').unwrap_or((&self.source, ""));
        metric.run_id = Some(run_id.to_owned());
        // MLflow writes names as they are; the digest has no spaces.
        if let Some((name, digest)) = dataset.rsplit_once(' ') {
            let text = |part: &str| part.replace(NO_BREAK_SPACE, " ");
            metric = metric.on_dataset(text(name), text(digest));
        }
        metric
    }
}

/// The first fields of a line, from the last one on, as the digits of a number come.
struct Fields {
    bytes: [u8; FIELDS_BYTES],
    start: usize,
}

impl Fields {
    fn put(&mut self, text: &[u8]) {
        let end = self.start;
        self.start -= text.len();
        self.bytes[self.start..end].copy_from_slice(text);
    }

    fn put_number(&mut self, number: i64) {
        let mut rest = number.unsigned_abs();
        while rest >= 100 {
            self.put(&DIGIT_PAIRS[index(rest % 100)]);
            rest /= 100;
        }
        let [tens, ones] = DIGIT_PAIRS[index(rest)];
        self.put(&[ones]);
        if rest >= 10 {
            self.put(&[tens]);
        }
        if number < 0 {
            self.put(b"-");
        }
    }
}

/// `00` to `99`.
const DIGIT_PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let (mut number, mut tens) = (0, b'0');
    while number < 100 {
        let mut ones = b'0';
        while ones <= b'9' {
            pairs[number] = [tens, ones];
            number += 1;
            ones += 1;
        }
        tens += 1;
    }
    pairs
};

/// A number below 100 as an index.
#[expect(clippy::cast_possible_truncation, reason = "it is below 100")]
const fn index(number: u64) -> usize {
    number as usize
}

impl Ord for Line {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.source.is_empty() && other.source.is_empty() {
            return self.point.cmp(&other.point);
        }
        let place = |line: &Self| (line.point.timestamp, line.point.step);
        place(self).cmp(&place(other)).then_with(|| self.run_id().cmp(other.run_id()))
    }
}

impl PartialOrd for Line {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Line {}

/// The point of a line and the rest of it. The oldest files have no steps.
fn point(text: &str) -> Option<(Point, &str)> {
    let mut fields = text.trim_end_matches(['\r', '\n', ' ']).splitn(4, ' ');
    let timestamp = fields.next()?.parse().ok()?;
    let value: f64 = fields.next()?.parse().ok()?;
    let step = fields.next().map_or(Some(0), |step| step.parse().ok())?;
    Some((Point { timestamp, step, value: Value::new(value) }, fields.next().unwrap_or("")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(line: &Line) -> String {
        let mut text = Vec::new();
        line.write(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn lines_are_mlflows() {
        for (value, expect) in [
            (1.0, "7 1.0 -2\n"),
            (1e-5, "7 1e-05 -2\n"),
            (1e300, "7 1e+300 -2\n"),
            (f64::NAN, "7 nan -2\n"),
            (f64::NEG_INFINITY, "7 -inf -2\n"),
        ] {
            assert_eq!(written(&Line::of_run(&Metric::new("loss", value, 7, -2))), expect);
        }
        for (time, step, expect) in [
            (i64::MIN, i64::MAX, "-9223372036854775808 -0.0001220703125 9223372036854775807\n"),
            (0, -10, "0 -0.0001220703125 -10\n"),
            (99, 100, "99 -0.0001220703125 100\n"),
        ] {
            assert_eq!(
                written(&Line::of_run(&Metric::new("loss", -(2.0_f64.powi(-13)), time, step))),
                expect
            );
        }
        let metric = Metric::new("f1", 0.5, 7, 1).for_model("m-0");
        assert_eq!(written(&Line::of_model(&metric, "abc")), "7 0.5 1 abc\n");
        let metric = metric.on_dataset("red wine", "0a1b");
        assert_eq!(written(&Line::of_model(&metric, "abc")), "7 0.5 1 abc red\u{a0}wine 0a1b\n");
    }

    #[test]
    fn every_form_that_mlflow_wrote_is_read() {
        for text in ["7 0.5", "7 0.5 0\n", "7 0.5 0\r\n", "7 0.5 0 iris 0a1b\n", "7 5e-1 0 red wine 0a1b"] {
            assert_eq!(
                Line::parse_run(text).unwrap(),
                Line::of_run(&Metric::new("loss", 0.5, 7, 0)),
                "{text}"
            );
        }
        for text in ["", "\n", "7", "7 x 1", "seven 0.5 1", "7 0.5 one", "7  0.5 1", "\0\0\0"] {
            assert_eq!(Line::parse_run(text), None, "{text:?}");
        }
        assert_eq!(Line::parse_model("7 0.5 1"), None);
        let metric = Line::parse_model("7 nan 1 abc red wine 0a1b\n").unwrap().model_metric("f1", "m-0");
        assert_eq!(
            (metric.run_id.as_deref(), metric.dataset_name.as_deref(), metric.dataset_digest.as_deref()),
            (Some("abc"), Some("red wine"), Some("0a1b"))
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bits in any::<u64>(), time in any::<i64>(), step in any::<i64>(), name in "\\PC{0,20}") {
            let metric = Metric::new("loss", f64::from_bits(bits), time, step);
            let line = Line::of_run(&metric);
            prop_assert_eq!(Line::parse_run(&written(&line)).unwrap(), line);
            let line = Line::of_model(&metric.on_dataset(&name, "0"), "abc");
            prop_assert_eq!(Line::parse_model(&written(&line)).unwrap(), line);
        }
    }
}
