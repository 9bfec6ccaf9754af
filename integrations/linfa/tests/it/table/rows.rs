//! What is fitted for each row of the table, on data that people know.

use linfa::ParamGuard;
use linfa::dataset::{DatasetBase, Pr};
use linfa::traits::PredictInplace;
use linfa_bayes::{BernoulliNb, GaussianNb, MultinomialNb};
use linfa_clustering::{Dbscan, GaussianMixtureModel, KMeans, Optics};
use linfa_elasticnet::{ElasticNet, MultiTaskElasticNet};
use linfa_ensemble::{AdaBoostParams, RandomForestParams};
use linfa_ftrl::Ftrl;
use linfa_hierarchical::HierarchicalCluster;
use linfa_ica::fast_ica::FastIca;
use linfa_kernel::{Kernel, KernelMethod, KernelType};
use linfa_lars::Lars;
use linfa_linear::{FittedLinearRegression, IsotonicRegression, LinearRegression, TweedieRegressor};
use linfa_logistic::{LogisticRegression, MultiLogisticRegression};
use linfa_nn::distance::L1Dist;
use linfa_pls::{PlsCanonical, PlsCca, PlsRegression, PlsSvd};
use linfa_preprocessing::CountVectorizer;
use linfa_preprocessing::linear_scaling::LinearScaler;
use linfa_preprocessing::norm_scaling::NormScaler;
use linfa_preprocessing::tf_idf_vectorization::TfIdfVectorizer;
use linfa_preprocessing::whitening::Whitener;
use linfa_reduction::random_projection::{GaussianRandomProjection, SparseRandomProjection};
use linfa_reduction::{DiffusionMap, Pca};
use linfa_svm::Svm;
use linfa_trees::DecisionTree;
use linfa_tsne::TSneParams;
use ndarray::{Array1, Array2, s};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;
use runlog_linfa::{Fit, FitWith, Transformer};

use super::{Bits, Row, loaded_as, saved, unsaved};

