//! The learning rate: burn tells it to metrics alone, so one that shows and writes nothing is added.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use burn::tensor::TensorReadError;
use burn::train::metric::{Metric, MetricId, MetricMetadata, MetricName, SerializedEntry};

/// What burn calls it; neither its files nor its renderers ever show it.
const NAME: &str = "runlog learning rate";

/// The last learning rate, shared with who records it.
#[derive(Clone, Debug, Default)]
pub(super) struct Rate(Arc<AtomicU64>);

impl Rate {
    /// The learning rate of the last step; `None` before the first one, when burn says 0.
    pub(super) fn get(&self) -> Option<f64> {
        Some(f64::from_bits(self.0.load(Ordering::Relaxed))).filter(|rate| *rate != 0.0)
    }
}

/// Whether this is the metric that stands for the learning rate.
pub(super) fn is_probe(id: &MetricId) -> bool {
    static ID: LazyLock<MetricId> = LazyLock::new(|| MetricId::new(Arc::new(NAME.to_owned())));
    *id == *ID
}

/// The metric that is added to a training: it notes the learning rate, and has no value of its own.
#[derive(Clone, Debug)]
pub(super) struct RateProbe(pub(super) Rate);

impl Metric for RateProbe {
    type Input = ();

    fn name(&self) -> MetricName {
        Arc::new(NAME.to_owned())
    }

    fn update(&mut self, (): &(), metadata: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        if let Some(rate) = &metadata.lr {
            self.0.0.store(rate.base().to_bits(), Ordering::Relaxed);
        }
        Ok(SerializedEntry::not_available(None))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(SerializedEntry::not_available(None))
    }

    fn clear(&mut self) {}
}
