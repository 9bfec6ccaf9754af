//! Cuts a filter or an order into tokens, as the SQL tokenizer that MLflow uses cuts them.
//!
//! Every character belongs to a token or is white space; text that fits no token becomes [`Kind::Other`], which the
//! parser refuses where it stands.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, an operator such as `LIKE`, or `AND`.
    Word,
    /// A name in backticks.
    Backticks,
    /// Text in single quotes.
    Single,
    /// Text, or a name, in double quotes.
    Double,
    /// Digits with an optional minus.
    Integer,
    /// A number with a point or an exponent.
    Real,
    /// Any of `< > = ! ~` in a row.
    Sign,
    Dot,
    Open,
    Close,
    Comma,
    Other,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// The byte at which it begins.
    pub(super) at: usize,
}

impl Token<'_> {
    /// The byte after its last one.
    pub(super) fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// What stands between the quotes.
    pub(super) fn unquoted(&self) -> &str {
        match self.kind {
            Kind::Backticks | Kind::Single | Kind::Double => &self.text[1..self.text.len() - 1],
            _ => self.text,
        }
    }

    /// Whether it is this word, in small or capital letters.
    pub(super) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }
}

/// Every token of `text`.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let ends = ['`', '\'', '"'].map(|quote| (quote, closings(text, quote)));
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (kind, length) = token(text, at, first, &ends);
        tokens.push(Token { kind, text: &text[at..at + length], at });
        at += length;
    }
    tokens
}

/// The token that begins at byte `at` with `first`, and how many bytes it has.
fn token(text: &str, at: usize, first: char, ends: &[(char, Vec<Option<usize>>); 3]) -> (Kind, usize) {
    let rest = &text[at..];
    if let Some((quote, closings)) = ends.iter().find(|(quote, _)| *quote == first) {
        let kind = match quote {
            '`' => Kind::Backticks,
            '\'' => Kind::Single,
            _ => Kind::Double,
        };
        return match closings.get(at + 1).copied().flatten() {
            Some(end) => (kind, end - at),
            None => (Kind::Other, 1),
        };
    }
    if let Some((kind, length)) = number(rest) {
        return (kind, length);
    }
    let run = |is_part: fn(char) -> bool| rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    match first {
        _ if is_word(first) => (Kind::Word, run(is_word)),
        '<' | '>' | '=' | '!' | '~' => (Kind::Sign, run(|c| matches!(c, '<' | '>' | '=' | '!' | '~'))),
        '.' => (Kind::Dot, 1),
        '(' => (Kind::Open, 1),
        ')' => (Kind::Close, 1),
        ',' => (Kind::Comma, 1),
        _ => (Kind::Other, first.len_utf8()),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// For each byte after an opening `quote`, where a text that has come so far ends; `None` if it never does.
///
/// A doubled quote is part of the text, and so is one after a backslash, unless nothing would close the text then.
fn closings(text: &str, quote: char) -> Vec<Option<usize>> {
    let bytes = text.as_bytes();
    let mut ends = vec![None; bytes.len() + 2];
    if !text.contains(quote) {
        return ends;
    }
    let quote = u32::from(quote).to_le_bytes()[0];
    for at in (0..bytes.len()).rev() {
        let is_pair = bytes.get(at + 1) == Some(&quote)
            && (bytes[at] == quote || (bytes[at] == b'\\' && quote != b'`'));
        let paired = if is_pair { ends[at + 2] } else { None };
        ends[at] = match bytes[at] {
            _ if paired.is_some() => paired,
            byte if byte == quote => Some(at + 1),
            _ => ends[at + 1],
        };
    }
    ends
}

/// The number that `text` begins with, and how many bytes it has.
///
/// A number does not end before a letter. As MLflow's tokenizer has it, it ends one digit earlier then, if it can: `12a`
/// is the number `1` and the word `2a`, and `1a` is a word.
fn number(text: &str) -> Option<(Kind, usize)> {
    let bytes = text.as_bytes();
    let digits =
        |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(sign);
    let point = sign + whole;
    let has_point = bytes.get(point) == Some(&b'.');
    let fraction = if has_point { digits(point + 1) } else { 0 };

    if whole > 0 {
        let mantissa = if fraction > 0 { point + 1 + fraction } else { point };
        if matches!(bytes.get(mantissa), Some(b'e' | b'E')) {
            let minus = usize::from(bytes.get(mantissa + 1) == Some(&b'-'));
            let exponent = digits(mantissa + 1 + minus);
            if exponent > 0 {
                return Some((Kind::Real, mantissa + 1 + minus + exponent));
            }
        }
    }
    // How far `count` digits from `from` may go, if at least `least` of them must stay.
    let bounded = |from: usize, count: usize, least: usize| {
        let glued = text[from + count..].starts_with(|c: char| c.is_alphabetic() || c == '_');
        let count = if glued { count.checked_sub(1)? } else { count };
        (count >= least).then_some(from + count)
    };
    if has_point && (whole > 0 || fraction > 0) {
        let least = usize::from(whole == 0);
        if let Some(end) = bounded(point + 1, fraction, least) {
            return Some((Kind::Real, end));
        }
    }
    if whole > 0 {
        return bounded(sign, whole, 1).map(|end| (Kind::Integer, end));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(Kind, &str)]) {
        let found: Vec<_> = tokens(text).iter().map(|token| (token.kind, token.text)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn names_signs_and_values_are_told_apart() {
        use Kind::{Backticks, Close, Comma, Dot, Double, Integer, Open, Other, Real, Sign, Single, Word};
        check("metrics.a>=-1.5", &[(Word, "metrics"), (Dot, "."), (Word, "a"), (Sign, ">="), (Real, "-1.5")]);
        check(
            "tags.`a b`!='x'",
            &[(Word, "tags"), (Dot, "."), (Backticks, "`a b`"), (Sign, "!="), (Single, "'x'")],
        );
        check("(\"a\",'b')", &[(Open, "("), (Double, "\"a\""), (Comma, ","), (Single, "'b'"), (Close, ")")]);
        check("ключ-1;", &[(Word, "ключ"), (Integer, "-1"), (Other, ";")]);
    }

    #[test]
    fn a_quote_closes_where_mlflow_closes_it() {
        use Kind::{Other, Single, Word};
        check("'it''s'", &[(Single, "'it''s'")]);
        check(r"'a\'b'", &[(Single, r"'a\'b'")]);
        check(r"'a\'", &[(Single, r"'a\'")]);
        check("'a''", &[(Single, "'a'"), (Other, "'")]);
        check("'open", &[(Other, "'"), (Word, "open")]);
    }

    #[test]
    fn numbers_end_where_mlflow_ends_them() {
        use Kind::{Dot, Integer, Real, Word};
        check("1.", &[(Real, "1.")]);
        check(".5", &[(Real, ".5")]);
        check("1e-3", &[(Real, "1e-3")]);
        check("1e", &[(Word, "1e")]);
        check("12a", &[(Integer, "1"), (Word, "2a")]);
        check("a.1b", &[(Word, "a"), (Dot, "."), (Word, "1b")]);
        check("a.12b", &[(Word, "a"), (Real, ".1"), (Word, "2b")]);
    }
}
