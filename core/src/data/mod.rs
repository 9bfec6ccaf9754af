//! Describing data to MLflow: what a run read becomes a [`Dataset`](crate::Dataset) with MLflow's digest, schema and
//! profile, without keeping or copying the data.
//!
//! [`Arrays`] is `mlflow.data.from_numpy`, [`Columns`] is `mlflow.data.from_pandas`, and
//! [`Dataset::meta`](crate::Dataset::meta) describes data that is not at hand. The same data has the same digest in
//! Python and here.

mod arrays;
mod columns;
mod meta;
mod source;

pub use crate::digest::{Datetime64, Digest, Element, F16, Timedelta64};
pub use crate::tensor::{DType, Tensor};
pub use arrays::Arrays;
pub use columns::Columns;
pub use source::Source;
pub(crate) use source::{UNKNOWN, with_code_tags};
