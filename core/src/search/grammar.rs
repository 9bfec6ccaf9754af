//! What can be searched: the names, operators and kinds of values of runs, experiments and models. The parser is the
//! same for all.

use super::clause::Field;

/// What may be said about one kind of entity.
#[derive(Debug)]
pub(crate) struct Grammar {
    /// What stands before the dot, as MLflow spells it, and what it means. Without a dot, an attribute is meant.
    pub(super) prefixes: &'static [(&'static str, Prefix)],
    pub(super) attributes: &'static [Attribute],
    /// The operators of params, and of tags.
    pub(super) texts: &'static [&'static str],
    /// What an order may name beside attributes.
    pub(super) sorted_by: &'static [Prefix],
    /// Whether the same thing may be sorted by once only.
    pub(super) sorted_once: bool,
    /// Whether `like`, `ilike` and `in` may be written in small letters.
    pub(super) any_case: bool,
    /// Whether what stands before the dot may be in backticks.
    pub(super) quoted_prefix: bool,
    /// How values and keys are written.
    pub(super) style: Style,
    /// What decides where everything that was asked for is equal.
    pub(super) ties: Ties,
}

/// What is searched in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    Metric,
    Param,
    Tag,
    Attribute,
    Dataset,
}

/// How values and keys are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Text in single or double quotes, keys in any quotes.
    Quoted,
    /// Text in single quotes, or a bare number that is meant as text; keys in backticks.
    Plain,
}

/// How equal entities are told apart.
#[derive(Debug)]
pub(super) struct Ties {
    /// The whole order if none is given: attributes, and whether the smallest comes first.
    pub(super) default: &'static [(&'static str, bool)],
    /// What a given order is continued with, unless it names the attribute.
    pub(super) given: &'static [(&'static str, bool)],
}

/// An attribute of an entity.
#[derive(Debug, PartialEq)]
pub(crate) struct Attribute {
    /// What it is called here; stores translate it to their own name.
    pub(crate) name: &'static str,
    /// What else it may be called in a filter and in an order.
    pub(super) aliases: &'static [&'static str],
    /// What else it may be called, in backticks or quotes, in a filter only.
    pub(super) filter_aliases: &'static [&'static str],
    pub(super) operators: &'static [&'static str],
    pub(crate) kind: Kind,
}

/// What values an attribute has, and what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// A number, compared with any number.
    Number,
    /// A number, compared with whole numbers.
    Integer,
    /// A number that is written as text, and compared with text that is a whole number.
    Id,
    /// A number that is written as text, and compared with any text.
    Code,
}

const NUMBERS: &[&str] = &["=", "!=", "<", "<=", ">", ">="];
const TEXTS: &[&str] = &["=", "!=", "LIKE", "ILIKE"];
const TEXTS_AND_LISTS: &[&str] = &["=", "!=", "LIKE", "ILIKE", "IN", "NOT IN"];
const TEXTS_AND_NULL: &[&str] = &["=", "!=", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL"];
const IDS: &[&str] = &["=", "!=", "IN", "NOT IN"];

impl Grammar {
    /// The operators of a field.
    pub(super) fn operators(&self, field: &Field) -> &'static [&'static str] {
        match field {
            Field::Metric(_) => NUMBERS,
            Field::Param(_) | Field::Tag(_) => self.texts,
            Field::Attribute(attribute) => attribute.operators,
            Field::Dataset(_) => TEXTS_AND_LISTS,
        }
    }
}

const fn text(name: &'static str) -> Attribute {
    Attribute { name, aliases: &[], filter_aliases: &[], operators: TEXTS, kind: Kind::Text }
}

const fn number(name: &'static str) -> Attribute {
    Attribute { operators: NUMBERS, kind: Kind::Number, ..text(name) }
}

/// An attribute of a model that has text.
const fn listed(name: &'static str) -> Attribute {
    Attribute { operators: TEXTS_AND_LISTS, ..text(name) }
}

pub(crate) const RUNS: Grammar = Grammar {
    prefixes: &[
        ("metric", Prefix::Metric),
        ("metrics", Prefix::Metric),
        ("param", Prefix::Param),
        ("params", Prefix::Param),
        ("parameter", Prefix::Param),
        ("parameters", Prefix::Param),
        ("tag", Prefix::Tag),
        ("tags", Prefix::Tag),
        ("attribute", Prefix::Attribute),
        ("attributes", Prefix::Attribute),
        ("attr", Prefix::Attribute),
        ("run", Prefix::Attribute),
        ("dataset", Prefix::Dataset),
        ("datasets", Prefix::Dataset),
    ],
    attributes: RUN_ATTRIBUTES,
    texts: TEXTS_AND_NULL,
    sorted_by: &[Prefix::Metric, Prefix::Param, Prefix::Tag],
    sorted_once: true,
    any_case: true,
    quoted_prefix: true,
    style: Style::Quoted,
    ties: Ties {
        default: &[("start_time", false), ("run_id", true)],
        given: &[("start_time", false), ("run_id", true)],
    },
};

static RUN_ATTRIBUTES: &[Attribute] = &[
    Attribute { operators: TEXTS_AND_LISTS, ..text("run_id") },
    Attribute { filter_aliases: &["run name", "Run name", "Run Name"], ..text("run_name") },
    text("status"),
    text("user_id"),
    text("artifact_uri"),
    Attribute { aliases: &["created", "Created"], ..number("start_time") },
    number("end_time"),
];

pub(crate) const EXPERIMENTS: Grammar = Grammar {
    prefixes: &[("attribute", Prefix::Attribute), ("tag", Prefix::Tag), ("tags", Prefix::Tag)],
    attributes: EXPERIMENT_ATTRIBUTES,
    texts: TEXTS_AND_NULL,
    sorted_by: &[],
    sorted_once: false,
    any_case: false,
    quoted_prefix: false,
    style: Style::Quoted,
    ties: Ties {
        default: &[("creation_time", false), ("experiment_id", true)],
        given: &[("experiment_id", false)],
    },
};

static EXPERIMENT_ATTRIBUTES: &[Attribute] = &[
    text("name"),
    Attribute { operators: IDS, kind: Kind::Id, ..text("experiment_id") },
    Attribute { kind: Kind::Integer, ..number("creation_time") },
    Attribute { kind: Kind::Integer, ..number("last_update_time") },
];

pub(crate) const MODELS: Grammar = Grammar {
    prefixes: &[
        ("metrics", Prefix::Metric),
        ("params", Prefix::Param),
        ("tags", Prefix::Tag),
        ("attributes", Prefix::Attribute),
    ],
    attributes: MODEL_ATTRIBUTES,
    texts: TEXTS_AND_LISTS,
    sorted_by: &[Prefix::Metric],
    sorted_once: false,
    any_case: true,
    quoted_prefix: false,
    style: Style::Plain,
    ties: Ties {
        default: &[("creation_timestamp_ms", false), ("model_id", true)],
        given: &[("creation_timestamp_ms", false), ("model_id", true)],
    },
};

static MODEL_ATTRIBUTES: &[Attribute] = &[
    listed("name"),
    listed("model_id"),
    listed("model_type"),
    listed("source_run_id"),
    listed("artifact_location"),
    listed("lifecycle_stage"),
    listed("status_message"),
    Attribute { kind: Kind::Code, ..listed("experiment_id") },
    Attribute { kind: Kind::Code, ..listed("status") },
    Attribute { aliases: &["creation_timestamp", "creation_time"], ..number("creation_timestamp_ms") },
    Attribute { aliases: &["last_updated_timestamp"], ..number("last_updated_timestamp_ms") },
];
