//! Where data comes from, as MLflow keeps it: a kind, and JSON that depends on the kind.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::context;
use crate::entity::Dataset;
use crate::error::Result;
use crate::json::python_style;

/// The source of data that nothing was said about: the code that made it, whose tags are not known yet.
pub(crate) const UNKNOWN: (&str, &str) = ("code", "{}");

/// Where data comes from.
///
/// A path or URI names it as in MLflow: a path or `file:` is `local`, `http://` and `https://` are `http`, and any other
/// URI is of the kind of its scheme (`s3`, `gs`, `abfss`, `hdfs`, …). Data without a source comes from the code that
/// logs it, which is told by the tags that every run has.
///
/// ```
/// use runlog_core::data::{Arrays, Source};
///
/// let blobs = Arrays::new("blobs").features([0.5, 1.5], &[2]).source("s3://bucket/blobs.npz").dataset()?;
/// assert_eq!((&*blobs.source_type, &*blobs.source), ("s3", r#"{"uri": "s3://bucket/blobs.npz"}"#));
/// let wine = Source::custom("hugging_face", [("path", "mstz/wine")]);
/// # let _ = wine;
/// # Ok::<(), runlog_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    kind: String,
    fields: Map<String, Value>,
}

impl Source {
    /// The code with these tags, such as `mlflow.source.name`.
    pub fn code<K: Into<String>, V: Into<String>>(tags: impl IntoIterator<Item = (K, V)>) -> Self {
        let tags: Map<String, Value> =
            tags.into_iter().map(|(key, value)| (key.into(), Value::String(value.into()))).collect();
        Self::custom("code", [("tags", tags)])
    }

    /// A source of a kind that MLflow or a plugin of it knows, with what describes it.
    pub fn custom<K: Into<String>, V: Into<Value>>(
        kind: impl Into<String>,
        fields: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let fields = fields.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Self { kind: kind.into(), fields }
    }

    /// The kind and the JSON text.
    pub(super) fn texts(&self) -> Result<(String, String)> {
        Ok((self.kind.clone(), python_style(&self.fields)?))
    }
}

impl From<&str> for Source {
    fn from(place: &str) -> Self {
        let is_scheme = |scheme: &&str| {
            let clean = scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
            // A single letter is a drive of Windows.
            clean && scheme.len() > 1
        };
        let scheme = place.split_once(':').map(|(scheme, _)| scheme).filter(is_scheme);
        match scheme.map(str::to_ascii_lowercase).as_deref() {
            None | Some("file") => Self::custom("local", [("uri", place)]),
            Some("http" | "https") => Self::custom("http", [("url", place)]),
            Some(scheme) => Self::custom(scheme, [("uri", place)]),
        }
    }
}

impl From<String> for Source {
    fn from(place: String) -> Self {
        place.as_str().into()
    }
}

impl From<&Path> for Source {
    fn from(path: &Path) -> Self {
        Self::custom("local", [("uri", path.to_string_lossy())])
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        path.as_path().into()
    }
}

/// The dataset with the tags of the running code, if nothing else was said about its source.
pub(crate) fn with_code_tags(mut dataset: Dataset, config: &Config) -> Result<Dataset> {
    if (&*dataset.source_type, &*dataset.source) == UNKNOWN {
        let tags = context::default_tags(config).into_iter().map(|tag| (tag.key, Value::String(tag.value)));
        dataset.source = python_style(&json!({"tags": tags.collect::<Map<_, _>>()}))?;
    }
    Ok(dataset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kinds and texts that MLflow 3.17.2 resolved, but for the last: it knows that kind with a library only.
    #[test]
    fn places_are_resolved_as_mlflow_does() {
        for (place, kind, text) in [
            ("data.csv", "local", r#"{"uri": "data.csv"}"#),
            ("/a/b", "local", r#"{"uri": "/a/b"}"#),
            ("file:///x/y", "local", r#"{"uri": "file:///x/y"}"#),
            ("https://a/é", "http", r#"{"url": "https://a/\u00e9"}"#),
            ("s3://b/k", "s3", r#"{"uri": "s3://b/k"}"#),
            ("abfss://c@h/p", "abfss", r#"{"uri": "abfss://c@h/p"}"#),
            ("gcs://b/k", "gcs", r#"{"uri": "gcs://b/k"}"#),
        ] {
            assert_eq!(Source::from(place).texts().unwrap(), (kind.to_owned(), text.to_owned()));
        }
    }
}
