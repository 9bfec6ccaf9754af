//! One training: from the first step of an optimizer to its end.
//!
//! Nothing is recorded, and no run started, before the first step. Everything here that can fail runs inside
//! [`Recorder::record`](runlog_core::autolog::Recorder::record), where no error and no panic of ours reaches the training.

use std::any::{Any, type_name};
use std::collections::HashSet;
use std::fmt;
use std::panic::Location;

use candle_core::{DType, Result as CandleResult, Tensor, TensorId, Var};
use candle_nn::Optimizer;
use runlog_core::autolog::{AutologOptions, Training};
use runlog_core::model::{ModelSpec, Signature};
use runlog_core::{Dataset, Error, ErrorKind, MetricHandle, Result, RunHandle, build, clock, notice};

use crate::checkpoints::{Checkpoints, Moment, Saver};
use crate::curve::{Curve, Losses, Step};
use crate::described::{self, Input};
use crate::epochs::Epochs;
use crate::noted::{self, Noted};
use crate::options::Settings;
use crate::value::Value;
use crate::weights::Weights;
use crate::{ARCHITECTURE_FILE, FLAVOR, INTEGRATION, MODEL_FILE, maps};

/// What an optimizer is recorded with.
pub(crate) struct Session {
    source: &'static Location<'static>,
    told: Told,
    epochs: Epochs,
    open: Option<Open>,
    /// Of the last step, if it failed.
    error: Option<String>,
}

/// What the optimizer and the user tell.
#[derive(Default)]
struct Told {
    vars: HashSet<TensorId>,
    maps: Vec<candle_nn::VarMap>,
    input: Option<Input>,
    data: Option<Result<Dataset>>,
}

/// A training that has begun.
struct Open {
    training: Training,
    /// Behind every name: nothing for the only training of a run, `-2` for the second one at a time.
    suffix: String,
    losses: Losses,
    learning_rate: MetricHandle,
    maps: Vec<candle_nn::VarMap>,
    checkpoints: Option<(Checkpoints, Saver)>,
    /// Of the model, at the loss.
    output: Option<(DType, Vec<usize>)>,
    optimizer: &'static str,
    steps: usize,
    samples: usize,
    /// Steps whose loss was not seen.
    without_loss: usize,
}

/// What was seen before a step.
#[derive(Debug)]
pub(crate) struct Seen {
    loss: Option<Value>,
    batch: Option<usize>,
    learning_rate: f64,
}

impl Session {
    pub(crate) fn new(source: &'static Location<'static>, vars: HashSet<TensorId>) -> Self {
        let told = Told { vars, ..Told::default() };
        Self { source, told, epochs: Epochs::default(), open: None, error: None }
    }

    pub(crate) fn run(&self) -> Option<RunHandle> {
        Some(self.open.as_ref()?.training.run().clone())
    }

    pub(crate) fn epoch_length(&mut self, samples: usize) {
        self.epochs.length = Some(samples.max(1));
    }

    pub(crate) fn model_input(&mut self, batch: &Tensor) {
        match Input::of(batch) {
            Ok(input) => self.told.input = Some(input),
            Err(error) => INTEGRATION.warn(
                "candle model input",
                format_args!("what goes into the model cannot be read, and is not said of it: {error}"),
            ),
        }
    }

    pub(crate) fn data(&mut self, name: &str, inputs: &Tensor, targets: &Tensor) {
        let samples = inputs.dims().first().copied().unwrap_or_default();
        self.epochs.length.get_or_insert(samples.max(1));
        if self.told.input.is_none() {
            self.model_input(inputs);
        }
        self.told.data = Some(described::dataset(name, inputs, targets));
        self.log_data();
    }

    pub(crate) fn weights(&mut self, map: &candle_nn::VarMap) {
        let maps = self.open.as_mut().map_or(&mut self.told.maps, |open| &mut open.maps);
        maps.push(map.clone());
    }

    pub(crate) fn push(&mut self, var: &Var) {
        self.told.vars.insert(var.id());
    }

