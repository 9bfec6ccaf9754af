//! Reads filters: names, operators and values, one condition after the other.

use super::clause::{Clause, DatasetField, Field, Number, Operator, Test};
use super::grammar::{Attribute, Grammar, Kind as Values, Prefix, Style};
use super::lexer::{self, Kind, Token};
use crate::error::{Error, Result};

/// More would go beyond what databases take in one statement.
const CLAUSES_MAX: usize = 200;

/// More than any value has, and less than SQLite refuses.
const PATTERN_BYTES_MAX: usize = 16_000;

/// Names that the tokenizer of MLflow takes for SQL, even after a dot.
const RESERVED: [&str; 6] = ["CASE", "IN", "VALUES", "USING", "FROM", "AS"];

/// The conditions of `text`, all of which must hold; empty text has none.
pub(crate) fn filter(text: &str, grammar: &'static Grammar) -> Result<Vec<Clause>> {
    let mut parser = Parser { grammar, text, tokens: lexer::tokens(text), next: 0 };
    if parser.tokens.is_empty() && !text.is_empty() {
        return Err(Error::invalid("the filter is blank; leave it empty to find everything"));
    }
    let mut clauses = Vec::new();
    // Whether what comes next would be taken for a part of the clause before.
    let mut is_open = false;
    while let Some(token) = parser.peek() {
        if token.is("and") {
            parser.next += 1;
            is_open = false;
            continue;
        }
        if token.is("or") || token.is("not") || token.kind == Kind::Open {
            return Err(
                parser.wrong(token, "conditions are joined by AND; there is no OR, NOT or parenthesis")
            );
        }
        if clauses.len() == CLAUSES_MAX {
            return Err(parser.wrong(token, &format!("a filter has at most {CLAUSES_MAX} conditions")));
        }
        let clause = parser.clause(is_open)?;
        is_open = !matches!(clause.test, Test::Present(_));
        clauses.push(clause);
    }
    Ok(clauses)
}

/// A name with its parts, as it was written.
pub(super) struct Name<'a> {
    pub(super) parts: Vec<Token<'a>>,
    pub(super) whole: Token<'a>,
}

