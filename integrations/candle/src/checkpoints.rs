//! Checkpoints: the weights as they are at some moments of the training, under MLflow's names.
//!
//! The training thread only copies the weights, on their device; a thread of its own compares, writes and uploads.
//! Invariant: at most one copy exists. The training waits for the checkpoint before, for at most [`PATIENCE`]; one that
//! would wait longer is left out, with a warning.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use runlog_core::autolog::Recorder;
use runlog_core::{Error, ErrorKind, Result, RunHandle, notice};
use serde_json::{Map, Value};

use crate::weights::Weights;

/// The tag that names the newest checkpoint, as MLflow's loaders of checkpoints look for it.
const LATEST: &str = "mlflow.latest_checkpoint_artifact";

/// How long a step or an epoch waits for the checkpoint before the one that is due.
const PATIENCE: Duration = Duration::from_secs(10);

/// When weights are stored during training, and which stay.
///
/// The newest one replaces the one before, as `checkpoints/latest_checkpoint.weights.safetensors`, unless
/// [`keep_all`](Self::keep_all) is asked for. Only weights can be stored: candle's optimizers keep their state to
/// themselves.
///
/// A checkpoint costs the training a copy of the weights, and the wait for the checkpoint before if that is still being
/// stored: after ten seconds the one that is due is left out, and a warning says so.
///
/// ```
/// use runlog_candle::Checkpoints;
///
/// let newest = Checkpoints::every_epochs(1);
/// let best = Checkpoints::every_epochs(1).highest("val_accuracy");
/// let all = Checkpoints::every_steps(10_000).keep_all();
/// # let _ = (newest, best, all);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "give it to `CandleOptions::checkpoints`"]
pub struct Checkpoints {
    every: Every,
    best: Option<Best>,
    keep_all: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Every {
    Epochs(usize),
    Steps(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Best {
    metric: String,
    lowest: bool,
}

impl Checkpoints {
    /// After every `n`-th epoch; an epoch is what [`Autolog::epoch`](crate::Autolog::epoch) or
    /// [`Autolog::epoch_length`](crate::Autolog::epoch_length) says.
    pub fn every_epochs(n: usize) -> Self {
        Self { every: Every::Epochs(n.max(1)), best: None, keep_all: false }
    }

    /// After every `n`-th step.
    pub fn every_steps(n: usize) -> Self {
        Self { every: Every::Steps(n.max(1)), best: None, keep_all: false }
    }

    /// Only if the run's metric is lower than at the last checkpoint: the last value that was logged until then, by
    /// whoever.
    pub fn lowest(mut self, metric: impl Into<String>) -> Self {
        self.best = Some(Best { metric: metric.into(), lowest: true });
        self
    }

    /// Only if the run's metric is higher than at the last checkpoint.
    pub fn highest(mut self, metric: impl Into<String>) -> Self {
        self.best = Some(Best { metric: metric.into(), lowest: false });
        self
    }

    /// Keeps every one, in a folder of its own: `checkpoints/epoch_<n>` or `checkpoints/global_step_<n>`.
    pub fn keep_all(mut self) -> Self {
        self.keep_all = true;
        self
    }

    pub(crate) fn is_due_after_step(&self, step: usize) -> bool {
        matches!(self.every, Every::Steps(n) if step.is_multiple_of(n))
    }

    pub(crate) fn is_due_after_epoch(&self, epoch: usize) -> bool {
        matches!(self.every, Every::Epochs(n) if epoch.is_multiple_of(n))
    }

    /// The weights' file and the metrics' file.
    fn files(&self, suffix: &str, taken: &Moment) -> [String; 2] {
        let place = match self.every {
            _ if !self.keep_all => "latest_".to_owned(),
            Every::Epochs(_) => format!("epoch_{}/", taken.epoch),
            Every::Steps(_) => format!("global_step_{}/", taken.step),
        };
        ["checkpoint.weights.safetensors", "checkpoint_metrics.json"]
            .map(|file| format!("checkpoints{suffix}/{place}{file}"))
    }
}

/// When a checkpoint was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) epoch: usize,
    pub(crate) step: usize,
    pub(crate) at_ms: i64,
}

/// The thread that writes checkpoints.
pub(crate) struct Saver {
    sender: SyncSender<(Weights, Moment)>,
    stored: Receiver<()>,
    thread: JoinHandle<()>,
    is_busy: bool,
}

impl Saver {
    /// `suffix` keeps the files of trainings that share a run apart.
    pub(crate) fn start(checkpoints: Checkpoints, suffix: &str, recorder: &Recorder) -> Result<Self> {
        let (sender, taken) = sync_channel(1);
        let (done, stored) = sync_channel(1);
        let mut writer =
            Writer { checkpoints, suffix: suffix.to_owned(), recorder: recorder.clone(), best: None };
        let thread = Builder::new()
            .name("runlog-candle-checkpoints".to_owned())
            .spawn(move || writer.write_all(&taken, &done))
            .map_err(|cause| {
                Error::new(ErrorKind::Unavailable, "no thread to write checkpoints").because(cause)
            })?;
        Ok(Self { sender, stored, thread, is_busy: false })
    }

    /// Copies the weights and lets them be written.
    pub(crate) fn save(&mut self, weights: &Weights, taken: Moment) -> Result<()> {
        if self.is_busy && self.stored.recv_timeout(PATIENCE).is_err() {
            notice::warn(
                "candle checkpoint left out",
                format_args!(
                    "the checkpoint of step {} is left out: the one before is still being stored; take fewer",
                    taken.step
                ),
            );
            return Ok(());
        }
        let gone = |_| Error::new(ErrorKind::Unexpected, "the thread that writes checkpoints is gone");
        let copied = weights.copied()?;
        self.is_busy = true;
        self.sender.send((copied, taken)).map_err(gone)
    }

    /// Returns when the last one is stored.
    pub(crate) fn close(self) {
        drop((self.sender, self.stored));
        // It does not panic: what it does is guarded.
        self.thread.join().ok();
    }
}

struct Writer {
    checkpoints: Checkpoints,
    suffix: String,
    recorder: Recorder,
    /// The metric at the last checkpoint.
    best: Option<f64>,
}

impl Writer {
    fn write_all(&mut self, taken: &Receiver<(Weights, Moment)>, done: &SyncSender<()>) {
        for (weights, moment) in taken {
            let recorder = self.recorder.clone();
            recorder.record("a checkpoint", |run| self.write(run, &weights, moment));
            // Nobody waits any more at the end.
            done.send(()).ok();
        }
    }

    fn write(&mut self, run: &RunHandle, weights: &Weights, taken: Moment) -> Result<()> {
        let metrics = metrics_at(run, taken)?;
        if let Some(best) = &self.checkpoints.best {
            let Some(value) = metrics.get(&best.metric).and_then(Value::as_f64) else {
                notice::warn(
                    &format!("candle checkpoint {}", best.metric),
                    format_args!(
                        "no checkpoint is stored until the metric `{}` is logged, which says which one is best",
                        best.metric
                    ),
                );
                return Ok(());
            };
            let is_better = |last: f64| if best.lowest { value < last } else { value > last };
            if value.is_nan() || !self.best.is_none_or(is_better) {
                return Ok(());
            }
            self.best = Some(value);
        }
        let [file, metrics_file] = self.checkpoints.files(&self.suffix, &taken);
        let (dir, name) = file.rsplit_once('/').unwrap_or(("checkpoints", &file));
        let local = tempfile::tempdir()
            .map_err(|cause| Error::new(ErrorKind::Denied, "no temporary directory").because(cause))?;
        let written = local.path().join(name);
        weights.write(&written)?;
        run.log_dict(&metrics, &metrics_file)?;
        run.log_artifact(&written, dir)?;
        // Named when it is there: what the tag names can be loaded.
        run.set_tag(LATEST, &file);
        Ok(())
    }
}

/// The run's metrics as they were then, with MLflow's `epoch` and `global_step`.
fn metrics_at(run: &RunHandle, taken: Moment) -> Result<Map<String, Value>> {
    let tracker = run.tracker();
    let mut metrics = Map::new();
    for latest in tracker.get_run(run.run_id())?.data.metrics {
        if latest.key.starts_with("system/") {
            continue;
        }
        let value = if latest.timestamp <= taken.at_ms {
            Some(latest.value)
        } else {
            let history = tracker.metric_history(run.run_id(), &latest.key)?;
            let then = history.iter().filter(|point| point.timestamp <= taken.at_ms);
            then.max_by_key(|point| (point.timestamp, point.step)).map(|point| point.value)
        };
        if let Some(value) = value {
            metrics.insert(latest.key, value.into());
        }
    }
    metrics.insert("epoch".to_owned(), taken.epoch.into());
    metrics.insert("global_step".to_owned(), taken.step.into());
    Ok(metrics)
}
