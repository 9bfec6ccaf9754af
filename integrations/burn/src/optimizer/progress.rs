//! What a loop logs as it goes: the values of each step, the means of each epoch.
//!
//! Values that are there are logged where the step is made; those that a device still owes go to a thread of their own,
//! in order. Invariant: no value is left out. Where the reader is [`QUEUE_LENGTH`] steps behind, the training waits.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use runlog_core::autolog::Recorder;
use runlog_core::{Error, ErrorKind, MetricHandle, Result, RunHandle, clock};

use super::loss::{self, Kept};
use crate::model::numbered;

/// Steps whose values wait to be read. A device has a few steps in its own queue.
const QUEUE_LENGTH: usize = 256;

/// One training's steps and epochs, and where their values go.
pub(super) struct Progress {
    recorder: Recorder,
    rate: MetricHandle,
    steps: usize,
    epochs: usize,
    /// The epoch that goes on.
    epoch: Option<usize>,
    place: Place,
}

enum Place {
    Here(Points),
    Reader(SyncSender<Item>, JoinHandle<()>),
    Closed,
}

/// In the order in which they happen.
enum Item {
    Values(Vec<Kept>, Moment),
    EpochStart,
    /// With its number, if its means are logged.
    EpochEnd(Option<usize>, i64),
    /// Everything before this is logged when it is dropped.
    Barrier(#[expect(dead_code, reason = "it is there to be dropped")] SyncSender<()>),
}

#[derive(Clone, Copy)]
struct Moment {
    step: usize,
    at_ms: i64,
    /// Whether the points are logged (`every_n_steps`).
    logged: bool,
}

impl Progress {
    pub(super) fn new(recorder: Recorder) -> Self {
        let rate = recorder.run().metric(&numbered("learning_rate", recorder.part()));
        let points = Points { run: recorder.run().clone(), handles: Vec::new(), means: None };
        Self { recorder, rate, steps: 0, epochs: 0, epoch: None, place: Place::Here(points) }
    }

    pub(super) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// The optimizer steps, with this learning rate.
    pub(super) fn step(&mut self, rate: f64) -> Result<()> {
        self.steps += 1;
        let moment = self.moment();
        if moment.logged {
            // What is refused is counted by the run.
            let _logged = self.rate.log_at(rate, moment.step, moment.at_ms);
        }
        self.values(moment)
    }

    fn moment(&self) -> Moment {
        Moment { step: self.steps, at_ms: clock::now_ms(), logged: self.recorder.wants_step(self.steps) }
    }

    /// What waits in this thread belongs to this moment.
    fn values(&mut self, moment: Moment) -> Result<()> {
        let mut kept = loss::take();
        if kept.is_empty() || !(moment.logged || self.epoch.is_some()) {
            return Ok(());
        }
        let ordered = kept.iter_mut().map(Kept::order).fold(Ok(()), Result::and);
        self.send(Item::Values(kept, moment)).and(ordered)
    }

    /// The number of the epoch that starts, from 1.
    pub(super) fn start_epoch(&mut self) -> Result<usize> {
        self.epochs += 1;
        self.epoch = Some(self.epochs);
        self.send(Item::EpochStart)?;
        Ok(self.epochs)
    }

    /// Ends this epoch, if it still goes on; what came after the last step belongs to it, as the losses of a validation
    /// do.
    pub(super) fn end_epoch(&mut self, epoch: usize) -> Result<bool> {
        if self.epoch != Some(epoch) {
            return Ok(false);
        }
        let values = self.values(Moment { logged: true, ..self.moment() });
        self.epoch = None;
        let wanted = self.recorder.wants_epoch(epoch).then_some(epoch);
        self.send(Item::EpochEnd(wanted, clock::now_ms())).and(values).map(|()| true)
    }

    /// Returns when every value so far is logged.
    pub(super) fn wait(&mut self) -> Result<()> {
        let (done, waiting) = sync_channel(0);
        self.send(Item::Barrier(done))?;
        // It ends when the other side is dropped.
        waiting.recv().ok();
        Ok(())
    }

    /// Logs what came after the last step.
    pub(super) fn end(&mut self) -> Result<()> {
        match self.epoch {
            Some(epoch) => self.end_epoch(epoch).map(drop),
            None => self.values(Moment { logged: true, ..self.moment() }),
        }
    }

    /// Returns when nothing is on its way any more.
    pub(super) fn close(&mut self) {
        if let Place::Reader(sender, reader) = std::mem::replace(&mut self.place, Place::Closed) {
            drop(sender);
            // It does not panic: what it does is guarded.
            reader.join().ok();
        }
    }

    fn send(&mut self, item: Item) -> Result<()> {
        if let Place::Here(points) = &mut self.place {
            let unread = matches!(&item, Item::Values(kept, _) if !kept.iter().all(Kept::is_read));
            if !unread {
                return points.take(item);
            }
            self.start_reader()?;
        }
        match &self.place {
            Place::Reader(sender, _) => sender.send(item).map_err(|_closed| gone()),
            // What comes after the training is nobody's.
            Place::Here(_) | Place::Closed => Ok(()),
        }
    }

