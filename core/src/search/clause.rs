//! What filters and orders say, once they are parsed; evaluated here and translated by stores that can search.

use super::grammar::Attribute;

/// A condition. A filter is a list of them, all of which must hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Clause {
    pub(crate) field: Field,
    pub(crate) test: Test,
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field {
    /// The latest value of a metric of a run, or any value of a metric of a model.
    Metric(String),
    Param(String),
    Tag(String),
    Attribute(&'static Attribute),
    /// Of any dataset that the run read.
    Dataset(DatasetField),
}

/// What is looked at in a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DatasetField {
    Name,
    Digest,
    Context,
}

/// What must hold. What is not there fulfils only [`Test::Present`] with `false`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    Number(Comparison, Number),
    Text(Likeness, String),
    OneOf { list: Vec<String>, negated: bool },
    Present(bool),
}

/// How numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Different,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// How texts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    Equal,
    Different,
    /// `%` stands for any text, `_` for one character.
    Like,
    /// The same, for which `a` to `z` are the same as `A` to `Z`.
    LikeAnyCase,
}

/// A number of a filter or of an entity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Integer(i64),
    Real(f64),
}

/// What is sorted by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    pub(crate) field: Field,
    pub(crate) ascending: bool,
}

/// Writes an operator, and knows it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Compare(Comparison),
    Like,
    LikeAnyCase,
    In,
    NotIn,
    IsNull,
    IsNotNull,
}

impl Operator {
    /// The operator that is written as `text`, in capital letters.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        use Comparison::{AtLeast, AtMost, Different, Equal, Greater, Less};
        Some(match text {
            "=" => Self::Compare(Equal),
            "!=" => Self::Compare(Different),
            "<" => Self::Compare(Less),
            "<=" => Self::Compare(AtMost),
            ">" => Self::Compare(Greater),
            ">=" => Self::Compare(AtLeast),
            "LIKE" => Self::Like,
            "ILIKE" => Self::LikeAnyCase,
            "IN" => Self::In,
            "NOT IN" => Self::NotIn,
            "IS NULL" => Self::IsNull,
            "IS NOT NULL" => Self::IsNotNull,
            _ => return None,
        })
    }

    /// The test of a text with this operator; `None` if it takes something else.
    pub(super) fn of_text(self, text: String) -> Option<Test> {
        Some(match self {
            Self::Compare(Comparison::Equal) => Test::Text(Likeness::Equal, text),
            Self::Compare(Comparison::Different) => Test::Text(Likeness::Different, text),
            Self::Like => Test::Text(Likeness::Like, text),
            Self::LikeAnyCase => Test::Text(Likeness::LikeAnyCase, text),
            _ => return None,
        })
    }
}
