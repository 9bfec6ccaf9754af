//! Tables as JSON: the text that pandas writes with `orient="split"`, which MLflow stores.
//!
//! `{"columns":[…],"data":[[…],…]}` without spaces, in ASCII, `/` escaped. A column of numbers that has a float or a
//! hole is a column of floats. One thing differs: pandas keeps ten decimals of a float, and here one that needs more
//! digits than that keeps them all.

use std::fmt::Write as _;

use serde_json::{Number, Value};

use super::{Cells, Column, Table};
use crate::error::{Error, ErrorKind, Result};

/// The text of a table whose images are files already.
pub(super) fn text(table: &Table) -> String {
    let mut columns = Vec::new();
    for Column { name, cells } in &table.columns {
        if let Some(values) = cells.values() {
            columns.push((name.as_str(), values.as_slice(), is_of_floats(values)));
        }
    }
    let mut text = String::from("{\"columns\":[");
    for (place, (name, ..)) in columns.iter().enumerate() {
        comma(&mut text, place);
        string(&mut text, name);
    }
    text.push_str("],\"data\":[");
    for row in 0..table.rows {
        comma(&mut text, row);
        text.push('[');
        for (place, (_, values, floats)) in columns.iter().enumerate() {
            comma(&mut text, place);
            value(&mut text, &values[row], *floats);
        }
        text.push(']');
    }
    text.push_str("]}");
    text
}

/// The table in a text of this form.
pub(super) fn parse(text: &str) -> Result<Table> {
    let wrong =
        |why: &str| Error::new(ErrorKind::Corrupt, format!("the artifact is not a table of MLflow: {why}"));
    let mut split: Value =
        serde_json::from_str(text).map_err(|cause| wrong(&cause.to_string()).because(cause))?;
    let mut part = |name: &str| match split.get_mut(name).map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        _ => Err(wrong(&format!("it has no list `{name}`"))),
    };
    let (names, data) = (part("columns")?, part("data")?);
    let name = |value: Value| if let Value::String(name) = value { name } else { value.to_string() };
    let mut columns: Vec<(String, Vec<Value>)> =
        names.into_iter().map(|value| (name(value), Vec::with_capacity(data.len()))).collect();
    let rows = data.len();
    for row in data {
        let Value::Array(cells) = row else { return Err(wrong("a row is no list")) };
        if cells.len() != columns.len() {
            return Err(wrong("a row is not as long as the list of columns"));
        }
        for ((_, values), cell) in columns.iter_mut().zip(cells) {
            values.push(cell);
        }
    }
    let column = |(name, values)| Column { name, cells: Cells::Values(values) };
    Ok(Table { columns: columns.into_iter().map(column).collect(), rows, wrong: None })
}

/// Whether pandas would keep these values as floats, and would lose nothing by it.
fn is_of_floats(values: &[Value]) -> bool {
    const EXACT_MAX: u64 = 1 << 53;
    let number = |value: &Value| match value {
        Value::Null => true,
        Value::Number(number) if number.is_f64() => true,
        Value::Number(number) => {
            number.as_i64().map(i64::unsigned_abs).or(number.as_u64()).is_some_and(|size| size <= EXACT_MAX)
        }
        _ => false,
    };
    let float_or_hole = |value: &Value| value.is_null() || value.is_f64();
    values.iter().all(number) && values.iter().any(float_or_hole)
}

fn comma(text: &mut String, place: usize) {
    if place > 0 {
        text.push(',');
    }
}

fn value(text: &mut String, value: &Value, as_float: bool) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => text.push_str(&number_text(number, as_float)),
        Value::String(content) => string(text, content),
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                comma(text, place);
                self::value(text, item, false);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            text.push('{');
            for (place, (name, field)) in fields.iter().enumerate() {
                comma(text, place);
                string(text, name);
                text.push(':');
                self::value(text, field, false);
            }
            text.push('}');
        }
    }
}

fn number_text(number: &Number, as_float: bool) -> String {
    match number.as_f64() {
        Some(float) if as_float || number.is_f64() => float_text(float),
        _ => number.to_string(),
    }
}

/// A float as pandas writes it, if that is the same number; else with all its digits.
fn float_text(float: f64) -> String {
    /// From here on pandas writes powers of ten.
    const PLAIN_MAX: f64 = 1e16;
    let text = if float.abs() > PLAIN_MAX {
        power_of_ten(&format!("{float:.9e}"))
    } else {
        let fixed = format!("{float:.10}");
        let short = fixed.trim_end_matches('0');
        let point = if short.ends_with('.') { "0" } else { "" };
        format!("{short}{point}")
    };
    let same = text.parse::<f64>().is_ok_and(|parsed| parsed.to_bits() == float.to_bits() || float == 0.0);
    match same {
        true if text == "-0.0" => "0.0".to_owned(),
        true => text,
        false if (1e-5..=PLAIN_MAX).contains(&float.abs()) => float.to_string(),
        false => power_of_ten(&format!("{float:e}")),
    }
}

