//! One pass over the data, as long as its guard lives.

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use runlog_core::clock;

use super::lock;
use super::progress::Progress;
use crate::model::numbered;

/// An epoch of a training loop; it ends when this guard is dropped.
///
/// Then the mean of each logged loss over the epoch is logged as `<name>_epoch`, with `epoch_seconds` and, if the
/// samples were told, `samples_per_second`: all at the number of the epoch, from 1. The metric `epoch` has that number at
/// the step of the optimizer. The guard holds nothing of the optimizer, which goes on stepping.
#[must_use = "the epoch ends when this is dropped"]
pub struct Epoch {
    of: Option<Arc<Mutex<Progress>>>,
    number: usize,
    started: Instant,
    samples: Cell<usize>,
}

impl Epoch {
    pub(super) fn start(of: Arc<Mutex<Progress>>) -> Self {
        let mut number = 0;
        {
            let mut progress = lock(&of);
            let recorder = progress.recorder().clone();
            recorder.record("an epoch", |_| {
                number = progress.start_epoch()?;
                Ok(())
            });
        }
        Self { of: Some(of), number, started: clock::instant(), samples: Cell::new(0) }
    }

    pub(super) fn unseen() -> Self {
        Self { of: None, number: 0, started: clock::instant(), samples: Cell::new(0) }
    }

    /// Counts the samples of a batch, for the speed of the epoch.
    #[inline]
    pub fn samples(&self, n: usize) {
        self.samples.set(self.samples.get() + n);
    }
}

impl Drop for Epoch {
    fn drop(&mut self) {
        let Some(of) = self.of.take() else { return };
        // An epoch that a panic cuts short says nothing of one.
        if std::thread::panicking() {
            return;
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let recorder = lock(&of).recorder().clone();
        recorder.record("the end of an epoch", |run| {
            let mut progress = lock(&of);
            if progress.end_epoch(self.number)? && recorder.wants_epoch(self.number) {
                let key = |key| numbered(key, recorder.part());
                let _logged = run.log_metric(&key("epoch"), self.number, progress.steps());
                let _logged = run.log_metric(&key("epoch_seconds"), seconds, self.number);
                let samples = self.samples.get();
                if samples > 0 && seconds > 0.0 {
                    #[expect(clippy::cast_precision_loss, reason = "no epoch has 2^53 samples")]
                    let speed = samples as f64 / seconds;
                    let _logged = run.log_metric(&key("samples_per_second"), speed, self.number);
                }
            }
            Ok(())
        });
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoch").field("number", &self.number).finish_non_exhaustive()
    }
}
