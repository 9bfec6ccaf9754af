//! What the user's own renderer and loggers hear is what they would hear without autologging.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use burn::train::logger::{EvaluationProgressLogger, MetricLogger, TrainingProgressLogger};
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{AccuracyMetric, LossMetric, MetricDefinition, NumericEntry};
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};
use burn::train::{LearnerSummary, SupervisedTraining};
use runlog_burn::Autolog;

use super::setup::*;

type Calls = Arc<Mutex<Vec<String>>>;

/// Writes down every call.
struct Listener(Calls);

impl Listener {
    fn heard(&self, call: String) {
        self.0.lock().unwrap().push(call);
    }
}

impl MetricsRendererTraining for Listener {
    fn update_train(&mut self, state: MetricState) {
        self.heard(format!("update_train {state:?}"));
    }

    fn update_valid(&mut self, state: MetricState) {
        self.heard(format!("update_valid {state:?}"));
    }

    fn on_train_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn std::error::Error>> {
        self.heard(format!("on_train_end {:?}", summary.map(|summary| summary.to_string())));
        Ok(())
    }
}

impl MetricsRendererEvaluation for Listener {
    fn update_test(&mut self, name: EvaluationName, state: MetricState) {
        self.heard(format!("update_test {name} {state:?}"));
    }

    fn on_test_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn std::error::Error>> {
        self.heard(format!("on_test_end {:?}", summary.map(|summary| summary.to_string())));
        Ok(())
    }
}

impl TrainingProgressLogger for Listener {
    fn start(&mut self, epochs: usize, first: usize, items: Option<usize>, label: Option<&str>) {
        self.heard(format!("start {epochs} {first} {items:?} {label:?}"));
    }

    fn update_epoch(&mut self, epoch: usize) {
        self.heard(format!("update_epoch {epoch}"));
    }

    fn start_split(&mut self, split: &str, items: usize) {
        self.heard(format!("start_split {split} {items}"));
    }

    fn update_split(&mut self, items: usize) {
        self.heard(format!("update_split {items}"));
    }

    fn end_split(&mut self) {
        self.heard("end_split".to_owned());
    }

    fn end(&mut self) {
        self.heard("end".to_owned());
    }

    fn log_event_training(&mut self, event: String) {
        self.heard(format!("log_event_training {event}"));
    }
}

impl EvaluationProgressLogger for Listener {
    fn start_global_progress(&mut self, tests: usize) {
        self.heard(format!("start_global_progress {tests}"));
    }

    fn start_test(&mut self, name: &str, items: usize) {
        self.heard(format!("start_test {name} {items}"));
    }

    fn update_test_progress(&mut self, items: usize) {
        self.heard(format!("update_test_progress {items}"));
    }

    fn end_test(&mut self) {
        self.heard("end_test".to_owned());
    }

    fn end_global_progress(&mut self) {
        self.heard("end_global_progress".to_owned());
    }

    fn log_event_evaluation(&mut self, event: String) {
        self.heard(format!("log_event_evaluation {event}"));
    }
}

impl MetricsRenderer for Listener {
    fn manual_close(&mut self) {
        self.heard("manual_close".to_owned());
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.heard(format!("register_metric {definition:?}"));
    }
}

/// A logger of metrics that keeps what it is asked for.
#[derive(Default)]
struct Keeper {
    calls: Calls,
    values: HashMap<(String, usize, String), Vec<NumericEntry>>,
}

impl MetricLogger for Keeper {
    fn log(&mut self, update: MetricsUpdate, epoch: usize, split: &Split) {
        for of in update.entries_numeric {
            self.calls
                .lock()
                .unwrap()
                .push(format!("log {epoch} {split} {:?} {:?}", of.entry, of.numeric_entry));
            let name = of.entry.metric_id.clone();
            let key = (format!("{name:?}"), epoch, split.to_string());
            self.values.entry(key).or_default().extend(of.numeric_entry);
        }
    }

    fn read_numeric(&mut self, name: &str, epoch: usize, split: &Split) -> Result<Vec<NumericEntry>, String> {
        self.calls.lock().unwrap().push(format!("read {name} {epoch} {split}"));
        Ok(Vec::new())
    }

    fn log_metric_definition(&mut self, _definition: MetricDefinition) {}

    fn log_epoch_summary(&mut self, summary: EpochSummary) {
        self.calls.lock().unwrap().push(format!("{summary:?}"));
    }
}

fn training(directory: &std::path::Path, logger: Calls) -> SupervisedTraining<Net> {
    plain(directory)
        .metrics((AccuracyMetric::new(), LossMetric::new()))
        .with_metric_logger(Keeper { calls: logger, ..Keeper::default() })
        .num_epochs(2)
        .summary()
        .label("both")
}

#[test]
fn a_renderer_and_a_logger_hear_what_they_would_hear() {
    let heard = |autolog: bool| {
        let dir = tempfile::tempdir().unwrap();
        let (renderer, logger) = (Calls::default(), Calls::default());
        let training = training(dir.path(), Arc::clone(&logger));
        let listener = Box::new(Listener(Arc::clone(&renderer)));
        let mut result = if autolog {
            training.autolog().renderer(listener).launch(learner(0.1))
        } else {
            training.renderer(listener).launch(learner(0.1))
        };
        result.renderer.manual_close();
        let evaluator = burn::train::EvaluatorBuilder::new(dir.path()).renderer(result.renderer);
        let evaluator = evaluator.metrics((LossMetric::new(),)).build(result.model);
        assert!(evaluator.eval("test", loader(VALID_ITEMS)).error.is_none());
        [renderer, logger].map(|calls| std::mem::take(&mut *calls.lock().unwrap()))
    };
    let alone = heard(false);
    let (observed, _, _) = one_run(|| heard(true));
    for (observed, alone) in observed.iter().zip(&alone) {
        assert!(alone.len() > 20);
        let differs = observed.iter().zip(alone).find(|(observed, alone)| observed != alone);
        assert_eq!((differs, observed.len()), (None, alone.len()));
    }
}