    /// Before a step; `None` if the training is not to be recorded.
    #[track_caller]
    pub(crate) fn before<O: Optimizer + 'static>(
        &mut self,
        optimizer: &O,
        loss: Option<&Tensor>,
    ) -> Option<Seen> {
        let noted = noted::take();
        if self.open.is_none() {
            let training = Training::open(&INTEGRATION)?;
            self.open = Some(Open::new(training, optimizer, &mut self.told));
            self.describe(optimizer, noted.as_ref());
            self.log_data();
        }
        if self.epochs.before_step() {
            self.forget_mean();
        }
        let batch = noted.as_ref().and_then(Noted::batch);
        let value = match (loss, noted) {
            (Some(loss), Some(noted)) if !noted.is_of(loss) => {
                noted::reuse(noted);
                Some(Value::of(loss))
            }
            (_, Some(mut noted)) => {
                let value = std::mem::replace(&mut noted.value, Value::Known(0.0));
                noted::reuse(noted);
                Some(value)
            }
            (loss, None) => loss.map(Value::of),
        };
        Some(Seen { loss: value, batch, learning_rate: optimizer.learning_rate() })
    }

    pub(crate) fn after(&mut self, seen: Seen, result: &CandleResult<()>) {
        self.error = result.as_ref().err().map(noted::message);
        let Some(open) = self.open.as_mut().filter(|_| self.error.is_none()) else { return };
        open.steps += 1;
        open.samples += seen.batch.unwrap_or_default();
        open.without_loss += usize::from(seen.loss.is_none());
        open.log_step(seen.loss, seen.batch, seen.learning_rate, self.epochs.is_in_one());
        if let Some(number) = self.epochs.after_step(seen.batch.unwrap_or_default()) {
            self.end_epoch(number);
        }
        let due = self.open.as_ref().and_then(|open| Some((open.steps, open.checkpoints.as_ref()?)));
        if due.is_some_and(|(steps, (checkpoints, _))| checkpoints.is_due_after_step(steps)) {
            self.save_checkpoint();
        }
    }

    pub(crate) fn begin_epoch(&mut self) -> usize {
        let number = self.epochs.begin();
        self.forget_mean();
        number
    }

    /// What came before an epoch is not of it.
    fn forget_mean(&mut self) {
        if let Some(open) = &mut self.open {
            open.end_mean(None);
        }
    }

    pub(crate) fn end_epoch(&mut self, number: usize) {
        let wrong = self.error.is_some() || noted::has_error() || std::thread::panicking();
        let Some(ended) = self.epochs.end(number) else { return };
        let Some(open) = self.open.as_mut().filter(|_| !wrong) else { return };
        let number = ended.number;
        let is_wanted = open.training.wants_epoch(number);
        open.end_mean(is_wanted.then_some(number));
        if is_wanted {
            open.training.record("an epoch", |run| {
                let seconds = ended.took.as_secs_f64();
                run.log_metric(&open.key("epoch"), number, open.steps);
                run.log_metric(&open.key("epoch_seconds"), seconds, number);
                if ended.samples > 0 && seconds > 0.0 {
                    #[expect(clippy::cast_precision_loss, reason = "no epoch has 2^53 samples")]
                    let rate = ended.samples as f64 / seconds;
                    run.log_metric(&open.key("samples_per_second"), rate, number);
                }
                Ok(())
            });
        }
        let checkpoints = open.checkpoints.as_ref().map(|(checkpoints, _)| checkpoints);
        if checkpoints.is_some_and(|checkpoints| checkpoints.is_due_after_epoch(number)) {
            self.save_checkpoint();
        }
    }

    /// Ends the training, when its optimizer is dropped.
    pub(crate) fn end(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        // The last thing that was seen: an error that left the loop.
        let error = self.error.take().or_else(noted::take_error);
        drop(noted::take());
        open.losses.close();
        if let Some((_, saver)) = open.checkpoints.take() {
            saver.close();
        }
        if !std::thread::panicking() {
            open.log_totals(self.epochs.ended);
            open.say_what_was_not_seen(self.epochs.length.is_some());
            if error.is_none() {
                open.log_model(&self.told);
            }
        }
        match error {
            Some(text) if !std::thread::panicking() => open.training.fail(&Failed(text)),
            _ => drop(open.training),
        }
    }

    /// What is known at the first step.
    fn describe<O: Optimizer + 'static>(&mut self, optimizer: &O, noted: Option<&Noted>) {
        let Some(open) = &mut self.open else { return };
        open.output = noted.map(|noted| (noted.dtype, noted.dims.clone()));
        let source = self.source;
        open.training.record("the optimizer", |run| {
            open.training.log_param(&open.key("optimizer_name"), open.optimizer);
            for (key, value) in settings(optimizer) {
                open.training.log_param(&open.key(key), value);
            }
            if let Some(noted) = noted {
                open.training.log_param(&open.key("loss_function"), noted.function);
            }
            if let Some(batch) = noted.and_then(Noted::batch) {
                open.training.log_param(&open.key("batch_size"), batch);
            }
            run.set_tag(&open.key("runlog.source"), format_args!("{}:{}", source.file(), source.line()));
            Ok(())
        });
        if open.maps.is_empty() {
            open.say_that_there_is_no_model();
            return;
        }
        open.training.record("the weights", |_| {
            let (all, trained) = Weights::of(&open.maps, &self.told.vars)?.counts();
            open.training.log_param(&open.key("total_params"), all);
            open.training.log_param(&open.key("trainable_params"), trained);
            Ok(())
        });
    }

    fn log_data(&mut self) {
        let Some(open) = &self.open else { return };
        if let Some(data) = self.told.data.take() {
            open.training.log_dataset("train", || data);
        }
    }

    fn save_checkpoint(&mut self) {
        let Some(open) = &mut self.open else { return };
        let Some((_, saver)) = &mut open.checkpoints else { return };
        open.training.record("a checkpoint", |_| {
            let weights = Weights::of(&open.maps, &self.told.vars)?;
            if weights.is_empty() {
                return Ok(());
            }
            // A checkpoint may be the best by the loss itself.
            open.losses.wait()?;
            let taken = Moment { epoch: self.epochs.ended, step: open.steps, at_ms: clock::now_ms() };
            saver.save(&weights, taken)
        });
    }
}

