//! Tests and sorts entities that are in memory.

use std::cmp::Ordering;

use super::clause::{Clause, Comparison, DatasetField, Field, Likeness, Number, Order, Test};
use super::like;

/// Something that has a value for what filters and orders name.
pub(super) trait Searched {
    fn attribute(&self, name: &str) -> Option<Value<'_>>;

    /// The attribute that a filter compares, where it is not the one that is shown.
    fn filtered(&self, name: &str) -> Option<Value<'_>> {
        self.attribute(name)
    }

    /// Whether a metric of this key has a value that passes.
    fn any_metric(&self, _key: &str, _passes: impl Fn(f64) -> bool) -> bool {
        false
    }

    /// The value of a metric to sort by.
    fn metric(&self, _key: &str) -> Option<f64> {
        None
    }

    fn param(&self, _key: &str) -> Option<&str> {
        None
    }

    fn tag(&self, key: &str) -> Option<&str>;

    /// Whether a dataset has a value that passes.
    fn any_dataset(&self, _field: DatasetField, _passes: impl Fn(&str) -> bool) -> bool {
        false
    }
}

/// A value of an entity.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Number(Number),
    Text(&'a str),
}

/// Whether `entity` fulfils every clause.
pub(super) fn selects(clauses: &[Clause], entity: &impl Searched) -> bool {
    clauses.iter().all(|clause| {
        let text = |value: Option<&str>| passes(&clause.test, value.map(Value::Text));
        match &clause.field {
            Field::Metric(key) => entity.any_metric(key, |value| passes(&clause.test, Some(real(value)))),
            Field::Param(key) => text(entity.param(key)),
            Field::Tag(key) => text(entity.tag(key)),
            Field::Attribute(attribute) => passes(&clause.test, entity.filtered(attribute.name)),
            Field::Dataset(field) => entity.any_dataset(*field, |value| text(Some(value))),
        }
    })
}

fn real(value: f64) -> Value<'static> {
    Value::Number(Number::Real(value))
}

fn passes(test: &Test, value: Option<Value<'_>>) -> bool {
    let Some(value) = value else { return *test == Test::Present(false) };
    match (test, value) {
        (Test::Present(present), _) => *present,
        (Test::Number(comparison, wanted), Value::Number(number)) => {
            compares(*comparison, compare(number, *wanted))
        }
        (Test::Number(..), Value::Text(_)) => false,
        (Test::Text(likeness, wanted), value) => match likeness {
            Likeness::Equal => is_equal(value, wanted),
            Likeness::Different => !is_equal(value, wanted),
            Likeness::Like => value.with_text(|text| like::matches(wanted, text, false)),
            Likeness::LikeAnyCase => value.with_text(|text| like::matches(wanted, text, true)),
        },
        (Test::OneOf { list, negated }, value) => {
            list.iter().any(|wanted| is_equal(value, wanted)) != *negated
        }
    }
}

/// Whether a value is what a filter writes as `wanted`; a number may be written in any way.
fn is_equal(value: Value<'_>, wanted: &str) -> bool {
    match value {
        Value::Text(text) => text == wanted,
        Value::Number(number) => {
            let written = wanted
                .trim()
                .parse()
                .map(Number::Integer)
                .or_else(|_| wanted.trim().parse().map(Number::Real));
            written.is_ok_and(|wanted| compare(number, wanted) == Some(Ordering::Equal))
        }
    }
}

/// NaN is different from everything, and nothing else.
fn compares(comparison: Comparison, found: Option<Ordering>) -> bool {
    match comparison {
        Comparison::Equal => found == Some(Ordering::Equal),
        Comparison::Different => found != Some(Ordering::Equal),
        Comparison::Less => found == Some(Ordering::Less),
        Comparison::AtMost => found.is_some_and(Ordering::is_le),
        Comparison::Greater => found == Some(Ordering::Greater),
        Comparison::AtLeast => found.is_some_and(Ordering::is_ge),
    }
}

fn compare(left: Number, right: Number) -> Option<Ordering> {
    match (left, right) {
        (Number::Integer(left), Number::Integer(right)) => Some(left.cmp(&right)),
        _ => left.real().partial_cmp(&right.real()),
    }
}

impl Number {
    #[expect(clippy::cast_precision_loss, reason = "only compared with numbers that have no more digits")]
    pub(crate) fn real(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Real(number) => number,
        }
    }
}

impl Value<'_> {
    fn with_text(self, judge: impl FnOnce(&str) -> bool) -> bool {
        match self {
            Self::Text(text) => judge(text),
            Self::Number(Number::Integer(number)) => judge(&number.to_string()),
            Self::Number(Number::Real(number)) => judge(&number.to_string()),
        }
    }
}

/// `entities` in order. What has no value comes last in both directions, and NaN before it.
pub(super) fn sorted<E: Searched>(entities: Vec<E>, orders: &[Order]) -> Vec<E> {
    let keys: Vec<Vec<Option<Value<'_>>>> = entities
        .iter()
        .map(|entity| orders.iter().map(|order| key(entity, &order.field)).collect())
        .collect();
    let mut places: Vec<usize> = (0..entities.len()).collect();
    places.sort_by(|left, right| {
        let pairs = keys[*left].iter().zip(&keys[*right]).zip(orders);
        pairs.fold(Ordering::Equal, |so_far, ((left, right), order)| {
            so_far.then_with(|| by(order, *left, *right))
        })
    });
    let mut entities: Vec<Option<E>> = entities.into_iter().map(Some).collect();
    places.into_iter().filter_map(|place| entities[place].take()).collect()
}

fn key<'e>(entity: &'e impl Searched, field: &Field) -> Option<Value<'e>> {
    match field {
        Field::Metric(key) => entity.metric(key).map(real),
        Field::Param(key) => entity.param(key).map(Value::Text),
        Field::Tag(key) => entity.tag(key).map(Value::Text),
        Field::Attribute(attribute) => entity.attribute(attribute.name),
        Field::Dataset(_) => None,
    }
}

fn by(order: &Order, left: Option<Value<'_>>, right: Option<Value<'_>>) -> Ordering {
    let rank = |value: &Option<Value<'_>>| match value {
        None => 2,
        Some(Value::Number(number)) if number.real().is_nan() => 1,
        Some(_) => 0,
    };
    let values = match (left, right) {
        (Some(Value::Text(left)), Some(Value::Text(right))) => left.cmp(right),
        (Some(Value::Number(left)), Some(Value::Number(right))) => {
            compare(left, right).unwrap_or(Ordering::Equal)
        }
        // Ids are numbers where they can be, and smaller than those that cannot.
        (Some(Value::Number(_)), Some(Value::Text(_))) => Ordering::Less,
        (Some(Value::Text(_)), Some(Value::Number(_))) => Ordering::Greater,
        _ => Ordering::Equal,
    };
    rank(&left).cmp(&rank(&right)).then(if order.ascending { values } else { values.reverse() })
}
