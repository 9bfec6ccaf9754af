//! The loss that this thread computed last, for the step that follows it: what the loss functions see and the
//! optimizer does not.
//!
//! Invariant: at most one value is held, and never the graph that it was computed by.

use std::cell::RefCell;

use candle_core::{DType, Tensor, TensorId};

use crate::guard::guarded;
use crate::value::Value;

/// A call of a loss function.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) function: &'static str,
    loss: TensorId,
    pub(crate) value: Value,
    /// Of the model's output: the first dimension is the batch.
    pub(crate) dims: Vec<usize>,
    pub(crate) dtype: DType,
}

impl Noted {
    pub(crate) fn is_of(&self, loss: &Tensor) -> bool {
        self.loss == loss.id()
    }

    /// Samples in the batch.
    pub(crate) fn batch(&self) -> Option<usize> {
        self.dims.first().copied()
    }
}

#[derive(Debug, Default)]
struct Last {
    noted: Option<Noted>,
    error: Option<String>,
    /// Kept, so that noting allocates nothing in steady state.
    dims: Vec<usize>,
}

thread_local! {
    static LAST: RefCell<Last> = const { RefCell::new(Last { noted: None, error: None, dims: Vec::new() }) };
}

fn with<T: Default>(act: impl FnOnce(&mut Last) -> T) -> T {
    LAST.try_with(|last| last.try_borrow_mut().map(|mut last| act(&mut last)).unwrap_or_default())
        .unwrap_or_default()
}

/// Notes what a loss function returned for a model's `output`.
pub(crate) fn note(function: &'static str, output: &Tensor, result: &candle_core::Result<Tensor>) {
    guarded(|| match result {
        Ok(loss) => {
            let (loss, value, dtype) = (loss.id(), Value::of(loss), output.dtype());
            with(|last| {
                let mut dims = std::mem::take(&mut last.dims);
                dims.clear();
                dims.extend_from_slice(output.dims());
                last.error = None;
                last.noted = Some(Noted { function, loss, value, dims, dtype });
            });
        }
        Err(error) => with(|last| last.error = Some(message(error))),
    });
}

/// Takes what was noted last, for a step or an end; an error from before it has been handled.
pub(crate) fn take() -> Option<Noted> {
    with(|last| {
        last.error = None;
        last.noted.take()
    })
}

/// Gives the memory of a step's note to the next one.
pub(crate) fn reuse(noted: Noted) {
    with(|last| last.dims = noted.dims);
}

/// Takes the error of the loss function that was called last, if it failed.
pub(crate) fn take_error() -> Option<String> {
    with(|last| last.error.take())
}

/// Whether the loss function that was called last failed.
pub(crate) fn has_error() -> bool {
    with(|last| last.error.is_some())
}

/// What an error says, without the backtrace that candle adds where the environment asks for one.
pub(crate) fn message(error: &candle_core::Error) -> String {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => message(inner),
        error => error.to_string(),
    }
}