/// `1.5000e20` as `1.5e+20`.
fn power_of_ten(scientific: &str) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let mantissa =
        if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    match exponent.strip_prefix('-') {
        Some(exponent) => format!("{mantissa}e-{exponent:0>2}"),
        None => format!("{mantissa}e+{exponent:0>2}"),
    }
}

fn string(text: &mut String, content: &str) {
    text.push('"');
    for c in content.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '/' => text.push_str("\\/"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            ' '..='\u{7f}' => text.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // A `String` takes everything.
                    write!(text, "\\u{unit:04x}").ok();
                }
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The expectations are pandas' own output.
    #[test]
    fn the_text_is_that_of_pandas() {
        let table = Table::new()
            .column("a", [1, 2])
            .column("b", [Some("x/y"), None])
            .column("c", [1.0, 0.1])
            .column("d", [true, false]);
        assert_eq!(
            text(&table),
            r#"{"columns":["a","b","c","d"],"data":[[1,"x\/y",1.0,true],[2,null,0.1,false]]}"#
        );
        let table = Table::new()
            .column("a", [Some(1), None])
            .column("b", [Some(true), None])
            .column("d", [1e20, 1e16])
            .column("e", [1e15, 123_456_789.123_456_79])
            .column("f", [-0.0, 1e-5])
            .column("g", [f64::INFINITY, f64::NAN])
            .column("big", [1_u64 << 63, 1])
            .column("id", [Some((1_u64 << 53) + 1), None])
            .column("mixed", [json!(1), json!("a")]);
        assert_eq!(
            text(&table),
            r#"{"columns":["a","b","d","e","f","g","big","id","mixed"],"data":[[1.0,true,1e+20,1000000000000000.0,0.0,null,9223372036854775808,9007199254740993,1],[null,null,10000000000000000.0,123456789.123456791,0.00001,null,1,null,"a"]]}"#
        );
        let table = Table::new()
            .column("u", ["é😀\u{7f}\u{1}\n\t\"\\/\u{2028}", "<>&'"])
            .column("l", [json!([1, 2.5, null]), json!({"a": 1, "b": [true]})]);
        assert_eq!(
            text(&table),
            "{\"columns\":[\"u\",\"l\"],\"data\":[[\"\\u00e9\\ud83d\\ude00\u{7f}\\u0001\\n\\t\\\"\\\\\\/\\u2028\",[1,2.5,null]],[\"<>&'\",{\"a\":1,\"b\":[true]}]]}"
        );
        assert_eq!(text(&Table::new()), r#"{"columns":[],"data":[]}"#);
        assert_eq!(text(&Table::new().column("a", [0; 0])), r#"{"columns":["a"],"data":[]}"#);
    }

    #[test]
    fn a_float_loses_no_digits() {
        for (float, expect) in [
            (1.0 / 3.0, "0.3333333333333333"),
            (1e-12, "1e-12"),
            (1.5e-7, "0.00000015"),
            (1.234_567_891e-5, "0.00001234567891"),
            (100_000_000_000_000.5, "100000000000000.5"),
            (1.234_567_890_123_456_7e30, "1.2345678901234567e+30"),
            (1e300, "1e+300"),
            (-1.5, "-1.5"),
            (4.35, "4.35"),
        ] {
            assert_eq!(float_text(float), expect);
            assert!((expect.parse::<f64>().unwrap() - float).abs() <= 0.0);
        }
    }

    #[test]
    fn a_table_is_read_back_as_it_was_written() {
        let table =
            Table::new().column("a/b", [json!([1, "x"]), json!(null)]).column("n", [1.0 / 3.0, 1e-300]);
        assert_eq!(parse(&text(&table)).unwrap(), table);
        assert_eq!(
            parse(r#"{"columns":[0],"index":[0],"data":[[1]]}"#).unwrap(),
            Table::new().column("0", [1])
        );
        for bad in [
            "",
            "[]",
            r#"{"columns":[]}"#,
            r#"{"columns":["a"],"data":[[1,2]]}"#,
            r#"{"columns":["a"],"data":[1]}"#,
        ] {
            assert_eq!(parse(bad).unwrap_err().kind(), ErrorKind::Corrupt, "{bad}");
        }
    }
}
