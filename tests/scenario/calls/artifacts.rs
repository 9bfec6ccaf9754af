//! The scenarios' calls on files.

use std::collections::BTreeMap;
use std::path::Path;

use runlog::{ImageArray, LoadTable, Result, Table, ToImage, Tracker};
use serde_json::{Value, json};

use super::Outcome;
use super::args::{Args, flatten, plain};

pub(super) fn call(tracker: &Tracker, call: &str, args: &Args) -> Option<Outcome> {
    Some(match call {
        "log_artifact" => {
            runlog::log_artifact(args.text("local_path"), args.opt_text("artifact_path")).map(Into::into)
        }
        "log_artifacts" => {
            runlog::log_artifacts(args.text("local_dir"), args.opt_text("artifact_path")).map(Into::into)
        }
        "log_stream" => {
            let stream = std::fs::File::open(args.text("path")).unwrap();
            runlog::log_stream(stream, args.text("artifact_file")).map(Into::into)
        }
        "log_text" => runlog::log_text(args.text("text"), args.text("artifact_file")).map(Into::into),
        "log_dict" => runlog::log_dict(args.value("dictionary"), args.text("artifact_file")).map(Into::into),
        "get_metric_history" => metric_history(tracker, args),
        "list_artifacts" => list_artifacts(args),
        "download_artifacts" => download_artifacts(args),
        "get_artifact_uri" => {
            runlog::get_artifact_uri(args.opt_text("artifact_path")).map(|uri| Value::from(uri).into())
        }
        "load_text" => runlog::load_text(args.text("artifact_uri")).map(|text| Value::from(text).into()),
        "load_dict" => runlog::load_dict::<Value>(args.text("artifact_uri")).map(Into::into),
        "log_image" => log_image(args).map(Into::into),
        "log_table" => log_table(args).map(Into::into),
        "load_table" => load_table(args),
        _ => return None,
    })
}

fn metric_history(tracker: &Tracker, args: &Args) -> Outcome {
    let points = tracker.metric_history(args.text("run_id"), args.text("key"))?;
    let points = points.iter().map(|point| json!([point.step, plain(point.value)]));
    Ok(points.collect::<Value>().into())
}

fn list_artifacts(args: &Args) -> Outcome {
    let files = runlog::list_artifacts(args.text("run_id"), args.opt_text("path").unwrap_or_default())?;
    let files = files.into_iter().map(|file| json!([file.path, file.is_dir, file.file_size]));
    Ok(files.collect::<Value>().into())
}

fn download_artifacts(args: &Args) -> Outcome {
    let uri = match args.opt_text("artifact_uri") {
        Some(uri) => uri.to_owned(),
        None => format!("runs:/{}/{}", args.text("run_id"), args.text("artifact_path")),
    };
    // Nothing of an earlier call.
    std::fs::remove_dir_all("downloads").ok();
    let path = runlog::download_artifacts(&uri, Path::new("downloads"))?;
    let mut found = BTreeMap::new();
    if path.is_file() {
        found.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), text_of(&path));
    } else {
        texts(&path, "", &mut found);
    }
    // What describes a model, and what built the program, is the program's own.
    found.retain(|name, _| !["MLmodel", "rust_env.yaml", "Cargo.lock"].contains(&name.as_str()));
    Ok(json!(found).into())
}

/// Every file below a directory, by its path there.
fn texts(dir: &Path, below: &str, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{below}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            texts(&path, &format!("{name}/"), found);
        } else {
            found.insert(name, text_of(&path));
        }
    }
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn log_image(args: &Args) -> Result<()> {
    let image = args.value("image");
    let (mut shape, mut pixels) = (Vec::new(), Vec::new());
    flatten(&image["pixels"], 0, &mut shape, &mut pixels);
    let floats = || pixels.iter().map(|pixel| pixel.as_f64().unwrap());
    match image["dtype"].as_str().unwrap() {
        "uint8" => {
            let pixels: Vec<u8> =
                pixels.iter().map(|pixel| pixel.as_u64().unwrap().try_into().unwrap()).collect();
            log_image_of(args, &ImageArray::new(&pixels, &shape))
        }
        "float64" => log_image_of(args, &ImageArray::new(&floats().collect::<Vec<f64>>(), &shape)),
        "float32" => {
            // Every number of the data is one of 32 bits as well.
            let pixels: Vec<f32> = pixels.iter().map(|pixel| pixel.to_string().parse().unwrap()).collect();
            log_image_of(args, &ImageArray::new(&pixels, &shape))
        }
        "bool" => {
            let pixels: Vec<bool> = pixels.iter().map(|pixel| pixel.as_bool().unwrap()).collect();
            log_image_of(args, &ImageArray::new(&pixels, &shape))
        }
        other => panic!("no image of {other}"),
    }
}

fn log_image_of(args: &Args, image: &impl ToImage) -> Result<()> {
    if let Some(file) = args.opt_text("artifact_file") {
        return runlog::log_image(image, file);
    }
    let (step, time) = (args.opt_number("step"), args.opt_number("timestamp").unwrap());
    runlog::log_image_at(image, args.text("key"), step, time)?.wait()
}

fn log_table(args: &Args) -> Result<()> {
    runlog::log_table(&Table::from_dict(args.value("data"))?, args.text("artifact_file"))
}

fn load_table(args: &Args) -> Outcome {
    let table = LoadTable::new(args.text("artifact_file"))
        .run_ids(args.texts("run_ids"))
        .extra_columns(args.texts("extra_columns"));
    let table = runlog::load_table(table)?;
    let columns: Vec<&str> = table.columns().collect();
    let row = |row: usize| columns.iter().map(|column| table.get(row, column).cloned()).collect::<Value>();
    let rows: Value = (0..table.len()).map(row).collect();
    Ok(json!({"columns": columns, "data": rows}).into())
}
