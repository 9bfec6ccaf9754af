//! Numbers, columns and foreign texts on a terminal.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr};

/// A table whose columns are as wide as they must be, each line after `indent` spaces.
///
/// The columns named in `right` are flush right; the last column is never padded.
pub fn table(rows: &[Vec<String>], indent: usize, right: &[usize]) -> String {
    let widths = widths(rows);
    let mut text = String::new();
    for row in rows {
        let mut line = " ".repeat(indent);
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[column].saturating_sub(cells(cell)));
            let (before, after) =
                if right.contains(&column) { (padding.as_str(), "") } else { ("", padding.as_str()) };
            line.extend([before, cell, after, "  "]);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A [`table`] whose first row is underlined.
pub fn headed_table(mut rows: Vec<Vec<String>>, right: &[usize]) -> String {
    let line = widths(&rows).into_iter().map(|width| "-".repeat(width)).collect();
    rows.insert(rows.len().min(1), line);
    table(&rows, 0, right)
}

/// The cells that each column takes.
fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cells(cell)).max();
    (0..columns).map(|column| width(column).unwrap_or(0)).collect()
}

/// A count with its digits in threes: `1,234,567`.
pub fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many cells of the terminal a text takes: two for each ideograph and emoji, none for an accent by itself.
pub fn cells(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// A text from the store on one line: a character in it that controls the terminal, or the direction of what it writes,
/// must not do so.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    plain
}

/// A text in at most `cells_max` cells of the terminal, with `…` for the rest.
pub fn shortened(text: &str, cells_max: usize) -> String {
    if cells(text) <= cells_max {
        return text.to_owned();
    }
    let mut left = cells_max.saturating_sub(1);
    let fits = |c: &char| {
        let rest = left.checked_sub(c.width().unwrap_or(0));
        left = rest.unwrap_or(left);
        rest.is_some()
    };
    text.chars().take_while(fits).chain(['…']).collect()
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
        let rows = [row(["学習", "e\u{301}", "x"]), row(["🦀", "ab", "y"])];
        assert_eq!(table(&rows, 0, &[1]), "学習   e\u{301}  x\n🦀    ab  y\n");
    }

    #[test]
    fn foreign_text_cannot_command_the_terminal() {
        assert_eq!(plain("a\n\u{1b}[2Jé"), "a\\n\\u{1b}[2Jé");
        assert_eq!(plain("a\u{202e}cba\u{2069}"), "a\\u{202e}cba\\u{2069}");
        assert_eq!(shortened("abcdef", 4), "abc…");
        assert_eq!(shortened("学習率", 5), "学習…");
        assert_eq!(shortened("学習率", 4), "学…");
        assert_eq!(shortened("学習", 4), "学習");
        assert_eq!(shortened("abcd", 4), "abcd");
    }
}