/// In the order of the table.
pub(super) fn all() -> Vec<Row> {
    vec![
        saved(("linfa-bayes", "GaussianNb"), || GaussianNb::params().fit(&iris()).unwrap(), classes),
        saved(("linfa-bayes", "MultinomialNb"), || MultinomialNb::params().fit(&iris()).unwrap(), classes),
        unsaved(
            ("linfa-bayes", "BernoulliNb"),
            "",
            || BernoulliNb::params().binarize(Some(2.0)).fit(&iris()).unwrap(),
            classes,
        ),
        saved(
            ("linfa-clustering", "KMeans"),
            || KMeans::params_with_rng(3, generator()).fit(&iris()).unwrap(),
            classes,
        ),
        saved(
            ("linfa-clustering", "KMeans (by another distance)"),
            || KMeans::params_with(3, generator(), L1Dist).fit(&iris()).unwrap(),
            classes,
        ),
        saved(
            ("linfa-clustering", "GaussianMixtureModel"),
            || GaussianMixtureModel::params(3).fit(&iris()).unwrap(),
            classes,
        ),
        unsaved(
            ("linfa-clustering", "Dbscan"),
            "it labels the samples it is given, and no others",
            || Dbscan::params(4).tolerance(0.6).transform(&iris().records).unwrap(),
            |clusters| {
                clusters
                    .iter()
                    .map(|cluster| cluster.map_or(0, |id| 1 + u64::try_from(id).unwrap()))
                    .collect()
            },
        ),
        saved(
            ("linfa-clustering", "Optics"),
            || {
                let checked = Optics::params::<f64>(4).tolerance(2.0).check().unwrap();
                checked.transform(iris().records.view())
            },
            |order| order.iter().map(|sample| u64::try_from(sample.index()).unwrap()).collect(),
        ),
        saved(
            ("linfa-elasticnet", "ElasticNet"),
            || ElasticNet::params().penalty(0.1).fit(&diabetes()).unwrap(),
            values,
        ),
        saved(
            ("linfa-elasticnet", "MultiTaskElasticNet"),
            || MultiTaskElasticNet::params().penalty(0.1).fit(&linnerud()).unwrap(),
            many_values,
        ),
        // Two classes and an odd number of trees: linfa breaks a tie at random.
        saved(
            ("linfa-ensemble", "RandomForest"),
            || {
                let trees =
                    RandomForestParams::new_fixed_rng(DecisionTree::params(), generator()).ensemble_size(9);
                trees
                    .bootstrap_proportion(0.7)
                    .fit(&iris().map_targets(|class| usize::from(*class == 1)))
                    .unwrap()
            },
            classes,
        ),
        saved(
            ("linfa-ensemble", "AdaBoost"),
            || {
                let stump = DecisionTree::params().max_depth(Some(1));
                AdaBoostParams::new_fixed_rng(stump, generator()).n_estimators(9).fit(&iris()).unwrap()
            },
            classes,
        ),
        saved(
            ("linfa-ftrl", "Ftrl"),
            || Ftrl::params_with_rng(generator()).fit_with(None, &flags()).unwrap(),
            |model| {
                let chances = predicted::<Array1<Pr>, _>(model, &iris().records);
                chances.iter().map(|chance| u64::from(chance.to_bits())).collect()
            },
        ),
        unsaved(
            ("linfa-hierarchical", "HierarchicalCluster"),
            "it labels the samples it is given, and no others",
            || {
                let kernel =
                    Kernel::params().method(KernelMethod::Gaussian(1.0)).transform(iris().records.view());
                HierarchicalCluster::default().num_clusters(3).transform(kernel).unwrap()
            },
            |data| data.targets.iter().map(|cluster| u64::try_from(*cluster).unwrap()).collect(),
        ),
        saved(
            ("linfa-ica", "FastIca"),
            || FastIca::params().ncomponents(2).random_state(42).fit(&iris()).unwrap(),
            |model| {
                let records = iris().records;
                let mut sources = model.default_target(&records);
                model.predict_inplace(&records, &mut sources);
                bits(&sources)
            },
        ),
        unsaved(
            ("linfa-kernel", "Kernel"),
            "a step on the way to others",
            || Kernel::params().kind(KernelType::Sparse(5)).transform(&iris().records),
            |kernel| bits(&kernel.sum()),
        ),
        loaded_as(
            ("linfa-lars", "Lars"),
            || Lars::params().n_nonzero_coefs(4).fit(&diabetes()).unwrap(),
            values,
            values::<FittedLinearRegression<f64>>,
        ),
        saved(
            ("linfa-linear", "LinearRegression"),
            || LinearRegression::new().fit(&diabetes()).unwrap(),
            values,
        ),
        saved(
            ("linfa-linear", "IsotonicRegression"),
            || IsotonicRegression::new().fit(&one_feature()).unwrap(),
            |model| bits(&predicted::<Array1<f64>, _>(model, &one_feature().records)),
        ),
        saved(
            ("linfa-linear", "TweedieRegressor"),
            || TweedieRegressor::params().power(0.0).alpha(0.1).fit(&diabetes()).unwrap(),
            values,
        ),
        saved(
            ("linfa-logistic", "LogisticRegression"),
            || LogisticRegression::default().max_iterations(30).fit(&flags()).unwrap(),
            |model| {
                predicted::<Array1<bool>, _>(model, &iris().records)
                    .iter()
                    .map(|flag| u64::from(*flag))
                    .collect()
            },
        ),
        saved(
            ("linfa-logistic", "MultiLogisticRegression"),
            || MultiLogisticRegression::default().max_iterations(30).fit(&iris()).unwrap(),
            classes,
        ),
        saved(
            ("linfa-pls", "PlsRegression"),
            || PlsRegression::params(2).fit(&linnerud()).unwrap(),
            many_values,
        ),
        saved(
            ("linfa-pls", "PlsCanonical"),
            || PlsCanonical::params(2).fit(&linnerud()).unwrap(),
            many_values,
        ),
        saved(("linfa-pls", "PlsCca"), || PlsCca::params(2).fit(&linnerud()).unwrap(), many_values),
        unsaved(
            ("linfa-pls", "PlsSvd"),
            "",
            || PlsSvd::<f64>::params(2).fit(&linnerud()).unwrap(),
            |model| bits(model.weights().0),
        ),
        saved(
            ("linfa-preprocessing", "LinearScaler"),
            || LinearScaler::standard().fit(&iris()).unwrap(),
            |model| bits(&model.transform(iris().records)),
        ),
        saved(
            ("linfa-preprocessing", "Whitener"),
            || Whitener::cholesky().fit(&iris()).unwrap(),
            |model| bits(&model.transform(iris().records)),
        ),
        unsaved(
            ("linfa-preprocessing", "NormScaler"),
            "a step on the way to others",
            || NormScaler::l2().transform(iris().records),
            |scaled| bits(scaled),
        ),
        unsaved(
            ("linfa-preprocessing", "CountVectorizer"),
            "its `fit` is its own method, which no trait can stand before",
            || CountVectorizer::params().fit(&texts()).unwrap(),
            |model| vec![u64::try_from(model.nentries()).unwrap()],
        ),
        unsaved(
            ("linfa-preprocessing", "TfIdfVectorizer"),
            "its `fit` is its own method, which no trait can stand before",
            || TfIdfVectorizer::default().fit(&texts()).unwrap(),
            |model| vec![u64::try_from(model.nentries()).unwrap()],
        ),
        saved(
            ("linfa-reduction", "Pca"),
            || Pca::params(2).fit(&iris()).unwrap(),
            |model| bits(&predicted::<Array2<f64>, _>(model, &iris().records)),
        ),
        unsaved(
            ("linfa-reduction", "DiffusionMap"),
            "",
            || {
                let kernel = Kernel::params().method(KernelMethod::Gaussian(1.0)).transform(&iris().records);
                DiffusionMap::<f64>::params(2).transform(&kernel).unwrap()
            },
            |map| bits(map.embedding()),
        ),
        unsaved(
            ("linfa-reduction", "GaussianRandomProjection"),
            "",
            || GaussianRandomProjection::<f64>::params().target_dim(2).fit(&iris()).unwrap(),
            |model| bits(&model.transform(&iris().records)),
        ),
        unsaved(
            ("linfa-reduction", "SparseRandomProjection"),
            "",
            || SparseRandomProjection::<f64>::params().target_dim(2).fit(&iris()).unwrap(),
            |model| bits(&model.transform(&iris().records)),
        ),
        saved(
            ("linfa-svm", "Svm (of `bool`)"),
            || Svm::<_, bool>::params().gaussian_kernel(80.0).fit(&flags()).unwrap(),
            |model| {
                predicted::<Array1<bool>, _>(model, &iris().records)
                    .iter()
                    .map(|flag| u64::from(*flag))
                    .collect()
            },
        ),
        saved(
            ("linfa-svm", "Svm (of probabilities)"),
            || Svm::<_, Pr>::params().gaussian_kernel(80.0).fit(&flags()).unwrap(),
            |model| {
                let chances = predicted::<Array1<Pr>, _>(model, &iris().records);
                chances.iter().map(|chance| u64::from(chance.to_bits())).collect()
            },
        ),
        saved(
            ("linfa-svm", "Svm (of numbers)"),
            || Svm::<_, f64>::params().c_svr(100.0, None).linear_kernel().fit(&few(&diabetes())).unwrap(),
            values,
        ),
        saved(("linfa-trees", "DecisionTree"), || DecisionTree::params().fit(&iris()).unwrap(), classes),
        unsaved(
            ("linfa-tsne", "TSne"),
            "it embeds the samples it is given, and no others",
            || {
                let params =
                    TSneParams::embedding_size_with_rng(2, generator()).perplexity(10.0).max_iter(50);
                params.transform(iris().records).unwrap()
            },
            |embedded| bits(embedded),
        ),
    ]
}

