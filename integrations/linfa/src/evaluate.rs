//! Metrics that the user takes of a recorded model's predictions: MLflow's post-training metrics.
//!
//! Here it is found out whose prediction a metric was taken of; [`mod@log`] writes it.

mod log;

use std::panic::{AssertUnwindSafe, Location, catch_unwind};

use linfa::dataset::{DatasetBase, Pr, Records};
use linfa::metrics::ReceiverOperatingCharacteristic;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::algorithms::recognise;
use crate::cast::{Known, cast};
use crate::data::{Data, Matrix, Targets, each_type};
use crate::origin::{self, ArrayPrint, ModelPrint, Origin};
use crate::scores;
use log::log;

/// Predicts as linfa does, and remembers whose prediction it is.
///
/// A prediction of a single row is not looked at: no metric of it means anything, and a loop over rows stays fast.
#[inline(never)]
pub(crate) fn predict<M, R, T>(model: &M, records: R) -> T
where
    M: linfa::traits::Predict<R, T>,
    R: Records,
{
    let rows = records.nsamples();
    let prediction = model.predict(records);
    if rows > 1 && origin::may_know_model::<M>(|origin| origin.is_evaluated) {
        remember(model, &prediction);
    }
    prediction
}

fn remember<M, T>(model: &M, prediction: &T) {
    quietly(|| {
        let print = look(prediction)?.print()?;
        let bytes = recognise(model)?.to_msgpack().ok()?;
        let mut origins = origin::of_model(&ModelPrint::of::<M>(&bytes));
        origins.retain(|origin| origin.is_evaluated);
        if !origins.is_empty() {
            origin::remember_prediction(print, origins);
        }
        Some(())
    });
}

/// A metric that was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// scikit-learn's name of the metric.
    pub(crate) metric: &'static str,
    /// linfa's, as it was called.
    pub(crate) method: &'static str,
    pub(crate) caller: &'static Location<'static>,
}

/// Logs the value of a metric of a prediction (or of what was compared to one) where a run is known to own it.
#[cold]
pub(crate) fn measured<P, T>(call: Call, prediction: &P, truth: &T, values: &[f64]) {
    if !origin::has_predictions() {
        return;
    }
    quietly(|| {
        let (left, right) = (look(prediction)?, look(truth)?);
        let (origins, truth) = match (left.origins(), right.origins()) {
            (Some(origins), None) => (origins, right),
            (None, Some(origins)) => (origins, left),
            // How two models agree says nothing of either one.
            (Some(_), Some(_)) | (None, None) => return None,
        };
        let suffix = |place: usize| if values.len() > 1 { format!("_{place}") } else { String::new() };
        let metrics: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(place, value)| (format!("{}{}", call.metric, suffix(place)), *value))
            .collect();
        log(&origins, call, &truth, &metrics);
        Some(())
    });
}

/// Logs what scikit-learn makes of the labels behind a confusion matrix.
#[cold]
pub(crate) fn confused<P, T>(call: Call, prediction: &P, truth: &T) {
    if !origin::has_predictions() {
        return;
    }
    quietly(|| {
        let (prediction, truth) = (look(prediction)?, look(truth)?);
        let origins = prediction.origins().filter(|_| truth.origins().is_none())?;
        macro_rules! compared {
            ($($variant:ident),*) => {
                match (&prediction.targets, &truth.targets) {
                    $((Seen::Labels(Targets::$variant(left)), Seen::Labels(Targets::$variant(right))) => {
                        scores::classification(&right.single()?, &left.single()?)?.0
                    })*
                    _ => return None,
                }
            };
        }
        let metrics = compared!(Usize, Bool, String, Str);
        let metrics: Vec<_> = metrics
            .into_iter()
            .filter_map(|(key, value)| Some((key.strip_prefix("training_")?, value)))
            .filter(|(key, _)| *key != "score")
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        log(&origins, call, &truth, &metrics);
        Some(())
    });
}

/// Logs the area under a ROC curve.
#[cold]
pub(crate) fn area<P, T>(call: Call, prediction: &P, truth: &T, curve: &ReceiverOperatingCharacteristic) {
    measured(call, prediction, truth, &[f64::from(curve.area_under_curve())]);
}

/// Logs the silhouette of predicted clusters.
#[cold]
pub(crate) fn clustered<P>(call: Call, clustering: &P, value: f64) {
    if !origin::has_predictions() {
        return;
    }
    quietly(|| {
        let seen = look(clustering)?;
        log(&seen.origins()?, call, &seen, &[(call.metric.to_owned(), value)]);
        Some(())
    });
}

/// What the user calls the data, if anything.
pub(crate) fn name_of(data: &Data<'_>) -> Option<String> {
    let of_targets = each_type!(&data.targets, values => origin::name_of(&values.columns), None);
    of_targets.or_else(|| match &data.records {
        Matrix::F64(records) => origin::name_of(records),
        Matrix::F32(records) => origin::name_of(records),
        Matrix::Unknown => None,
    })
}

