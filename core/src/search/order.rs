//! Reads orders: a name and a direction, and what decides among equals.

use super::clause::{Field, Order};
use super::grammar::{Grammar, Prefix, Style};
use super::lexer::{self, Kind, Token};
use super::parser::{Name, Parser};
use crate::error::{Error, Result};

/// More would go beyond what databases join in one statement.
const ORDERS_MAX: usize = 20;

/// What `texts` say to sort by, and then what tells equal entities apart.
pub(crate) fn orders(texts: &[String], grammar: &'static Grammar) -> Result<Vec<Order>> {
    if texts.len() > ORDERS_MAX {
        return Err(Error::invalid(format!("an order names at most {ORDERS_MAX} things")));
    }
    let mut orders: Vec<Order> = Vec::new();
    for text in texts {
        let order = match grammar.style {
            Style::Quoted => quoted(text, grammar)?,
            Style::Plain => plain(text, grammar)?,
        };
        let is_known = orders.iter().any(|known| known.field == order.field);
        if is_known && grammar.sorted_once {
            return Err(Error::invalid("the order names the same twice; leave one out").with("order", text));
        }
        orders.push(order);
    }
    let ties = if orders.is_empty() { grammar.ties.default } else { grammar.ties.given };
    for (name, ascending) in ties {
        let attribute = grammar.attributes.iter().find(|attribute| attribute.name == *name);
        let named = attribute.map(Field::Attribute);
        if let Some(field) = named.filter(|field| !orders.iter().any(|order| order.field == *field)) {
            orders.push(Order { field, ascending: *ascending });
        }
    }
    Ok(orders)
}

/// A name as in a filter, and a direction.
fn quoted(text: &str, grammar: &'static Grammar) -> Result<Order> {
    const EXPECTED: &str = "an order is a name and, if need be, ASC or DESC";
    let mut parser = Parser { grammar, text, tokens: lexer::tokens(text), next: 0 };
    if text.trim() != text || text.is_empty() {
        return Err(Error::invalid("an order has no space around it").with("order", format_args!("{text:?}")));
    }
    let name = parser.name()?;
    let direction = parser.take();
    let ascending = direction.map_or(Some(true), direction_of);
    let Some(ascending) = ascending else {
        return Err(parser.wrong(direction.unwrap_or(name.whole), EXPECTED));
    };
    if let Some(more) = parser.peek() {
        return Err(parser.wrong(more, EXPECTED));
    }
    // With a direction, MLflow takes the quotes off first.
    let bare = name.parts.iter().map(Token::unquoted).collect::<Vec<_>>().join(".");
    let written = if direction.is_some() { &bare } else { name.whole.text };
    let field = parser.field(&name, written, false)?;
    sortable(&parser, &name, field).map(|field| Order { field, ascending })
}

fn direction_of(token: Token<'_>) -> Option<bool> {
    match token {
        _ if token.is("asc") => Some(true),
        _ if token.is("desc") => Some(false),
        _ => None,
    }
}

/// For models, MLflow takes an object with the name as it is; here a direction may follow it.
fn plain(text: &str, grammar: &'static Grammar) -> Result<Order> {
    let trimmed = text.trim();
    let (written, ascending) = match trimmed.rsplit_once(char::is_whitespace) {
        Some((name, last)) if last.eq_ignore_ascii_case("asc") => (name.trim_end(), true),
        Some((name, last)) if last.eq_ignore_ascii_case("desc") => (name.trim_end(), false),
        _ => (trimmed, true),
    };
    let whole = Token { kind: Kind::Word, text: written, at: text.len() - text.trim_start().len() };
    let name = Name { parts: vec![whole], whole };
    let parser = Parser { grammar, text, tokens: Vec::new(), next: 0 };
    let field = parser.field(&name, written, false)?;
    if matches!(field, Field::Attribute(_)) && written.contains('.') {
        return Err(parser.wrong(whole, "an order names an attribute without `attributes.` before it"));
    }
    let field = sortable(&parser, &name, field)?;
    Ok(Order { field, ascending })
}

fn sortable(parser: &Parser<'_>, name: &Name<'_>, field: Field) -> Result<Field> {
    let prefix = match field {
        Field::Attribute(_) => return Ok(field),
        Field::Metric(_) => Prefix::Metric,
        Field::Param(_) => Prefix::Param,
        Field::Tag(_) => Prefix::Tag,
        Field::Dataset(_) => Prefix::Dataset,
    };
    if parser.grammar.sorted_by.contains(&prefix) {
        return Ok(field);
    }
    Err(parser
        .wrong(name.whole, "this cannot be sorted by; use an attribute, or a metric where there are any"))
}
