//! Losses that wait for the step that they belong to.
//!
//! A loss is computed before the optimizer steps, so `log_as` only keeps it; the next step in its thread takes it. Where
//! a thread has no optimizer, as one that computes gradients on another device, the next step anywhere does.
//!
//! Invariants: what is kept holds no graph, at most [`KEPT_MAX`] values of a thread are unread, and none is left out.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use burn::tensor::{ExecutionError, Tensor, TensorData};
use runlog_core::{Error, ErrorKind, Result};

use super::lock;
use crate::INTEGRATION;

/// Unread values of a thread. More come only from loops that log without a step, as a validation does: those are read
/// as they come, which waits for the device.
const KEPT_MAX: usize = 256;

/// Logs values on their way through a training loop.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use runlog_burn::LogAs;
///
/// let loss = Tensor::<1>::from_floats([0.5], &Device::flex());
/// let loss = loss.log_as("train_loss"); // the same tensor
/// # let _ = loss;
/// ```
pub trait LogAs {
    /// Logs this value as the metric `name`, with the number of the optimizer step that follows, and returns it as it
    /// is.
    ///
    /// Several values of one name before a step, as of accumulated gradients, are logged as their mean; those after the
    /// last step, as of a validation, with that step when the epoch or the training ends. A tensor of several elements
    /// counts as their sum. Without autologging this is one atomic load, and a move of the tensor.
    ///
    /// The value is read off the training thread: its device is told to hand it over when the optimizer steps, and
    /// nobody waits for it.
    #[must_use]
    fn log_as(self, name: &str) -> Self;
}

impl<const D: usize> LogAs for Tensor<D> {
    #[inline]
    fn log_as(self, name: &str) -> Self {
        if INTEGRATION.is_on() {
            keep(name, &self);
        }
        self
    }
}

/// A value on its way from a device.
type Reading = Pin<Box<dyn Future<Output = Result<TensorData, ExecutionError>> + Send>>;

/// The values of one name that belong to one step.
pub(super) struct Kept {
    pub(super) name: Box<str>,
    sum: f64,
    count: usize,
    unread: Vec<Reading>,
}

thread_local! {
    /// Of this thread, whose optimizer takes them.
    static HERE: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
    /// Whether an optimizer of this thread is recorded.
    static STEPS_HERE: Cell<bool> = const { Cell::new(false) };
}

/// Of threads without an optimizer.
static ELSEWHERE: Mutex<Vec<Kept>> = Mutex::new(Vec::new());
static ANY_ELSEWHERE: AtomicUsize = AtomicUsize::new(0);

/// Recorded optimizers that live.
static OPTIMIZERS: AtomicUsize = AtomicUsize::new(0);

/// Counts one recorded optimizer as long as it lives.
pub(super) struct Counted(());

impl Counted {
    pub(super) fn new() -> Self {
        OPTIMIZERS.fetch_add(1, Ordering::Relaxed);
        steps_here();
        Self(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // Another optimizer of this thread says so again when it steps.
        STEPS_HERE.try_with(|here| here.set(false)).ok();
        if OPTIMIZERS.fetch_sub(1, Ordering::Relaxed) == 1 {
            // What no training took is of no later one.
            drop(take());
        }
    }
}

/// This thread's values are for its own optimizer.
pub(super) fn steps_here() {
    STEPS_HERE.try_with(|here| here.set(true)).ok();
}

/// A panic, as of a device that is gone, is none of the training's.
#[cold]
#[inline(never)]
fn keep<const D: usize>(name: &str, loss: &Tensor<D>) {
    if catch_unwind(AssertUnwindSafe(|| keep_reading(name, loss))).is_err() {
        INTEGRATION.warn("burn log_as panicked", format_args!("a value of `{name}` cannot be logged"));
    }
}

fn keep_reading<const D: usize>(name: &str, loss: &Tensor<D>) {
    if OPTIMIZERS.load(Ordering::Relaxed) == 0 {
        INTEGRATION.warn(
            "burn log_as",
            format_args!(
                "`log_as(\"{name}\")` is logged with the step of a recorded optimizer, and there is none: write \
                 `.autolog()` after the optimizer's `init()`"
            ),
        );
        return;
    }
    // Without autodiff: a kept graph would keep the memory of its step.
    let reading: Reading = Box::pin(loss.clone().inner().into_data_async());
    if STEPS_HERE.try_with(Cell::get).unwrap_or(false) {
        HERE.try_with(|here| add(&mut here.borrow_mut(), name, reading)).ok();
    } else {
        add(&mut lock(&ELSEWHERE), name, reading);
        ANY_ELSEWHERE.store(1, Ordering::Release);
    }
}

fn add(kept: &mut Vec<Kept>, name: &str, reading: Reading) {
    let at = kept.iter().position(|kept| *kept.name == *name).unwrap_or_else(|| {
        kept.push(Kept { name: name.into(), sum: 0.0, count: 0, unread: Vec::with_capacity(1) });
        kept.len() - 1
    });
    let kept = &mut kept[at];
    kept.unread.push(reading);
    if kept.unread.len() >= KEPT_MAX
        && let Err(error) = kept.read()
    {
        INTEGRATION.warn("burn log_as read", format_args!("values of `{name}` cannot be logged: {error}"));
    }
}

/// Takes what waits for the step of this thread's optimizer.
pub(super) fn take() -> Vec<Kept> {
    let mut taken = HERE.try_with(RefCell::take).unwrap_or_default();
    if ANY_ELSEWHERE.swap(0, Ordering::AcqRel) != 0 {
        taken.append(&mut lock(&ELSEWHERE));
    }
    taken
}

impl Kept {
    /// Tells the device to hand the values over, and takes those that are there: all of them where the device is the
    /// processor.
    ///
    /// A device gets its orders from the thread that computes on it, at the same place in every step: another thread
    /// would cut what a fusing backend has gathered by then at any place.
    pub(super) fn order(&mut self) -> Result<()> {
        let (sum, count) = (&mut self.sum, &mut self.count);
        let mut failed = None;
        self.unread.retain_mut(|reading| {
            let Poll::Ready(data) = reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
                return true;
            };
            match number(data) {
                Ok(value) => (*sum, *count) = (*sum + value, *count + 1),
                Err(error) => failed = Some(error),
            }
            false
        });
        failed.map_or(Ok(()), Err)
    }

