//! What a training or an evaluation tells step by step, and what of it goes where.
//!
//! Invariant: values are logged when the item, split or test that they belong to has ended, so that one step has one
//! point a metric whatever order burn reports in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::train::LearnerSummary;
use burn::train::metric::MetricDefinition;
use burn::train::renderer::MetricState;
use runlog_core::autolog::Recorder;
use runlog_core::{LoggedModel, Metric, MetricHandle, Result, RunHandle};

use super::keys::{Definition, test_prefix};
use super::probe::Rate;
use super::tracked::{Tracked, track};

/// Which data a value is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Split {
    Train,
    Valid,
    Test,
}

/// What is told of one training, and of the evaluations that follow it; a clone is of the same one.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    recorder: Option<Recorder>,
    /// Whether the training has ended: what a renderer that is used again tells of another one is not this one's.
    ended: bool,
    rate: Rate,
    handles: Option<(MetricHandle, MetricHandle)>,
    metrics: Vec<Tracked>,
    course: Course,
    epochs: BTreeMap<usize, BTreeMap<String, f64>>,
    texts: BTreeMap<String, BTreeMap<String, String>>,
    test: Test,
    /// What was measured at the end of the last epoch.
    measured: Vec<Metric>,
    /// The logged model that the training made.
    model_id: Option<String>,
    /// Keys of params that the user's config has.
    taken: BTreeSet<String>,
}

/// How far the training is.
struct Course {
    /// Epochs to run; 0 where training is counted in steps of an environment.
    planned: usize,
    epoch: usize,
    /// The last epoch that was trained to its end.
    finished: usize,
    split: Split,
    items_total: usize,
    items: usize,
    /// Steps of an environment.
    environment: usize,
    iterations_train: usize,
    iterations_valid: usize,
    /// Whether the sizes of batches are known, of train and valid.
    sized: (bool, bool),
}

impl Default for Course {
    fn default() -> Self {
        Self {
            planned: 0,
            epoch: 1,
            finished: 0,
            split: Split::Train,
            items_total: 0,
            items: 0,
            environment: 0,
            iterations_train: 0,
            iterations_valid: 0,
            sized: (false, false),
        }
    }
}

#[derive(Default)]
struct Test {
    prefix: String,
    iterations: usize,
}

/// What is known when a training has ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Epochs to run.
    pub(super) planned: usize,
    /// The last epoch that was trained to its end, from 1.
    pub(super) finished: usize,
    /// Iterations that were trained, of a resumed training since its beginning.
    pub(super) iterations: usize,
    /// The metrics of each epoch.
    pub(super) epochs: BTreeMap<usize, BTreeMap<String, f64>>,
    /// The metric that says which epoch is best, and whether more of it is better.
    pub(super) judge: Option<(String, bool)>,
    /// What is known of each metric, by the name in its keys.
    pub(super) definitions: BTreeMap<String, Definition>,
    /// What metrics said that have no number, by epoch and key.
    pub(super) texts: BTreeMap<String, BTreeMap<String, String>>,
}

/// Locks what only our own code holds; a panic in it was dealt with where it happened.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// By the one that trains or evaluates.
impl Watch {
    /// What is told from here on is recorded by `recorder`; params with the keys `taken` are the user's own.
    pub(super) fn attach(&self, recorder: &Recorder, taken: BTreeSet<String>) {
        let mut state = lock(&self.0);
        (state.recorder, state.taken) = (Some(recorder.clone()), taken);
    }

    /// What is told from here on is nobody's.
    pub(super) fn detach(&self) {
        lock(&self.0).recorder = None;
    }

    pub(super) fn is_attached(&self) -> bool {
        lock(&self.0).recorder.is_some()
    }

    /// Where the learning rate is left for this watch.
    pub(super) fn rate(&self) -> Rate {
        lock(&self.0).rate.clone()
    }

    /// The training has ended; only evaluations are recorded from here on.
    pub(super) fn end(&self) -> Ended {
        let mut state = lock(&self.0);
        state.ended = true;
        let judge = state.judge();
        Ended {
            planned: state.course.planned,
            finished: state.course.finished,
            iterations: state.course.iterations_train,
            epochs: state.epochs.clone(),
            judge,
            definitions: state.definitions(),
            texts: std::mem::take(&mut state.texts),
        }
    }

