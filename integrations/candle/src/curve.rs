//! The losses of a training: one point a step, one mean an epoch.
//!
//! A loss in main memory is logged where the step is made. One on a device is read by a thread of its own, so that the
//! training never waits for the device. Invariant: no point is left out. The queue holds [`QUEUE_LENGTH`] losses, each
//! without its graph; where the reader is further behind than that the training waits for it.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use candle_core::Tensor;
use runlog_core::autolog::Recorder;
use runlog_core::{Error, ErrorKind, MetricHandle, Result};

use crate::value::{self, Value};

/// Losses that wait to be read. A GPU has some hundred kernels in its own queue, a few steps: a reader is never this
/// far behind unless the machine is.
pub(crate) const QUEUE_LENGTH: usize = 1024;

/// One step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) number: usize,
    pub(crate) at_ms: i64,
    /// How much it counts in the mean of its epoch: its samples.
    pub(crate) weight: usize,
    /// Whether the point is logged (`every_n_steps`).
    pub(crate) logged: bool,
}

/// What becomes of the losses.
#[derive(Debug)]
pub(crate) struct Curve {
    points: MetricHandle,
    means: MetricHandle,
    sum: f64,
    weight: f64,
}

impl Curve {
    pub(crate) fn new(points: MetricHandle, means: MetricHandle) -> Self {
        Self { points, means, sum: 0.0, weight: 0.0 }
    }

    #[expect(clippy::cast_precision_loss, reason = "no batch has 2^53 samples")]
    fn point(&mut self, value: f64, step: Step) {
        let weight = step.weight as f64;
        self.sum += value * weight;
        self.weight += weight;
        if step.logged {
            // What is refused is counted by the run.
            let _logged = self.points.log_at(value, step.number, step.at_ms);
        }
    }

    fn end_epoch(&mut self, epoch: Option<usize>, at_ms: i64) {
        let mean = self.sum / self.weight;
        if let Some(epoch) = epoch.filter(|_| self.weight > 0.0) {
            let _logged = self.means.log_at(mean, epoch, at_ms);
        }
        (self.sum, self.weight) = (0.0, 0.0);
    }
}

#[derive(Debug)]
enum Item {
    Loss(Value, Step),
    /// With its number, if its mean is logged.
    EpochEnd(Option<usize>, i64),
    /// Everything before this is logged when it is dropped.
    Barrier(#[expect(dead_code, reason = "it is there to be dropped")] SyncSender<()>),
}

/// Where the losses of one training go.
#[derive(Debug)]
pub(crate) struct Losses {
    recorder: Recorder,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Here(Curve),
    Reader(SyncSender<Item>, JoinHandle<()>),
    Closed,
}

impl Losses {
    pub(crate) fn new(recorder: Recorder, curve: Curve) -> Self {
        Self { recorder, place: Place::Here(curve) }
    }

    pub(crate) fn point(&mut self, value: Value, step: Step) -> Result<()> {
        match (&mut self.place, value) {
            (Place::Here(curve), Value::Known(value)) => {
                curve.point(value, step);
                Ok(())
            }
            (Place::Here(_), value) => {
                self.start_reader()?;
                self.send(Item::Loss(value, step))
            }
            (_, value) => self.send(Item::Loss(value, step)),
        }
    }

    pub(crate) fn end_epoch(&mut self, epoch: Option<usize>, at_ms: i64) -> Result<()> {
        if let Place::Here(curve) = &mut self.place {
            curve.end_epoch(epoch, at_ms);
            return Ok(());
        }
        self.send(Item::EpochEnd(epoch, at_ms))
    }

    /// Returns when every loss so far is logged.
    pub(crate) fn wait(&self) -> Result<()> {
        if matches!(self.place, Place::Here(_)) {
            return Ok(());
        }
        let (done, waiting) = sync_channel(0);
        self.send(Item::Barrier(done))?;
        // It ends when the other side is dropped.
        waiting.recv().ok();
        Ok(())
    }

    /// Logs what is still unread.
    pub(crate) fn close(&mut self) {
        if let Place::Reader(sender, reader) = std::mem::replace(&mut self.place, Place::Closed) {
            drop(sender);
            // It does not panic: what it does is guarded.
            reader.join().ok();
        }
    }

    fn send(&self, item: Item) -> Result<()> {
        let gone = || Error::new(ErrorKind::Unexpected, "the thread that reads losses is gone");
        let Place::Reader(sender, _) = &self.place else { return Err(gone()) };
        sender.send(item).map_err(|_closed| gone())
    }

    fn start_reader(&mut self) -> Result<()> {
        let (sender, items) = sync_channel(QUEUE_LENGTH);
        let Place::Here(curve) = std::mem::replace(&mut self.place, Place::Closed) else { return Ok(()) };
        let recorder = self.recorder.clone();
        let reader = Builder::new()
            .name("runlog-candle-losses".to_owned())
            .spawn(move || read_all(&recorder, curve, &items))
            .map_err(|cause| Error::new(ErrorKind::Unavailable, "no thread to read losses").because(cause))?;
        self.place = Place::Reader(sender, reader);
        Ok(())
    }
}

fn read_all(recorder: &Recorder, mut curve: Curve, items: &Receiver<Item>) {
    // To the end, even after a failure: whoever sends must not wait for ever.
    for item in items {
        recorder.record("reading a loss", |_| {
            match item {
                Item::Loss(Value::Known(value), step) => curve.point(value, step),
                Item::Loss(Value::Unread(loss), step) => curve.point(number(&loss)?, step),
                Item::EpochEnd(epoch, at_ms) => curve.end_epoch(epoch, at_ms),
                Item::Barrier(_) => {}
            }
            Ok(())
        });
    }
}

fn number(loss: &Tensor) -> Result<f64> {
    value::read(loss)
        .map_err(|cause| Error::new(ErrorKind::Unexpected, "the loss cannot be read").because(cause))
}
