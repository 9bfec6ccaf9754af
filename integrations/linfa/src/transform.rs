//! One observed transformation, where transforming is the algorithm: t-SNE, DBSCAN, hierarchical clustering.
//!
//! Which algorithms do, the table of [`crate::algorithms`] says.

use std::error::Error as StdError;
use std::panic::Location;

use linfa::dataset::Records;
use ndarray::Array2;
use runlog_core::autolog::Training;

use crate::INTEGRATION;
use crate::algorithms::{open, recognise, transforms};
use crate::autologged::is_autologged;
use crate::cast::{Known, cast};
use crate::data::Data;
use crate::engine::{describe, record_estimator, record_made};
use crate::kinds::Model;

/// Transforms as linfa does; records it if the transformer is an algorithm of its own, such as t-SNE, rather than the
/// use of something that was fitted.
#[track_caller]
pub(crate) fn transform<P, R, T>(transformer: &P, records: R) -> T
where
    P: linfa::traits::Transformer<R, T>,
    R: Records,
{
    if !INTEGRATION.is_on() || is_autologged::<P>() || !transforms::<P>() {
        return transformer.transform(records);
    }
    let caller = Location::caller();
    let Some(training) = Training::start(&INTEGRATION) else { return transformer.transform(records) };
    // It takes its data.
    training.log_dataset("train", || describe(&Data::of_records(&records), caller));
    let samples = records.nsamples();
    let output = transformer.transform(records);
    record_estimator(&training, transformer, caller);
    record_output(training, &output, samples);
    output
}

fn record_output<T>(training: Training, output: &T, samples: usize) {
    let made = open(output).unwrap_or_else(|| Made::of(output));
    training.record("the output", |run| {
        match &made {
            Made::Array(shape) => run.set_tag("runlog.output_shape", format_args!("{shape:?}")),
            _ => run.set_tag("runlog.samples", samples),
        };
        Ok(())
    });
    match made {
        Made::Nothing(error) => training.fail(error),
        Made::Known(model) => {
            record_made(&training, model.as_ref());
            training.finish();
        }
        Made::Array(_) | Made::Other => training.finish(),
    }
}

/// What a transformation made.
pub(crate) enum Made<'x> {
    /// An array of so many rows and columns.
    Array([usize; 2]),
    /// Something that is known by its type.
    Known(Box<dyn Model<'x> + 'x>),
    /// Something else, such as labels.
    Other,
    /// Nothing, because of this.
    Nothing(&'x dyn StdError),
}

impl<'x> Made<'x> {
    pub(crate) fn of<T>(output: &'x T) -> Self {
        fn shape<F: Known, T>(output: &T) -> Option<[usize; 2]> {
            cast::<Array2<F>, T>(output).map(|array| [array.nrows(), array.ncols()])
        }
        if let Some(shape) = shape::<f64, T>(output).or_else(|| shape::<f32, T>(output)) {
            return Self::Array(shape);
        }
        recognise(output).map_or(Self::Other, Self::Known)
    }
}
