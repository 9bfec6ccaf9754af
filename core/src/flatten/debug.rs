//! The way in for types without `Serialize`: the text of a derived `Debug`, plain or alternate (`{:#?}`).
//!
//! It never fails and never panics: what it does not understand stays as text. The text does not tell a struct from a
//! variant with fields, nor a newtype from a variant with one item, so names before `{` are dropped, and names before
//! `(` are kept where only scalars follow.

use std::iter::Peekable;
use std::str::Chars;

use super::{Items, Tree, bool_text, python};

/// Deeper nesting is kept as text, so that no text can exhaust the stack.
const DEPTH_MAX: usize = 64;

/// The settings in the `Debug` text of a value, as [`flatten`](super::flatten) would give them.
///
/// ```
/// #[derive(Debug)]
/// enum Kernel { Gaussian(f64) }
/// #[derive(Debug)]
/// struct Svm { eps: f64, kernel: Kernel }
///
/// let svm = Svm { eps: 1e-7, kernel: Kernel::Gaussian(80.0) };
/// let pairs = runlog_core::flatten::from_debug(&format!("{svm:?}"));
/// assert_eq!(pairs[0], ("eps".to_owned(), "1e-07".to_owned()));
/// assert_eq!(pairs[1], ("kernel".to_owned(), "Gaussian(80.0)".to_owned()));
/// ```
pub fn from_debug(text: &str) -> Vec<(String, String)> {
    Parser { rest: text.chars().peekable() }.value(0).pairs_under("")
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Tree {
        self.skip_space();
        if depth == DEPTH_MAX {
            return scalar(self.word_until(|c| matches!(c, ',' | ')' | ']' | '}')));
        }
        match self.rest.peek() {
            Some('"') => Tree::Quoted(self.quoted('"')),
            Some('\'') => Tree::Quoted(self.quoted('\'')),
            Some('[') => Tree::Sequence(self.items(']', depth)),
            Some('(') => match self.items(')', depth) {
                items if items.count == 0 => Tree::Text("None".to_owned()),
                items => Tree::Sequence(items),
            },
            Some('{') => self.map(depth),
            _ => self.named(depth),
        }
    }

    /// A number or a word, and what belongs to it: `Name`, `Name(…)`, `Name { … }`.
    fn named(&mut self, depth: usize) -> Tree {
        let name = self.word_until(|c| matches!(c, ',' | ':' | '(' | '[' | '{' | ')' | ']' | '}' | '='));
        match self.rest.peek() {
            Some('{') => {
                self.rest.next();
                self.fields(depth)
            }
            Some('(') => {
                let items = self.items(')', depth);
                match items.first.as_slice() {
                    [only] if name == "Some" || *only == Tree::Absent || !only.is_scalar() => only.clone(),
                    _ => Tree::Tuple(name, items.first),
                }
            }
            // `shape=[2, 2]`, a path, or text of a hand-written `Debug`: no structure that could be told.
            Some(':' | '=' | '[') => Tree::Text(name + &self.remainder()),
            _ => scalar(name),
        }
    }

    /// `field: value` up to the closing brace, which is taken.
    fn fields(&mut self, depth: usize) -> Tree {
        let mut fields = Vec::new();
        while self.more('}') {
            let key = self.word_until(|c| matches!(c, ',' | ':' | '(' | '[' | '{' | '}' | '=' | '"'));
            if self.rest.next_if_eq(&':').is_some() {
                fields.push((key, self.value(depth + 1)));
            }
            // Also passes over `..`, and over what an array of `ndarray` adds behind itself.
            self.remainder();
        }
        // A struct that shows no field, `Rng { .. }`, has nothing to record.
        if fields.is_empty() { Tree::Absent } else { Tree::Fields(None, fields) }
    }

    /// `{key: value}` or `{item}`.
    fn map(&mut self, depth: usize) -> Tree {
        self.rest.next();
        let (mut entries, mut items) = (Vec::new(), Items::default());
        while self.more('}') {
            let item = self.value_or_key(depth + 1);
            self.skip_space();
            if self.rest.next_if_eq(&':').is_some() {
                entries.push((item.text(), self.value(depth + 1)));
            } else {
                items.push(item);
            }
            self.remainder();
        }
        if entries.is_empty() && items.count > 0 {
            return Tree::Sequence(items);
        }
        entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        Tree::Fields(None, entries)
    }

    /// A value that may stand before a colon.
    fn value_or_key(&mut self, depth: usize) -> Tree {
        self.skip_space();
        if self.rest.peek().is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '_')) {
            let word = self.word_until(|c| matches!(c, ',' | ':' | '(' | '[' | '{' | '}' | '='));
            return match self.rest.peek() {
                Some('(' | '[' | '{' | '=') => Tree::Text(word + &self.remainder_until_colon()),
                _ => scalar(word),
            };
        }
        self.value(depth)
    }

    /// The items between the bracket that comes next and `closing`, which is taken.
    fn items(&mut self, closing: char, depth: usize) -> Items {
        self.rest.next();
        let mut items = Items::default();
        while self.more(closing) {
            items.push(self.value(depth + 1));
            self.remainder();
        }
        items
    }

    /// Whether another item follows; takes the comma before it, or `closing`.
    fn more(&mut self, closing: char) -> bool {
        loop {
            self.skip_space();
            match self.rest.peek() {
                None => return false,
                Some(',') => {
                    self.rest.next();
                }
                Some(c) if *c == closing => {
                    self.rest.next();
                    return false;
                }
                // A bracket that closes something else: the text is not balanced, and would never be used up.
                Some(')' | ']' | '}') => {
                    self.rest.next();
                }
                Some(_) => return true,
            }
        }
    }

    /// The rest of this item: up to a comma or a closing bracket of its own level, which stays.
    fn remainder(&mut self) -> String {
        self.balanced(false)
    }

    fn remainder_until_colon(&mut self) -> String {
        self.balanced(true)
    }

    fn balanced(&mut self, stop_at_colon: bool) -> String {
        let mut taken = String::new();
        let mut open = 0_usize;
        while let Some(&c) = self.rest.peek() {
            match c {
                '(' | '[' | '{' => open += 1,
                ')' | ']' | '}' | ',' if open == 0 => break,
                ')' | ']' | '}' => open -= 1,
                ':' if open == 0 && stop_at_colon => break,
                '"' => {
                    taken.push_str(&self.quoted('"'));
                    continue;
                }
                _ => {}
            }
            taken.push(c);
            self.rest.next();
        }
        taken.truncate(taken.trim_end().len());
        taken
    }

    fn word_until(&mut self, ends: impl Fn(char) -> bool) -> String {
        let mut word = String::new();
        // `PhantomData<(A, B)>` and other generic names are one word.
        let mut angles = 0_usize;
        while let Some(c) = self.rest.next_if(|c| angles > 0 || !ends(*c)) {
            match c {
                '<' => angles += 1,
                '>' => angles = angles.saturating_sub(1),
                _ => {}
            }
            word.push(c);
        }
        word.truncate(word.trim_end().len());
        word
    }

    fn quoted(&mut self, quote: char) -> String {
        self.rest.next();
        let mut text = String::new();
        while let Some(c) = self.rest.next() {
            match c {
                c if c == quote => break,
                '\\' => text.extend(self.escaped()),
                c => text.push(c),
            }
        }
        text
    }

    /// The character that the rest of an escape such as `\n` or `\u{e9}` stands for.
    fn escaped(&mut self) -> Option<char> {
        match self.rest.next()? {
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            '0' => Some('\0'),
            'u' => {
                self.rest.next_if_eq(&'{');
                let mut digits = String::new();
                while let Some(digit) = self.rest.next_if(char::is_ascii_hexdigit) {
                    digits.push(digit);
                }
                self.rest.next_if_eq(&'}');
                u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)
            }
            c => Some(c),
        }
    }

    fn skip_space(&mut self) {
        while self.rest.next_if(|c| c.is_whitespace()).is_some() {}
    }
}

