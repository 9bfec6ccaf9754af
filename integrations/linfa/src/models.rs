//! The models that are known, each with its kind: what it predicts decides how it is measured.
//!
//! The kind comes from the model, not from the targets: k-means on labelled data is still a clustering.

use linfa::dataset::Pr;
use linfa::traits::PredictInplace;
use linfa_clustering::{GaussianMixtureModel, KMeans};
use linfa_nn::distance::L2Dist;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use runlog_core::digest::Element;
use runlog_core::tensor::Tensor;
use runlog_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde_json::Value;

use crate::cast::cast;
use crate::data::{Data, Matrix, Targets, Values};
use crate::scores::{self, Metrics};

/// How much of the training data is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Rows that are predicted.
    pub(crate) rows_max: usize,
    /// Rows whose distances to each other are taken.
    pub(crate) silhouette_rows_max: usize,
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
    /// The type's own name, such as `DecisionTree`.
    fn name(&self) -> &'static str;

    /// Measures it on at most so many rows of `data`; `None` if the data does not fit the model's kind.
    fn evaluate(&self, data: &Data<'x>, limits: Limits) -> Result<Option<Evaluation>>;

    /// What it predicts, for as many samples.
    fn output(&self, samples: usize, data: &Data<'x>) -> Tensor;

    /// Its bytes, with the names of the fields.
    fn to_msgpack(&self) -> Result<Vec<u8>>;
}

/// `model` as a known one.
pub(crate) fn recognise<'x, M>(model: &'x M) -> Option<Box<dyn Model<'x> + 'x>> {
    macro_rules! known {
        ($wrapper:ident($name:literal): $($known:ty),* $(,)?) => {$(
            if let Some(model) = cast::<$known, M>(model) {
                return Some(Box::new($wrapper { name: $name, model }));
            }
        )*};
    }
    macro_rules! over_labels {
        ($float:ty: $($label:ty),*) => {$(
            known!(Classifier("DecisionTree"): linfa_trees::DecisionTree<$float, $label>);
            known!(Classifier("GaussianNb"): linfa_bayes::GaussianNb<$float, $label>);
            known!(Classifier("MultinomialNb"): linfa_bayes::MultinomialNb<$float, $label>);
            known!(Classifier("LogisticRegression"): linfa_logistic::FittedLogisticRegression<$float, $label>);
            known!(Classifier("MultiLogisticRegression"):
                linfa_logistic::MultiFittedLogisticRegression<$float, $label>);
        )*};
    }
    macro_rules! over_floats {
        ($($float:ty),*) => {$(
            known!(Regressor("LinearRegression"): linfa_linear::FittedLinearRegression<$float>);
            known!(Regressor("IsotonicRegression"): linfa_linear::FittedIsotonicRegression<$float>);
            known!(Regressor("TweedieRegressor"): linfa_linear::TweedieRegressor<$float>);
            known!(Regressor("ElasticNet"): linfa_elasticnet::ElasticNet<$float>);
            known!(Regressor("MultiTaskElasticNet"): linfa_elasticnet::MultiTaskElasticNet<$float>);
            known!(Regressor("Svm"): linfa_svm::Svm<$float, $float>);
            known!(Classifier("Svm"): linfa_svm::Svm<$float, bool>);
            known!(Classifier("Svm"): linfa_svm::Svm<$float, Pr>);
            known!(Clusterer("KMeans"): KMeans<$float, L2Dist>);
            known!(Clusterer("GaussianMixtureModel"): GaussianMixtureModel<$float>);
            over_labels!($float: usize, bool, String, &'static str);
        )*};
    }
    over_floats!(f64, f32);
    None
}

/// A model with its element type and what it predicts, tied together for the generic wrappers below.
trait Predicts<'x>: Serialize {
    type Float: Float<'x>;
    type Output;

    fn predict(&self, records: &ArrayView2<'_, Self::Float>) -> Self::Output;
}

/// The floats that linfa knows.
trait Float<'x>: Element + Copy + Into<f64> + 'x {
    fn records<'d>(data: &'d Data<'x>) -> Option<&'d ArrayView2<'x, Self>>;
    fn targets<'d>(data: &'d Data<'x>) -> Option<&'d Values<'x, Self>>;
}

/// The labels that classes may have.
trait ClassLabel<'x>: Element + Ord + Clone + Serialize + 'x {
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

labels!(usize: Usize, bool: Bool, String: String, &'x str: Str);

/// Every `rows / rows_max`-th row, so that a sample is spread over sorted data too.
fn step(rows: usize, rows_max: usize) -> usize {
    rows.div_ceil(rows_max.max(1)).max(1)
}

struct Regressor<'x, M> {
    name: &'static str,
    model: &'x M,
}

impl<'x, M> Model<'x> for Regressor<'x, M>
where
    M: Predicts<'x, Output = Array2<<M as Predicts<'x>>::Float>>,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn evaluate(&self, data: &Data<'x>, limits: Limits) -> Result<Option<Evaluation>> {
        let (Some(records), Some(truth)) = (M::Float::records(data), M::Float::targets(data)) else {
            return Ok(None);
        };
        let step = step(data.samples, limits.rows_max);
        let predicted = self.model.predict(&records.slice(s![..;step, ..]));
        let metrics = scores::regression(&truth.columns.slice(s![..;step, ..]), &predicted.view());
        Ok(metrics.map(|metrics| Evaluation { metrics, confusion: None }))
    }

    fn output(&self, samples: usize, data: &Data<'x>) -> Tensor {
        let columns = M::Float::targets(data).filter(|values| values.single().is_none());
        let shape = columns.map_or(vec![samples], |values| vec![samples, values.columns.ncols()]);
        Tensor::new(M::Float::DTYPE, &shape)
    }

    fn to_msgpack(&self) -> Result<Vec<u8>> {
        msgpack(self.model)
    }
}

struct Classifier<'x, M> {
    name: &'static str,
    model: &'x M,
}

