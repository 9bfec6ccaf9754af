//! What MLflow accepts as keys, names and values; checked once, where the caller is.
//!
//! Limits and rules are those of MLflow 3.x; each constant says which.

use std::borrow::Cow;

use crate::entity::{Dataset, DatasetInput, Tag};
use crate::error::{Error, Result};

/// Longest key of a metric, param or tag, in characters.
pub const KEY_CHARS_MAX: usize = 250;
/// Longest value of a param, in characters.
pub const PARAM_CHARS_MAX: usize = 6000;
/// Longest value of a run's tag, in characters.
pub const TAG_CHARS_MAX: usize = 8000;
/// Longest value of an experiment's tag, in characters.
pub const EXPERIMENT_TAG_CHARS_MAX: usize = 20_000;
/// Longest name of an experiment, in characters.
pub const EXPERIMENT_NAME_CHARS_MAX: usize = 500;
/// Longest artifact location of an experiment, in characters, unless `MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH` says another.
pub const ARTIFACT_LOCATION_CHARS_MAX: u32 = 2048;

/// Checks the key of a metric, param or tag.
///
/// # Errors
/// A key that is empty, too long, has a character other than letters, digits, `_ - . / :` and spaces, or is not a
/// clean relative path (`a//b`, `./a`, `../a`, `..a`, `/a`, `a/`).
///
/// ```
/// use runlog_core::validate::key;
///
/// assert!(key("valid/loss").is_ok());
/// assert!(key("loss*").unwrap_err().to_string().contains('*'));
/// ```
pub fn key(key: &str) -> Result<()> {
    let refuse = |why: String| Err(Error::invalid(why).with("key", format!("{key:?}")));
    if key.is_empty() {
        return refuse("a key must not be empty; give the metric, param or tag a name".to_owned());
    }
    if key.len() > KEY_CHARS_MAX && key.chars().count() > KEY_CHARS_MAX {
        return refuse(format!("a key must have at most {KEY_CHARS_MAX} characters; shorten it"));
    }
    if let Some(bad) = key.chars().find(|c| !is_key_char(*c)) {
        return refuse(format!(
            "a key must not contain {bad:?}; use letters, digits, underscores, dashes, periods, slashes, colons and \
             spaces"
        ));
    }
    // Whatever begins with two dots: MLflow's file store cannot even read a run that has such a metric.
    if key.starts_with("..") || key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refuse("a key with slashes must be a clean relative path, such as `valid/loss`".to_owned());
    }
    Ok(())
}

fn is_key_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ') || (c == ':' && !cfg!(windows))
}

/// Checks the name of an experiment.
///
/// # Errors
/// A name that is empty or too long.
pub fn experiment_name(name: &str) -> Result<()> {
    if name.trim().is_empty() {
        return Err(Error::invalid("an experiment's name must not be empty; give it one, such as `vision`"));
    }
    if name.chars().count() > EXPERIMENT_NAME_CHARS_MAX {
        return Err(Error::invalid(format!(
            "an experiment's name must have at most {EXPERIMENT_NAME_CHARS_MAX} characters; shorten it"
        )));
    }
    Ok(())
}

/// Checks a tag of an experiment. Unlike a run's, its value is never cut, as in MLflow.
///
/// # Errors
/// A key that [`key`] refuses, or a value that is too long.
pub fn experiment_tag(tag: &Tag) -> Result<()> {
    key(&tag.key)?;
    let characters = tag.value.chars().count();
    if characters > EXPERIMENT_TAG_CHARS_MAX {
        return Err(Error::invalid(format!(
            "the value of an experiment's tag must have at most {EXPERIMENT_TAG_CHARS_MAX} characters; shorten it"
        ))
        .with("key", &tag.key)
        .with("characters", characters));
    }
    Ok(())
}

/// Checks the time of a point, in milliseconds since the Unix epoch.
///
/// # Errors
/// A time before 1970.
pub fn timestamp(timestamp: i64) -> Result<()> {
    if timestamp >= 0 {
        return Ok(());
    }
    Err(Error::invalid("a point's time must not be negative; give milliseconds since 1970")
        .with("timestamp", timestamp))
}

/// Checks the id of a run that a user gave.
///
/// # Errors
/// Anything but 1 to 256 letters, digits, `_` and `-`, beginning with a letter or digit.
pub fn run_id(id: &str) -> Result<()> {
    let clean = id.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    if clean && id.starts_with(|c: char| c.is_ascii_alphanumeric()) && id.chars().count() <= 256 {
        return Ok(());
    }
    Err(Error::invalid("not a run id; copy it from `runlog list` or the run's page")
        .with("run_id", format!("{id:?}")))
}

