//! The example programs of linfa's crates that are not run, each with its reason.

/// Name of the program, and why.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("linfa-preprocessing/count_vectorization", "downloads the texts of 20 news groups"),
    ("linfa-preprocessing/tfidf_vectorization", "downloads the texts of 20 news groups"),
    ("linfa-reduction/gaussian_projection", "downloads MNIST"),
    ("linfa-reduction/sparse_projection", "downloads MNIST"),
    ("linfa-tsne/mnist", "downloads MNIST"),
];