    /// The training made this model: the metrics of its last epoch, and of evaluations from here on, are the model's.
    ///
    /// A model takes over whatever stands at its own step; epochs and iterations are counted differently, so that the
    /// metrics of its last epoch would come together with those of an early iteration.
    pub(super) fn made(&self, model: &LoggedModel) {
        self.hook("the model's metrics", |state, _, run| {
            let measured = std::mem::take(&mut state.measured).into_iter();
            run.log_points(measured.map(|point| point.for_model(&model.model_id)));
            state.model_id = Some(model.model_id.clone());
            Ok(())
        });
    }

    fn hook(&self, what: &'static str, tell: impl FnOnce(&mut State, &Recorder, &RunHandle) -> Result<()>) {
        let mut state = lock(&self.0);
        let Some(recorder) = state.recorder.clone() else { return };
        recorder.record(what, |run| tell(&mut state, &recorder, run));
    }

    fn of_training(&self, what: &'static str, tell: impl FnOnce(&mut State, &Recorder, &RunHandle)) {
        self.hook(what, |state, recorder, run| {
            if !state.ended {
                tell(state, recorder, run);
            }
            Ok(())
        });
    }
}

/// By burn, through the renderer.
impl Watch {
    pub(super) fn define(&self, definition: &MetricDefinition) {
        self.hook("a metric", |state, _, _| {
            track(&mut state.metrics, definition);
            Ok(())
        });
    }

    pub(super) fn start(&self, epochs: usize, first: usize, items: Option<usize>, label: Option<&str>) {
        self.of_training("the start", |state, recorder, run| {
            state.course = Course {
                planned: epochs,
                epoch: first,
                finished: first.saturating_sub(1),
                ..Course::default()
            };
            state.handles = Some((run.metric("learning_rate"), run.metric("epoch")));
            if epochs > 0 {
                state.log_param(recorder, "epochs", epochs);
            }
            if first > 1 {
                state.log_param(recorder, "first_epoch", first);
            }
            if let Some(steps) = items {
                state.log_param(recorder, "environment_steps", steps);
            }
            if let Some(label) = label {
                run.set_tag("label", label);
            }
        });
    }

    pub(super) fn value(&self, split: Split, value: &MetricState) {
        self.hook("a value", |state, _, _| {
            if split == Split::Test || !state.ended {
                let (MetricState::Generic(entry) | MetricState::Numeric(entry, _)) = value;
                if let Some(metric) = state.metrics.iter_mut().find(|metric| metric.is(&entry.metric_id)) {
                    metric.take(split, value);
                }
            }
            Ok(())
        });
    }

    pub(super) fn split_started(&self, split: Split, items: usize) {
        self.of_training("the start of a split", |state, recorder, _| {
            let course = &mut state.course;
            (course.split, course.items_total, course.items) = (split, items, 0);
            if course.epochs_counted() && !course.is_sized() {
                state.log_param(
                    recorder,
                    if split == Split::Valid { "valid_items" } else { "train_items" },
                    items,
                );
            }
        });
    }

    pub(super) fn progress(&self, items: usize) {
        self.of_training("progress", |state, recorder, _| {
            if let Some(key) = state.course.advance(items) {
                state.log_param(recorder, key, items);
            }
        });
    }

    /// An item was processed: what came since the last one belongs to it.
    pub(super) fn event(&self, event: &str) {
        self.of_training("a step", |state, recorder, run| match (state.course.split, event) {
            (Split::Valid, "Iteration") => state.iteration_of_validation(recorder, run),
            (_, "Iteration") => state.iteration(recorder, run),
            (Split::Valid, _) => {
                for metric in &mut state.metrics {
                    metric.gather(Split::Valid);
                }
            }
            (_, event) => state.environment_event(event, recorder, run),
        });
    }

    pub(super) fn split_ended(&self) {
        self.of_training("the end of a split", |state, recorder, run| {
            if state.course.epochs_counted() {
                state.epoch_values(recorder, run);
            } else {
                state.evaluation_of_a_policy(recorder, run);
            }
        });
    }