/// A word as a param: booleans and floating-point numbers in Python's layout.
fn scalar(word: String) -> Tree {
    match word.as_str() {
        "" => Tree::Absent,
        "true" => bool_text(true),
        "false" => bool_text(false),
        phantom if phantom.starts_with("PhantomData") => Tree::Absent,
        number if number.starts_with(|c: char| c.is_ascii_digit() || c == '-') && is_float(number) => {
            Tree::Text(number.parse().map_or_else(|_| number.to_owned(), python::float))
        }
        "NaN" => Tree::Text("nan".to_owned()),
        _ => Tree::Text(word),
    }
}

fn is_float(number: &str) -> bool {
    number.contains(['.', 'e', 'E']) && number.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expect: &[(&str, &str)]) {
        let pairs = from_debug(text);
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, expect, "{text}");
    }

    #[test]
    fn checked_params_in_their_newtype_lose_both_names() {
        check(
            "SvmParams(SvmValidParams { c: Some((1.0, 2.0)), nu: None, solver: Solver { eps: 1e-7 }, \
             phantom: PhantomData<(bool, [u8; 2])>, kernel: KernelParams(Valid { kind: Dense }) })",
            &[("c", "[1.0, 2.0]"), ("nu", "None"), ("solver.eps", "1e-07"), ("kernel.kind", "Dense")],
        );
    }

    #[test]
    fn arrays_of_ndarray_are_sequences_and_their_layout_is_passed_over() {
        check(
            "P { m: [[1.0, 2.0],\n [3.0, 4.5]], shape=[2, 2], strides=[2, 1], layout=Cc (0x5), const ndim=2, k: 3 }",
            &[("m", "[[1.0, 2.0], [3.0, 4.5]]"), ("k", "3")],
        );
    }

    #[test]
    fn odd_texts_stay_texts() {
        check("", &[]);
        check("5.3s", &[("value", "5.3s")]);
        check("T { at: 10:30:00, .. }", &[("at", "10:30:00")]);
        check("T { dist: core::any::f64, n: -3 }", &[("dist", "core::any::f64"), ("n", "-3")]);
        check("T { open: [1, 2", &[("open", "[1, 2]")]);
        check(r#"T { s: "a\"\u{e9}\\, }", c: '\'' }"#, &[("s", "a\"é\\, }"), ("c", "'")]);
        check("{\"b\": 1, \"a\": {2, 3}}", &[("a", "[2, 3]"), ("b", "1")]);
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        assert!(from_debug(&"[".repeat(1_000_000)).len() < 2);
        assert!(from_debug(&"A(B { c: ".repeat(100_000)).len() < 2);
    }

    proptest! {
        #[test]
        fn any_text_is_taken_without_panic(text in "\\PC*") {
            from_debug(&text);
        }

        #[test]
        fn any_text_of_debugs_own_characters_is_taken(text in "[A-Za-z0-9{}()\\[\\]<>,:=\"'\\\\. -]{0,80}") {
            from_debug(&text);
        }
    }
}
