//! Sizes and sections on a terminal; the rest is the core's.

use std::fmt::Write;

pub(super) use runlog_core::terminal::{number, plain, shortened, table};

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

#[cfg(test)]
mod tests {
    use super::*;

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