pub(super) struct Parser<'a> {
    pub(super) grammar: &'static Grammar,
    pub(super) text: &'a str,
    pub(super) tokens: Vec<Token<'a>>,
    pub(super) next: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.next).copied()
    }

    pub(super) fn take(&mut self) -> Option<Token<'a>> {
        let token = self.peek();
        self.next += 1;
        token
    }

    /// What is wrong at `token`, with its place.
    pub(super) fn wrong(&self, token: Token<'_>, message: &str) -> Error {
        let place = self.text[..token.at].chars().count() + 1;
        Error::invalid(message)
            .with("at", format_args!("character {place}, `{}`", one_line(token.text)))
            .with("in", one_line(self.text))
    }

    /// What is missing where the text ends.
    fn ended(&self, message: &str) -> Error {
        Error::invalid(message).with("at", "the end").with("in", one_line(self.text))
    }

    fn clause(&mut self, is_open: bool) -> Result<Clause> {
        let name = self.name()?;
        let field = self.field(&name, name.whole.text, true)?;
        let (operator, at) = self.operator(&field)?;
        let is_bare = !matches!(operator, Operator::Compare(_) | Operator::Like | Operator::LikeAnyCase);
        if is_open && is_bare {
            return Err(self.wrong(name.whole, "write AND between conditions"));
        }
        let test = self.test(operator, at, values(&field))?;
        Ok(Clause { field, test })
    }

    /// Parts that are joined by dots, without space between them.
    pub(super) fn name(&mut self) -> Result<Name<'a>> {
        const EXPECTED: &str = "a name must stand here, such as metrics.loss, params.lr or tags.team";
        const KEY: &str = "a key that has more than letters, digits and _ in it, or is a word of SQL, goes in backticks: \
                           metrics.`a/b`";
        let Some(first) = self.take() else { return Err(self.ended(EXPECTED)) };
        if !matches!(first.kind, Kind::Word | Kind::Backticks | Kind::Double) {
            return Err(self.wrong(first, EXPECTED));
        }
        let mut parts = vec![first];
        let mut end = first.end();
        while let Some(dot) = self.peek().filter(|token| token.kind == Kind::Dot) {
            self.next += 1;
            let part = self.take().filter(|part| dot.at == end && part.at == dot.end());
            let Some(part) = part else { return Err(self.wrong(dot, KEY)) };
            let is_reserved = || RESERVED.iter().any(|word| part.is(word));
            match part.kind {
                Kind::Word if is_reserved() => return Err(self.wrong(part, KEY)),
                Kind::Word | Kind::Backticks | Kind::Double | Kind::Single => parts.push(part),
                _ => return Err(self.wrong(part, KEY)),
            }
            end = part.end();
        }
        // For models, MLflow takes what its tokenizer holds to be a division or a difference for a name.
        while self.grammar.style == Style::Plain
            && let Some([sign, word]) = self.tokens.get(self.next..self.next + 2)
            && matches!(sign.text, "/" | "-")
            && matches!(word.kind, Kind::Word | Kind::Backticks)
            && (sign.at, word.at) == (end, sign.end())
        {
            end = word.end();
            self.next += 2;
        }
        let next_is_glued = self
            .peek()
            .filter(|next| next.at == end && matches!(next.kind, Kind::Other | Kind::Integer | Kind::Real));
        if let Some(next) = next_is_glued {
            return Err(self.wrong(next, KEY));
        }
        Ok(Name { parts, whole: Token { kind: Kind::Word, text: &self.text[first.at..end], at: first.at } })
    }

    /// What a name means that is `written` like this.
    pub(super) fn field(&self, name: &Name<'_>, written: &str, in_filter: bool) -> Result<Field> {
        let (prefix, key) = match written.split_once('.') {
            None => (Prefix::Attribute, written),
            Some((prefix, key)) => (self.prefix(name, prefix)?, key),
        };
        let key = self.key(name, key)?;
        Ok(match prefix {
            Prefix::Metric => Field::Metric(key.to_owned()),
            Prefix::Param => Field::Param(key.to_owned()),
            Prefix::Tag => Field::Tag(key.to_owned()),
            Prefix::Attribute => Field::Attribute(self.attribute(name, key, in_filter)?),
            Prefix::Dataset => Field::Dataset(match key {
                "name" => DatasetField::Name,
                "digest" => DatasetField::Digest,
                "context" => DatasetField::Context,
                _ => return Err(self.wrong(name.whole, "a dataset has a name, a digest and a context")),
            }),
        })
    }

    fn prefix(&self, name: &Name<'_>, text: &str) -> Result<Prefix> {
        let bare = if self.grammar.quoted_prefix { unquoted(text, '`') } else { text };
        let known = self.grammar.prefixes.iter().find(|(known, _)| *known == bare);
        known.map(|(_, prefix)| *prefix).ok_or_else(|| {
            let known: Vec<_> = self.grammar.prefixes.iter().map(|(known, _)| *known).collect();
            let message = format!("before the dot must stand one of {}", known.join(", "));
            self.wrong(name.whole, &message)
        })
    }

    /// The key as it is stored.
    fn key<'k>(&self, name: &Name<'_>, written: &'k str) -> Result<&'k str> {
        match self.grammar.style {
            Style::Quoted => {
                let quote = if written.starts_with('"') { '"' } else { '\'' };
                Ok(unquoted(unquoted(written, quote), '`'))
            }
            Style::Plain if written.contains(['\'', '"']) => {
                Err(self.wrong(name.whole, "the keys of models go in backticks, not in quotes"))
            }
            Style::Plain => Ok(written.trim_matches('`')),
        }
    }

    fn attribute(&self, name: &Name<'_>, key: &str, in_filter: bool) -> Result<&'static Attribute> {
        let is_called = |attribute: &&Attribute| {
            attribute.name == key
                || attribute.aliases.contains(&key)
                || (in_filter && attribute.filter_aliases.contains(&key))
        };
        self.grammar.attributes.iter().find(is_called).ok_or_else(|| {
            let known: Vec<_> = self.grammar.attributes.iter().map(|attribute| attribute.name).collect();
            let message = format!(
                "there is no such attribute; use one of {}, or write metrics., params. or tags. before a key",
                known.join(", ")
            );
            self.wrong(name.whole, &message)
        })
    }

    /// The operator that stands here, if what is named takes it; and where it stands.
    fn operator(&mut self, field: &Field) -> Result<(Operator, Token<'a>)> {
        let allowed = self.grammar.operators(field);
        let expected = || format!("an operator must stand here: {}", allowed.join(", "));
        let Some(first) = self.take() else { return Err(self.ended(&expected())) };
        let mut whole = first;
        let wanted: &[&str] = if first.is("not") {
            &["in"]
        } else if first.is("is") {
            if self.peek().is_some_and(|token| token.is("not")) { &["not", "null"] } else { &["null"] }
        } else {
            &[]
        };
        for word in wanted {
            match self.take() {
                Some(token) if token.is(word) => whole.text = &self.text[first.at..token.end()],
                _ => return Err(self.wrong(first, &expected())),
            }
        }
        // As MLflow has it, only NOT NULL is never written in another way.
        let words: Vec<&str> = whole.text.split_whitespace().collect();
        let text = words.join(" ");
        let is_apart = text.eq_ignore_ascii_case("is not null")
            && !whole.text.to_ascii_uppercase().ends_with("NOT NULL");
        let is_lower = !self.grammar.any_case && words.len() == 1 && text != text.to_ascii_uppercase();
        if is_lower {
            return Err(self.wrong(whole, "write the operator in capital letters"));
        }
        let operator = Operator::from_text(&text.to_ascii_uppercase())
            .filter(|_| !is_apart && allowed.contains(&text.to_ascii_uppercase().as_str()));
        operator.map(|operator| (operator, whole)).ok_or_else(|| self.wrong(whole, &expected()))
    }

    fn test(&mut self, operator: Operator, at: Token<'_>, values: Values) -> Result<Test> {
        match operator {
            Operator::IsNull => Ok(Test::Present(false)),
            Operator::IsNotNull => Ok(Test::Present(true)),
            Operator::In | Operator::NotIn => {
                let list = self.list(values)?;
                Ok(Test::OneOf { list, negated: operator == Operator::NotIn })
            }
            Operator::Compare(comparison) if matches!(values, Values::Number | Values::Integer) => {
                Ok(Test::Number(comparison, self.number(values)?))
            }
            _ => {
                let text = self.text_value(values)?;
                if matches!(operator, Operator::Like | Operator::LikeAnyCase)
                    && text.len() > PATTERN_BYTES_MAX
                {
                    let message = format!("a pattern has at most {PATTERN_BYTES_MAX} bytes");
                    return Err(self.wrong(at, &message));
                }
                operator.of_text(text).ok_or_else(|| self.wrong(at, "texts cannot be compared like this"))
            }
        }
    }

    fn number(&mut self, values: Values) -> Result<Number> {
        const EXPECTED: &str = "a number must stand here, without quotes";
        let Some(token) = self.take() else { return Err(self.ended(EXPECTED)) };
        if token.kind == Kind::Integer
            && let Ok(number) = token.text.parse()
        {
            return Ok(Number::Integer(number));
        }
        match (token.kind, token.text.parse()) {
            (Kind::Real, _) if values == Values::Integer => {
                Err(self.wrong(token, "a whole number must stand here"))
            }
            (Kind::Integer | Kind::Real, Ok(number)) => Ok(Number::Real(number)),
            _ => Err(self.wrong(token, EXPECTED)),
        }
    }

    fn text_value(&mut self, values: Values) -> Result<String> {
        const EXPECTED: &str = "a text must stand here, in single quotes";
        let Some(token) = self.take() else { return Err(self.ended(EXPECTED)) };
        let text = match (self.grammar.style, token.kind) {
            (Style::Quoted, Kind::Single | Kind::Double) => token.unquoted(),
            (Style::Plain, Kind::Single) => token.text.trim_matches('\''),
            (Style::Plain, Kind::Integer | Kind::Real) => token.text,
            _ => return Err(self.wrong(token, EXPECTED)),
        };
        self.checked(token, text, values)
    }

    /// Texts in parentheses.
    fn list(&mut self, values: Values) -> Result<Vec<String>> {
        const EXPECTED: &str = "texts in quotes must stand here, with commas between them: ('a', 'b')";
        let mut list: Vec<String> = Vec::new();
        let Some(open) = self.take() else { return Err(self.ended(EXPECTED)) };
        if open.kind != Kind::Open {
            return Err(self.wrong(open, EXPECTED));
        }
        loop {
            let Some(token) = self.take() else { return Err(self.ended(EXPECTED)) };
            let text = match (token.kind, self.grammar.style) {
                (Kind::Close, _) if !list.is_empty() => return Ok(list),
                (Kind::Single, _) if !token.unquoted().contains(['\\', '\'']) => token.unquoted(),
                (Kind::Double, _) if !token.unquoted().contains(['\\', '"']) => token.unquoted(),
                (Kind::Single | Kind::Double, _) => {
                    let message = "in a list, texts have neither backslashes nor doubled quotes";
                    return Err(self.wrong(token, message));
                }
                (Kind::Integer | Kind::Real, Style::Plain) => token.text,
                _ => return Err(self.wrong(token, EXPECTED)),
            };
            list.push(self.checked(token, text, values)?);
            match self.take() {
                Some(token) if token.kind == Kind::Close => return Ok(list),
                Some(token) if token.kind == Kind::Comma => {}
                Some(token) => return Err(self.wrong(token, EXPECTED)),
                None => return Err(self.ended(EXPECTED)),
            }
        }
    }

    /// `text`, if it can be a value of this kind.
    fn checked(&self, token: Token<'_>, text: &str, values: Values) -> Result<String> {
        if values != Values::Id {
            return Ok(text.to_owned());
        }
        match text.trim().parse::<i64>() {
            Ok(id) => Ok(id.to_string()),
            Err(cause) => Err(self.wrong(token, "an id is a number, in quotes").because(cause)),
        }
    }
}

/// `text` for an error, which has one line.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// `text` without the quotes around it, if it has any.
fn unquoted(text: &str, quote: char) -> &str {
    text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)).unwrap_or(text)
}

/// What a field is compared with.
fn values(field: &Field) -> Values {
    match field {
        Field::Metric(_) => Values::Number,
        Field::Attribute(attribute) => attribute.kind,
        Field::Param(_) | Field::Tag(_) | Field::Dataset(_) => Values::Text,
    }
}