impl<'x, M, L> Model<'x> for Classifier<'x, M>
where
    M: Predicts<'x, Output = Array1<L>>,
    L: ClassLabel<'x>,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn evaluate(&self, data: &Data<'x>, limits: Limits) -> Result<Option<Evaluation>> {
        let truth = L::targets(data).and_then(Values::single);
        let (Some(records), Some(truth)) = (M::Float::records(data), truth) else { return Ok(None) };
        let step = step(data.samples, limits.rows_max);
        let predicted = self.model.predict(&records.slice(s![..;step, ..]));
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

    fn output(&self, samples: usize, _: &Data<'x>) -> Tensor {
        Tensor::new(L::DTYPE, &[samples])
    }

    fn to_msgpack(&self) -> Result<Vec<u8>> {
        msgpack(self.model)
    }
}

struct Clusterer<'x, M> {
    name: &'static str,
    model: &'x M,
}

/// The centroids of a clustering that has a meaningful inertia.
trait Centroids<F> {
    fn centroids(&self) -> Option<ArrayView2<'_, F>>;
}

impl<'x, M> Model<'x> for Clusterer<'x, M>
where
    M: Predicts<'x, Output = Array1<usize>> + Centroids<<M as Predicts<'x>>::Float>,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn evaluate(&self, data: &Data<'x>, limits: Limits) -> Result<Option<Evaluation>> {
        let Some(records) = M::Float::records(data) else { return Ok(None) };
        let mut metrics = Metrics::new();
        if let Some(centroids) = self.model.centroids() {
            metrics.push(("training_inertia", scores::inertia(records, &centroids)));
        }
        let sample = records.slice(s![..;step(data.samples, limits.silhouette_rows_max), ..]);
        let clusters = self.model.predict(&sample);
        if let Some(score) = scores::silhouette(&sample, &clusters.view()) {
            metrics.push(("training_silhouette_score", score));
        }
        Ok(Some(Evaluation { metrics, confusion: None }))
    }

    fn output(&self, samples: usize, _: &Data<'x>) -> Tensor {
        Tensor::new(usize::DTYPE, &[samples])
    }

    fn to_msgpack(&self) -> Result<Vec<u8>> {
        msgpack(self.model)
    }
}

