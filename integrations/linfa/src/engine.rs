//! One observed fit: the user's fit runs once, plainly, and what can be told of it is recorded afterwards.
//!
//! Nothing of the estimator or the data is read before the fit, so that observing cannot change its result (but for a
//! model that is fitted further, which is looked up by its bytes, and data that a transformer consumes); everything
//! after it runs inside [`Recorder::record`], where no error and no panic of ours reaches the caller.

use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};

use linfa::dataset::{DatasetBase, Records};
use linfa_nn::distance::L2Dist;
use ndarray::Array2;
use runlog_core::autolog::{AutologOptions, Recorder, Training};
use runlog_core::data::Source;
use runlog_core::model::{ModelSpec, Signature};
use runlog_core::{Dataset, Png, Result, fluent};
use serde_json::Value;

use crate::autologged::is_autologged;
use crate::cast::{Known, cast};
use crate::data::Data;
use crate::models::Model;
pub(crate) use crate::models::recognise;
use crate::options::Settings;
use crate::origin::{self, ModelPrint, Origin};
use crate::params::Estimator;
use crate::{FLAVOR, INTEGRATION, MODEL_FILE, evaluate, picture, proba};

/// Fits as linfa does, and records it if autologging is on.
#[track_caller]
pub(crate) fn fit<P, R, T, E>(params: &P, dataset: &DatasetBase<R, T>) -> Result<P::Object, E>
where
    P: linfa::traits::Fit<R, T, E>,
    R: Records,
    E: StdError + From<linfa::Error>,
{
    if !INTEGRATION.is_on() || is_autologged::<P>() {
        return params.fit(dataset);
    }
    let caller = Location::caller();
    let Some(training) = Training::start(&INTEGRATION) else { return params.fit(dataset) };
    let result = params.fit(dataset);
    record_estimator(&training, params, caller);
    match &result {
        Ok(model) => {
            record_result(&training, model, dataset, caller, 1);
            training.finish();
        }
        Err(error) => training.fail(error),
    }
    result
}

