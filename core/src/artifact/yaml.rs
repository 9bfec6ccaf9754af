//! YAML as PyYAML writes it in its block style, with sorted keys: what MLflow's `log_dict` leaves in a `.yaml` file.
//!
//! Its rules for quoting and for folding lines are YAML 1.1's and its own: `yes` and `12:30:45` are no texts there, only
//! ASCII is written, and lines are folded at the first space after column 80.

use serde_json::Value;

use crate::flatten::python_float;

/// Where a line is folded, if there is a space.
const WIDTH: usize = 80;
const INDENT: usize = 2;
/// The longest key that is written before its colon on one line.
const SIMPLE_KEY_CHARS_MAX: usize = 122;

/// `value` as a document.
pub(super) fn document(value: &Value) -> String {
    let mut writer = Writer { text: String::new(), column: 0 };
    let plain = writer.node(value, None, Around::Document);
    if writer.column > 0 {
        writer.end_line();
    }
    // Only a plain text that stands alone could go on in the next line.
    if plain {
        writer.text.push_str("...\n");
    }
    writer.text
}

/// What a node stands in.
#[derive(Clone, Copy, PartialEq)]
enum Around {
    Document,
    Key,
    Value,
    Item,
}

/// How a text is written.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    Plain,
    Single,
    Double,
}

struct Writer {
    text: String,
    /// In characters.
    column: usize,
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.chars().count();
    }

    fn end_line(&mut self) {
        self.text.push('\n');
        self.column = 0;
    }

    /// Goes to `indent`, in a new line unless the line holds nothing else so far than `- ` up to there.
    fn go_to(&mut self, indent: usize) {
        if self.column > indent || (self.column == indent && !self.text.ends_with(' ') && indent > 0) {
            self.end_line();
        }
        while self.column < indent {
            self.put(" ");
        }
    }

    fn space(&mut self) {
        if self.column > 0 && !self.text.ends_with(' ') {
            self.put(" ");
        }
    }

    /// Writes a node; `indent` is the one of the collection around it. Returns whether it was written plain.
    fn node(&mut self, value: &Value, indent: Option<usize>, around: Around) -> bool {
        match value {
            Value::Array(items) if !items.is_empty() => {
                // A list under a key does not go deeper than the key.
                let indent = match indent {
                    None => 0,
                    Some(indent) if around == Around::Value => indent,
                    Some(indent) => indent + INDENT,
                };
                for item in items {
                    self.go_to(indent);
                    self.put("-");
                    self.node(item, Some(indent), Around::Item);
                }
                false
            }
            Value::Object(entries) if !entries.is_empty() => {
                let indent = indent.map_or(0, |indent| indent + INDENT);
                if around == Around::Item {
                    self.space();
                }
                for (key, value) in entries {
                    self.go_to(indent);
                    self.entry(key, value, indent);
                }
                false
            }
            Value::Array(_) => self.word("[]", false),
            Value::Object(_) => self.word("{}", false),
            Value::Null => self.word("null", true),
            Value::Bool(true) => self.word("true", true),
            Value::Bool(false) => self.word("false", true),
            Value::Number(number) => self.word(&number_text(number), true),
            Value::String(text) => self.scalar(text, indent, around) == Style::Plain,
        }
    }

    fn word(&mut self, word: &str, plain: bool) -> bool {
        self.space();
        self.put(word);
        plain
    }

    fn entry(&mut self, key: &str, value: &Value, indent: usize) {
        let shape = Shape::of(key);
        if !key.is_empty() && !shape.breaks && key.chars().count() <= SIMPLE_KEY_CHARS_MAX {
            self.scalar(key, Some(indent), Around::Key);
            self.put(":");
            self.node(value, Some(indent), Around::Value);
        } else {
            self.put("?");
            self.scalar(key, Some(indent), Around::Item);
            self.go_to_next(indent);
            self.put(":");
            // What follows stands as deep as an item: lists too.
            self.node(value, Some(indent), Around::Item);
        }
    }

    fn go_to_next(&mut self, indent: usize) {
        self.end_line();
        self.go_to(indent);
    }

    fn scalar(&mut self, text: &str, indent: Option<usize>, around: Around) -> Style {
        let shape = Shape::of(text);
        let is_key = around == Around::Key;
        let style = if shape.plain && !means_something_else(text) {
            Style::Plain
        } else if shape.single && !(is_key && shape.breaks) {
            Style::Single
        } else {
            Style::Double
        };
        if !is_key {
            self.space();
        }
        let chars: Vec<char> = text.chars().collect();
        let fold = Fold { indent: indent.map_or(INDENT, |indent| indent + INDENT), allowed: !is_key };
        match style {
            Style::Plain => self.plain(&chars, fold),
            Style::Single => self.single(&chars, fold),
            Style::Double => self.double(&chars, fold),
        }
        style
    }

    fn plain(&mut self, chars: &[char], fold: Fold) {
        for (place, run) in runs(chars) {
            let in_the_middle = place > 0 && place + run.len() < chars.len();
            if run == [' '] && in_the_middle && fold.allowed && self.column > WIDTH {
                self.go_to_next(fold.indent);
            } else {
                self.put(&run.iter().collect::<String>());
            }
        }
    }

    fn single(&mut self, chars: &[char], fold: Fold) {
        self.put("'");
        for (place, run) in runs(chars) {
            let in_the_middle = place > 0 && place + run.len() < chars.len();
            match run[0] {
                ' ' if run.len() == 1 && in_the_middle && fold.allowed && self.column > WIDTH => {
                    self.go_to_next(fold.indent);
                }
                '\n' => {
                    // One break by itself would be a space again.
                    for _ in 0..=run.len() {
                        self.end_line();
                    }
                    self.go_to(fold.indent);
                }
                _ => self.put(&run.iter().collect::<String>().replace('\'', "''")),
            }
        }
        self.put("'");
    }

    fn double(&mut self, chars: &[char], fold: Fold) {
        self.put("\"");
        // What is neither written nor escaped yet.
        let mut start = 0;
        for end in 0..=chars.len() {
            let current = chars.get(end).copied();
            if current.is_none_or(|c| !matches!(c, ' '..='~') || matches!(c, '"' | '\\')) {
                self.put(&chars[start.min(end)..end].iter().collect::<String>());
                start = end;
                if let Some(c) = current {
                    self.put(&escaped(c));
                    start = end + 1;
                }
            }
            if 0 < end
                && end + 1 < chars.len()
                && (current == Some(' ') || start >= end)
                && self.column + end > WIDTH + start
                && fold.allowed
            {
                self.put(&chars[start.min(end)..end].iter().collect::<String>());
                self.put("\\");
                start = start.max(end);
                self.go_to_next(fold.indent);
                if chars[start] == ' ' {
                    self.put("\\");
                }
            }
        }
        self.put("\"");
    }
}

