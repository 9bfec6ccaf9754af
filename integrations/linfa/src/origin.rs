//! Which run a model, a prediction or a dataset came from: what ties a later `predict` and its metrics to the fit.
//!
//! linfa's values have no room for a run, so they are recognised by what they are: a model by its type and its bytes, a
//! prediction or a dataset by the place of its array in memory, its shape and its content. Invariant: what is not
//! recognised for certain belongs to no run. Equal models share what is said of them, because it is true of each.

use std::any::TypeId;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use linfa::dataset::Pr;
use ndarray::ArrayView2;
use runlog_core::autolog::WeakRecorder;

/// Models that are remembered; the oldest are forgotten.
const MODELS_MAX: usize = 256;
/// Predictions that are remembered.
const PREDICTIONS_MAX: usize = 256;
/// Datasets whose names are remembered.
const NAMES_MAX: usize = 256;

/// A model, by its type and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModelPrint {
    type_id: TypeId,
    bytes: usize,
    hash: u64,
}

impl ModelPrint {
    /// Of a model of type `M` (up to lifetimes) that is saved as `bytes`.
    pub(crate) fn of<M>(bytes: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        Self { type_id: typeid::of::<M>(), bytes: bytes.len(), hash: hasher.finish() }
    }
}

/// An array, by its place, its shape and its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArrayPrint {
    place: usize,
    shape: (usize, usize),
    hash: u64,
}

impl ArrayPrint {
    pub(crate) fn of<E: Content>(array: &ArrayView2<'_, E>) -> Self {
        let mut hasher = DefaultHasher::new();
        for element in array {
            element.hash_into(&mut hasher);
        }
        Self { place: array.as_ptr() as usize, shape: array.dim(), hash: hasher.finish() }
    }

    /// The content, wherever it lies.
    pub(crate) fn content(&self) -> u64 {
        self.hash
    }
}

/// An element of an array, bit by bit.
pub(crate) trait Content {
    fn hash_into(&self, hasher: &mut DefaultHasher);
}

macro_rules! content {
    ($($element:ty => |$value:ident| $plain:expr),* $(,)?) => {$(
        impl Content for $element {
            fn hash_into(&self, hasher: &mut DefaultHasher) {
                let $value = self;
                $plain.hash(hasher);
            }
        }
    )*};
}

content!(
    f64 => |value| value.to_bits(),
    f32 => |value| value.to_bits(),
    Pr => |value| value.to_bits(),
    usize => |value| value,
    bool => |value| value,
    &str => |value| value,
    String => |value| value,
    i32 => |value| value,
    i64 => |value| value,
    u8 => |value| value,
    u32 => |value| value,
);

/// A fitted model and where it was recorded.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) recorder: WeakRecorder,
    pub(crate) model_id: Option<String>,
    /// How many fits made it: more than one if it was fitted incrementally.
    pub(crate) fits: usize,
    /// Whether the metrics of its predictions are to be logged.
    pub(crate) is_evaluated: bool,
}

impl Origin {
    /// The step that the model is, counted from 0.
    pub(crate) fn step(&self) -> i64 {
        i64::try_from(self.fits - 1).unwrap_or(i64::MAX)
    }
}

#[derive(Debug)]
struct Known {
    models: VecDeque<(ModelPrint, Origin)>,
    predictions: VecDeque<(ArrayPrint, Vec<Origin>)>,
    names: VecDeque<(ArrayPrint, String)>,
}

static KNOWN: Mutex<Known> =
    Mutex::new(Known { models: VecDeque::new(), predictions: VecDeque::new(), names: VecDeque::new() });

fn known() -> MutexGuard<'static, Known> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts the newest last, and drops the oldest. What is dropped is given back, to be dropped outside of the lock.
fn remember<T>(all: &mut VecDeque<T>, new: T, most: usize) -> Option<T> {
    all.push_back(new);
    (all.len() > most).then(|| all.pop_front()).flatten()
}

/// From here on a model of this print is one of this origin.
pub(crate) fn remember_model(print: ModelPrint, origin: Origin) {
    let forgotten = remember(&mut known().models, (print, origin), MODELS_MAX);
    drop(forgotten);
}

/// Whether a model of type `M` was recorded whose origin is `wanted`, so that it is worth while to look at one.
pub(crate) fn may_know_model<M>(wanted: fn(&Origin) -> bool) -> bool {
    let of_type = typeid::of::<M>();
    known().models.iter().any(|(print, origin)| print.type_id == of_type && wanted(origin))
}

/// Where models of this print were recorded, each run once, the newest last.
pub(crate) fn of_model(print: &ModelPrint) -> Vec<Origin> {
    let known = known();
    let mut found: Vec<Origin> = Vec::new();
    for (_, origin) in known.models.iter().filter(|(known, _)| known == print) {
        found.retain(|earlier| earlier.recorder.run_id() != origin.recorder.run_id());
        found.push(origin.clone());
    }
    found
}

/// From here on an array of this print is a prediction of the models of these origins.
pub(crate) fn remember_prediction(print: ArrayPrint, origins: Vec<Origin>) {
    let mut known = known();
    // Whatever lay there before is gone.
    known.predictions.retain(|(earlier, _)| earlier.place != print.place);
    let forgotten = remember(&mut known.predictions, (print, origins), PREDICTIONS_MAX);
    drop(known);
    drop(forgotten);
}

/// Whose prediction an array is; nobody's, if it is not known.
pub(crate) fn of_prediction(print: &ArrayPrint) -> Vec<Origin> {
    known()
        .predictions
        .iter()
        .find(|(known, _)| known == print)
        .map(|(_, origins)| origins.clone())
        .unwrap_or_default()
}

/// Whether there are predictions to be recognised.
pub(crate) fn has_predictions() -> bool {
    !known().predictions.is_empty()
}

/// The user calls the array so.
pub(crate) fn remember_name(print: ArrayPrint, name: &str) {
    let mut known = known();
    known.names.retain(|(earlier, _)| earlier.place != print.place);
    remember(&mut known.names, (print, name.to_owned()), NAMES_MAX);
}

/// What the user calls the array.
pub(crate) fn name_of<E: Content>(array: &ArrayView2<'_, E>) -> Option<String> {
    let (place, shape) = (array.as_ptr() as usize, array.dim());
    let is_here = |print: &ArrayPrint| (print.place, print.shape) == (place, shape);
    let (named, name) = known().names.iter().find(|(print, _)| is_here(print)).cloned()?;
    // The array may have been changed, or another one put in its place.
    (ArrayPrint::of(array) == named).then_some(name)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_name_belongs_to_an_array_as_long_as_it_is_unchanged() {
        let mut valid = array![[1.0, 2.0], [3.0, 4.0]];
        remember_name(ArrayPrint::of(&valid.view()), "valid");
        assert_eq!(name_of(&valid.view()).as_deref(), Some("valid"));
        assert_eq!(name_of(&valid.clone().view()), None);
        valid[(0, 0)] = 5.0;
        assert_eq!(name_of(&valid.view()), None);
    }

    #[test]
    fn models_are_told_apart_by_type_and_bytes() {
        assert_eq!(ModelPrint::of::<f64>(b"model"), ModelPrint::of::<f64>(b"model"));
        assert_ne!(ModelPrint::of::<f64>(b"model"), ModelPrint::of::<f32>(b"model"));
        assert_ne!(ModelPrint::of::<f64>(b"model"), ModelPrint::of::<f64>(b"other"));
    }
}
