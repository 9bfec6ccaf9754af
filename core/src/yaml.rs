//! YAML in block style with sorted keys, as MLflow writes it, and read as MLflow means it.
//!
//! Python reads YAML 1.1, where `on`, `1_000`, `12:30` and all-digit ids are not texts, so every text that is not
//! plainly one is quoted.

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_saphyr::{DoubleQuoted, SingleQuoted};

use crate::error::{Error, ErrorKind, Result};

/// `value` as YAML.
///
/// # Errors
/// None that is known: every JSON value is YAML.
pub(crate) fn text(value: &Value) -> Result<String> {
    serde_saphyr::to_string(&Yaml(value))
        .map_err(|cause| Error::new(ErrorKind::Unexpected, "cannot write a value as YAML").because(cause))
}

/// What `text` says.
///
/// A plain scalar is the text it looks like where `T` has a text, whatever else YAML 1.2 would take it for.
///
/// # Errors
/// `Corrupt` for what is no YAML or no `T`.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_saphyr::from_str(text).map_err(|cause| {
        let cause = cause.without_snippet().to_string();
        Error::new(ErrorKind::Corrupt, format!("this is not the YAML that it should be: {cause}"))
    })
}

/// A JSON value that serialises with sorted keys and with quotes where Python needs them.
struct Yaml<'a>(&'a Value);

impl Serialize for Yaml<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) if is_plain(text) => serializer.serialize_str(text),
            Value::String(text) if text.contains(needs_escape) => DoubleQuoted(text).serialize(serializer),
            Value::String(text) => SingleQuoted(text).serialize(serializer),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Yaml)),
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().map(|(key, value)| (key, Yaml(value))).collect();
                fields.sort_by_key(|(key, _)| *key);
                serializer.collect_map(fields)
            }
            scalar => scalar.serialize(serializer),
        }
    }
}

/// Whether YAML 1.1 and 1.2 agree that the bare `text` is that text.
fn is_plain(text: &str) -> bool {
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null" | "nan" | "inf"
    );
    !word
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.'))
}

/// Whether quotes alone do not keep the character: a control, a line break of YAML 1.1, a byte order mark.
fn needs_escape(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_that_python_would_read_as_something_else_are_quoted() {
        for (text, expect) in [
            ("model.msgpack", "model.msgpack\n"),
            ("on", "'on'\n"),
            ("12:30", "'12:30'\n"),
            ("0123", "'0123'\n"),
            ("a: b #c", "'a: b #c'\n"),
            ("it's", "'it''s'\n"),
            ("", "''\n"),
            ("a\nb\t\u{2028}", "\"a\\nb\\t\\L\"\n"),
        ] {
            assert_eq!(super::text(&text.into()).unwrap(), expect);
        }
    }

    #[cfg(feature = "file")]
    #[test]
    fn every_text_comes_back() {
        use std::collections::BTreeMap;

        let long = "é".repeat(5000) + &" word".repeat(500);
        let texts = [
            "",
            " ",
            " a ",
            "a\nb\r\n\t",
            "~",
            "null",
            "1e3",
            "🦀 \u{85}\u{feff}",
            "- a",
            "'\"\\",
            "\u{0}",
            &long,
        ];
        for text in texts {
            let yaml = super::text(&json!({"key": text, "z": 1})).unwrap();
            let back: BTreeMap<String, String> = parse(&yaml).unwrap();
            assert_eq!(back["key"], text, "{yaml}");
        }
    }

    #[cfg(feature = "file")]
    #[test]
    fn what_python_leaves_unquoted_is_text() {
        use std::collections::BTreeMap;

        for text in ["1e3", "0o14", "12e03", "1.5", "true", "yes", "2020-01-01", "0x_", "Größe"] {
            let back: BTreeMap<String, String> = parse(&format!("key: {text}\n")).unwrap();
            assert_eq!(back["key"], text);
        }
        let folded: BTreeMap<String, String> = parse("key: 'it''s a\n\n  b c\n  d'\n").unwrap();
        assert_eq!(folded["key"], "it's a\nb c d");
    }
}
