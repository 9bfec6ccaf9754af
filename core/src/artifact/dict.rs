//! The text of a value that is logged as a file: JSON, or YAML where the file's name asks for it.

use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};

/// The text that MLflow's `log_dict` writes for `value` into a file of this name.
///
/// `.yml` and `.yaml` give YAML with sorted keys; every other name gives JSON in the order of the fields, in ASCII.
/// Both are indented by two. A float that is not finite is `null`: neither MLflow's bare `NaN` nor any other text is
/// JSON.
///
/// # Errors
/// A value that JSON cannot hold, such as a map whose keys are lists.
///
/// ```
/// use runlog_core::artifact::dict_text;
///
/// let value = serde_json::json!({"b": 1, "a": "é"});
/// assert_eq!(dict_text(&value, "x.json")?, "{\n  \"b\": 1,\n  \"a\": \"\\u00e9\"\n}");
/// assert_eq!(dict_text(&value, "x.yaml")?, "a: é\nb: 1\n");
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn dict_text<T: Serialize + ?Sized>(value: &T, artifact_file: &str) -> Result<String> {
    let yaml = Path::new(artifact_file).extension().is_some_and(|end| end == "yml" || end == "yaml");
    if yaml { yaml_text(value) } else { json_text(value) }
}

fn refused(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let cause = cause.into();
    Error::invalid(format!("the value cannot be written as a file: {cause}")).because(cause)
}

fn yaml_text<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    let mut value = serde_json::to_value(value).map_err(refused)?;
    value.sort_all_objects();
    serde_saphyr::to_string(&value).map_err(|cause| refused(cause.to_string()))
}

fn json_text<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    let pretty = serde_json::to_string_pretty(value).map_err(refused)?;
    // Outside of strings JSON is plain ASCII, so each other character is part of a string and may be escaped.
    let mut text = String::with_capacity(pretty.len());
    for c in pretty.chars() {
        if matches!(c, ' '..='~' | '\n') {
            text.push(c);
        } else {
            text.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_what_python_writes() {
        let value = json!({"z": [1, 2.5, null, true], "a": {"é😀": "\u{7f}\n"}, "e": [], "o": {}});
        assert_eq!(
            dict_text(&value, "d/x.json").unwrap(),
            r#"{
  "z": [
    1,
    2.5,
    null,
    true
  ],
  "a": {
    "\u00e9\ud83d\ude00": "\u007f\n"
  },
  "e": [],
  "o": {}
}"#
        );
    }

    #[test]
    fn yaml_is_sorted_in_blocks_and_keeps_texts_that_look_like_something_else() {
        let value = json!({"z": [{"b": 1, "a": 2.5}], "a": {"on": "yes", "n": null}, "d": "2020-01-01", "t": "12:30:45"});
        assert_eq!(
            dict_text(&value, "x.yml").unwrap(),
            "a:\n  \"n\": null\n  \"on\": \"yes\"\nd: \"2020-01-01\"\nt: \"12:30:45\"\nz:\n- a: 2.5\n  b: 1\n"
        );
    }

    #[test]
    fn a_value_that_is_no_json_is_refused() {
        let value = std::collections::BTreeMap::from([(vec![1], 1)]);
        assert_eq!(dict_text(&value, "x.json").unwrap_err().kind(), crate::ErrorKind::InvalidInput);
        assert_eq!(dict_text(&f64::NAN, "x.json").unwrap(), "null");
    }
}