type Labelled<L> = DatasetBase<Array2<f64>, Array1<L>>;

fn iris() -> Labelled<usize> {
    linfa_datasets::iris()
}

fn flags() -> Labelled<bool> {
    iris().map_targets(|class| *class == 1)
}

fn diabetes() -> Labelled<f64> {
    linfa_datasets::diabetes()
}

/// The first rows.
fn few(data: &Labelled<f64>) -> Labelled<f64> {
    DatasetBase::new(data.records.slice(s![..100, ..]).to_owned(), data.targets.slice(s![..100]).to_owned())
}

fn one_feature() -> Labelled<f64> {
    let data = diabetes();
    DatasetBase::new(data.records.slice(s![.., 2..3]).to_owned(), data.targets)
}

fn linnerud() -> DatasetBase<Array2<f64>, Array2<f64>> {
    linfa_datasets::linnerud()
}

fn texts() -> Array1<String> {
    Array1::from_iter(["one two three", "two three four", "three four five"].map(str::to_owned))
}

fn generator() -> Xoshiro256Plus {
    Xoshiro256Plus::seed_from_u64(42)
}

fn predicted<T, M: PredictInplace<Array2<f64>, T>>(model: &M, records: &Array2<f64>) -> T {
    let mut values = model.default_target(records);
    model.predict_inplace(records, &mut values);
    values
}

fn bits<'v>(values: impl IntoIterator<Item = &'v f64>) -> Bits {
    values.into_iter().map(|value| value.to_bits()).collect()
}

fn values<M: PredictInplace<Array2<f64>, Array1<f64>>>(model: &M) -> Bits {
    bits(&predicted(model, &diabetes().records))
}

fn many_values<M: PredictInplace<Array2<f64>, Array2<f64>>>(model: &M) -> Bits {
    bits(&predicted(model, &linnerud().records))
}

fn classes<M: PredictInplace<Array2<f64>, Array1<usize>>>(model: &M) -> Bits {
    predicted(model, &iris().records).iter().map(|class| u64::try_from(*class).unwrap()).collect()
}