/// The user calls the data so.
pub(crate) fn name(data: &Data<'_>, name: &str) {
    let targets = each_type!(&data.targets, values => Some(ArrayPrint::of(&values.columns)), None);
    let records = match &data.records {
        Matrix::F64(records) => Some(ArrayPrint::of(records)),
        Matrix::F32(records) => Some(ArrayPrint::of(records)),
        Matrix::Unknown => None,
    };
    for print in targets.into_iter().chain(records) {
        origin::remember_name(print, name);
    }
}

/// Runs code of ours in a call of the user's that trains nothing: an error or a panic in it is nobody's business.
fn quietly<T>(look: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(look)).ok().flatten()
}

/// An array or a dataset that a metric was taken of.
struct Looked<'x> {
    targets: Seen<'x>,
    /// Of a dataset: with its records.
    data: Option<Data<'x>>,
}

enum Seen<'x> {
    Labels(Targets<'x>),
    Probable(ArrayView2<'x, Pr>),
}

impl Looked<'_> {
    fn print(&self) -> Option<ArrayPrint> {
        match &self.targets {
            Seen::Labels(targets) => {
                each_type!(targets, values => Some(ArrayPrint::of(&values.columns)), None)
            }
            Seen::Probable(values) => Some(ArrayPrint::of(values)),
        }
    }

    fn name(&self) -> Option<String> {
        match &self.targets {
            Seen::Labels(targets) => each_type!(targets, values => origin::name_of(&values.columns), None),
            Seen::Probable(values) => origin::name_of(values),
        }
    }

    /// Where the model was recorded, if this is a prediction of a recorded one.
    fn origins(&self) -> Option<Vec<Origin>> {
        Some(origin::of_prediction(&self.print()?)).filter(|origins| !origins.is_empty())
    }
}

/// `value` as an array of targets, or as a dataset with some, by itself or behind a reference.
fn look<T>(value: &T) -> Option<Looked<'_>> {
    /// A plain array.
    fn array<T>(targets: &T) -> Option<Looked<'_>> {
        if let Some(values) = cast::<Array1<Pr>, T>(targets) {
            return Some(Looked { targets: Seen::Probable(values.view().insert_axis(Axis(1))), data: None });
        }
        if let Some(values) = cast::<ArrayView1<'static, Pr>, T>(targets) {
            return Some(Looked { targets: Seen::Probable(values.insert_axis(Axis(1))), data: None });
        }
        match Targets::of(targets) {
            Targets::Unknown => None,
            targets => Some(Looked { targets: Seen::Labels(targets), data: None }),
        }
    }
    fn whole<R: Records, T>(dataset: &DatasetBase<R, T>) -> Option<Looked<'_>> {
        let Looked { targets, .. } = array(&dataset.targets)?;
        Some(Looked { targets, data: Some(Data::of(dataset)) })
    }
    fn referred<K: Known, T>(value: &T) -> Option<&K::At<'_>> {
        cast::<K, T>(value).or_else(|| cast::<&'static K, T>(value).copied())
    }
    macro_rules! datasets {
        ($($float:ty: $($element:ty),*);*) => {$($(
            datasets!(@as DatasetBase<Array2<$float>, Array1<$element>>);
            datasets!(@as DatasetBase<ArrayView2<'static, $float>, Array1<$element>>);
            datasets!(@as DatasetBase<ArrayView2<'static, $float>, ArrayView1<'static, $element>>);
        )*)*};
        (@as $known:ty) => {
            if let Some(dataset) = referred::<$known, T>(value) {
                return whole(dataset);
            }
        };
    }
    datasets!(
        f64: f64, usize, bool, String, &'static str, Pr;
        f32: f32, usize, bool, String, &'static str, Pr
    );
    macro_rules! multi_targets {
        ($($float:ty),*) => {$(
            datasets!(@as DatasetBase<Array2<$float>, Array2<$float>>);
            datasets!(@as DatasetBase<ArrayView2<'static, $float>, ArrayView2<'static, $float>>);
        )*};
    }
    multi_targets!(f64, f32);
    if let Some(looked) = array(value) {
        return Some(looked);
    }
    macro_rules! behind_references {
        ($($element:ty),*) => {$(
            if let Some(values) = cast::<&'static Array1<$element>, T>(value) {
                return array(*values);
            }
            if let Some(values) = cast::<&'static ArrayView1<'static, $element>, T>(value) {
                return array(*values);
            }
        )*};
    }
    behind_references!(f64, f32, usize, bool, String, &'static str, Pr);
    slice(value)
}

/// Slices, of which linfa takes those of probabilities and their truth.
fn slice<T>(value: &T) -> Option<Looked<'_>> {
    if let Some(values) = cast::<&'static [Pr], T>(value) {
        return Some(Looked {
            targets: Seen::Probable(ArrayView1::from(*values).insert_axis(Axis(1))),
            data: None,
        });
    }
    let values = cast::<&'static [bool], T>(value)?;
    let targets = Targets::Bool(crate::data::one_column(ArrayView1::from(*values)));
    Some(Looked { targets: Seen::Labels(targets), data: None })
}
