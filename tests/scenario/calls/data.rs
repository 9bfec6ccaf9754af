//! The scenarios' calls on datasets.

use runlog::data::{Arrays, Columns, Element};
use runlog::{Dataset, DatasetInput, Logged, Result};
use serde_json::{Value, json};

use super::args::{Args, flatten};
use super::{Outcome, Returned};

pub(super) fn call(call: &str, args: &Args) -> Option<Outcome> {
    Some(match call {
        "log_input" => log_input(args),
        "log_inputs" => log_inputs(args).and_then(Logged::wait).map(Into::into),
        _ => return None,
    })
}

fn log_input(args: &Args) -> Outcome {
    let dataset = dataset(&args.inner("dataset"))?;
    let returned = json!({"name": dataset.name, "digest": dataset.digest});
    let input = match args.opt_text("context") {
        Some(context) => DatasetInput::new(dataset, context),
        None => dataset.into(),
    };
    let input = args.pairs("tags").into_iter().fold(input, |input, (key, value)| input.tag(key, value));
    runlog::log_input(input).wait()?;
    Ok(Returned::from(returned))
}

fn log_inputs(args: &Args) -> Result<Logged> {
    let (contexts, tags) = (args.texts("contexts"), args.list("tags_list"));
    let input = |(place, given): (usize, &Value)| {
        let input = DatasetInput::new(dataset(&Args::new(given.clone()))?, contexts[place]);
        let tags = tags[place].as_object().into_iter().flatten();
        Ok(tags.fold(input, |input, (key, value)| input.tag(key, value.as_str().unwrap())))
    };
    let inputs: Vec<_> = args.list("datasets").into_iter().enumerate().map(input).collect::<Result<_>>()?;
    Ok(runlog::log_inputs(inputs, &[]))
}

fn dataset(args: &Args) -> Result<Dataset> {
    let mut dataset = match args.text("kind") {
        "numpy" => arrays(args).dataset()?,
        "pandas" => table(args).dataset()?,
        _ => Dataset::meta(args.text("name"), args.text("source"), None)?,
    };
    if let Some(digest) = args.opt_text("digest") {
        digest.clone_into(&mut dataset.digest);
    }
    Ok(dataset)
}

fn arrays(args: &Args) -> Arrays {
    let arrays = with_array(Arrays::new(args.text("name")), args.value("features"), true);
    let arrays = match args.get("targets") {
        Some(targets) => with_array(arrays, targets, false),
        None => arrays,
    };
    arrays.source(args.text("source"))
}

/// The arrays and one more: the features or the targets.
fn with_array(arrays: Arrays, given: &Value, is_features: bool) -> Arrays {
    fn with<E: Element>(arrays: Arrays, is_features: bool, elements: Vec<E>, shape: &[usize]) -> Arrays {
        if is_features { arrays.features(elements, shape) } else { arrays.targets(elements, shape) }
    }
    let (mut shape, mut elements) = (Vec::new(), Vec::new());
    flatten(&given["values"], 0, &mut shape, &mut elements);
    let floats = || elements.iter().map(|element| element.as_f64().unwrap());
    let whole = || elements.iter().map(|element| element.as_i64().unwrap());
    match given["dtype"].as_str().unwrap() {
        "float64" => with(arrays, is_features, floats().collect(), &shape),
        // Every number of the data is one of 32 bits as well.
        "float32" => {
            let elements = elements.iter().map(|element| element.to_string().parse::<f32>().unwrap());
            with(arrays, is_features, elements.collect(), &shape)
        }
        "int64" => with(arrays, is_features, whole().collect(), &shape),
        "int32" => with(arrays, is_features, whole().map(|n| i32::try_from(n).unwrap()).collect(), &shape),
        "uint8" => with(arrays, is_features, whole().map(|n| u8::try_from(n).unwrap()).collect(), &shape),
        other => panic!("no array of {other}"),
    }
}

fn table(args: &Args) -> Columns {
    let columns = args.value("columns").as_object().unwrap();
    let table = columns.iter().fold(Columns::new(args.text("name")), |table, (name, values)| {
        let values = values.as_array().unwrap();
        let each = || values.iter();
        match &values[0] {
            Value::String(_) => table.column(name, each().map(|value| value.as_str().unwrap())),
            Value::Bool(_) => table.column(name, each().map(|value| value.as_bool().unwrap())),
            Value::Number(number) if number.is_i64() => {
                table.column(name, each().map(|value| value.as_i64().unwrap()))
            }
            _ => table.column(name, each().map(|value| value.as_f64().unwrap())),
        }
    });
    table.source(args.text("source"))
}
