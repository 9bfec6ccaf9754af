//! Numbers, columns and foreign texts on a terminal.

/// A table whose columns are as wide as they must be, each line after `indent` spaces.
///
/// The columns named in `right` are flush right; the last column is never padded.
pub fn table(rows: &[Vec<String>], indent: usize, right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| chars(cell)).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = " ".repeat(indent);
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[column].saturating_sub(chars(cell)));
            let (before, after) =
                if right.contains(&column) { (padding.as_str(), "") } else { ("", padding.as_str()) };
            line.extend([before, cell, after, "  "]);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn chars(cell: &str) -> usize {
    cell.chars().count()
}

/// A text from the store on one line: a control character in it must not command the terminal.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    plain
}

/// At most `chars_max` characters of a text, with `…` for the rest.
pub fn shortened(text: &str, chars_max: usize) -> String {
    if chars(text) <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

/// A metric's value with five significant digits; what stands before the point is never cut.
pub fn number(value: f64) -> String {
    let size = value.abs();
    // SQL stores keep infinity as the greatest number.
    if size >= f64::MAX {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if (1e4..1e15).contains(&size) {
        let tenths = format!("{value:.1}");
        return tenths.trim_end_matches(".0").to_owned();
    }
    let rounded = format!("{value:.4e}").parse().unwrap_or(value);
    if size > 0.0 && !(1e-4..1e15).contains(&size) { format!("{rounded:e}") } else { rounded.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, shown) in [
            (0.25, "0.25"),
            (0.123_456_789, "0.12346"),
            (12.345_678, "12.346"),
            (123_456.78, "123456.8"),
            (60_000.0, "60000"),
            (3.0, "3"),
            (0.0, "0"),
            (-0.5, "-0.5"),
            (1e-5, "1e-5"),
            (f64::MAX, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "NaN"),
            (1e300, "1e300"),
        ] {
            assert_eq!(number(value), shown);
        }
    }

    #[test]
    fn columns_line_up_and_lines_have_no_trailing_space() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["é", "1", "x"]), row(["long", "22", ""])];
        assert_eq!(table(&rows, 1, &[1]), " é      1  x\n long  22\n");
    }

    #[test]
    fn foreign_text_cannot_command_the_terminal() {
        assert_eq!(plain("a\n\u{1b}[2Jé"), "a\\n\\u{1b}[2Jé");
        assert_eq!(shortened("abcdef", 4), "abc…");
        assert_eq!(shortened("abcd", 4), "abcd");
    }
}
