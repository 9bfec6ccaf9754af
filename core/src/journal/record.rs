//! A record: one logged fact on its way to the store.
//!
//! Metric points, the many, fit one slot and are written without allocation. Everything else is rare: it travels as
//! JSON text over as many slots as it takes.

use serde::{Deserialize, Serialize};

use super::slot::WORDS;
use crate::entity::{DatasetInput, Metric, RunStatus};

/// One logged fact. Runs and metric keys are numbers that the journal's definitions name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    /// A point of a metric.
    Metric(Point),
    /// Anything else.
    Text(Text),
}

/// A point of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) run: u32,
    pub(crate) key: u32,
    pub(crate) value: f64,
    pub(crate) timestamp: i64,
    pub(crate) step: i64,
}

impl Point {
    #[inline]
    pub(super) fn to_words(self) -> [u64; WORDS - 2] {
        let ids = u64::from(self.run) | u64::from(self.key) << 32;
        [ids, self.value.to_bits(), self.timestamp.cast_unsigned(), self.step.cast_unsigned(), 0, 0]
    }

    pub(super) fn from_words(words: [u64; WORDS - 2]) -> Self {
        let [ids, value, timestamp, step, ..] = words;
        let low = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
        Self {
            run: low(ids),
            key: low(ids >> 32),
            value: f64::from_bits(value),
            timestamp: timestamp.cast_signed(),
            step: step.cast_signed(),
        }
    }
}

/// A record that is not a metric point, in the order of the calls that logged it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Text {
    /// A param, write-once.
    Param { run: u32, key: String, value: String },
    /// A tag, which a later one replaces.
    Tag { run: u32, key: String, value: String },
    /// A tag's removal.
    DeleteTag { run: u32, key: String },
    /// A point of a metric that is not the run's alone.
    Measure { run: u32, point: Box<Measure> },
    /// A dataset that the run read.
    Input { run: u32, input: Box<DatasetInput> },
    /// A model that the run uses.
    ModelInput { run: u32, model_id: String },
    /// A model that the run made.
    ModelOutput { run: u32, model_id: String, step: i64 },
    /// The run's end.
    End { run: u32, status: RunStatus, time: i64 },
    /// A large record, which stands in a file beside the journal.
    Aside { file: String },
    /// What happened to the process, for recovery to tell: a panic, a signal.
    Note { time: i64, status: RunStatus, text: String },
}

/// A point of a metric that measures a model, or that was taken on a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Measure {
    key: String,
    /// Of the value: JSON has no NaN and no infinities.
    bits: u64,
    pub(crate) timestamp: i64,
    step: i64,
    pub(crate) model_id: Option<String>,
    dataset_name: Option<String>,
    dataset_digest: Option<String>,
}

impl From<Metric> for Measure {
    fn from(metric: Metric) -> Self {
        let Metric { key, value, timestamp, step, model_id, dataset_name, dataset_digest, run_id: _ } =
            metric;
        Self { key, bits: value.to_bits(), timestamp, step, model_id, dataset_name, dataset_digest }
    }
}

impl Measure {
    pub(crate) fn metric(&self) -> Metric {
        let mut metric = Metric::new(&self.key, f64::from_bits(self.bits), self.timestamp, self.step);
        metric.model_id.clone_from(&self.model_id);
        metric.dataset_name.clone_from(&self.dataset_name);
        metric.dataset_digest.clone_from(&self.dataset_digest);
        metric
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_point_survives_its_words(run: u32, key: u32, bits: u64, timestamp: i64, step: i64) {
            let point = Point { run, key, value: f64::from_bits(bits), timestamp, step };
            let back = Point::from_words(point.to_words());
            prop_assert_eq!((back.run, back.key, back.timestamp, back.step), (run, key, timestamp, step));
            prop_assert_eq!(back.value.to_bits(), bits);
        }

        #[test]
        fn a_measure_survives_its_text(bits: u64, timestamp: i64, step: i64, named: bool) {
            let mut metric = Metric::new("loss", f64::from_bits(bits), timestamp, step).for_model("m-1");
            if named {
                metric = metric.on_dataset("wine", "0123");
            }
            let text = Text::Measure { run: 3, point: Box::new(metric.clone().into()) };
            let back: Text = serde_json::from_slice(&serde_json::to_vec(&text).unwrap()).unwrap();
            let Text::Measure { run: 3, point } = back else { panic!("{back:?}") };
            let back = point.metric();
            prop_assert_eq!(back.value.to_bits(), bits);
            prop_assert_eq!(Metric { value: 0.0, ..back }, Metric { value: 0.0, ..metric });
        }
    }
}