/// Where folded lines go on.
#[derive(Clone, Copy)]
struct Fold {
    indent: usize,
    allowed: bool,
}

/// The text as runs of spaces, of breaks and of everything else, each with its place.
fn runs(chars: &[char]) -> impl Iterator<Item = (usize, &[char])> {
    let kind = |c: &char| match c {
        ' ' => 0,
        '\n' => 1,
        _ => 2,
    };
    let mut place = 0;
    chars.chunk_by(move |a, b| kind(a) == kind(b)).map(move |run| {
        let at = place;
        place += run.len();
        (at, run)
    })
}

fn escaped(c: char) -> String {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            let code = u32::from(c);
            return match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            };
        }
    };
    format!("\\{short}")
}

fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => {
            let text = python_float(value);
            // YAML 1.1 has no float without a point.
            if text.contains('.') { text } else { text.replace('e', ".0e") }
        }
        _ => number.to_string(),
    }
}

/// Which styles a text allows by its characters.
#[derive(Clone, Copy)]
struct Shape {
    plain: bool,
    single: bool,
    breaks: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let is_break = |c: char| matches!(c, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let is_white = |c: char| is_break(c) || matches!(c, ' ' | '\t' | '\r' | '\0');
        let chars: Vec<char> = text.chars().collect();
        let followed = |place: usize| chars.get(place + 1).is_none_or(|c| is_white(*c));
        let indicator = |(place, c): (usize, &char)| match (place, *c) {
            (
                0,
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
                | '`',
            ) => true,
            (0, '?' | '-') | (_, ':') => followed(place),
            (_, '#') => is_white(chars[place - 1]),
            _ => false,
        };
        let special = text.chars().any(|c| !matches!(c, '\n' | ' '..='~'));
        let breaks = text.chars().any(is_break);
        let edge = |c: &char| *c == ' ' || is_break(*c);
        let edges = chars.first().is_some_and(edge) || chars.last().is_some_and(edge);
        let space_then_break = text.contains(" \n");
        let break_then_space = text.contains("\n ");
        let marker = text.starts_with("---") || text.starts_with("...");
        Self {
            plain: !(marker || special || breaks || edges || chars.iter().enumerate().any(indicator)),
            single: !(special || space_then_break || break_then_space),
            breaks,
        }
    }
}

