//! Which of the programs are built, and why the others are not.

/// The example programs of linfa's crates that are not run, and why.
pub(crate) const LEFT_OUT: &[(&str, &str)] = &[
    ("linfa-preprocessing/count_vectorization", "downloads the texts of 20 news groups"),
    ("linfa-preprocessing/tfidf_vectorization", "downloads the texts of 20 news groups"),
    ("linfa-reduction/gaussian_projection", "downloads MNIST"),
    ("linfa-reduction/sparse_projection", "downloads MNIST"),
    ("linfa-svm/winequality_svm", "takes three minutes at each start, without optimisation"),
    ("linfa-tsne/mnist", "downloads MNIST"),
];

/// What is built where the feature `every` is off: fits that are seen and fits that are not, files, and a panic at the end.
pub(crate) const FEW: [&str; 9] = [
    "burn/digits",
    "candle/digits",
    "linfa/diabetes",
    "linfa-clustering/optics",
    "linfa-elasticnet/elasticnet_cv",
    "linfa-ftrl/winequality_ftrl",
    "linfa-linear/diabetes",
    "linfa-preprocessing/whitening",
    "linfa-trees/decision_tree",
];
