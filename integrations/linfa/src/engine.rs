//! One observed fit: the user's fit runs once, plainly, and what can be told of it is recorded afterwards.
//!
//! Nothing of the estimator or the data is read before the fit, so that observing cannot change its result; everything
//! after it runs inside [`Recorder::record`], where no error and no panic of ours reaches the caller.

use std::error::Error as StdError;
use std::panic::Location;

use linfa::dataset::{DatasetBase, Records};
use runlog_core::Result;
use runlog_core::autolog::{AutologOptions, Recorder, Training};
use runlog_core::data::Source;
use runlog_core::model::{ModelSpec, Signature};

use crate::algorithms::recognise;
use crate::data::Data;
use crate::kinds::Model;
use crate::options::Settings;
use crate::params::Estimator;
use crate::{FLAVOR, INTEGRATION, MODEL_FILE};

/// Fits as linfa does, and records it if autologging is on.
#[track_caller]
pub(crate) fn fit<P, R, T, E>(params: &P, dataset: &DatasetBase<R, T>) -> Result<P::Object, E>
where
    P: linfa::traits::Fit<R, T, E>,
    R: Records,
    E: StdError + From<linfa::Error>,
{
    if !INTEGRATION.is_on() {
        return params.fit(dataset);
    }
    let caller = Location::caller();
    let Some(training) = Training::start(&INTEGRATION) else { return params.fit(dataset) };
    let result = params.fit(dataset);
    training.record("the estimator", |run| {
        let estimator = Estimator::of(params)?;
        run.set_tag("estimator_name", &estimator.name);
        run.set_tag("estimator_class", std::any::type_name::<P>());
        run.set_tag("runlog.source", format_args!("{}:{}", caller.file(), caller.line()));
        run.log_param_pairs(estimator.params);
        Ok(())
    });
    match &result {
        Ok(model) => {
            record_result(&training, model, dataset, caller);
            training.finish();
        }
        Err(error) => training.fail(error),
    }
    result
}

fn record_result<M, R: Records, T>(
    recorder: &Recorder,
    model: &M,
    dataset: &DatasetBase<R, T>,
    caller: &'static Location<'static>,
) {
    let own = recorder.own_options().copied().unwrap_or_else(Settings::default);
    recorder.log_dataset("train", || {
        let source = Source::code([("mlflow.source.name", caller.file())]);
        Data::of(dataset).describe("dataset", source)
    });
    let Some(known) = recognise(model) else {
        tracing::debug!(
            target: "runlog::linfa",
            model = std::any::type_name::<M>(),
            "this type of model is not known: neither measured nor saved"
        );
        return;
    };
    if own.post_training_metrics {
        recorder.record("the training metrics", |run| {
            let Some(evaluation) = known.evaluate(&Data::of(dataset), own.limits)? else { return Ok(()) };
            run.log_metrics(evaluation.metrics, 0);
            match evaluation.confusion {
                Some(confusion) => run.log_dict(&confusion, "training_confusion_matrix.json"),
                None => Ok(()),
            }
        });
    }
    if let Some(why) = known.unsaved() {
        recorder.record("why there is no model", |run| {
            run.set_tag("runlog.model_unsaved", why);
            Ok(())
        });
        return;
    }
    recorder.log_model(|options| spec::<M>(known.as_ref(), &Data::of(dataset), options));
}

fn spec<'x, M>(model: &dyn Model<'x>, data: &Data<'x>, options: &AutologOptions) -> Result<ModelSpec> {
    let mut spec = ModelSpec::new("model")
        .model_type(model.name())
        .flavor(
            FLAVOR,
            [
                ("data", MODEL_FILE),
                ("format", "MessagePack with field names"),
                ("linfa_version", INTEGRATION.framework_version()),
                ("loads_as", model.loads_as().as_deref().unwrap_or_default()),
                ("model_class", std::any::type_name::<M>()),
            ],
        )
        .file(MODEL_FILE, model.to_msgpack()?);
    if options.logs_model_signatures() {
        let outputs = model.output(data.samples, data).map(|output| output.batch_schema());
        spec = spec.signature(Signature::new(data.input_schema(), outputs));
    }
    if options.logs_input_examples()
        && let Some(example) = data.input_example()
    {
        spec = spec.input_example(example);
    }
    Ok(spec)
}