    pub(super) fn epoch_ended(&self, epoch: usize) {
        self.of_training("the end of an epoch", |state, _, _| {
            (state.course.finished, state.course.epoch) = (epoch, epoch + 1);
        });
    }

    pub(super) fn summary(&self, summary: Option<&LearnerSummary>) {
        if let Some(summary) = summary {
            self.hook("the summary", |_, _, run| run.log_text(&summary.to_string(), "summary.txt"));
        }
    }

    pub(super) fn test_started(&self, name: &str, items: usize) {
        self.hook("the start of a test", |state, _, run| {
            state.test = Test { prefix: test_prefix(name), iterations: 0 };
            run.log_metric(&format!("{}_items", state.test.prefix), items, state.course.step_of_model());
            Ok(())
        });
    }

    pub(super) fn test_step(&self) {
        self.hook("a step of a test", |state, recorder, run| {
            state.test.iterations += 1;
            let iteration = state.test.iterations;
            let wanted = recorder.wants_step(iteration);
            for metric in &mut state.metrics {
                if let Some(value) = metric.gather(Split::Test).filter(|_| wanted) {
                    run.log_metric(&format!("{}_{}_step", state.test.prefix, metric.key), value, iteration);
                }
            }
            Ok(())
        });
    }

    pub(super) fn test_ended(&self) {
        self.hook("the end of a test", |state, _, run| {
            let step = state.course.step_of_model();
            for metric in &mut state.metrics {
                let text = metric.take_text(Split::Test);
                if let Some(value) = metric.mean(Split::Test) {
                    let point = Metric::now(format!("{}_{}", state.test.prefix, metric.key), value, step);
                    run.log_points([match &state.model_id {
                        Some(model_id) => point.for_model(model_id),
                        None => point,
                    }]);
                }
                if let Some(text) = text {
                    state
                        .texts
                        .entry(state.test.prefix.clone())
                        .or_default()
                        .insert(metric.key.clone(), text);
                }
            }
            Ok(())
        });
    }

    /// All tests of an evaluation have ended.
    pub(super) fn evaluated(&self) {
        self.hook("the metrics of a test", |state, _, run| {
            describe(run, &state.definitions(), &std::mem::take(&mut state.texts))
        });
    }
}

/// Stores what is known of the metrics, and what they said in words.
pub(super) fn describe(
    run: &RunHandle,
    definitions: &BTreeMap<String, Definition>,
    texts: &BTreeMap<String, BTreeMap<String, String>>,
) -> Result<()> {
    if !definitions.is_empty() {
        run.log_dict(definitions, "metric_definitions.json")?;
    }
    if !texts.is_empty() {
        run.log_dict(texts, "text_metrics.json")?;
    }
    Ok(())
}

impl Course {
    /// Whether training is counted in epochs, not in steps of an environment.
    fn epochs_counted(&self) -> bool {
        self.planned > 0
    }

    fn is_sized(&self) -> bool {
        if self.split == Split::Valid { self.sized.1 } else { self.sized.0 }
    }