/// Whether a plain text would be read as something else: a boolean, a number, a time, nothing.
fn means_something_else(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "", "~", "null", "Null", "NULL", "yes", "Yes", "YES", "no", "No", "NO", "true", "True", "TRUE",
        "false", "False", "FALSE", "on", "On", "ON", "off", "Off", "OFF", "<<", "=", ".nan", ".NaN", ".NAN",
    ];
    WORDS.contains(&text) || is_number(text) || is_time(text)
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    let all =
        |text: &str, digit: fn(char) -> bool| !text.is_empty() && text.chars().all(|c| c == '_' || digit(c));
    if let Some(binary) = unsigned.strip_prefix("0b") {
        return all(binary, |c| matches!(c, '0' | '1'));
    }
    if let Some(hex) = unsigned.strip_prefix("0x") {
        return all(hex, |c| c.is_ascii_hexdigit());
    }
    let octal = |rest| all(rest, |c| matches!(c, '0'..='7'));
    if unsigned == "0" || unsigned.strip_prefix('0').is_some_and(octal) {
        return true;
    }
    let decimal =
        |text: &str| text.starts_with(|c: char| c.is_ascii_digit()) && all(text, |c| c.is_ascii_digit());
    if decimal(unsigned) && !unsigned.starts_with('0') {
        return true;
    }
    if let Some((whole, fraction)) = unsigned.split_once('.') {
        let (digits, exponent) =
            fraction.split_once(['e', 'E']).map_or((fraction, None), |(a, b)| (a, Some(b)));
        let exponent_fits = exponent.is_none_or(|exponent| {
            let digits = exponent.strip_prefix(['-', '+']);
            digits
                .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        });
        let starts_alone = whole.is_empty() && unsigned == text && decimal(digits);
        let fits = digits.is_empty() || all(digits, |c| c.is_ascii_digit());
        if exponent_fits && (starts_alone || (decimal(whole) && fits)) {
            return true;
        }
    }
    is_sexagesimal(unsigned)
}

/// `190:20:30` and `190:20:30.15`.
fn is_sexagesimal(unsigned: &str) -> bool {
    let (whole, fraction) = unsigned.split_once('.').map_or((unsigned, None), |(a, b)| (a, Some(b)));
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let starts = if fraction.is_some() { '0'..='9' } else { '1'..='9' };
    first.starts_with(|c| starts.contains(&c))
        && digits(first)
        && fraction.is_none_or(digits)
        && !rest.is_empty()
        && rest.iter().all(|part| match part.as_bytes() {
            [one] => one.is_ascii_digit(),
            [ten, one] => matches!(ten, b'0'..=b'5') && one.is_ascii_digit(),
            _ => false,
        })
}

/// `2001-12-14` and `2001-12-14 21:59:43.10 -5`.
fn is_time(text: &str) -> bool {
    let mut rest = text;
    let Some(lengths) = eat_numbers(&mut rest, '-', &[(4, 4), (1, 2), (1, 2)]) else { return false };
    if rest.is_empty() {
        return lengths == [4, 2, 2];
    }
    let separated = rest.strip_prefix(['T', 't']).unwrap_or_else(|| rest.trim_start_matches([' ', '\t']));
    if separated.len() == rest.len() {
        return false;
    }
    rest = separated;
    if eat_numbers(&mut rest, ':', &[(1, 2), (2, 2), (2, 2)]).is_none() {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    rest = if rest.trim_start_matches([' ', '\t']).is_empty() {
        rest
    } else {
        rest.trim_start_matches([' ', '\t'])
    };
    if let Some(zone) = rest.strip_prefix(['-', '+']) {
        rest = zone;
        let hours = eat_numbers(&mut rest, ':', &[(1, 2)]).is_some();
        let minutes = rest.strip_prefix(':').map(|minutes| {
            rest = minutes;
            eat_numbers(&mut rest, ':', &[(2, 2)]).is_some()
        });
        return hours && minutes != Some(false) && rest.is_empty();
    }
    rest.is_empty() || rest == "Z"
}

/// Takes numbers of so many digits, with `separator` between them; how many each had.
fn eat_numbers(rest: &mut &str, separator: char, digits: &[(usize, usize)]) -> Option<Vec<usize>> {
    let mut lengths = Vec::new();
    for (place, (min, max)) in digits.iter().enumerate() {
        if place > 0 {
            *rest = rest.strip_prefix(separator)?;
        }
        let length = rest.bytes().take(*max).take_while(u8::is_ascii_digit).count();
        if length < *min {
            return None;
        }
        *rest = &rest[length..];
        lengths.push(length);
    }
    Some(lengths)
}
