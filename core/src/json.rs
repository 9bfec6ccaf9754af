//! JSON texts as Python's `json.dumps` writes them: `", "` and `": "` between items, only ASCII, Python's floats.
//!
//! MLflow stores such texts inside others (signatures, schemas, sources) and compares them as texts, so ours must be
//! the same to the byte.

use std::io::{self, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::ser::{Formatter, Serializer};

use crate::error::{Error, ErrorKind, Result};
use crate::flatten::{python_float, python_float32};

/// `value` as `json.dumps(value)` writes it.
///
/// # Errors
/// What the value's own `Serialize` refuses, and maps whose keys are not texts.
///
/// ```
/// let text = runlog_core::json::python_style(&("é", [1e-5, 2.0]))?;
/// assert_eq!(text, r#"["\u00e9", [1e-05, 2.0]]"#);
/// # Ok::<(), runlog_core::Error>(())
/// ```
pub fn python_style<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    let mut text = Vec::new();
    let refused = |cause| Error::invalid("cannot write the value as JSON").because(cause);
    value.serialize(&mut Serializer::with_formatter(&mut text, PythonStyle)).map_err(refused)?;
    String::from_utf8(text)
        .map_err(|cause| Error::new(ErrorKind::Unexpected, "the JSON is not text").because(cause))
}

/// What `json.dumps` wrote, where it wrote `NaN`, `Infinity` or `-Infinity` read as `null`: JSON has no such number.
pub(crate) fn from_python<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_str(text).or_else(|error| {
        let nulled = with_null_for_no_number(text);
        if nulled == text { Err(error) } else { serde_json::from_str(&nulled) }
    })
}

fn with_null_for_no_number(text: &str) -> String {
    let (mut nulled, mut rest) = (String::with_capacity(text.len()), text);
    // Up to where a string or one of the words begins.
    while let Some(start) = rest.find(['"', 'N', 'I', '-']) {
        nulled.push_str(&rest[..start]);
        rest = &rest[start..];
        if let Some(after) = ["NaN", "Infinity", "-Infinity"].iter().find_map(|word| rest.strip_prefix(word))
        {
            nulled.push_str("null");
            rest = after;
        } else {
            let end = if rest.starts_with('"') { string_bytes(rest) } else { 1 };
            nulled.push_str(&rest[..end]);
            rest = &rest[end..];
        }
    }
    nulled + rest
}

/// How long the string is that `text` begins with, its quotes included.
fn string_bytes(text: &str) -> usize {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((place, byte)) = bytes.next() {
        match byte {
            b'"' => return place + 1,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    text.len()
}

struct PythonStyle;

impl Formatter for PythonStyle {
    fn begin_array_value<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_f64<W: Write + ?Sized>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(python_float(value).as_bytes())
    }

    fn write_f32<W: Write + ?Sized>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        writer.write_all(python_float32(value).as_bytes())
    }

    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        write_ascii(writer, text)
    }
}

/// A part of a string that needs no escapes but for what is not printable ASCII; DEL counts as that, as in Python.
pub(crate) fn write_ascii<W: Write + ?Sized>(writer: &mut W, text: &str) -> io::Result<()> {
    for part in text.split_inclusive(|c| !matches!(c, ' '..='~')) {
        let last = part.chars().next_back().filter(|c| !matches!(c, ' '..='~'));
        writer.write_all(&part.as_bytes()[..part.len() - last.map_or(0, char::len_utf8)])?;
        for unit in last.iter().flat_map(|c| c.encode_utf16(&mut [0; 2]).to_vec()) {
            write!(writer, "\\u{unit:04x}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::python_style;

    #[test]
    fn texts_are_those_of_json_dumps() {
        for (value, expect) in [
            (json!({"a": [1, true, null], "b": {}}), r#"{"a": [1, true, null], "b": {}}"#),
            (json!("é😀\u{7f}\u{1}\n\"\\/"), "\"\\u00e9\\ud83d\\ude00\\u007f\\u0001\\n\\\"\\\\/\""),
            (json!([0.1, 1e16, -0.0, 1.0]), "[0.1, 1e+16, -0.0, 1.0]"),
            (json!([]), "[]"),
        ] {
            assert_eq!(python_style(&value).unwrap(), expect);
        }
    }
}
