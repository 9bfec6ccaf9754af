//! How probable each class is to the models that tell it, and to trees, whose leaves remember whom they hold.
//!
//! linfa's Platt-scaled SVMs, logistic regressions and naive Bayes tell probabilities. A tree's are the shares of the
//! classes among the training samples of a leaf, which is what scikit-learn's `predict_proba` tells of a tree.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use linfa::Float;
use linfa::dataset::Pr;
use linfa::traits::PredictInplace;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use runlog_core::Result;
use serde::Serialize;
use serde_json::Value;

use crate::cast::cast;
use crate::data::{Data, Matrix, Targets, Values};
use crate::scores::{self, Metrics, number};
use crate::picture;

/// What a classifier says of its training data beyond labels.
pub(crate) struct Probabilities {
    /// The classes, sorted.
    classes: Vec<Value>,
    /// The place of each sample's true class.
    truth: Vec<usize>,
    /// A row per sample, a column per class.
    values: Array2<f64>,
    /// The distance between 1 and the next number of the model's own type.
    epsilon: f64,
}

impl Probabilities {
    /// Metrics that need probabilities; those that the data does not allow are not there.
    pub(crate) fn metrics(&self) -> Metrics {
        let values = self.values.view();
        [
            ("training_log_loss", scores::log_loss(&self.truth, &values, self.epsilon)),
            ("training_roc_auc", scores::roc_auc(&self.truth, &values)),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }

    /// The curves of two classes, as PNG files.
    pub(crate) fn pictures(&self) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let values = self.values.view();
        let mut pictures = Vec::new();
        if let Some(positive) = self.classes.get(1) {
            if let Some(curve) = scores::roc_curve(&self.truth, &values) {
                pictures.push(("training_roc_curve.png", picture::roc(&curve, positive)?));
            }
            if let Some(curve) = scores::precision_recall_curve(&self.truth, &values) {
                pictures.push((
                    "training_precision_recall_curve.png",
                    picture::precision_recall(&curve, positive)?,
                ));
            }
        }
        Ok(pictures)
    }

    fn new<L: Ord + Serialize, F: Float>(
        classes: Vec<L>,
        values: &Array2<F>,
        truth: impl IntoIterator<Item = L>,
    ) -> Option<Self> {
        let mut order: Vec<usize> = (0..classes.len()).collect();
        order.sort_by_key(|column| &classes[*column]);
        let places: BTreeMap<&L, usize> =
            order.iter().enumerate().map(|(place, column)| (&classes[*column], place)).collect();
        // A class that the model does not know has no column.
        let truth: Vec<usize> =
            truth.into_iter().map(|label| places.get(&label).copied()).collect::<Option<_>>()?;
        let values = values.select(Axis(1), &order).mapv(|value| value.to_f64().unwrap_or(f64::NAN));
        let classes =
            order.iter().map(|column| serde_json::to_value(&classes[*column]).ok()).collect::<Option<_>>()?;
        Some(Self { classes, truth, values, epsilon: F::epsilon().to_f64()? })
    }
}

