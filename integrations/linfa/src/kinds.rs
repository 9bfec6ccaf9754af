//! What a fitted model is for: its kind decides what it predicts, how it is measured and what its signature is.
//!
//! The kind comes from the model, not from the targets: k-means on labelled data is still a clustering. Which type is
//! of which kind stands in [`crate::algorithms`].

use linfa::dataset::Pr;
use linfa::traits::PredictInplace;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use runlog_core::digest::Element;
use runlog_core::tensor::Tensor;
use runlog_core::{Error, Result};
use serde::Serialize;
use serde_json::Value;

use crate::data::{Data, Matrix, Targets, Values};
use crate::forms::Form;
use crate::scores::{self, Metrics};

/// How much of the training data is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Rows that are predicted.
    pub(crate) rows_max: usize,
    /// Rows whose distances to each other are taken.
    pub(crate) silhouette_rows_max: usize,
}

impl Limits {
    /// Every how-many-th of so many rows is predicted.
    pub(crate) fn step(self, rows: usize) -> usize {
        step(rows, self.rows_max)
    }
}

/// A model on its own training data.
#[derive(Debug, Default)]
pub(crate) struct Evaluation {
    pub(crate) metrics: Metrics,
    /// The labels and how often each was taken for each other one, as JSON.
    pub(crate) confusion: Option<Value>,
}

/// A model that is known.
pub(crate) trait Model<'x> {
    /// The algorithm's name, such as `DecisionTree`.
    fn name(&self) -> &'static str;

    /// The type, as Rust tells it.
    fn class(&self) -> &'static str;

    /// Measures it on at most so many rows of `data`; `None` if the data does not fit the model's kind.
    fn evaluate(&self, data: &Data<'x>, limits: Limits) -> Result<Option<Evaluation>>;

    /// What it predicts, for as many samples; `None` if that is no array.
    fn output(&self, samples: usize, data: &Data<'x>) -> Option<Tensor>;

    /// Why its type cannot be saved; `None` if it can.
    fn unsaved(&self) -> Option<&'static str>;

    /// Its bytes, with the names of the fields.
    ///
    /// # Errors
    /// The type cannot be saved.
    fn to_msgpack(&self) -> Result<Vec<u8>>;

    /// The type that reads these bytes, such as `DecisionTree<f64, usize>`.
    fn loads_as(&self) -> Option<String>;
}

/// The floats that linfa knows.
pub(crate) trait Float<'x>: Element + Copy + Into<f64> + 'x {
    fn records<'d>(data: &'d Data<'x>) -> Option<&'d ArrayView2<'x, Self>>;
    fn targets<'d>(data: &'d Data<'x>) -> Option<&'d Values<'x, Self>>;
}

/// The labels that classes may have.
pub(crate) trait ClassLabel<'x>: Element + Ord + Clone + Serialize + 'x {
    fn targets<'d>(data: &'d Data<'x>) -> Option<&'d Values<'x, Self>>;
}

macro_rules! floats {
    ($($float:ty: $variant:ident),*) => {$(
        impl<'x> Float<'x> for $float {
            fn records<'d>(data: &'d Data<'x>) -> Option<&'d ArrayView2<'x, Self>> {
                if let Matrix::$variant(records) = &data.records { Some(records) } else { None }
            }
            fn targets<'d>(data: &'d Data<'x>) -> Option<&'d Values<'x, Self>> {
                if let Targets::$variant(values) = &data.targets { Some(values) } else { None }
            }
        }
    )*};
}

floats!(f64: F64, f32: F32);

macro_rules! labels {
    ($($label:ty: $variant:ident),*) => {$(
        impl<'x> ClassLabel<'x> for $label {
            fn targets<'d>(data: &'d Data<'x>) -> Option<&'d Values<'x, Self>> {
                if let Targets::$variant(values) = &data.targets { Some(values) } else { None }
            }
        }
    )*};
}

