//! Artifact locations: the absolute form that is stored, and paths below one.

use std::path::{Component, Path, PathBuf};

use super::uri;
use crate::error::{Error, Result};

/// The absolute form of a `location` that a user gives: relative paths, also behind `file:`, are taken from
/// `working_dir`; URIs with another scheme stay as they are.
///
/// # Errors
/// A place among the artifacts of a run, or on another machine by `file:`; a location of more than `chars_max`
/// characters.
pub(crate) fn absolute(location: &str, working_dir: &Path, chars_max: u32) -> Result<String> {
    let refuse = |why: &str| Err(Error::invalid(why).with("artifact_location", location));
    let (scheme, rest) = uri::split(location);
    let absolute = match scheme.to_ascii_lowercase().as_str() {
        "runs" => {
            return refuse(
                "an experiment cannot keep its artifacts among those of a run; give a directory or a URI such as \
                 s3://bucket/path",
            );
        }
        "" => joined(working_dir, rest).to_string_lossy().into_owned(),
        "file" => match rest.strip_prefix("//") {
            Some(rest) if !rest.starts_with('/') && !rest.starts_with("localhost/") => {
                return refuse(
                    "a `file:` location names a directory of this machine; write file:///absolute/path",
                );
            }
            Some(_) => location.to_owned(),
            None if rest.starts_with('/') => location.to_owned(),
            None => format!(
                "file://{}",
                uri::encoded(&joined(working_dir, &uri::decoded(rest).to_string_lossy()))
            ),
        },
        _ => location.to_owned(),
    };
    match usize::try_from(chars_max) {
        Ok(most) if absolute.chars().count() > most => Err(Error::invalid(format!(
            "an artifact location must have at most {chars_max} characters; shorten it, or set \
             MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH"
        ))
        .with("characters", absolute.chars().count())),
        _ => Ok(absolute),
    }
}

/// `path` below `dir`, without `.`; an absolute path is itself.
fn joined(dir: &Path, path: &str) -> PathBuf {
    dir.components().chain(Path::new(path).components().filter(|part| *part != Component::CurDir)).collect()
}

/// `location` with `path` appended, whether it is a directory or a URI with a query.
pub(crate) fn below(location: &str, path: &str) -> String {
    let (place, query) = match location.split_once('?') {
        Some((place, query)) if place.contains("://") => (place, Some(query)),
        _ => (location, None),
    };
    let place = place.trim_end_matches('/');
    match query {
        Some(query) => format!("{place}/{path}?{query}"),
        None => format!("{place}/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_relative_is_taken_from_the_working_directory() {
        for (given, stored) in [
            ("rel/x", "/work dir/rel/x"),
            ("./r/../q", "/work dir/r/../q"),
            ("~/x", "/work dir/~/x"),
            ("/abs/x", "/abs/x"),
            ("file:rel/x", "file:///work%20dir/rel/x"),
            ("file:///abs x", "file:///abs x"),
            ("s3://bucket/x?region=eu", "s3://bucket/x?region=eu"),
            ("mlflow-artifacts:/x", "mlflow-artifacts:/x"),
        ] {
            assert_eq!(absolute(given, Path::new("/work dir"), 2048).unwrap(), stored, "{given}");
        }
    }

    #[test]
    fn places_that_no_experiment_can_have_are_refused() {
        for (given, word) in [
            ("runs:/0123/model", "those of a run"),
            ("RUNS:/0123", "those of a run"),
            ("file://elsewhere/x", "file:///"),
            (&*"x".repeat(100), "MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH"),
        ] {
            let message = absolute(given, Path::new("/"), 99).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn one_slash_joins_and_a_query_stays_last() {
        for (location, expect) in [
            ("/root", "/root/0"),
            ("/root/", "/root/0"),
            ("/", "/0"),
            ("memory:", "memory:/0"),
            ("/odd?name", "/odd?name/0"),
            ("s3://bucket/at?region=eu", "s3://bucket/at/0?region=eu"),
        ] {
            assert_eq!(below(location, "0"), expect);
        }
    }
}
