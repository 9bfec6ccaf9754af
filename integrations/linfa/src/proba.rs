//! How probable each class is to the models that tell it, and to trees, whose leaves remember whom they hold.
//!
//! linfa's Platt-scaled SVMs, logistic regressions and naive Bayes tell probabilities. A tree's are the shares of the
//! classes among the training samples of a leaf, which is what scikit-learn's `predict_proba` tells of a tree.

use std::collections::BTreeMap;

use linfa::Float;
use linfa::dataset::Pr;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use runlog_core::Result;
use serde::Serialize;
use serde_json::Value;

use crate::cast::cast;
use crate::data::{Data, Values};
use crate::kinds::{self, ClassLabel};
use crate::picture;
use crate::scores::{self, Metrics, number};

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

/// Asks `$model`, if it is of this type, by a function of this file.
macro_rules! ask {
    ($M:ident $model:ident $data:ident $step:ident $how:ident
        $x:lifetime $long:ty => $short:ty, [$float:ty $(, $label:ty)?]) => {
        if let Some(model) = cast::<$long, $M>($model) {
            let records = <$float as kinds::Float<'_>>::records($data)?;
            let truth = ask!(@labels $data $($label)?).and_then(Values::single)?;
            let asked = Asked { records, truth: &truth, is_weighted: $data.is_weighted, step: $step };
            return $how!(model, asked);
        }
    };
    (@labels $data:ident $label:ty) => { <$label as ClassLabel<'_>>::targets($data) };
    (@labels $data:ident) => { <bool as ClassLabel<'_>>::targets($data) };
}

/// What a model is asked for: the probabilities of every `step`-th of these records.
struct Asked<'a, 'x, F, L> {
    records: &'a ArrayView2<'x, F>,
    truth: &'a ArrayView1<'x, L>,
    is_weighted: bool,
    step: usize,
}

impl<F, L: Clone> Asked<'_, '_, F, L> {
    fn sample(&self) -> ArrayView2<'_, F> {
        self.records.slice(s![..;self.step, ..])
    }

    fn labels(&self) -> Vec<L> {
        self.truth.iter().step_by(self.step).cloned().collect()
    }
}

/// The probabilities by `model` of every `step`-th sample, if it tells them and knows the data's classes.
pub(crate) fn of<'x, M>(model: &'x M, data: &Data<'x>, step: usize) -> Option<Probabilities> {
    #[cfg(feature = "logistic")]
    {
        use linfa_logistic::{FittedLogisticRegression, MultiFittedLogisticRegression};

        // Functions could not name the floats of linfa-logistic.
        macro_rules! two_classes {
            ($model:ident, $asked:ident) => {{
                let second = $model.predict_probabilities(&$asked.sample());
                let labels = $model.labels();
                let classes = vec![labels.neg.class.clone(), labels.pos.class.clone()];
                Probabilities::new(classes, &of_second(&second), $asked.labels())
            }};
        }
        macro_rules! many_classes {
            ($model:ident, $asked:ident) => {{
                let values = $model.predict_probabilities(&$asked.sample());
                Probabilities::new($model.classes().to_vec(), &values, $asked.labels())
            }};
        }
        instances!({ask, M, model, data, step, two_classes} 'x FittedLogisticRegression<F, C>);
        instances!({ask, M, model, data, step, many_classes} 'x MultiFittedLogisticRegression<F, C>);
    }
    #[cfg(feature = "bayes")]
    {
        use linfa_bayes::{BernoulliNb, GaussianNb, MultinomialNb};

        macro_rules! by_likelihood {
            ($model:ident, $asked:ident) => {
                bayes($model, &$asked)
            };
        }
        instances!({ask, M, model, data, step, by_likelihood} 'x BernoulliNb<F, L>);
        instances!({ask, M, model, data, step, by_likelihood} 'x GaussianNb<F, L>);
        instances!({ask, M, model, data, step, by_likelihood} 'x MultinomialNb<F, L>);
    }
    #[cfg(feature = "trees")]
    {
        use linfa_trees::DecisionTree;

        macro_rules! by_leaves {
            ($model:ident, $asked:ident) => {
                tree($model, &$asked)
            };
        }
        instances!({ask, M, model, data, step, by_leaves} 'x DecisionTree<F, L>);
    }
    macro_rules! by_prediction {
        ($model:ident, $asked:ident) => {{
            let second = kinds::predict::<_, Array1<Pr>, _>($model, &$asked.sample());
            let values = of_second(&second.mapv(|probability| *probability));
            Probabilities::new(vec![false, true], &values, $asked.labels())
        }};
    }
    #[cfg(feature = "ftrl")]
    {
        use linfa_ftrl::Ftrl;

        instances!({ask, M, model, data, step, by_prediction} 'x Ftrl<F>);
    }
    #[cfg(feature = "svm")]
    {
        type Svm<F> = linfa_svm::Svm<F, Pr>;

        instances!({ask, M, model, data, step, by_prediction} 'x Svm<F>);
    }
    None
}

/// Of two classes, from the probability of the second.
fn of_second<F: Float>(second: &Array1<F>) -> Array2<F> {
    Array2::from_shape_fn(
        (second.len(), 2),
        |(row, column)| {
            if column == 1 { second[row] } else { F::one() - second[row] }
        },
    )
}

/// By the joint log likelihood, whose largest value is taken off before it becomes probabilities: linfa's own
/// `predict_proba` does not, and what is far from every class is then no number.
#[cfg(feature = "bayes")]
fn bayes<'m, F, L, M>(model: &'m M, asked: &Asked<'_, '_, F, L>) -> Option<Probabilities>
where
    F: Float,
    L: linfa::Label + Ord + Serialize + 'm,
    M: linfa_bayes::NaiveBayes<'m, F, L>,
{
    let likelihood = model.joint_log_likelihood(asked.sample());
    let (classes, columns): (Vec<L>, Vec<Array1<F>>) =
        likelihood.into_iter().map(|(class, column)| (class.clone(), column)).unzip();
    let columns: Vec<_> = columns.iter().map(|column| column.view().insert_axis(Axis(1))).collect();
    let mut values = ndarray::concatenate(Axis(1), &columns).ok()?;
    for mut row in values.rows_mut() {
        let largest = row.iter().copied().fold(F::neg_infinity(), F::max);
        row.mapv_inplace(|value| (value - largest).exp());
        let sum = row.sum();
        row.mapv_inplace(|value| value / sum);
    }
    Probabilities::new(classes, &values, asked.labels())
}

/// By the training samples of each leaf; `None` for weighted ones, whose shares would be others.
#[cfg(feature = "trees")]
fn tree<F, L>(model: &linfa_trees::DecisionTree<F, L>, asked: &Asked<'_, '_, F, L>) -> Option<Probabilities>
where
    F: Float,
    L: linfa::Label + Ord + Serialize + std::fmt::Debug,
{
    if asked.is_weighted {
        return None;
    }
    let mut classes: Vec<L> = asked.truth.to_vec();
    classes.sort();
    classes.dedup();
    let mut leaves: BTreeMap<*const linfa_trees::TreeNode<F, L>, Vec<usize>> = BTreeMap::new();
    let mut leaf_of = Vec::with_capacity(asked.truth.len());
    for (row, label) in asked.records.rows().into_iter().zip(asked.truth) {
        let leaf: *const _ = leaf(model.root_node(), &row)?;
        let counts = leaves.entry(leaf).or_insert_with(|| vec![0; classes.len()]);
        counts[classes.binary_search(label).ok()?] += 1;
        leaf_of.push(leaf);
    }
    let sampled: Vec<_> = leaf_of.into_iter().step_by(asked.step).collect();
    let values = Array2::from_shape_fn((sampled.len(), classes.len()), |(row, class)| {
        let counts = &leaves[&sampled[row]];
        number(counts[class]) / number(counts.iter().sum())
    });
    Probabilities::new(classes, &values, asked.labels())
}

/// The leaf that a sample falls into.
#[cfg(feature = "trees")]
fn leaf<'t, F: Float, L: linfa::Label + std::fmt::Debug>(
    mut node: &'t linfa_trees::TreeNode<F, L>,
    row: &ArrayView1<'_, F>,
) -> Option<&'t linfa_trees::TreeNode<F, L>> {
    while !node.is_leaf() {
        let (feature, threshold, _) = node.split();
        let side = if *row.get(feature)? < threshold { 0 } else { 1 };
        node = node.children().into_iter().nth(side)?.as_deref()?;
    }
    Some(node)
}