labels!(usize: Usize, bool: Bool, String: String, &'x str: Str, i32: I32, i64: I64, u8: U8, u32: U32);

/// Every `rows / rows_max`-th row, so that a sample is spread over sorted data too.
fn step(rows: usize, rows_max: usize) -> usize {
    rows.div_ceil(rows_max.max(1)).max(1)
}

/// A model with its name, the form it is saved in, and what only its kind knows.
pub(crate) struct Known<'x, M, K> {
    pub(crate) name: &'static str,
    pub(crate) model: &'x M,
    pub(crate) form: Form<M>,
    pub(crate) kind: K,
}

/// What a model predicts for some records.
type Predict<M, F, O> = fn(&M, &ArrayView2<'_, F>) -> O;

/// Predicts numbers: one column for each target.
pub(crate) struct Regressor<M, F>(pub(crate) Predict<M, F, Array2<F>>);

/// Predicts one label for each sample.
pub(crate) struct Classifier<M, F, L>(pub(crate) Predict<M, F, Array1<L>>);

/// Assigns each sample to a cluster.
pub(crate) struct Clusterer<M, F> {
    pub(crate) predict: Predict<M, F, Array1<usize>>,
    /// Where the clusters are, if being close to that decides.
    pub(crate) centroids: Option<fn(&M) -> ArrayView2<'_, F>>,
}

/// Turns samples into others, and has no metrics.
pub(crate) struct Transformer<M, F> {
    /// The columns of what comes out for so many features.
    pub(crate) columns: fn(&M, usize) -> usize,
    pub(crate) element: std::marker::PhantomData<F>,
}

/// The result of a transformation: it describes the data that it was made of, and takes no other.
pub(crate) struct Outcome;

/// What is asked of a kind.
pub(crate) trait Kind<'x, M> {
    fn evaluate(&self, model: &M, data: &Data<'x>, limits: Limits) -> Result<Option<Evaluation>>;
    fn output(&self, model: &M, samples: usize, data: &Data<'x>) -> Option<Tensor>;
}

impl<'x, M, K: Kind<'x, M>> Model<'x> for Known<'x, M, K> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn class(&self) -> &'static str {
        std::any::type_name::<M>()
    }

    fn evaluate(&self, data: &Data<'x>, limits: Limits) -> Result<Option<Evaluation>> {
        self.kind.evaluate(self.model, data, limits)
    }

    fn output(&self, samples: usize, data: &Data<'x>) -> Option<Tensor> {
        self.kind.output(self.model, samples, data)
    }

    fn unsaved(&self) -> Option<&'static str> {
        self.form.unsaved()
    }

    fn to_msgpack(&self) -> Result<Vec<u8>> {
        self.form.write(self.model)
    }

    fn loads_as(&self) -> Option<String> {
        self.form.loads_as()
    }
}

impl<'x, M, F: Float<'x>> Kind<'x, M> for Regressor<M, F> {
    fn evaluate(&self, model: &M, data: &Data<'x>, limits: Limits) -> Result<Option<Evaluation>> {
        let (Some(records), Some(truth)) = (F::records(data), F::targets(data)) else { return Ok(None) };
        let step = step(data.samples, limits.rows_max);
        let predicted = (self.0)(model, &records.slice(s![..;step, ..]));
        let metrics = scores::regression(&truth.columns.slice(s![..;step, ..]), &predicted.view());
        Ok(metrics.map(|metrics| Evaluation { metrics, confusion: None }))
    }

    fn output(&self, _: &M, samples: usize, data: &Data<'x>) -> Option<Tensor> {
        let columns = F::targets(data).filter(|values| values.single().is_none());
        let shape = columns.map_or(vec![samples], |values| vec![samples, values.columns.ncols()]);
        Some(Tensor::new(F::DTYPE, &shape))
    }
}

