//! Which build a run or a model comes from: tags for every run, files for models and for runs that want them.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use serde_json::{Map, Value, json};

use crate::build;
use crate::error::Result;
use crate::sync::lock;
use crate::yaml;

/// The file that says what built the program, as `python_env.yaml` does in Python.
pub(crate) const ENV_FILE: &str = "rust_env.yaml";
/// The lock of the build, under Cargo's name for it.
const LOCK_FILE: &str = "Cargo.lock";

/// The tags that say what built the program; what is not known has none.
pub(crate) fn build_tags() -> impl Iterator<Item = (String, String)> {
    let known = [
        ("runlog.version", Some(build::RUNLOG)),
        ("runlog.build.rustc", some(build::RUSTC)),
        ("runlog.build.target", some(build::TARGET)),
        ("runlog.build.profile", some(build::PROFILE)),
        ("runlog.build.features", some(build::FEATURES)),
        ("runlog.build.id", build::id()),
        ("runlog.build.cargo_lock_sha256", build::lock().map(build::Lock::sha256)),
    ];
    known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())))
}

/// The files that say what built the program.
pub(crate) fn environment_files() -> Result<Vec<(&'static str, &'static [u8])>> {
    static TEXT: OnceLock<Result<String>> = OnceLock::new();
    let text = TEXT.get_or_init(|| yaml::text(&environment()));
    let text = text.as_ref().map_err(|error| crate::Error::new(error.kind(), error.to_string()))?;
    let mut files = vec![(ENV_FILE, text.as_bytes())];
    files.extend(build::lock().map(|lock| (LOCK_FILE, lock.text().as_bytes())));
    Ok(files)
}

fn environment() -> Value {
    let list = |items: &str| items.split(',').filter(|item| !item.is_empty()).collect::<Value>();
    let mut known = Map::from_iter([
        ("runlog".to_owned(), json!(build::RUNLOG)),
        ("runlog_features".to_owned(), list(build::FEATURES)),
        ("target_features".to_owned(), list(build::TARGET_FEATURES)),
    ]);
    let mut add = |key: &str, value: Option<Value>| known.extend(value.map(|value| (key.to_owned(), value)));
    add("rust", some(build::RUSTC).map(Value::from));
    add("target", some(build::TARGET).map(Value::from));
    add("profile", some(build::PROFILE).map(Value::from));
    add("opt_level", some(build::OPT_LEVEL).map(Value::from));
    add("build_id", build::id().map(Value::from));
    let lock = build::lock();
    add("cargo_lock", lock.map(|_| LOCK_FILE.into()));
    add("cargo_lock_sha256", lock.map(|lock| lock.sha256().into()));
    add("dependencies", lock.map(|lock| lock.direct_dependencies().into()));
    Value::Object(known)
}

fn some(text: &'static str) -> Option<&'static str> {
    Some(text).filter(|text| !text.is_empty())
}

/// The runs that have files of this process, by experiment and kind of file: the others point there.
#[derive(Debug, Default)]
pub(crate) struct FilesOfRuns(Mutex<BTreeMap<(String, &'static str), String>>);

impl FilesOfRuns {
    /// The run of the experiment that has the files.
    pub(crate) fn find(&self, experiment_id: &str, kind: &'static str) -> Option<String> {
        lock(&self.0).get(&(experiment_id.to_owned(), kind)).cloned()
    }

    pub(crate) fn add(&self, experiment_id: &str, kind: &'static str, run_id: &str) {
        lock(&self.0).insert((experiment_id.to_owned(), kind), run_id.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_what_built_the_program() {
        let files = environment_files().unwrap();
        let (name, text) = files[0];
        assert_eq!(name, "rust_env.yaml");
        let told: Map<String, Value> = yaml::parse(std::str::from_utf8(text).unwrap()).unwrap();
        for (key, value) in [("runlog", build::RUNLOG), ("rust", build::RUSTC), ("target", build::TARGET)] {
            assert_eq!(told[key], value);
        }
        let lock = build::lock().unwrap();
        assert_eq!(files[1], ("Cargo.lock", lock.text().as_bytes()));
        assert_eq!(
            (&told["cargo_lock"], &told["cargo_lock_sha256"]),
            (&json!("Cargo.lock"), &json!(lock.sha256()))
        );
        let serde = format!("serde@{}", build::version_of("serde").unwrap());
        assert!(told["dependencies"].as_array().unwrap().contains(&json!(serde)), "{told:?}");
    }

    #[test]
    fn tags_are_told_of_what_is_known_only() {
        let tags: BTreeMap<_, _> = build_tags().collect();
        assert_eq!(tags["runlog.build.rustc"], build::RUSTC);
        assert!(tags.values().all(|value| !value.is_empty()));
    }
}
