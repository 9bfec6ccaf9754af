//! The renderer that stands before the user's: it passes on everything that burn says, and tells the watch.
//!
//! Invariant: what the user's renderer hears is what it would hear without autologging, in the same order.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::Mutex;

use burn::train::LearnerSummary;
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::MetricDefinition;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};

use super::probe::is_probe;
use super::watch::{Split, Watch, lock};

/// Observers at work, by their place in memory: a renderer that comes back from burn does not say what it is.
static OBSERVERS: Mutex<BTreeMap<usize, Watch>> = Mutex::new(BTreeMap::new());

/// Tells `watch` what `inner` is told.
struct Observer {
    inner: Box<dyn MetricsRenderer>,
    watch: Watch,
}

/// A renderer that shows what `inner` does and lets `watch` know.
pub(super) fn observed(inner: Box<dyn MetricsRenderer>, watch: Watch) -> Box<dyn MetricsRenderer> {
    let observer = Box::new(Observer { inner, watch });
    lock(&OBSERVERS).insert(place(&*observer), observer.watch.clone());
    observer
}

/// Who watches what this renderer is told, if it is one of ours, as that of a training's result is.
pub(super) fn watch_of(renderer: &dyn MetricsRenderer) -> Option<Watch> {
    lock(&OBSERVERS).get(&place(renderer)).cloned()
}

fn place<R: MetricsRenderer + ?Sized>(renderer: &R) -> usize {
    std::ptr::from_ref(renderer).cast::<()>().addr()
}

impl Drop for Observer {
    fn drop(&mut self) {
        lock(&OBSERVERS).remove(&place(self));
    }
}

/// Whether the state is the learning rate's, which is no metric of the user's.
fn is_ours(state: &MetricState) -> bool {
    match state {
        MetricState::Generic(entry) | MetricState::Numeric(entry, _) => is_probe(&entry.metric_id),
    }
}

impl MetricsRendererTraining for Observer {
    fn update_train(&mut self, state: MetricState) {
        if !is_ours(&state) {
            self.watch.value(Split::Train, &state);
            self.inner.update_train(state);
        }
    }

    fn update_valid(&mut self, state: MetricState) {
        self.watch.value(Split::Valid, &state);
        self.inner.update_valid(state);
    }

    fn on_train_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn StdError>> {
        self.watch.summary(summary.as_ref());
        self.inner.on_train_end(summary)
    }
}

impl MetricsRendererEvaluation for Observer {
    fn update_test(&mut self, name: EvaluationName, state: MetricState) {
        self.watch.value(Split::Test, &state);
        self.inner.update_test(name, state);
    }

    fn on_test_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn StdError>> {
        self.watch.summary(summary.as_ref());
        self.watch.evaluated();
        self.inner.on_test_end(summary)
    }
}

impl TrainingProgressLogger for Observer {
    fn start(
        &mut self,
        total_epochs: usize,
        starting_epoch: usize,
        total_items: Option<usize>,
        label: Option<&str>,
    ) {
        self.watch.start(total_epochs, starting_epoch, total_items, label);
        self.inner.start(total_epochs, starting_epoch, total_items, label);
    }

    fn update_epoch(&mut self, epoch: usize) {
        self.watch.epoch_ended(epoch);
        self.inner.update_epoch(epoch);
    }

    fn start_split(&mut self, split: &str, total_items: usize) {
        self.watch.split_started(if split == "valid" { Split::Valid } else { Split::Train }, total_items);
        self.inner.start_split(split, total_items);
    }

    fn update_split(&mut self, items_processed: usize) {
        self.watch.progress(items_processed);
        self.inner.update_split(items_processed);
    }

    fn end_split(&mut self) {
        self.watch.split_ended();
        self.inner.end_split();
    }

    fn end(&mut self) {
        self.inner.end();
    }

    fn log_event_training(&mut self, event: String) {
        self.watch.event(&event);
        self.inner.log_event_training(event);
    }
}

impl EvaluationProgressLogger for Observer {
    fn start_global_progress(&mut self, total_tests: usize) {
        self.inner.start_global_progress(total_tests);
    }

    fn start_test(&mut self, name: &str, total_items: usize) {
        self.watch.test_started(name, total_items);
        self.inner.start_test(name, total_items);
    }

    fn update_test_progress(&mut self, items_processed: usize) {
        self.inner.update_test_progress(items_processed);
    }

    fn end_test(&mut self) {
        self.watch.test_ended();
        self.inner.end_test();
    }

    fn end_global_progress(&mut self) {
        self.inner.end_global_progress();
    }

    fn log_event_evaluation(&mut self, event: String) {
        self.watch.test_step();
        self.inner.log_event_evaluation(event);
    }
}

impl MetricsRenderer for Observer {
    fn manual_close(&mut self) {
        self.inner.manual_close();
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        if !is_probe(&definition.metric_id) {
            self.watch.define(&definition);
            self.inner.register_metric(definition);
        }
    }
}