impl<'x, M, F: Float<'x>, L: ClassLabel<'x>> Kind<'x, M> for Classifier<M, F, L> {
    fn evaluate(&self, model: &M, data: &Data<'x>, limits: Limits) -> Result<Option<Evaluation>> {
        let truth = L::targets(data).and_then(Values::single);
        let (Some(records), Some(truth)) = (F::records(data), truth) else { return Ok(None) };
        let step = step(data.samples, limits.rows_max);
        let predicted = (self.0)(model, &records.slice(s![..;step, ..]));
        let truth: ArrayView1<'_, L> = truth.slice(s![..;step]);
        let Some((metrics, confusion)) = scores::classification(&truth, &predicted.view()) else {
            return Ok(None);
        };
        let confusion = confusion
            .map(serde_json::to_value)
            .transpose()
            .map_err(|cause| Error::invalid("cannot write the labels as JSON").because(cause))?;
        Ok(Some(Evaluation { metrics, confusion }))
    }

    fn output(&self, _: &M, samples: usize, _: &Data<'x>) -> Option<Tensor> {
        Some(Tensor::new(L::DTYPE, &[samples]))
    }
}

impl<'x, M, F: Float<'x>> Kind<'x, M> for Clusterer<M, F> {
    fn evaluate(&self, model: &M, data: &Data<'x>, limits: Limits) -> Result<Option<Evaluation>> {
        let Some(records) = F::records(data) else { return Ok(None) };
        let mut metrics = Metrics::new();
        if let Some(centroids) = self.centroids {
            let inertia = scores::inertia(records, &centroids(model));
            metrics.push(("training_inertia", inertia));
            // What scikit-learn's `KMeans.score` is.
            metrics.push(("training_score", -inertia));
        }
        let sample = records.slice(s![..;step(data.samples, limits.silhouette_rows_max), ..]);
        let clusters = (self.predict)(model, &sample);
        if let Some(score) = scores::silhouette(&sample, &clusters.view()) {
            metrics.push(("training_silhouette_score", score));
        }
        Ok(Some(Evaluation { metrics, confusion: None }))
    }

    fn output(&self, _: &M, samples: usize, _: &Data<'x>) -> Option<Tensor> {
        Some(Tensor::new(usize::DTYPE, &[samples]))
    }
}

impl<'x, M, F: Float<'x>> Kind<'x, M> for Transformer<M, F> {
    fn evaluate(&self, _: &M, _: &Data<'x>, _: Limits) -> Result<Option<Evaluation>> {
        Ok(None)
    }

    fn output(&self, model: &M, samples: usize, data: &Data<'x>) -> Option<Tensor> {
        Some(Tensor::new(F::DTYPE, &[samples, (self.columns)(model, data.features)]))
    }
}

impl<'x, M> Kind<'x, M> for Outcome {
    fn evaluate(&self, _: &M, _: &Data<'x>, _: Limits) -> Result<Option<Evaluation>> {
        Ok(None)
    }

    fn output(&self, _: &M, _: usize, _: &Data<'x>) -> Option<Tensor> {
        None
    }
}

/// What `model` predicts, by linfa's own way for whole arrays.
pub(crate) fn predict<F, T, M>(model: &M, records: &ArrayView2<'_, F>) -> T
where
    M: for<'r> PredictInplace<ArrayView2<'r, F>, T>,
{
    let mut predicted = model.default_target(records);
    model.predict_inplace(records, &mut predicted);
    predicted
}

/// The same of a model that wants its records owned.
pub(crate) fn predict_owned<F: Clone, T, M>(model: &M, records: &ArrayView2<'_, F>) -> T
where
    M: PredictInplace<Array2<F>, T>,
{
    let records = records.to_owned();
    let mut predicted = model.default_target(&records);
    model.predict_inplace(&records, &mut predicted);
    predicted
}

/// The only target as a column.
pub(crate) fn predict_column<F, M>(model: &M, records: &ArrayView2<'_, F>) -> Array2<F>
where
    M: for<'r> PredictInplace<ArrayView2<'r, F>, Array1<F>>,
{
    predict::<F, Array1<F>, M>(model, records).insert_axis(Axis(1))
}

/// A probability is for the class `true`, which is taken from one half on.
pub(crate) fn predict_probable<F, M>(model: &M, records: &ArrayView2<'_, F>) -> Array1<bool>
where
    M: for<'r> PredictInplace<ArrayView2<'r, F>, Array1<Pr>>,
{
    predict::<F, Array1<Pr>, M>(model, records).map(|probability| **probability >= 0.5)
}
