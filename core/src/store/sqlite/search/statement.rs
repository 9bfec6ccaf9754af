//! Builds one statement from a query: the text is ours, and every value of the query is a parameter.

use std::fmt::Display;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::super::failure::Outcome;
use crate::entity::ViewType;
use crate::search::page;
use crate::search::{Clause, Comparison, DatasetField, Field, Likeness, Number, Order, Test};
use crate::store::{Page, PageRequest, RUN_NAME_TAG};

/// Where the things of an entity are.
pub(super) struct Entity {
    pub(super) table: &'static str,
    /// The column that names an entity, here and in the tables of what it has.
    pub(super) id: &'static str,
    /// The table of params and its columns for keys and values; the same for tags.
    pub(super) params: (&'static str, &'static str, &'static str),
    pub(super) tags: (&'static str, &'static str, &'static str),
    /// The column of an attribute.
    pub(super) column: fn(&'static str) -> &'static str,
    /// Whether columns of attributes may be NULL.
    pub(super) nullable: bool,
    pub(super) metrics: Metrics,
}

/// How metrics are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Metrics {
    /// The latest value of each key, with a mark for NaN.
    OfRun,
    /// Every value of each key, with the dataset that it was measured on.
    OfModel,
}

/// A statement that selects entities.
pub(super) struct Select {
    entity: &'static Entity,
    columns: Vec<String>,
    joins: Vec<String>,
    conditions: Vec<String>,
    orders: Vec<String>,
    parameters: Vec<Value>,
    /// What a metric of a model must fulfil besides.
    measured: Option<String>,
}

impl Select {
    /// Selects `columns` of every entity.
    pub(super) fn new(entity: &'static Entity, columns: &str) -> Self {
        Self {
            entity,
            columns: vec![columns.to_owned()],
            joins: Vec::new(),
            conditions: Vec::new(),
            orders: Vec::new(),
            parameters: Vec::new(),
            measured: None,
        }
    }

    /// The place of a new parameter in the text.
    fn parameter(&mut self, value: impl Into<Value>) -> String {
        self.parameters.push(value.into());
        format!("?{}", self.parameters.len())
    }

    /// Adds a condition.
    pub(super) fn only(&mut self, condition: impl Display) {
        self.conditions.push(condition.to_string());
    }

    /// Keeps those of the lifecycle stages that `view` shows.
    pub(super) fn only_seen(&mut self, view: ViewType) {
        self.only(match view {
            ViewType::ActiveOnly => "lifecycle_stage = 'active'",
            ViewType::DeletedOnly => "lifecycle_stage = 'deleted'",
            ViewType::All => "TRUE",
        });
    }

    /// Keeps those of these experiments. An id that is no number is no id of a database.
    pub(super) fn only_in(&mut self, experiment_ids: &[String]) {
        let ids: Vec<i64> = experiment_ids.iter().filter_map(|id| id.parse().ok()).collect();
        let ids = self.parameter(json(&ids));
        self.only(format_args!("experiment_id IN (SELECT value FROM json_each({ids}))"));
    }

    /// Lets only metrics count that were measured on one of `datasets`, if any are named; without a clause about
    /// metrics, there must be such a metric at all.
    pub(super) fn only_on(&mut self, datasets: &[(String, Option<String>)], clauses: &[Clause]) {
        if datasets.is_empty() {
            return;
        }
        let any: Vec<_> = datasets
            .iter()
            .map(|(name, digest)| {
                let name = self.parameter(name.clone());
                match digest {
                    None => format!("dataset_name = {name}"),
                    Some(digest) => {
                        let digest = self.parameter(digest.clone());
                        format!("(dataset_name = {name} AND dataset_digest = {digest})")
                    }
                }
            })
            .collect();
        let any = format!("({})", any.join(" OR "));
        if !clauses.iter().any(|clause| matches!(clause.field, Field::Metric(_))) {
            let id = self.owned();
            self.only(format_args!(
                "EXISTS (SELECT 1 FROM logged_model_metrics AS its WHERE {id} AND {any})"
            ));
        }
        self.measured = Some(any);
    }

    /// That a row of another table, called `its`, belongs to the entity.
    fn owned(&self) -> String {
        let Entity { table, id, .. } = self.entity;
        format!("its.{id} = {table}.{id}")
    }

    /// Adds what a query says.
    pub(super) fn query(&mut self, clauses: &[Clause], orders: &[Order]) {
        for clause in clauses {
            self.clause(clause);
        }
        for order in orders {
            self.order(order);
        }
    }

    /// Adds a filter's condition.
    fn clause(&mut self, clause: &Clause) {
        let Clause { field, test } = clause;
        let Entity { table, id, params, tags, column, .. } = self.entity;
        match field {
            Field::Metric(key) => self.metric(key, test),
            Field::Param(key) => self.keyed(*params, key, test),
            Field::Tag(key) => self.keyed(*tags, key, test),
            // MLflow 1 wrote the name of a run into the tag alone.
            Field::Attribute(attribute) if attribute.name == "run_name" => {
                self.keyed(*tags, RUN_NAME_TAG, test);
            }
            Field::Attribute(attribute) => {
                let test = self.test(&format!("{table}.{}", column(attribute.name)), test);
                self.only(test);
            }
            Field::Dataset(field) => {
                let (join, value) = match field {
                    DatasetField::Name => ("", "datasets.name"),
                    DatasetField::Digest => ("", "datasets.digest"),
                    DatasetField::Context => (
                        "JOIN input_tags ON input_tags.input_uuid = inputs.input_uuid
                                        AND input_tags.name = 'mlflow.data.context'",
                        "input_tags.value",
                    ),
                };
                let test = self.test(value, test);
                self.only(format_args!(
                    "EXISTS (SELECT 1 FROM inputs JOIN datasets ON datasets.dataset_uuid = inputs.source_id {join}
                              WHERE inputs.destination_type = 'RUN' AND inputs.destination_id = {table}.{id}
                                AND inputs.source_type = 'DATASET' AND {test})"
                ));
            }
        }
    }

    fn metric(&mut self, key: &str, test: &Test) {
        let key = self.parameter(key.to_owned());
        let owned = self.owned();
        let condition = match self.entity.metrics {
            Metrics::OfRun => {
                let passes = self.test("its.value", test);
                // NaN is stored as 0 with a mark, and is different from every number.
                let passes = if matches!(test, Test::Number(Comparison::Different, _)) {
                    format!("({passes} OR its.is_nan = 1)")
                } else {
                    format!("{passes} AND its.is_nan = 0")
                };
                format!(
                    "EXISTS (SELECT 1 FROM latest_metrics AS its WHERE {owned} AND its.key = {key} AND {passes})"
                )
            }
            Metrics::OfModel => {
                let passes = self.test("metric_value", test);
                let measured = self.measured.as_ref().map(|any| format!("AND {any}")).unwrap_or_default();
                format!(
                    "EXISTS (SELECT 1 FROM logged_model_metrics AS its
                              WHERE {owned} AND metric_name = {key} AND {passes} {measured})"
                )
            }
        };
        self.only(condition);
    }

