//! The scenarios' calls on logged models.

use runlog::data::DType;
use runlog::model::{Column, DataType, ModelOptions, ModelSpec, Schema, Signature, TensorField};
use runlog::{Logged, LoggedModel, Metric, ModelOutput, ModelStatus, Result, RunHandle, Tracker};
use serde_json::{Map, Value, json};

use super::args::Args;
use super::{Outcome, Returned, next_millisecond};

pub(super) fn call(tracker: &Tracker, call: &str, args: &Args) -> Option<Outcome> {
    let id = || args.text("model_id");
    Some(match call {
        "log_model" => log_model(args).map(|model| identity(&model)),
        "initialize_logged_model" => {
            next_millisecond();
            runlog::initialize_logged_model(options(args)).map(|model| identity(&model))
        }
        "create_external_model" => {
            next_millisecond();
            runlog::create_external_model(options(args)).map(|model| identity(&model))
        }
        "finalize_logged_model" => {
            let status = match args.text("status") {
                "READY" => ModelStatus::Ready,
                _ => ModelStatus::Failed,
            };
            runlog::finalize_logged_model(id(), status).map(|model| whole(&model))
        }
        "get_logged_model" => runlog::get_logged_model(id()).map(|model| whole(&model)),
        "delete_logged_model" => tracker.delete_logged_model(id()).map(Into::into),
        "last_logged_model" => {
            runlog::last_logged_model().map(|found| found.as_ref().map_or_else(Returned::default, identity))
        }
        "log_model_params" => runlog::log_model_params(args.value("params"), id()).map(Into::into),
        "set_logged_model_tags" => runlog::set_logged_model_tags(id(), args.pairs("tags")).map(Into::into),
        "delete_logged_model_tag" => runlog::delete_logged_model_tag(id(), args.text("key")).map(Into::into),
        "set_active_model" => set_active_model(args).map(|model| identity(&model)),
        "get_active_model_id" => Ok(json!(runlog::get_active_model_id()).into()),
        "clear_active_model" => runlog::clear_active_model().map(Into::into),
        "log_outputs" => log_outputs(args).wait().map(Into::into),
        _ => return None,
    })
}

/// A point that measures a model.
pub(super) fn log_metric(
    run: Option<&RunHandle>,
    key: &str,
    value: f64,
    step: i64,
    time: i64,
    model_id: &str,
) -> Logged {
    let point = Metric::new(key, value, time, step).for_model(model_id);
    match run {
        Some(run) => run.log_points([point]),
        None => runlog::log_points([point]),
    }
}

fn log_model(args: &Args) -> Result<LoggedModel> {
    next_millisecond();
    let spec = ModelSpec::new(options(args)).flavor("rust_ridge", [("format", "json")]);
    let files = args.pairs("files");
    let mut spec = files.into_iter().fold(spec, |spec, (name, text)| spec.file(name, text));
    if let Some(step) = args.opt_number("step") {
        spec = spec.step(step);
    }
    if let Some(signature) = args.get("signature") {
        spec = spec.signature(Signature::new(schema(&signature["inputs"]), schema(&signature["outputs"])));
    }
    runlog::log_model(spec)
}

fn options(args: &Args) -> ModelOptions {
    let mut options = ModelOptions::new().name(args.text("name"));
    if let Some(model_type) = args.opt_text("model_type") {
        options = options.model_type(model_type);
    }
    let params = args.pairs("params");
    options = params.into_iter().fold(options, |options, (key, value)| options.param(key, value));
    args.pairs("tags").into_iter().fold(options, |options, (key, value)| options.tag(key, value))
}

fn schema(columns: &Value) -> Option<Schema> {
    let columns = columns.as_array()?;
    let name = |column: &Value| column["name"].as_str().map(str::to_owned);
    if columns[0].get("shape").is_none() {
        let column = |column: &Value| Column {
            name: name(column),
            data_type: match column["type"].as_str().unwrap() {
                "double" => DataType::Double,
                "string" => DataType::String,
                other => panic!("no column of {other}"),
            },
            required: column["required"] != false,
        };
        return Some(Schema::Columns(columns.iter().map(column).collect()));
    }
    let tensor = |tensor: &Value| TensorField {
        name: name(tensor),
        dtype: match tensor["type"].as_str().unwrap() {
            "float32" => DType::Float32,
            "int64" => DType::Int64,
            other => panic!("no tensor of {other}"),
        },
        shape: tensor["shape"].as_array().unwrap().iter().map(|length| length.as_i64().unwrap()).collect(),
    };
    Some(Schema::Tensors(columns.iter().map(tensor).collect()))
}

fn set_active_model(args: &Args) -> Result<LoggedModel> {
    match args.opt_text("model_id") {
        Some(id) => runlog::set_active_model_by_id(id),
        None => runlog::set_active_model(args.text("name")),
    }
}

fn log_outputs(args: &Args) -> Logged {
    let output = |model: &Value| {
        ModelOutput::new(model["model_id"].as_str().unwrap(), model["step"].as_i64().unwrap())
    };
    runlog::log_outputs(args.list("models").into_iter().map(output))
}

fn identity(model: &LoggedModel) -> Returned {
    Value::from(model.model_id.as_str()).into()
}

/// The model as `play.py` tells it.
fn whole(model: &LoggedModel) -> Returned {
    let params = model.params.iter().map(|param| (param.key.clone(), param.value.clone().into()));
    let tags = model.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone().into()));
    let value = json!({
        "model_id": model.model_id,
        "name": model.name,
        "status": model.status.to_string(),
        "model_type": model.model_type,
        "source_run_id": model.source_run_id,
        "params": params.collect::<Map<String, Value>>(),
        "tags": tags.collect::<Map<String, Value>>(),
    });
    Returned { value, id: Some(model.model_id.clone()) }
}
