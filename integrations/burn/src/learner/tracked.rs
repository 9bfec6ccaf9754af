//! One registered metric: the values that wait for the end of what they belong to, and the keys that they go to.

use burn::train::metric::{MetricDefinition, MetricId, NumericEntry};
use burn::train::renderer::MetricState;
use runlog_core::{MetricHandle, RunHandle};

use super::keys::{Definition, key};
use super::watch::Split;

/// A registered metric.
pub(super) struct Tracked {
    id: MetricId,
    /// Its name as a part of keys.
    pub(super) key: String,
    pub(super) definition: Definition,
    lanes: [Lane; 3],
}

/// A metric on one split.
#[derive(Default)]
struct Lane {
    pending: Option<NumericEntry>,
    /// What it says that is no number.
    text: Option<String>,
    /// For the mean, where burn computes none: the sum and the number of items.
    sum: f64,
    items: f64,
    handles: Vec<(&'static str, MetricHandle)>,
}

/// Adds a metric unless it is known; two that would have one key are told apart.
pub(super) fn track(metrics: &mut Vec<Tracked>, definition: &MetricDefinition) {
    if metrics.iter().any(|metric| metric.is(&definition.metric_id)) {
        return;
    }
    let plain = key(&definition.name);
    let taken = |key: &String| metrics.iter().any(|metric| metric.key == *key);
    let numbered = (2..).map(|n| format!("{plain}_{n}"));
    let key = std::iter::once(plain.clone()).chain(numbered).find(|key| !taken(key)).unwrap_or(plain);
    let definition_of = Definition::of(definition);
    let id = definition.metric_id.clone();
    metrics.push(Tracked { id, key, definition: definition_of, lanes: Default::default() });
}

impl Tracked {
    pub(super) fn is(&self, id: &MetricId) -> bool {
        self.id == *id
    }

    /// Notes what burn says of it; a metric that is registered as text may still be a number.
    pub(super) fn take(&mut self, split: Split, value: &MetricState) {
        let lane = self.lane(split);
        match value {
            MetricState::Numeric(_, number) => lane.pending = number.clone().or(lane.pending.take()),
            MetricState::Generic(entry) if entry.serialized_entry.is_not_available() => {}
            MetricState::Generic(entry) => {
                match NumericEntry::deserialize(&entry.serialized_entry.serialized) {
                    Ok(number) => lane.pending = Some(number),
                    Err(_text) => lane.text = Some(entry.serialized_entry.formatted.clone()),
                }
            }
        }
    }

    pub(super) fn take_pending(&mut self, split: Split) -> Option<f64> {
        self.lane(split).pending.take().map(|value| value.current())
    }

    pub(super) fn take_text(&mut self, split: Split) -> Option<String> {
        self.lane(split).text.take()
    }

    /// Counts what is pending towards the mean, and returns it.
    pub(super) fn gather(&mut self, split: Split) -> Option<f64> {
        let lane = self.lane(split);
        let value = lane.pending.take()?;
        let items = match value {
            NumericEntry::Aggregated { count, .. } => count,
            NumericEntry::Value(_) | NumericEntry::Final(_) => 1,
        };
        #[expect(clippy::cast_precision_loss, reason = "items of a data set are far below 2^52")]
        let items = items as f64;
        lane.sum += value.current() * items;
        lane.items += items;
        Some(value.current())
    }

    /// The mean of what was gathered, weighted by items as burn's own summary weights it; a value that burn computed for
    /// the whole comes before it.
    pub(super) fn mean(&mut self, split: Split) -> Option<f64> {
        let whole = self.take_pending(split);
        let lane = self.lane(split);
        let (sum, items) = (std::mem::take(&mut lane.sum), std::mem::take(&mut lane.items));
        whole.or_else(|| (items > 0.0).then(|| sum / items))
    }

    /// `train_loss`, or `train_loss_step` with the suffix `step`.
    pub(super) fn key_of(&self, split: Split, suffix: &str) -> String {
        let split = match split {
            Split::Train => "train",
            Split::Valid => "valid",
            Split::Test => "test",
        };
        let joint = if suffix.is_empty() { "" } else { "_" };
        format!("{split}_{}{joint}{suffix}", self.key)
    }

    /// The metric of this key in `run`, made once.
    pub(super) fn handle(&mut self, run: &RunHandle, split: Split, suffix: &'static str) -> &MetricHandle {
        let known = self.lane(split).handles.iter().position(|(of, _)| *of == suffix);
        let at = known.unwrap_or_else(|| {
            let made = run.metric(&self.key_of(split, suffix));
            let handles = &mut self.lane(split).handles;
            handles.push((suffix, made));
            handles.len() - 1
        });
        &self.lanes[split as usize].handles[at].1
    }

    fn lane(&mut self, split: Split) -> &mut Lane {
        &mut self.lanes[split as usize]
    }
}
