//! Observed fits that go on with a model: the run of the first one records those that follow, each as one step.
//!
//! A model says by its bytes which run it comes from. Invariant: a model that is not known starts a run, as any fit.

use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};

use linfa::dataset::{DatasetBase, Records};
use runlog_core::autolog::{Recorder, Training};
use runlog_core::fluent;

use crate::INTEGRATION;
use crate::algorithms::recognise;
use crate::autologged::is_autologged;
use crate::cast::cast;
use crate::engine::{record_estimator, record_result};
use crate::origin::{self, ModelPrint, Origin};

/// Fits further as linfa does; the run of the first fit of a model records those that follow, each as one step.
#[inline(never)]
#[track_caller]
pub(crate) fn fit_with<'a, P, R, T, E>(
    params: &P,
    model: P::ObjectIn,
    dataset: &'a DatasetBase<R, T>,
) -> Result<P::ObjectOut, E>
where
    P: linfa::traits::FitWith<'a, R, T, E>,
    R: Records,
    E: StdError + From<linfa::Error>,
{
    if is_autologged::<P>() {
        return params.fit_with(model, dataset);
    }
    let caller = Location::caller();
    if let Some((recorder, fits)) = earlier(&model) {
        let result = params.fit_with(model, dataset);
        record_step(&recorder, &result, dataset, caller, fits + 1);
        return result;
    }
    let Some(training) = Training::start(&INTEGRATION) else { return params.fit_with(model, dataset) };
    let result = params.fit_with(model, dataset);
    record_estimator(&training, params, caller);
    if record_step(&training, &result, dataset, caller, 1) {
        training.finish();
    } else if let Err(error) = &result {
        training.fail(error);
    }
    result
}

/// Where the model that is fitted further was recorded, and how many fits made it, unless a run is active by now that
/// is another one.
fn earlier<M>(model: &M) -> Option<(Recorder, usize)> {
    let found = catch_unwind(AssertUnwindSafe(|| earlier_by_bytes(model))).ok().flatten()?;
    let is_elsewhere = fluent::active_run().is_some_and(|active| active.run_id() != found.recorder.run_id());
    (!is_elsewhere).then(|| found.recorder.upgrade())?.map(|recorder| (recorder, found.fits))
}

fn earlier_by_bytes<M>(model: &M) -> Option<Origin> {
    fn of<M>(model: Option<&M>) -> Option<Origin> {
        let model = model.filter(|_| origin::may_know_model::<M>(|_| true))?;
        let bytes = recognise(model)?.to_msgpack().ok()?;
        origin::of_model(&ModelPrint::of::<M>(&bytes)).pop()
    }
    macro_rules! optional {
        ($M:ident $model:ident $x:lifetime $long:ty => $short:ty, $types:tt) => {
            if let Some(model) = cast::<Option<$long>, $M>($model) {
                return of(model.as_ref());
            }
        };
    }
    #[cfg(feature = "bayes")]
    {
        use linfa_bayes::{BernoulliNb, GaussianNb, MultinomialNb};

        instances!({optional, M, model} 'x BernoulliNb<F, L>);
        instances!({optional, M, model} 'x GaussianNb<F, L>);
        instances!({optional, M, model} 'x MultinomialNb<F, L>);
    }
    #[cfg(feature = "clustering")]
    {
        use linfa_clustering::KMeans;

        instances!({optional, M, model} 'x KMeans<F, D>);
    }
    #[cfg(feature = "ftrl")]
    {
        use linfa_ftrl::Ftrl;

        instances!({optional, M, model} 'x Ftrl<F>);
    }
    None
}

/// Records one call of many that fit a model; whether there is a model.
fn record_step<M, R: Records, T, E>(
    recorder: &Recorder,
    result: &Result<M, E>,
    dataset: &DatasetBase<R, T>,
    caller: &'static Location<'static>,
    fits: usize,
) -> bool {
    let error = match result {
        Ok(model) => {
            record_result(recorder, model, dataset, caller, fits);
            return true;
        }
        Err(error) => error,
    };
    // Incremental k-means hands its model out as an error until it has converged.
    #[cfg(feature = "clustering")]
    {
        macro_rules! record_unfinished {
            ($E:ident $error:ident $x:lifetime $long:ty => $short:ty, $types:tt) => {
                if let Some(linfa_clustering::IncrKMeansError::NotConverged(model)) =
                    cast::<$long, $E>($error)
                {
                    record_result(recorder, model, dataset, caller, fits);
                    return true;
                }
            };
        }
        instances!({record_unfinished, E, error} 'x Unfinished<F, D>);
    }
    let _ = error;
    false
}

#[cfg(feature = "clustering")]
type Unfinished<F, D> = linfa_clustering::IncrKMeansError<linfa_clustering::KMeans<F, D>>;
#[cfg(feature = "clustering")]
instances!({known_instance} 'x Unfinished<F, D>);