fn msgpack<M: Serialize>(model: &M) -> Result<Vec<u8>> {
    rmp_serde::to_vec_named(model).map_err(|cause| {
        Error::new(ErrorKind::Unexpected, "cannot write the model as MessagePack").because(cause)
    })
}

/// What `model` predicts for `records`, by linfa's own way for whole arrays.
fn predict<F, T, M>(model: &M, records: &ArrayView2<'_, F>) -> T
where
    M: for<'r> PredictInplace<ArrayView2<'r, F>, T>,
{
    let mut predicted = model.default_target(records);
    model.predict_inplace(records, &mut predicted);
    predicted
}

macro_rules! predicts {
    ($x:lifetime: $($model:ty, $float:ty => $raw:ty, $output:ty, |$predicted:ident| $convert:expr;)*) => {$(
        impl<$x> Predicts<$x> for $model {
            type Float = $float;
            type Output = $output;

            fn predict(&self, records: &ArrayView2<'_, $float>) -> $output {
                let $predicted: $raw = predict(self, records);
                $convert
            }
        }
    )*};
}

macro_rules! predicts_labels {
    ($x:lifetime: $float:ty: $($label:ty),*) => {$(
        predicts!($x:
            linfa_trees::DecisionTree<$float, $label>, $float => Array1<$label>, Array1<$label>, |labels| labels;
            linfa_bayes::GaussianNb<$float, $label>, $float => Array1<$label>, Array1<$label>, |labels| labels;
            linfa_bayes::MultinomialNb<$float, $label>, $float => Array1<$label>, Array1<$label>, |labels| labels;
            linfa_logistic::FittedLogisticRegression<$float, $label>, $float
                => Array1<$label>, Array1<$label>, |labels| labels;
            linfa_logistic::MultiFittedLogisticRegression<$float, $label>, $float
                => Array1<$label>, Array1<$label>, |labels| labels;
        );
    )*};
}

macro_rules! predicts_floats {
    ($($float:ty),*) => {$(
        predicts!('x:
            linfa_linear::FittedLinearRegression<$float>, $float
                => Array1<$float>, Array2<$float>, |values| values.insert_axis(Axis(1));
            linfa_linear::FittedIsotonicRegression<$float>, $float
                => Array1<$float>, Array2<$float>, |values| values.insert_axis(Axis(1));
            linfa_linear::TweedieRegressor<$float>, $float
                => Array1<$float>, Array2<$float>, |values| values.insert_axis(Axis(1));
            linfa_elasticnet::ElasticNet<$float>, $float
                => Array1<$float>, Array2<$float>, |values| values.insert_axis(Axis(1));
            linfa_elasticnet::MultiTaskElasticNet<$float>, $float
                => Array2<$float>, Array2<$float>, |values| values;
            linfa_svm::Svm<$float, $float>, $float
                => Array1<$float>, Array2<$float>, |values| values.insert_axis(Axis(1));
            linfa_svm::Svm<$float, bool>, $float => Array1<bool>, Array1<bool>, |labels| labels;
            // A probability is for the class `true`, which is taken from one half on.
            linfa_svm::Svm<$float, Pr>, $float
                => Array1<Pr>, Array1<bool>, |probabilities| probabilities.map(|probability| **probability >= 0.5);
            KMeans<$float, L2Dist>, $float => Array1<usize>, Array1<usize>, |clusters| clusters;
            GaussianMixtureModel<$float>, $float => Array1<usize>, Array1<usize>, |clusters| clusters;
        );
        predicts_labels!('x: $float: usize, bool, String, &'x str);

        impl Centroids<$float> for KMeans<$float, L2Dist> {
            fn centroids(&self) -> Option<ArrayView2<'_, $float>> {
                Some(self.centroids().view())
            }
        }

        /// Its components overlap: there is no closest centroid to sum over.
        impl Centroids<$float> for GaussianMixtureModel<$float> {
            fn centroids(&self) -> Option<ArrayView2<'_, $float>> {
                None
            }
        }
    )*};
}

predicts_floats!(f64, f32);