/// Fits further as linfa does; the run of the first fit of a model records those that follow, each as one step.
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
    if !INTEGRATION.is_on() || is_autologged::<P>() {
        return params.fit_with(model, dataset);
    }
    let caller = Location::caller();
    if let Some(origin) = earlier(&model) {
        let result = params.fit_with(model, dataset);
        record_step(&origin.recorder, &result, dataset, caller, origin.fits + 1);
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
    training.log_dataset("train", || {
        let source = Source::code([("mlflow.source.name", caller.file())]);
        Data::of_records(&records).describe("dataset", source)
    });
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

/// Whether to transform with a `P` is to run an algorithm. Scalers, projections and kernels are steps on the way, done
/// again for each batch: a run for each would drown the others.
fn is_algorithm<P>() -> bool {
    let name = std::any::type_name::<P>();
    ["linfa_tsne::", "linfa_hierarchical::", "linfa_reduction::diffusion_map::"]
        .iter()
        .any(|algorithm| name.starts_with(algorithm))
}

fn output_shape<T>(output: &T) -> Option<[usize; 2]> {
    fn of<F: Known, T>(output: &T) -> Option<[usize; 2]> {
        cast::<Array2<F>, T>(output).map(|array| [array.nrows(), array.ncols()])
    }
    #[cfg(feature = "tsne")]
    for shape in [tsne::<f64, T>(output), tsne::<f32, T>(output)] {
        if let Some(Ok(shape)) = shape {
            return Some(shape);
        }
    }
    of::<f64, T>(output).or_else(|| of::<f32, T>(output))
}

#[cfg(feature = "tsne")]
fn tsne<F: Known, T>(output: &T) -> Option<std::result::Result<[usize; 2], &linfa_tsne::TSneError>> {
    let output = cast::<std::result::Result<Array2<F>, linfa_tsne::TSneError>, T>(output)?;
    Some(output.as_ref().map(|array| [array.nrows(), array.ncols()]))
}

fn output_error<T>(output: &T) -> Option<&dyn StdError> {
    #[cfg(feature = "tsne")]
    for outcome in [tsne::<f64, T>(output), tsne::<f32, T>(output)] {
        if let Some(Err(error)) = outcome {
            return Some(error);
        }
    }
    let _ = output;
    None
}

pub(crate) fn record_estimator<P>(recorder: &Recorder, params: &P, caller: &'static Location<'static>) {
    recorder.record("the estimator", |run| {
        let estimator = Estimator::of(params)?;
        run.set_tag("estimator_name", &estimator.name);
        run.set_tag("estimator_class", std::any::type_name::<P>());
        run.set_tag("runlog.source", format_args!("{}:{}", caller.file(), caller.line()));
        run.log_param_pairs(estimator.params);
        Ok(())
    });
}

/// Where the model that is fitted further comes from, unless a run is active by now that is another one.
fn earlier<M>(model: &M) -> Option<Origin> {
    let found = catch_unwind(AssertUnwindSafe(|| earlier_by_bytes(model))).ok().flatten()?;
    let is_elsewhere =
        fluent::active_run().is_some_and(|active| active.run_id() != found.recorder.run().run_id());
    (!is_elsewhere).then_some(found)
}

fn earlier_by_bytes<M>(model: &M) -> Option<Origin> {
    fn of<M>(model: Option<&M>) -> Option<Origin> {
        let model = model.filter(|_| origin::may_know_model::<M>())?;
        let bytes = recognise(model)?.to_msgpack().ok()?;
        origin::of_model(&ModelPrint::of::<M>(&bytes)).pop()
    }
    macro_rules! models {
        ($($known:ty),* $(,)?) => {$(
            if let Some(model) = cast::<Option<$known>, M>(model) {
                return of(model.as_ref());
            }
        )*};
    }
    macro_rules! over_floats {
        ($($float:ty),*) => {$(
            #[cfg(feature = "clustering")]
            models!(linfa_clustering::KMeans<$float, L2Dist>);
            #[cfg(feature = "ftrl")]
            models!(linfa_ftrl::Ftrl<$float>);
            over_floats!(@labels $float: usize, bool, String, &'static str);
        )*};
        (@labels $float:ty: $($label:ty),*) => {$(
            #[cfg(feature = "bayes")]
            models!(linfa_bayes::GaussianNb<$float, $label>, linfa_bayes::MultinomialNb<$float, $label>);
        )*};
    }
    over_floats!(f64, f32);
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
        use linfa_clustering::{IncrKMeansError, KMeans};

        if let Some(IncrKMeansError::NotConverged(model)) = cast::<IncrKMeansError<KMeans<f64, L2Dist>>, E>(error) {
            record_result(recorder, model, dataset, caller, fits);
            return true;
        }
        if let Some(IncrKMeansError::NotConverged(model)) = cast::<IncrKMeansError<KMeans<f32, L2Dist>>, E>(error) {
            record_result(recorder, model, dataset, caller, fits);
            return true;
        }
    }
    let _ = error;
    false
}

/// Records the model of a fit, or of the `fits`-th one of a model that is fitted again and again.
///
/// Then the dataset is noted once, and the model stored after 1, 2, 4, … fits: which of them is the last one, nobody
/// says.
pub(crate) fn record_result<M, R: Records, T>(
    recorder: &Recorder,
    model: &M,
    dataset: &DatasetBase<R, T>,
    caller: &'static Location<'static>,
    fits: usize,
) {
    let own = recorder.own_options().copied().unwrap_or_else(Settings::default);
    if fits == 1 {
        recorder.log_dataset("train", || describe(&Data::of(dataset), caller));
    }
    let Some(known) = recognise(model) else {
        tracing::debug!(
            target: "runlog::linfa",
            model = std::any::type_name::<M>(),
            "this type of model is not known: neither measured nor saved"
        );
        return;
    };
    let step = i64::try_from(fits - 1).unwrap_or(i64::MAX);
    let mut bytes = None;
    recorder.record("the model", |_| {
        bytes = Some(known.to_msgpack()?);
        Ok(())
    });
    let logged = bytes.as_ref().filter(|_| fits.is_power_of_two()).and_then(|bytes| {
        recorder.log_model(|options| {
            Ok(spec::<M>(known.as_ref(), bytes.clone(), &Data::of(dataset), options).step(step))
        })
    });
    if let Some(bytes) = &bytes {
        let origin =
            Origin { recorder: recorder.clone(), model_id: logged.map(|model| model.model_id), fits };
        origin::remember_model(ModelPrint::of::<M>(bytes), origin);
    }
    if own.post_training_metrics && recorder.wants_step(fits - 1) {
        recorder.record("the training metrics", |run| {
            let data = Data::of(dataset);
            let Some(evaluation) = known.evaluate(&data, own.limits)? else { return Ok(()) };
            run.log_metrics(evaluation.metrics, step);
            let probabilities = proba::of(model, &data, own.limits.step(data.samples));
            if let Some(probabilities) = &probabilities {
                run.log_metrics(probabilities.metrics(), step);
            }
            let Some(confusion) = evaluation.confusion.filter(|_| fits == 1) else { return Ok(()) };
            run.log_dict(&confusion, "training_confusion_matrix.json")?;
            if own.pictures {
                let labels = confusion["labels"].as_array().cloned().unwrap_or_default();
                run.log_figure(&Png(picture::confusion(&labels, &counts(&confusion))?), "training_confusion_matrix.png")?;
                for (name, picture) in probabilities.iter().flat_map(|all| all.pictures()).flatten() {
                    run.log_figure(&Png(picture), name)?;
                }
            }
            Ok(())
        });
    }
}

fn counts(confusion: &Value) -> Vec<Vec<u64>> {
    let rows = confusion["matrix"].as_array().into_iter().flatten();
    rows.map(|row| row.as_array().into_iter().flatten().filter_map(Value::as_u64).collect()).collect()
}

/// The dataset as the user calls it, or `dataset`.
pub(crate) fn describe(data: &Data<'_>, caller: &'static Location<'static>) -> Result<Dataset> {
    let source = Source::code([("mlflow.source.name", caller.file())]);
    let name = evaluate::name_of(data);
    data.describe(name.as_deref().unwrap_or("dataset"), source)
}

fn spec<'x, M>(model: &dyn Model<'x>, bytes: Vec<u8>, data: &Data<'x>, options: &AutologOptions) -> ModelSpec {
    let mut spec = ModelSpec::new("model")
        .model_type(model.name())
        .flavor(
            FLAVOR,
            [
                ("data", MODEL_FILE),
                ("format", "MessagePack with field names"),
                ("linfa_version", INTEGRATION.framework_version()),
                ("model_class", std::any::type_name::<M>()),
            ],
        )
        .file(MODEL_FILE, bytes);
    if options.logs_model_signatures() {
        let outputs = model.output(data.samples, data).batch_schema();
        spec = spec.signature(Signature::new(data.input_schema(), outputs));
    }
    if options.logs_input_examples()
        && let Some(example) = data.input_example()
    {
        spec = spec.input_example(example);
    }
    spec
}
