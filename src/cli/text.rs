//! Sizes, counts, sections and values of reports on a terminal; the rest is the core's.

use std::fmt::Write;

use runlog_core::terminal::grouped;
pub(super) use runlog_core::terminal::{number, plain, shortened, table};
use serde_json::Value;

/// A size in bytes as people read it.
pub(super) fn bytes(count: u64) -> String {
    let mut unit = 1_u64;
    for name in ["B", "kB", "MB", "GB"] {
        if count < unit * 1000 {
            let tenths = count / (unit / 10).max(1) % 10;
            let whole = count / unit;
            let digit = if unit > 1 && whole < 10 { format!(".{tenths}") } else { String::new() };
            return format!("{whole}{digit} {name}");
        }
        unit *= 1000;
    }
    format!("{} TB", count / unit)
}

/// Adds a heading and what belongs below it, unless there is nothing.
pub(super) fn section(text: &mut String, heading: &str, body: &str) {
    if !body.is_empty() {
        writeln!(text, "\n{heading}\n{}", body.trim_end_matches('\n')).ok();
    }
}

/// `1 record`, `1,234 records`; the name is that of one, and of several with a slash: `process/processes`.
pub(super) fn count(count: u64, name: &str) -> String {
    let digits = grouped(usize::try_from(count).unwrap_or(usize::MAX));
    let (one, many) =
        name.split_once('/').map_or((name, format!("{name}s")), |(one, many)| (one, many.to_owned()));
    if count == 1 { format!("{digits} {one}") } else { format!("{digits} {many}") }
}

/// A text or number on one line; nothing for what is not there.
pub(super) fn line(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    }
}

/// The elements of an array.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_named_so_and_several_otherwise() {
        for (number, name, shown) in [
            (1, "record", "1 record"),
            (1200, "record", "1,200 records"),
            (0, "process/processes", "0 processes"),
        ] {
            assert_eq!(count(number, name), shown);
        }
    }

    #[test]
    fn sizes_are_rounded_down() {
        for (count, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1590, "1.5 kB"),
            (15_900, "15 kB"),
            (2_000_000, "2.0 MB"),
            (5_000_000_000_000, "5 TB"),
        ] {
            assert_eq!(bytes(count), shown);
        }
    }
}