    /// A condition on a text of this key.
    fn keyed(&mut self, (table, key_column, column): (&str, &str, &str), key: &str, test: &Test) {
        let key = self.parameter(key.to_owned());
        let found =
            format!("SELECT 1 FROM {table} AS its WHERE {} AND its.{key_column} = {key}", self.owned());
        let condition = match test {
            Test::Present(true) => format!("EXISTS ({found})"),
            Test::Present(false) => format!("NOT EXISTS ({found})"),
            _ => {
                let test = self.test(&format!("its.{column}"), test);
                format!("EXISTS ({found} AND {test})")
            }
        };
        self.only(condition);
    }

    /// That `value`, an expression, passes.
    fn test(&mut self, value: &str, test: &Test) -> String {
        match test {
            Test::Number(comparison, number) => {
                let sign = match comparison {
                    Comparison::Equal => "=",
                    Comparison::Different => "!=",
                    Comparison::Less => "<",
                    Comparison::AtMost => "<=",
                    Comparison::Greater => ">",
                    Comparison::AtLeast => ">=",
                };
                let number = match number {
                    Number::Integer(number) => self.parameter(*number),
                    Number::Real(number) => self.parameter(*number),
                };
                format!("{value} {sign} {number}")
            }
            Test::Text(likeness, wanted) => {
                let (sign, wanted) = match likeness {
                    Likeness::Equal => ("=", wanted.clone()),
                    Likeness::Different => ("!=", wanted.clone()),
                    Likeness::Like => ("GLOB", glob(wanted)),
                    // SQLite's own, which knows the case of ASCII letters only, as MLflow has it.
                    Likeness::LikeAnyCase => ("LIKE", wanted.clone()),
                };
                let wanted = self.parameter(wanted);
                format!("{value} {sign} {wanted}")
            }
            Test::OneOf { list, negated } => {
                let list = self.parameter(json(list));
                let not = if *negated { "NOT " } else { "" };
                format!("{value} {not}IN (SELECT value FROM json_each({list}))")
            }
            Test::Present(present) => format!("{value} IS {}NULL", if *present { "NOT " } else { "" }),
        }
    }

