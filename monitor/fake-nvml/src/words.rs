//! The words and options of one line of a script.

use std::collections::VecDeque;
use std::str::FromStr;

use crate::clock::Millis;
use crate::codes::{self, Code};
use crate::device::Target;

/// What was wrong, without the line.
pub(crate) type Parsed<T> = Result<T, String>;

/// The words of a line, without quotes and comment.
pub(crate) fn split(line: &str) -> Parsed<Vec<String>> {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    for letter in line.chars() {
        match letter {
            '"' => (quoted, begun) = (!quoted, true),
            '#' if !quoted => break,
            blank if blank.is_whitespace() && !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            letter => {
                word.push(letter);
                begun = true;
            }
        }
    }
    if quoted {
        return Err("a quotation mark is missing".into());
    }
    if begun {
        words.push(word);
    }
    Ok(words)
}

/// The words after a statement's verb: plain ones in their order, options (`name=value`) in any.
pub(crate) struct Words<'a> {
    plain: VecDeque<&'a str>,
    options: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    pub(crate) fn new(words: &'a [String]) -> Self {
        let options = words.iter().filter_map(|word| word.split_once('=')).collect();
        Self { plain: words.iter().filter(|word| !word.contains('=')).map(String::as_str).collect(), options }
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Parsed<()> {
        let option = self.options.first().map(|(name, value)| format!("{name}={value}"));
        match self.plain.front().map(|word| (*word).to_owned()).or(option) {
            Some(left) => Err(format!("`{left}` does not belong here")),
            None => Ok(()),
        }
    }

    pub(crate) fn plain_word(&mut self) -> Option<&'a str> {
        self.plain.pop_front()
    }

    pub(crate) fn word(&mut self, what: &str) -> Parsed<&'a str> {
        self.plain_word().ok_or_else(|| format!("{what} is missing"))
    }

    pub(crate) fn number<T: FromStr>(&mut self, what: &str) -> Parsed<T> {
        let word = self.word(what)?;
        word.parse().ok().ok_or_else(|| format!("`{word}` is not {what}"))
    }

    pub(crate) fn one_of(&mut self, words: &[&str]) -> Parsed<usize> {
        let word = self.word(&words.join(" or "))?;
        let found = words.iter().position(|known| *known == word);
        found.ok_or_else(|| format!("`{word}` is not {}", words.join(" or ")))
    }

    pub(crate) fn code(&mut self) -> Parsed<Code> {
        let word = self.word("a result code")?;
        codes::parse(word).ok_or_else(|| format!("no result code is called `{word}`"))
    }

    pub(crate) fn target(&mut self) -> Parsed<Target> {
        let word = self.word("a device")?;
        Target::parse(word).ok_or_else(|| format!("`{word}` is no device"))
    }

    /// A device, or `None` for `*`.
    pub(crate) fn place(&mut self) -> Parsed<Option<Target>> {
        if self.plain.front() == Some(&"*") {
            self.plain.pop_front();
            return Ok(None);
        }
        self.target().map(Some)
    }

    pub(crate) fn option<T: FromStr>(&mut self, name: &str) -> Parsed<Option<T>> {
        let Some(place) = self.options.iter().position(|(known, _)| *known == name) else { return Ok(None) };
        let (name, value) = self.options.remove(place);
        value.parse().ok().map(Some).ok_or_else(|| format!("`{value}` is no value of `{name}`"))
    }

    pub(crate) fn option_or<T: FromStr>(&mut self, name: &str, otherwise: T) -> Parsed<T> {
        Ok(self.option(name)?.unwrap_or(otherwise))
    }

    /// One value for the beginning, or where `timed` values with their milliseconds.
    pub(crate) fn steps(&mut self, timed: bool) -> Parsed<Vec<(Millis, f64)>> {
        if !timed || self.options.is_empty() {
            let word = self.word("a value")?;
            return Ok(vec![(0, value(word)?)]);
        }
        let mut steps: Vec<(Millis, f64)> = Vec::new();
        for (at, text) in std::mem::take(&mut self.options) {
            let at = at.parse().ok().ok_or_else(|| format!("`{at}` is no time in milliseconds"))?;
            if steps.last().is_some_and(|(before, _)| *before >= at) {
                return Err(format!("{at} ms stands after a later time"));
            }
            steps.push((at, value(text)?));
        }
        Ok(steps)
    }
}

/// `300_000`, `1e9` or `0x4`.
fn value(text: &str) -> Parsed<f64> {
    let plain = text.replace('_', "");
    let parsed = match plain.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok().map(f64::from),
        None => plain.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0),
    };
    parsed.ok_or_else(|| format!("`{text}` is no number from 0 on"))
}