/// Checks the name of a logged model.
///
/// # Errors
/// A name that is empty or has one of `/ : . % " '`.
pub fn model_name(name: &str) -> Result<()> {
    if name.is_empty() || name.contains(['/', ':', '.', '%', '"', '\'']) {
        return Err(Error::invalid("a model's name must not be empty nor contain any of / : . % \" '")
            .with("name", format!("{name:?}")));
    }
    Ok(())
}

/// Checks what is said of a dataset and its use by a run.
///
/// # Errors
/// A text that is longer than MLflow stores it, and an empty name or digest.
pub fn dataset_input(input: &DatasetInput) -> Result<()> {
    let Dataset { name, digest, source_type: _, source, schema, profile } = &input.dataset;
    let of_dataset = [
        ("name", Some(name), 500),
        ("digest", Some(digest), 36),
        ("source", Some(source), 65_535),
        ("schema", schema.as_ref(), 1_048_575),
        ("profile", profile.as_ref(), 16_777_215),
    ];
    for (what, text, chars_max) in of_dataset {
        text.map_or(Ok(()), |text| at_most("a dataset's", what, text, chars_max))?;
    }
    if name.is_empty() || digest.is_empty() {
        return Err(Error::invalid("a dataset needs a name and a digest"));
    }
    for (key, value) in &input.tags {
        at_most("the key of", "a dataset's tag", key, 255)?;
        at_most("the value of", "a dataset's tag", value, 500)?;
    }
    Ok(())
}

fn at_most(whose: &str, what: &str, text: &str, chars_max: usize) -> Result<()> {
    if text.len() > chars_max && text.chars().count() > chars_max {
        return Err(Error::invalid(format!("{whose} {what} must have at most {chars_max} characters")));
    }
    Ok(())
}

/// `value`, cut to `chars_max` characters if it is longer and `truncate` is set.
///
/// # Errors
/// A longer value, if `truncate` is not set.
pub fn fit(value: &str, chars_max: usize, truncate: bool) -> Result<Cow<'_, str>> {
    if value.len() <= chars_max {
        return Ok(Cow::Borrowed(value));
    }
    match value.char_indices().nth(chars_max) {
        None => Ok(Cow::Borrowed(value)),
        Some((end, _)) if truncate => Ok(Cow::Borrowed(&value[..end])),
        Some(_) => Err(Error::invalid(format!(
            "a value must have at most {chars_max} characters; shorten it, log it as a text artifact, or unset \
             MLFLOW_TRUNCATE_LONG_VALUES to have it cut"
        ))
        .with("characters", value.chars().count())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mlflows_keys_are_accepted_and_others_say_why() {
        for good in
            ["loss", "a/b.c-d_e f", "é", " lead", "k:v", ".a", "a/..b", &"x".repeat(250), &"é".repeat(250)]
        {
            assert!(key(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a\tb",
            "a*",
            "@",
            "a//b",
            "./a",
            "..",
            "...",
            "..a",
            "/a",
            "a/",
            "a/../b",
            "nl\n",
            &"x".repeat(251),
        ] {
            assert!(key(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn long_values_are_cut_by_characters_or_refused() {
        assert_eq!(fit("ééé", 2, true).unwrap(), "éé");
        assert_eq!(fit("ééé", 3, false).unwrap(), "ééé");
        assert!(fit("ééé", 2, false).is_err());
    }

    #[test]
    fn datasets_are_as_long_as_mlflow_stores_them() {
        let input = DatasetInput::from(Dataset::new("é".repeat(500), "0".repeat(36)));
        let mut input = input.tag("k", "v".repeat(500));
        assert!(dataset_input(&input).is_ok());
        input.dataset.schema = Some("x".repeat(1_048_576));
        assert!(dataset_input(&input).unwrap_err().to_string().contains("schema"));
        assert!(dataset_input(&Dataset::new("", "0").into()).is_err());
        assert!(
            dataset_input(&DatasetInput::from(Dataset::new("n", "0")).tag("k", "v".repeat(501))).is_err()
        );
    }

    #[test]
    fn an_experiments_tag_is_refused_and_not_cut() {
        assert!(experiment_tag(&Tag::new("k", "é".repeat(20_000))).is_ok());
        let error = experiment_tag(&Tag::new("k", "é".repeat(20_001))).unwrap_err();
        assert!(error.to_string().contains("20001"), "{error}");
        assert!(experiment_tag(&Tag::new("k*", "v")).is_err());
    }

    #[test]
    fn run_ids_are_mlflows() {
        for good in ["0123456789abcdef0123456789abcdef", "a-b_c", "1"] {
            assert!(run_id(good).is_ok());
        }
        for bad in ["", "-a", "a/b", "a b", &"x".repeat(257)] {
            assert!(run_id(bad).is_err());
        }
    }
}
