//! One observed transformation, where transforming is the algorithm: t-SNE, hierarchical clustering, diffusion maps.
//!
//! Scalers, projections and kernels are steps on the way, done again for each batch: a run for each would drown the
//! others, so they are never recorded here (what fits them is).

use std::error::Error as StdError;
use std::panic::Location;

use linfa::dataset::Records;
use ndarray::Array2;
use runlog_core::autolog::Training;

use crate::INTEGRATION;
use crate::autologged::is_autologged;
use crate::cast::{Known, cast};
use crate::data::Data;
use crate::engine::{describe, record_estimator};

/// Transforms as linfa does; records it if the transformer is an algorithm of its own, such as t-SNE, rather than the
/// use of something that was fitted.
#[track_caller]
pub(crate) fn transform<P, R, T>(transformer: &P, records: R) -> T
where
    P: linfa::traits::Transformer<R, T>,
    R: Records,
{
    if !INTEGRATION.is_on() || is_autologged::<P>() || !is_algorithm::<P>() {
        return transformer.transform(records);
    }
    let caller = Location::caller();
    let Some(training) = Training::start(&INTEGRATION) else { return transformer.transform(records) };
    // It takes its data.
    training.log_dataset("train", || describe(&Data::of_records(&records), caller));
    let samples = records.nsamples();
    let output = transformer.transform(records);
    record_estimator(&training, transformer, caller);
    training.record("the output", |run| {
        if let Some(shape) = output_shape(&output) {
            run.set_tag("runlog.output_shape", format_args!("{shape:?}"));
        } else {
            run.set_tag("runlog.samples", samples);
        }
        Ok(())
    });
    match output_error(&output) {
        Some(error) => training.fail(error),
        None => training.finish(),
    }
    output
}

/// Whether to transform with a `P` is to run an algorithm.
fn is_algorithm<P>() -> bool {
    let name = std::any::type_name::<P>();
    ["linfa_tsne::", "linfa_hierarchical::", "linfa_reduction::diffusion_map::"]
        .iter()
        .any(|algorithm| name.starts_with(algorithm))
}

/// The rows and columns of an array that came out, as such or as a result.
fn output_shape<T>(output: &T) -> Option<[usize; 2]> {
    fn of<F: Known, T>(output: &T) -> Option<[usize; 2]> {
        if let Some(Ok(array)) = embedded::<F, T>(output) {
            return Some([array.nrows(), array.ncols()]);
        }
        cast::<Array2<F>, T>(output).map(|array| [array.nrows(), array.ncols()])
    }
    of::<f64, T>(output).or_else(|| of::<f32, T>(output))
}

/// The error that came out instead of an array.
fn output_error<T>(output: &T) -> Option<&dyn StdError> {
    fn of<F: Known, T>(output: &T) -> Option<&dyn StdError> {
        embedded::<F, T>(output)?.err().map(|error| error as &dyn StdError)
    }
    of::<f64, T>(output).or_else(|| of::<f32, T>(output))
}

/// What t-SNE returns.
#[cfg(feature = "tsne")]
fn embedded<F: Known, T>(output: &T) -> Option<Result<&Array2<F::At<'_>>, &linfa_tsne::TSneError>> {
    cast::<Result<Array2<F>, linfa_tsne::TSneError>, T>(output).map(Result::as_ref)
}

#[cfg(not(feature = "tsne"))]
fn embedded<F: Known, T>(_: &T) -> Option<Result<&Array2<F::At<'_>>, &linfa::Error>> {
    None
}
