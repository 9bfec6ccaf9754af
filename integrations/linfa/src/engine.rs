//! One observed fit: the user's fit runs once, plainly, and what can be told of it is recorded afterwards.
//!
//! What is here runs with autologging on only, and is kept out of the way of calls with autologging off: see `if_on!`.
//!
//! Nothing of the estimator or the data is read before the fit, so that observing cannot change its result (but for a
//! model that is fitted further, which is looked up by its bytes, and data that a transformer consumes); everything
//! after it runs inside [`Recorder::record`], where no error and no panic of ours reaches the caller.

use std::error::Error as StdError;
use std::panic::Location;

use linfa::dataset::{DatasetBase, Records};
use runlog_core::autolog::{AutologOptions, Recorder, Training};
use runlog_core::data::Source;
use runlog_core::model::{ModelSpec, Signature};
use runlog_core::{Dataset, Png, Result, RunHandle};
use serde_json::Value;

use crate::algorithms::recognise;
use crate::autologged::is_autologged;
use crate::data::Data;
use crate::kinds::Model;
use crate::options::Settings;
use crate::origin::{self, ModelPrint, Origin};
use crate::params::Estimator;
use crate::{FLAVOR, INTEGRATION, MODEL_FILE, evaluate, picture, proba};

/// Fits as linfa does, and records it.
#[inline(never)]
#[track_caller]
pub(crate) fn fit<P, R, T, E>(params: &P, dataset: &DatasetBase<R, T>) -> Result<P::Object, E>
where
    P: linfa::traits::Fit<R, T, E>,
    R: Records,
    E: StdError + From<linfa::Error>,
{
    if is_autologged::<P>() {
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

pub(crate) fn record_estimator<P>(recorder: &Recorder, params: &P, caller: &'static Location<'static>) {
    recorder.record("the estimator", |run| {
        let estimator = Estimator::of(params)?;
        tag_estimator::<P>(run, &estimator.name, caller);
        recorder.log_params(estimator.params);
        Ok(())
    });
}

pub(crate) fn tag_estimator<P>(run: &RunHandle, name: &str, caller: &'static Location<'static>) {
    run.set_tag("estimator_name", name);
    run.set_tag("estimator_class", std::any::type_name::<P>());
    run.set_tag("runlog.source", format_args!("{}:{}", caller.file(), caller.line()));
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
    let mut origin = Origin {
        recorder: recorder.downgrade(),
        model_id: None,
        fits,
        is_evaluated: own.post_training_metrics,
    };
    let step = origin.step();
    let bytes = bytes_of(recorder, known.as_ref());
    let logged = bytes.as_ref().filter(|_| fits.is_power_of_two()).and_then(|bytes| {
        recorder.log_model(|options| {
            Ok(spec(known.as_ref(), bytes.clone(), Some(&Data::of(dataset)), options).step(step))
        })
    });
    if let Some(bytes) = &bytes {
        origin.model_id = logged.map(|model| model.model_id);
        origin::remember_model(ModelPrint::of::<M>(bytes), origin);
    }
    if own.training_metrics && (fits == 1 || recorder.wants_step(fits - 1)) {
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
                run.log_figure(
                    &Png(picture::confusion(&labels, &counts(&confusion))?),
                    "training_confusion_matrix.png",
                )?;
                if let Some(probabilities) = &probabilities {
                    for (name, picture) in probabilities.pictures()? {
                        run.log_figure(&Png(picture), name)?;
                    }
                }
            }
            Ok(())
        });
    }
}

/// Records what a transformation made, if it is a model.
pub(crate) fn record_made(recorder: &Recorder, made: &dyn Model<'_>) {
    if let Some(bytes) = bytes_of(recorder, made) {
        recorder.log_model(|options| Ok(spec(made, bytes, None, options)));
    }
}

/// The model as it is saved; the run says why it is not.
fn bytes_of(recorder: &Recorder, known: &dyn Model<'_>) -> Option<Vec<u8>> {
    let mut bytes = None;
    recorder.record("the model", |run| {
        match known.unsaved() {
            Some(why) => drop(run.set_tag("runlog.model_unsaved", why)),
            None => bytes = Some(known.to_msgpack()?),
        }
        Ok(())
    });
    bytes
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

/// The data is gone where a transformation took it.
fn spec<'x>(
    model: &dyn Model<'x>,
    bytes: Vec<u8>,
    data: Option<&Data<'x>>,
    options: &AutologOptions,
) -> ModelSpec {
    let mut spec = ModelSpec::new("model")
        .model_type(model.name())
        .flavor(
            FLAVOR,
            [
                ("data", MODEL_FILE),
                ("format", "MessagePack with field names"),
                ("linfa_version", INTEGRATION.framework_version()),
                ("loads_as", model.loads_as().as_deref().unwrap_or_default()),
                ("model_class", model.class()),
            ],
        )
        .file(MODEL_FILE, bytes);
    let Some(data) = data else { return spec };
    if options.logs_model_signatures() {
        let outputs = model.output(data.samples, data).map(|output| output.batch_schema());
        spec = spec.signature(Signature::new(data.input_schema(), outputs));
    }
    if options.logs_input_examples()
        && let Some(example) = data.input_example()
    {
        spec = spec.input_example(example);
    }
    spec
}