    pub(super) fn is_read(&self) -> bool {
        self.unread.is_empty()
    }

    /// Waits for the device.
    pub(super) fn read(&mut self) -> Result<()> {
        let mut failed = Ok(());
        for reading in std::mem::take(&mut self.unread) {
            match number(wait(reading)) {
                Ok(value) => (self.sum, self.count) = (self.sum + value, self.count + 1),
                Err(error) => failed = Err(error),
            }
        }
        failed
    }

    /// The mean, once all is read; `None` if nothing could be.
    #[expect(clippy::cast_precision_loss, reason = "no step has 2^53 values")]
    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

fn number(data: Result<TensorData, ExecutionError>) -> Result<f64> {
    let data = data.map_err(|cause| {
        Error::new(ErrorKind::Unavailable, "the device does not hand over a value").because(cause)
    })?;
    Ok(data.iter::<f64>().sum())
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

fn wait<T>(mut future: Pin<Box<dyn Future<Output = T> + Send>>) -> T {
    let waker = Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::sync_channel;

    use super::*;

    /// What a device does with a value: it hands it over when it has computed it.
    #[derive(Clone, Default)]
    pub(in super::super) struct Device(Arc<Mutex<(bool, Vec<Waker>)>>);

    impl Device {
        /// Its value `name`, which is not there yet.
        pub(in super::super) fn value(&self, name: &str, value: f64) -> Kept {
            let mut kept = Vec::new();
            add(&mut kept, name, self.reading(value));
            kept[0].order().unwrap();
            kept.remove(0)
        }

        fn reading(&self, value: f64) -> Reading {
            let (seen, data) = (Arc::clone(&self.0), TensorData::from([value]));
            Box::pin(std::future::poll_fn(move |context| {
                let mut state = lock(&seen);
                if state.0 {
                    return Poll::Ready(Ok(data.clone()));
                }
                // Not that of an order, which nobody waits for.
                if !context.waker().will_wake(Waker::noop()) {
                    state.1.push(context.waker().clone());
                }
                Poll::Pending
            }))
        }

        /// Whether nobody waits for a value of its any more.
        pub(in super::super) fn is_read(&self) -> bool {
            Arc::strong_count(&self.0) == 1
        }

        /// Computes everything, once somebody waits for it.
        pub(in super::super) fn compute(&self) {
            loop {
                let mut state = lock(&self.0);
                if !state.1.is_empty() {
                    state.0 = true;
                    return state.1.drain(..).for_each(Waker::wake);
                }
                drop(state);
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_value_that_is_there_is_read_where_it_is_and_the_mean_is_of_all() {
        let mut kept = Vec::new();
        for value in [1.0, 2.5] {
            add(&mut kept, "loss", Box::pin(std::future::ready(Ok(TensorData::from([value])))));
        }
        assert_eq!((kept.len(), kept[0].is_read()), (1, false));
        kept[0].order().unwrap();
        assert!(kept[0].is_read());
        assert_eq!(kept[0].mean(), Some(1.75));
    }

    #[test]
    fn a_value_on_its_way_is_ordered_without_waiting_and_read_when_it_comes() {
        let device = Device::default();
        let mut kept = device.value("loss", 0.5);
        assert!(!kept.is_read(), "ordered, and not there");
        let (done, mean) = sync_channel(1);
        let reader = std::thread::Builder::new()
            .spawn(move || {
                kept.read().unwrap();
                done.send(kept.mean()).unwrap();
            })
            .unwrap();
        device.compute();
        assert_eq!(mean.recv().unwrap(), Some(0.5));
        reader.join().unwrap();
    }

    #[test]
    fn an_error_of_the_device_is_told_and_the_other_values_stay() {
        for read in [Kept::order, Kept::read] {
            let mut kept = Vec::new();
            let error = ExecutionError::WithContext { reason: "gone".to_owned() };
            add(&mut kept, "loss", Box::pin(std::future::ready(Err(error))));
            add(&mut kept, "loss", Box::pin(std::future::ready(Ok(TensorData::from([2.0])))));
            assert!(read(&mut kept[0]).is_err());
            assert_eq!((kept[0].is_read(), kept[0].mean()), (true, Some(2.0)));
        }
    }

    #[test]
    fn a_loop_without_steps_keeps_no_more_than_it_may() {
        let mut kept = Vec::new();
        for _ in 0..3 * KEPT_MAX {
            add(&mut kept, "loss", Box::pin(std::future::ready(Ok(TensorData::from([1.0])))));
            assert!(kept[0].unread.len() < KEPT_MAX);
        }
        kept[0].order().unwrap();
        assert_eq!((kept[0].count, kept[0].mean()), (3 * KEPT_MAX, Some(1.0)));
    }
}