impl Open {
    fn new<O: 'static>(training: Training, _optimizer: &O, told: &mut Told) -> Self {
        let suffix = if training.part() == 1 { String::new() } else { format!("-{}", training.part()) };
        let metric = |key: &str| training.run().metric(&format!("{key}{suffix}"));
        let curve = Curve::new(metric("train_loss"), metric("train_loss_epoch"));
        let losses = Losses::new((*training).clone(), curve);
        let learning_rate = metric("learning_rate");
        let mut maps = std::mem::take(&mut told.maps);
        if maps.is_empty() {
            maps = maps::holding(&told.vars);
        }
        let wanted = training.own_options::<Settings>().and_then(|own| own.checkpoints.clone());
        let mut checkpoints = None;
        if let Some(wanted) = wanted {
            training.record("starting checkpoints", |_| {
                let saver = Saver::start(wanted.clone(), &suffix, &training)?;
                checkpoints = Some((wanted, saver));
                Ok(())
            });
        }
        let optimizer = short_name(type_name::<O>());
        Self {
            training,
            suffix,
            losses,
            learning_rate,
            maps,
            checkpoints,
            output: None,
            optimizer,
            steps: 0,
            samples: 0,
            without_loss: 0,
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{name}{}", self.suffix)
    }

    fn log_step(&mut self, loss: Option<Value>, batch: Option<usize>, learning_rate: f64, in_epoch: bool) {
        let logged = self.training.wants_step(self.steps);
        if !logged && !in_epoch {
            return;
        }
        let (losses, handle, number) = (&mut self.losses, &self.learning_rate, self.steps);
        self.training.record("a step", |_| {
            let at_ms = clock::now_ms();
            if logged {
                // What is refused is counted by the run.
                let _logged = handle.log_at(learning_rate, number, at_ms);
            }
            let Some(loss) = loss else { return Ok(()) };
            losses.point(loss, Step { number, at_ms, weight: batch.unwrap_or(1), logged })
        });
    }

    fn end_mean(&mut self, epoch: Option<usize>) {
        let losses = &mut self.losses;
        self.training.record("the mean of an epoch", |_| losses.end_epoch(epoch, clock::now_ms()));
    }

    fn log_totals(&self, epochs: usize) {
        self.training.record("the totals", |run| {
            let totals = [("steps", self.steps), ("samples", self.samples), ("epochs", epochs)];
            let known = totals.into_iter().filter(|(_, count)| *count > 0);
            run.log_metrics(known.map(|(key, count)| (self.key(key), count)), self.steps);
            Ok(())
        });
    }