    fn start_reader(&mut self) -> Result<()> {
        let Place::Here(points) = std::mem::replace(&mut self.place, Place::Closed) else { return Ok(()) };
        let (sender, items) = sync_channel(QUEUE_LENGTH);
        let recorder = self.recorder.clone();
        let reader = Builder::new()
            .name("runlog-burn-values".to_owned())
            .spawn(move || read_all(&recorder, points, &items))
            .map_err(|cause| Error::new(ErrorKind::Unavailable, "no thread to read values").because(cause))?;
        self.place = Place::Reader(sender, reader);
        Ok(())
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Unexpected, "the thread that reads values is gone")
}

fn read_all(recorder: &Recorder, mut points: Points, items: &Receiver<Item>) {
    // To the end, even after a failure: whoever sends must not wait for ever.
    for item in items {
        recorder.record("reading values", |_| points.take(item));
    }
}

/// What becomes of the values.
struct Points {
    run: RunHandle,
    handles: Vec<(Box<str>, MetricHandle)>,
    /// The sum and the number of the steps' values in the epoch that goes on.
    means: Option<BTreeMap<Box<str>, (f64, f64)>>,
}

impl Points {
    fn take(&mut self, item: Item) -> Result<()> {
        match item {
            Item::Values(kept, moment) => return self.values(kept, moment),
            Item::EpochStart => self.means = Some(BTreeMap::new()),
            Item::EpochEnd(epoch, at_ms) => {
                for (name, (sum, count)) in self.means.take().unwrap_or_default() {
                    if let Some(epoch) = epoch {
                        let _logged =
                            self.run.log_metric_at(&format!("{name}_epoch"), sum / count, epoch, at_ms);
                    }
                }
            }
            Item::Barrier(_) => {}
        }
        Ok(())
    }

    fn values(&mut self, kept: Vec<Kept>, moment: Moment) -> Result<()> {
        let mut failed = Ok(());
        for mut kept in kept {
            failed = failed.and(kept.read());
            let Some(value) = kept.mean() else { continue };
            if moment.logged {
                let _logged = self.handle(&kept.name).log_at(value, moment.step, moment.at_ms);
            }
            if let Some(means) = &mut self.means {
                if let Some((sum, count)) = means.get_mut(&kept.name) {
                    (*sum, *count) = (*sum + value, *count + 1.0);
                } else {
                    means.insert(kept.name, (value, 1.0));
                }
            }
        }
        failed
    }

    fn handle(&mut self, name: &str) -> &MetricHandle {
        let at = self.handles.iter().position(|(of, _)| **of == *name).unwrap_or_else(|| {
            self.handles.push((name.into(), self.run.metric(name)));
            self.handles.len() - 1
        });
        &self.handles[at].1
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::optim::AdamConfig;
    use runlog_core::autolog::Training;
    use runlog_core::fluent::with_tracker;
    use runlog_core::{RunQuery, Tracker};

    use super::super::lock;
    use super::super::loss::tests::Device;
    use super::*;
    use crate::Autolog;

    impl Progress {
        /// A step whose loss the device still owes.
        fn step_of(&mut self, device: &Device, value: f64) {
            self.steps += 1;
            let moment = self.moment();
            self.send(Item::Values(vec![device.value("loss", value)], moment)).unwrap();
        }
    }

    /// The training thread goes on while the device computes; values of a device and others stay in order.
    #[test]
    fn values_that_a_device_owes_are_logged_with_their_step_and_their_epoch() {
        crate::autolog();
        let tracker = Tracker::open("memory:").unwrap();
        with_tracker(&tracker, || {
            let training = Training::open(&crate::INTEGRATION).unwrap();
            let mut progress = Progress::new(training.clone());
            let device = Device::default();
            let epoch = progress.start_epoch().unwrap();
            for value in [1.0, 2.0] {
                progress.step_of(&device, value);
            }
            assert!(progress.end_epoch(epoch).unwrap());
            assert!(matches!(progress.place, Place::Reader(..)), "nobody waited");
            device.compute();
            progress.wait().unwrap();
            progress.end().unwrap();
            progress.close();
            training.finish();
        });
        let run = tracker.search_runs(RunQuery::new().all_experiments()).unwrap().remove(0);
        let points = |key| {
            let history = tracker.metric_history(&run.info.run_id, key).unwrap();
            history.into_iter().map(|point| (point.step, point.value)).collect::<Vec<_>>()
        };
        assert_eq!(points("loss"), [(1, 1.0), (2, 2.0)]);
        assert_eq!(points("loss_epoch"), [(1, 1.5)]);
    }

    /// The run ends after this, and what it is given then is late.
    #[test]
    fn a_training_ends_when_the_last_value_is_read() {
        crate::autolog();
        let tracker = Tracker::open("memory:").unwrap();
        with_tracker(&tracker, || {
            let training = Training::open(&crate::INTEGRATION).unwrap();
            let mut progress = Progress::new(training.clone());
            let device = Device::default();
            progress.step_of(&device, 1.0);
            std::thread::scope(|scope| {
                scope.spawn(|| device.compute());
                progress.close();
                assert!(device.is_read(), "it was on its way");
            });
            training.finish();
        });
    }

    /// A logged model is linked to the metrics of its step.
    #[test]
    fn a_model_is_logged_after_the_values_of_its_steps() {
        crate::autolog();
        with_tracker(&Tracker::open("memory:").unwrap(), || {
            let device = Device::default();
            let mut optim = AdamConfig::new().init().autolog();
            lock(&optim.open().unwrap().progress).step_of(&device, 1.0);
            let model = LinearConfig::new(2, 1).init(&burn::tensor::Device::flex());
            let logged = std::thread::scope(|scope| {
                scope.spawn(|| device.compute());
                optim.log_model_with(&model, |spec| {
                    assert!(device.is_read(), "it was on its way");
                    Ok(spec)
                })
            });
            assert!(logged.is_some());
        });
    }
}
