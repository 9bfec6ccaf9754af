//! Values that are logged as a file: JSON, or YAML where the file's name asks for it; and read from one.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use super::yaml;
use crate::error::{Error, ErrorKind, Result};
use crate::flatten::{python_float, python_float32};
use crate::json;

/// The text that MLflow's `log_dict` writes for `value` into a file of this name.
///
/// `.yml` and `.yaml` give YAML with sorted keys; every other name gives JSON in the order of the fields. Both are
/// indented by two and in ASCII. A float that is not finite is `null`: MLflow's bare `NaN` is no JSON.
///
/// # Errors
/// A value that JSON cannot hold, such as a map whose keys are lists.
///
/// ```
/// use runlog_core::artifact::dict_text;
///
/// let value = serde_json::json!({"b": 1, "a": "é"});
/// assert_eq!(dict_text(&value, "x.json")?, "{\n  \"b\": 1,\n  \"a\": \"\\u00e9\"\n}");
/// assert_eq!(dict_text(&value, "x.yaml")?, "a: \"\\xE9\"\nb: 1\n");
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn dict_text<T: Serialize + ?Sized>(value: &T, artifact_file: &str) -> Result<String> {
    if is_yaml(artifact_file) { yaml_text(value) } else { json_text(value) }
}

/// What is written in the text of a file of this name: YAML if it ends in `.yml` or `.yaml`, JSON otherwise.
///
/// Where Python wrote `NaN` or `Infinity` into JSON, `null` is read: Rust's `Option<f64>` takes it, and `f64` does not.
///
/// # Errors
/// `Corrupt` if the text is not that, or not a `T`.
///
/// ```
/// use runlog_core::artifact::parse_dict;
///
/// let layers: Vec<u32> = parse_dict("- 32\n- 16\n", "layers.yaml")?;
/// assert_eq!(layers, [32, 16]);
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn parse_dict<T: DeserializeOwned>(text: &str, artifact_file: &str) -> Result<T> {
    let wrong = |format, cause: String| {
        Error::new(ErrorKind::Corrupt, format!("the artifact is not the {format} that is asked for: {cause}"))
            .with("artifact", artifact_file)
    };
    if is_yaml(artifact_file) {
        serde_saphyr::from_str(text).map_err(|cause| wrong("YAML", cause.to_string()))
    } else {
        json::from_python(text).map_err(|cause| wrong("JSON", cause.to_string()).because(cause))
    }
}

fn is_yaml(artifact_file: &str) -> bool {
    Path::new(artifact_file).extension().is_some_and(|end| end == "yml" || end == "yaml")
}

fn refused(cause: serde_json::Error) -> Error {
    Error::invalid(format!("the value cannot be written as a file: {cause}")).because(cause)
}

fn yaml_text<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    // A value refuses integers of more than 64 bits; a text tells which float is an `f32`, and needs no more digits.
    serde_json::to_value(value).map_err(refused)?;
    let mut value: Value = serde_json::from_str(&json_text(value)?).map_err(refused)?;
    value.sort_all_objects();
    Ok(yaml::document(&value))
}

fn json_text<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    let mut text = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut text, Indented::default())).map_err(refused)?;
    String::from_utf8(text)
        .map_err(|cause| Error::new(ErrorKind::Unexpected, "the JSON is not text").because(cause))
}

/// Python's `json.dumps` with an indent of two.
#[derive(Default)]
struct Indented(PrettyFormatter<'static>);

/// Passes the layout on to the formatter inside.
macro_rules! layout {
    ($($method:ident($($argument:ident: $type:ty)?)),* $(,)?) => {
        $(fn $method<W: io::Write + ?Sized>(&mut self, writer: &mut W $(, $argument: $type)?) -> io::Result<()> {
            self.0.$method(writer $(, $argument)?)
        })*
    };
}

impl Formatter for Indented {
    layout!(
        begin_array(),
        end_array(),
        begin_array_value(first: bool),
        end_array_value(),
        begin_object(),
        end_object(),
        begin_object_key(first: bool),
        begin_object_value(),
        end_object_value(),
    );

    fn write_f64<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(python_float(value).as_bytes())
    }

    fn write_f32<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        writer.write_all(python_float32(value).as_bytes())
    }

    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        json::write_ascii(writer, text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_what_python_writes() {
        let value = json!({"z": [1, 1e-5, null, true], "a": {"é😀": "\u{7f}\n"}, "e": [], "o": {}});
        assert_eq!(
            dict_text(&value, "d/x.json").unwrap(),
            r#"{
  "z": [
    1,
    1e-05,
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
            "a:\n  n: null\n  'on': 'yes'\nd: '2020-01-01'\nt: '12:30:45'\nz:\n- a: 2.5\n  b: 1\n"
        );
    }

    #[test]
    fn a_float_has_the_digits_of_its_type_in_both_formats() {
        let value = ([0.1_f32, 1e-5], 0.1, u64::MAX);
        let yaml = dict_text(&value, "x.yaml").unwrap();
        assert_eq!(yaml, "- - 0.1\n  - 1.0e-05\n- 0.1\n- 18446744073709551615\n");
        let json = "[\n  [\n    0.1,\n    1e-05\n  ],\n  0.1,\n  18446744073709551615\n]";
        assert_eq!(dict_text(&value, "x.json").unwrap(), json);
    }

    #[test]
    fn what_only_pythons_json_has_is_read_as_null() {
        let text = r#"{"NaN": NaN, "a": [Infinity, -Infinity, -1, "NaN \" -Infinity", NaN]}"#;
        assert_eq!(
            parse_dict::<Value>(text, "x.json").unwrap(),
            json!({"NaN": null, "a": [null, null, -1, "NaN \" -Infinity", null]})
        );
        for wrong in ["NaNa", "[Inf]", "--Infinity", "\"NaN", "{NaN: 1}", ""] {
            assert_eq!(
                parse_dict::<Value>(wrong, "x.json").unwrap_err().kind(),
                ErrorKind::Corrupt,
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_value_that_is_no_json_is_refused() {
        let value = std::collections::BTreeMap::from([(vec![1], 1)]);
        assert_eq!(dict_text(&value, "x.json").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(dict_text(&u128::MAX, "x.yaml").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(dict_text(&f64::NAN, "x.json").unwrap(), "null");
    }
}