    fn log_model(&self, told: &Told) {
        if self.maps.is_empty() {
            return;
        }
        let mut weights = None;
        self.training.record("the summary of the model", |run| {
            let found = Weights::of(&self.maps, &told.vars)?;
            run.log_text(&found.summary(), &format!("model_summary{}.txt", self.suffix))?;
            weights = Some(found);
            Ok(())
        });
        let Some(weights) = weights else { return };
        let Ok(local) = tempfile::tempdir() else {
            self.training.record("the model", |_| {
                Err(Error::new(ErrorKind::Denied, "the weights need a temporary directory; set TMPDIR"))
            });
            return;
        };
        self.training.log_model(|options| {
            let file = local.path().join(MODEL_FILE);
            weights.write(&file)?;
            self.model(&weights, told, options).map(|spec| spec.file_from(MODEL_FILE, file))
        });
    }

    fn model(&self, weights: &Weights, told: &Told, options: &AutologOptions) -> Result<ModelSpec> {
        let architecture = weights.architecture();
        let json = serde_json::to_vec_pretty(&architecture)
            .map_err(|cause| Error::new(ErrorKind::Unexpected, "no JSON").because(cause))?;
        let version = build::version_of("candle-nn").unwrap_or(INTEGRATION.framework_version());
        let mut spec = ModelSpec::new(self.key("model").as_str())
            .step(i64::try_from(self.steps).unwrap_or(i64::MAX))
            .flavor(
                FLAVOR,
                [
                    ("architecture", ARCHITECTURE_FILE),
                    ("candle_version", version),
                    ("data", MODEL_FILE),
                    ("format", "safetensors"),
                ],
            )
            .metadata("total_params", architecture["total_params"].clone())
            .metadata("trainable_params", architecture["trainable_params"].clone())
            .file(ARCHITECTURE_FILE, json);
        let input = told.input.as_ref();
        if options.logs_model_signatures() {
            let inputs = input.and_then(Input::schema);
            let outputs = self.output.as_ref().and_then(|(dtype, dims)| described::schema(*dtype, dims));
            if inputs.is_some() || outputs.is_some() {
                spec = spec.signature(Signature::new(inputs, outputs));
            }
        }
        if let Some(input) = input.filter(|_| options.logs_input_examples()) {
            spec = spec.input_example(input.example()?);
        }
        Ok(spec)
    }

    fn say_what_was_not_seen(&self, epochs_have_a_length: bool) {
        if self.training.options().is_silent() {
            return;
        }
        if self.without_loss > 0 {
            notice::warn(
                &format!("candle losses of {}", self.optimizer),
                format_args!(
                    "the loss of {} of {} steps was not seen: call `backward_step(&loss)`, or compute the loss by a \
                     function of `runlog::candle::loss`",
                    self.without_loss, self.steps
                ),
            );
        }
        if epochs_have_a_length && self.samples == 0 {
            notice::warn(
                &format!("candle epochs of {}", self.optimizer),
                format_args!(
                    "no epoch was seen: samples are counted by the functions of `runlog::candle::loss`; mark epochs \
                     with `let _epoch = optimizer.epoch();`"
                ),
            );
        }
    }

    fn say_that_there_is_no_model(&self) {
        let options = self.training.options();
        if options.logs_models() && !options.is_silent() {
            notice::warn(
                &format!("candle weights of {}", self.optimizer),
                format_args!(
                    "the model that this {} trains will not be saved: no `runlog::candle::VarMap` holds its \
                     variables; import that type, make it after `autolog()`, or name the map with \
                     `optimizer.weights(&varmap)`",
                    self.optimizer
                ),
            );
        }
    }
}

/// The settings that an optimizer lets see, under the names that candle and `PyTorch` have for them.
fn settings<O: Optimizer + 'static>(optimizer: &O) -> Vec<(&'static str, f64)> {
    if let Some(adam) = (optimizer as &dyn Any).downcast_ref::<candle_nn::AdamW>() {
        let candle_nn::ParamsAdamW { lr, beta1, beta2, eps, weight_decay } = *adam.params();
        return vec![
            ("lr", lr),
            ("beta1", beta1),
            ("beta2", beta2),
            ("eps", eps),
            ("weight_decay", weight_decay),
        ];
    }
    vec![("lr", optimizer.learning_rate())]
}

/// `AdamW` of `candle_nn::optim::AdamW`, without what it is generic over.
fn short_name(name: &'static str) -> &'static str {
    let plain = name.split('<').next().unwrap_or(name);
    plain.rsplit("::").next().unwrap_or(plain)
}

/// The error that a training ended by, as its text.
#[derive(Debug)]
struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}