    /// Sorts by `order`, after what was said before.
    fn order(&mut self, order: &Order) {
        let Entity { table, id, params, tags, column, nullable, metrics } = self.entity;
        let name = format!("order_{}", self.orders.len());
        let direction = if order.ascending { "ASC" } else { "DESC" };
        match &order.field {
            Field::Attribute(attribute) => {
                let column = format!("{table}.{}", column(attribute.name));
                let missing = if *nullable { format!("{column} IS NULL, ") } else { String::new() };
                self.orders.push(format!("{missing}{column} {direction}"));
            }
            Field::Metric(key) if *metrics == Metrics::OfModel => {
                let key = self.parameter(key.clone());
                self.columns.push(format!(
                    "(SELECT metric_value FROM logged_model_metrics AS its
                         WHERE its.{id} = {table}.{id} AND metric_name = {key}
                         ORDER BY metric_timestamp_ms DESC, metric_step DESC, run_id LIMIT 1) AS {name}"
                ));
                self.orders.push(format!("{name} IS NULL, {name} {direction}"));
            }
            Field::Metric(key) => {
                self.beside(("latest_metrics", "key"), key, &name);
                self.orders.push(format!(
                    "CASE WHEN {name}.is_nan = 1 THEN 1 WHEN {name}.value IS NULL THEN 2 ELSE 0 END,
                     {name}.value {direction}"
                ));
            }
            Field::Param(key) | Field::Tag(key) => {
                let is_param = matches!(order.field, Field::Param(_));
                let (texts, key_column, value) = *if is_param { params } else { tags };
                self.beside((texts, key_column), key, &name);
                self.orders.push(format!("{name}.{value} IS NULL, {name}.{value} {direction}"));
            }
            Field::Dataset(_) => {}
        }
    }

    /// Puts the row of this key, if there is one, beside the entity.
    fn beside(&mut self, (table, key_column): (&str, &str), key: &str, name: &str) {
        let key = self.parameter(key.to_owned());
        let Entity { table: entity, id, .. } = self.entity;
        self.joins.push(format!(
            "LEFT JOIN {table} AS {name} ON {name}.{id} = {entity}.{id} AND {name}.{key_column} = {key}"
        ));
    }

    /// The entities of one page, as `read` reads them.
    pub(super) fn page<T>(
        mut self,
        db: &Connection,
        page: &PageRequest,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Outcome<Page<T>> {
        let range = page::range(page)?;
        // One more says whether there is a next page.
        let limit = self.parameter(count(range.len()) + 1);
        let offset = self.parameter(count(range.start));
        let sql = format!(
            "SELECT {} FROM {} {} WHERE {} ORDER BY {} LIMIT {limit} OFFSET {offset}",
            self.columns.join(", "),
            self.entity.table,
            self.joins.join(" "),
            self.conditions.join(" AND "),
            self.orders.join(", ")
        );
        let mut items: Vec<T> = db
            .prepare_cached(&sql)?
            .query_map(params_from_iter(&self.parameters), read)?
            .collect::<Result<_, _>>()?;
        let is_last = items.len() <= range.len();
        items.truncate(range.len());
        Ok(page::page_of(items, &range, is_last))
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A list as one parameter.
pub(super) fn json(list: &[impl serde::Serialize]) -> String {
    serde_json::to_string(list).unwrap_or_default()
}

/// The pattern of `LIKE` for `GLOB`, which tells small letters from capital ones whatever the connection is set to.
fn glob(pattern: &str) -> String {
    let mut glob = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        match c {
            '%' => glob.push('*'),
            '_' => glob.push('?'),
            '*' | '?' | '[' => glob.extend(['[', c, ']']),
            _ => glob.push(c),
        }
    }
    glob
}