    /// Notes the progress; the param that the number of items is, if they are the first batch.
    fn advance(&mut self, items: usize) -> Option<&'static str> {
        self.items = items;
        if !self.epochs_counted() {
            if self.split == Split::Train {
                self.environment = items;
            }
        } else if !self.is_sized() && items > 0 {
            let (sized, counted, key) = match self.split {
                Split::Valid => (&mut self.sized.1, &mut self.iterations_valid, "valid_batch_size"),
                _ => (&mut self.sized.0, &mut self.iterations_train, "batch_size"),
            };
            *sized = true;
            // A training that is resumed counts on where it was left.
            *counted = (self.epoch - 1) * self.items_total.div_ceil(items);
            return Some(key);
        }
        None
    }

    /// The epoch with its fraction: 1.5 is in the middle of the second one.
    fn epochs_done(&self) -> f64 {
        let part = if self.items_total == 0 { 0.0 } else { ratio(self.items, self.items_total) };
        ratio(self.epoch.saturating_sub(1), 1) + part
    }

    /// The step at which the trained model, and what is measured of it, stands.
    pub(super) fn step_of_model(&self) -> usize {
        if self.epochs_counted() { self.finished } else { self.environment }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of items and epochs are far below 2^52")]
fn ratio(part: usize, of: usize) -> f64 {
    part as f64 / of as f64
}

impl State {
    fn log_param(&self, recorder: &Recorder, key: &str, value: usize) {
        if !self.taken.contains(key) {
            recorder.log_param(key, value);
        }
    }

    fn iteration(&mut self, recorder: &Recorder, run: &RunHandle) {
        self.course.iterations_train += 1;
        let step = self.course.iterations_train;
        let wanted = recorder.wants_step(step);
        self.step_values(Split::Train, "step", step, wanted, run);
        if let (true, Some((rate, epoch))) = (wanted, &self.handles) {
            if let Some(value) = self.rate.get() {
                rate.log(value, step);
            }
            epoch.log(self.course.epochs_done(), step);
        }
    }

    fn iteration_of_validation(&mut self, recorder: &Recorder, run: &RunHandle) {
        self.course.iterations_valid += 1;
        let step = self.course.iterations_valid;
        self.step_values(Split::Valid, "step", step, recorder.wants_step(step), run);
    }

    /// Something that happened while an agent acts or learns.
    fn environment_event(&mut self, event: &str, recorder: &Recorder, run: &RunHandle) {
        let (step, counted) = if event == "TrainStep" {
            self.course.iterations_train += 1;
            (self.course.iterations_train, true)
        } else {
            // Episodes are few, and are what such a training is looked at for.
            (self.course.environment, event == "EnvStep")
        };
        let wanted = recorder.is_on() && (!counted || recorder.wants_step(step));
        self.step_values(Split::Train, "", step, wanted, run);
    }

    fn step_values(
        &mut self,
        split: Split,
        suffix: &'static str,
        step: usize,
        wanted: bool,
        run: &RunHandle,
    ) {
        for metric in &mut self.metrics {
            if let Some(value) = metric.take_pending(split).filter(|_| wanted) {
                metric.handle(run, split, suffix).log(value, step);
            }
        }
    }

    /// What came since the last item of a split is of the whole split.
    fn epoch_values(&mut self, recorder: &Recorder, run: &RunHandle) {
        let (split, epoch) = (self.course.split, self.course.epoch);
        let wanted = recorder.wants_epoch(epoch);
        for metric in &mut self.metrics {
            let key = metric.key_of(split, "");
            if let Some(text) = metric.take_text(split).filter(|_| wanted) {
                self.texts.entry(epoch.to_string()).or_default().insert(key.clone(), text);
            }
            let Some(value) = metric.take_pending(split) else { continue };
            if wanted {
                let point = Metric::now(&key, value, epoch);
                metric.handle(run, split, "").log_at(value, epoch, point.timestamp);
                self.measured.retain(|earlier| earlier.step == point.step);
                self.measured.push(point);
            }
            self.epochs.entry(epoch).or_default().insert(key, value);
        }
    }

    /// The mean over the episodes with which a policy was evaluated.
    fn evaluation_of_a_policy(&mut self, recorder: &Recorder, run: &RunHandle) {
        let step = self.course.environment;
        for metric in &mut self.metrics {
            if let Some(value) = metric.mean(Split::Valid).filter(|_| recorder.is_on()) {
                metric.handle(run, Split::Valid, "").log(value, step);
                self.epochs.entry(step).or_default().insert(metric.key_of(Split::Valid, ""), value);
            }
        }
        self.course.split = Split::Train;
    }

    fn definitions(&self) -> BTreeMap<String, Definition> {
        self.metrics.iter().map(|metric| (metric.key.clone(), metric.definition.clone())).collect()
    }

    /// The loss of the validation, as burn's own strategy judges; else the first metric that validation has.
    fn judge(&self) -> Option<(String, bool)> {
        let of = |metric: &Tracked| {
            let key = metric.key_of(Split::Valid, "");
            let better = metric.definition.higher_is_better?;
            self.epochs.values().any(|epoch| epoch.contains_key(&key)).then_some((key, better))
        };
        self.metrics
            .iter()
            .find(|metric| metric.key == "loss")
            .and_then(of)
            .or_else(|| self.metrics.iter().find_map(of))
    }
}
