//! The scenarios' calls on files.

use std::collections::BTreeMap;
use std::path::Path;

use runlog::{Tracker, Value as _};
use serde_json::{Value, json};

use super::args::Args;
use super::player::Outcome;

pub(super) fn call(tracker: &Tracker, call: &str, args: &Args) -> Option<Outcome> {
    Some(match call {
        "log_artifact" => {
            runlog::log_artifact(args.text("local_path"), args.opt_text("artifact_path")).map(Into::into)
        }
        "log_text" => runlog::log_text(args.text("text"), args.text("artifact_file")).map(Into::into),
        "log_dict" => runlog::log_dict(args.value("dictionary"), args.text("artifact_file")).map(Into::into),
        "get_metric_history" => metric_history(tracker, args),
        "list_artifacts" => list_artifacts(tracker, args),
        "download_artifacts" => download_artifacts(tracker, args),
        _ => return None,
    })
}

fn metric_history(tracker: &Tracker, args: &Args) -> Outcome {
    let points = tracker.metric_history(args.text("run_id"), args.text("key"))?;
    let points = points.iter().map(|point| json!([point.step, super::args::plain(point.value.value())]));
    Ok(points.collect::<Value>().into())
}

fn list_artifacts(tracker: &Tracker, args: &Args) -> Outcome {
    let files = tracker.list_artifacts(args.text("run_id"), args.opt_text("path").unwrap_or_default())?;
    let files = files.into_iter().map(|file| json!([file.path, file.is_dir, file.file_size]));
    Ok(files.collect::<Value>().into())
}

fn download_artifacts(tracker: &Tracker, args: &Args) -> Outcome {
    let uri = match args.opt_text("artifact_uri") {
        Some(uri) => uri.to_owned(),
        None => format!("runs:/{}/{}", args.text("run_id"), args.text("artifact_path")),
    };
    let dir = tempfile::tempdir().unwrap();
    let path = tracker.download_artifacts(&uri, dir.path())?;
    let mut found = BTreeMap::new();
    if path.is_file() {
        found.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), text_of(&path));
    } else {
        texts(&path, "", &mut found);
    }
    found.remove("MLmodel");
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