macro_rules! records {
    ($matrix:ident, $data:ident) => {
        if let Matrix::$matrix(records) = &$data.records { Some(records) } else { None }
    };
}
macro_rules! labels {
    ($targets:ident, $data:ident) => {
        if let Targets::$targets(values) = &$data.targets { Values::single(values) } else { None }
    };
}
/// The probabilities by `model` of every `step`-th sample, if it tells them and knows the data's classes.
pub(crate) fn of<'x, M>(model: &'x M, data: &Data<'x>, step: usize) -> Option<Probabilities> {
    macro_rules! over_labels {
        ($matrix:ident, $float:ty: $($targets:ident($label:ty)),*) => {$({
            #[cfg(feature = "logistic")]
            if let Some(model) = cast::<linfa_logistic::FittedLogisticRegression<$float, $label>, M>(model)
                && let (Some(records), Some(truth)) = (records!($matrix, data), labels!($targets, data))
            {
                let second = model.predict_probabilities(&records.slice(s![..;step, ..]));
                let classes = vec![model.labels().neg.class.clone(), model.labels().pos.class.clone()];
                return Probabilities::new(classes, &of_second(&second), every(&truth, step));
            }
            #[cfg(feature = "logistic")]
            if let Some(model) = cast::<linfa_logistic::MultiFittedLogisticRegression<$float, $label>, M>(model)
                && let (Some(records), Some(truth)) = (records!($matrix, data), labels!($targets, data))
            {
                let values = model.predict_probabilities(&records.slice(s![..;step, ..]));
                return Probabilities::new(model.classes().to_vec(), &values, every(&truth, step));
            }
            #[cfg(feature = "bayes")]
            if let Some(model) = cast::<linfa_bayes::GaussianNb<$float, $label>, M>(model)
                && let (Some(records), Some(truth)) = (records!($matrix, data), labels!($targets, data))
            {
                return bayes(model, records, &truth, step);
            }
            #[cfg(feature = "bayes")]
            if let Some(model) = cast::<linfa_bayes::MultinomialNb<$float, $label>, M>(model)
                && let (Some(records), Some(truth)) = (records!($matrix, data), labels!($targets, data))
            {
                return bayes(model, records, &truth, step);
            }
            #[cfg(feature = "trees")]
            if let Some(model) = cast::<linfa_trees::DecisionTree<$float, $label>, M>(model)
                && let (Some(records), Some(truth)) = (records!($matrix, data), labels!($targets, data))
            {
                return tree(model, records, &truth, data.is_weighted, step);
            }
        })*};
    }
    macro_rules! over_floats {
        ($($matrix:ident($float:ty)),*) => {$(
            over_labels!($matrix, $float: Usize(usize), Bool(bool), String(String), Str(&'static str));
            #[cfg(feature = "svm")]
            if let Some(model) = cast::<linfa_svm::Svm<$float, Pr>, M>(model)
                && let (Some(records), Some(truth)) = (records!($matrix, data), labels!(Bool, data))
            {
                let records = records.slice(s![..;step, ..]);
                let mut probable: Array1<Pr> = model.default_target(&records);
                model.predict_inplace(&records, &mut probable);
                let values = of_second(&probable.mapv(|probability| *probability));
                return Probabilities::new(vec![false, true], &values, every(&truth, step));
            }
        )*};
    }
    over_floats!(F64(f64), F32(f32));
    None
}

fn every<L: Clone>(truth: &ArrayView1<'_, L>, step: usize) -> Vec<L> {
    truth.iter().step_by(step).cloned().collect()
}

/// Of two classes, from the probability of the second.
fn of_second<F: Float>(second: &Array1<F>) -> Array2<F> {
    Array2::from_shape_fn((second.len(), 2), |(row, column)| {
        if column == 1 { second[row] } else { F::one() - second[row] }
    })
}

/// By the joint log likelihood, whose largest value is taken off before it becomes probabilities: linfa's own
/// `predict_proba` does not, and what is far from every class is then no number.
#[cfg(feature = "bayes")]
fn bayes<'x, F, L, M>(
    model: &'x M,
    records: &ArrayView2<'_, F>,
    truth: &ArrayView1<'_, L>,
    step: usize,
) -> Option<Probabilities>
where
    F: Float,
    L: linfa::Label + Ord + Clone + Serialize + 'x,
    M: linfa_bayes::NaiveBayes<'x, F, L>,
{
    let records = records.slice(s![..;step, ..]);
    let (classes, columns): (Vec<L>, Vec<Array1<F>>) =
        model.joint_log_likelihood(records).into_iter().map(|(class, column)| (class.clone(), column)).unzip();
    let columns: Vec<_> = columns.iter().map(|column| column.view().insert_axis(Axis(1))).collect();
    let mut values = ndarray::concatenate(Axis(1), &columns).ok()?;
    for mut row in values.rows_mut() {
        let largest = row.iter().copied().fold(F::neg_infinity(), F::max);
        row.mapv_inplace(|value| (value - largest).exp());
        let sum = row.sum();
        row.mapv_inplace(|value| value / sum);
    }
    Probabilities::new(classes, &values, every(truth, step))
}

/// By the training samples of each leaf; `None` for weighted ones, whose shares would be others.
#[cfg(feature = "trees")]
fn tree<F, L>(
    model: &linfa_trees::DecisionTree<F, L>,
    records: &ArrayView2<'_, F>,
    truth: &ArrayView1<'_, L>,
    is_weighted: bool,
    step: usize,
) -> Option<Probabilities>
where
    F: Float,
    L: linfa::Label + Ord + Clone + Serialize + std::fmt::Debug + Hash,
{
    if is_weighted {
        return None;
    }
    let mut classes: Vec<L> = truth.to_vec();
    classes.sort();
    classes.dedup();
    let mut leaves: HashMap<*const linfa_trees::TreeNode<F, L>, Vec<usize>> = HashMap::new();
    let mut leaf_of = Vec::with_capacity(truth.len());
    for (row, label) in records.rows().into_iter().zip(truth) {
        let leaf: *const _ = leaf(model.root_node(), &row)?;
        leaves.entry(leaf).or_insert_with(|| vec![0; classes.len()])[classes.binary_search(label).ok()?] += 1;
        leaf_of.push(leaf);
    }
    let sampled: Vec<_> = leaf_of.into_iter().step_by(step).collect();
    let values = Array2::from_shape_fn((sampled.len(), classes.len()), |(row, class)| {
        let counts = &leaves[&sampled[row]];
        number(counts[class]) / number(counts.iter().sum())
    });
    Probabilities::new(classes, &values, every(truth, step))
}

/// The leaf that a sample falls into.
#[cfg(feature = "trees")]
fn leaf<'t, F: Float, L: linfa::Label + std::fmt::Debug>(
    mut node: &'t linfa_trees::TreeNode<F, L>,
    row: &ArrayView1<'_, F>,
) -> Option<&'t linfa_trees::TreeNode<F, L>> {
    while !node.is_leaf() {
        let (feature, threshold, _) = node.split();
        let side = usize::from(!(row.get(feature)? < &threshold));
        node = node.children().into_iter().nth(side)?.as_deref()?;
    }
    Some(node)
}
