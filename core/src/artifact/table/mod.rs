//! Tables that are logged as artifacts: columns with names, rows of any values.

mod json;
mod load;
mod log;
mod names;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

#[cfg(feature = "image")]
use super::images::ToImage;
use crate::error::{Error, ErrorKind, Result};

pub use load::LoadTable;
pub(crate) use log::log_table;

/// A table: named columns, each with as many values as there are rows.
///
/// ```
/// use runlog_core::Table;
///
/// let by_columns = Table::new().column("input", ["1 + 1", "2 + 2"]).column("output", [2, 4]);
///
/// #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
/// struct Answer {
///     input: String,
///     output: i64,
/// }
/// let answers = [Answer { input: "1 + 1".into(), output: 2 }, Answer { input: "2 + 2".into(), output: 4 }];
/// let by_rows = Table::from_rows(&answers)?;
/// assert_eq!(by_rows, by_columns);
/// assert_eq!(by_rows.to_rows::<Answer>()?, answers);
/// # Ok::<(), runlog_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    columns: Vec<Column>,
    rows: usize,
    /// What was wrong first while the table was built; it is told when the table is used.
    wrong: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Column {
    name: String,
    cells: Cells,
}

/// The values of a column: images are in no column with anything else.
#[derive(Clone, Debug, PartialEq)]
enum Cells {
    Values(Vec<Value>),
    #[cfg(feature = "image")]
    Images(Vec<image::DynamicImage>),
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            #[cfg(feature = "image")]
            Self::Images(images) => images.len(),
        }
    }

    /// `None` for images.
    #[cfg_attr(
        not(feature = "image"),
        expect(clippy::unnecessary_wraps, reason = "there are no images then")
    )]
    fn values(&self) -> Option<&Vec<Value>> {
        match self {
            Self::Values(values) => Some(values),
            #[cfg(feature = "image")]
            Self::Images(_) => None,
        }
    }

    /// `None` for images.
    #[cfg_attr(
        not(feature = "image"),
        expect(clippy::unnecessary_wraps, reason = "there are no images then")
    )]
    fn values_mut(&mut self) -> Option<&mut Vec<Value>> {
        match self {
            Self::Values(values) => Some(values),
            #[cfg(feature = "image")]
            Self::Images(_) => None,
        }
    }
}

impl Table {
    /// A table without columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column. A date is text as `2020-01-01T00:00:00.000`; what is missing is `None`.
    ///
    /// A value that cannot be written, a name that is taken and a wrong length are told by what uses the table.
    #[must_use]
    pub fn column<T: Serialize>(self, name: impl Into<String>, values: impl IntoIterator<Item = T>) -> Self {
        let name = name.into();
        match values.into_iter().map(|value| serde_json::to_value(value)).collect() {
            Ok(values) => self.with(Column { name, cells: Cells::Values(values) }),
            Err(cause) => self.refuse(format!("column `{name}` has a value that JSON cannot hold: {cause}")),
        }
    }

    /// Adds a column of images, which become files beside the table's.
    ///
    /// Problems are told as with [`column`](Self::column).
    #[cfg(feature = "image")]
    #[must_use]
    pub fn image_column<I: ToImage>(
        self,
        name: impl Into<String>,
        images: impl IntoIterator<Item = I>,
    ) -> Self {
        let name = name.into();
        let images = images.into_iter().map(|image| Ok(image.to_image()?.into_owned())).collect();
        match images {
            Ok(images) => self.with(Column { name, cells: Cells::Images(images) }),
            Err(error) => {
                let error: Error = error;
                self.refuse(format!("column `{name}`: {error}"))
            }
        }
    }

    fn with(mut self, column: Column) -> Self {
        let count = column.cells.len();
        if self.columns.iter().any(|other| other.name == column.name) {
            return self.refuse(format!("there are two columns `{}`", column.name));
        }
        if !self.columns.is_empty() && count != self.rows {
            let rows = self.rows;
            return self
                .refuse(format!("column `{}` has {count} values, the others have {rows}", column.name));
        }
        self.rows = count;
        self.columns.push(column);
        self
    }

    fn refuse(mut self, why: String) -> Self {
        self.wrong.get_or_insert(why);
        self
    }

    /// The table itself, unless something was wrong with what it was built from.
    fn checked(&self) -> Result<&Self> {
        match &self.wrong {
            None => Ok(self),
            Some(why) => Err(Error::invalid(format!("this is no table: {why}"))),
        }
    }

    /// A table with a row for each of `rows`: structs or maps, whose fields are the columns. A field that a row does
    /// not have is missing there.
    ///
    /// # Errors
    /// A row that is no struct or map, or cannot be written as JSON.
    pub fn from_rows<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Result<Self> {
        let mut table = Self::new();
        for row in rows {
            let Value::Object(fields) = value_of(&row)? else {
                return Err(Error::invalid(
                    "each row of a table must be a struct or a map with text as keys",
                ));
            };
            table.push(fields);
        }
        Ok(table)
    }

    fn push(&mut self, mut fields: Map<String, Value>) {
        for Column { name, cells } in &mut self.columns {
            let Some(values) = cells.values_mut() else { continue };
            values.push(fields.shift_remove(name.as_str()).unwrap_or(Value::Null));
        }
        for (name, value) in fields {
            let mut values = vec![Value::Null; self.rows];
            values.push(value);
            self.columns.push(Column { name, cells: Cells::Values(values) });
        }
        self.rows += 1;
    }

    /// A table of a struct or map whose fields are the columns: a list is a column, anything else is the value of every
    /// row. Without a list it is one row.
    ///
    /// # Errors
    /// `columns` is no struct or map, or its lists have different lengths.
    ///
    /// ```
    /// use runlog_core::Table;
    /// use serde_json::json;
    ///
    /// let one_row = Table::from_dict(&json!({"input": "What is runlog?", "tokens": 7}))?;
    /// assert_eq!(one_row.len(), 1);
    /// let two_rows = Table::from_dict(&json!({"input": ["a", "b"], "model": "m"}))?;
    /// assert_eq!(two_rows.get(1, "model"), Some(&json!("m")));
    /// # Ok::<(), runlog_core::Error>(())
    /// ```
    pub fn from_dict(columns: &(impl Serialize + ?Sized)) -> Result<Self> {
        let Value::Object(fields) = value_of(columns)? else {
            return Err(Error::invalid("a table is made of a struct or a map with text as keys"));
        };
        let rows = fields.values().find_map(Value::as_array).map_or(1, Vec::len);
        let mut table = Self::new();
        for (name, value) in fields {
            let values = if let Value::Array(values) = value { values } else { vec![value; rows] };
            table = table.with(Column { name, cells: Cells::Values(values) });
        }
        table.checked()?;
        Ok(table)
    }

    /// The names of the columns.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The value in a row, counted from 0, and a column; `None` if there is no such place, or an image in it.
    pub fn get(&self, row: usize, column: &str) -> Option<&Value> {
        self.values(column)?.get(row)
    }

    /// The values of a column, from the first row to the last; `None` if there is no such column, or one of images.
    pub fn values(&self, column: &str) -> Option<&[Value]> {
        self.columns.iter().find(|other| other.name == column)?.cells.values().map(Vec::as_slice)
    }

    /// Every row as a `T`: a struct with the columns as fields, or a map.
    ///
    /// # Errors
    /// A row that is no `T`.
    pub fn to_rows<T: DeserializeOwned>(&self) -> Result<Vec<T>> {
        let row = |row: usize| {
            let field =
                |column: &Column| Some((column.name.clone(), column.cells.values()?.get(row)?.clone()));
            let fields: Map<String, Value> = self.columns.iter().filter_map(field).collect();
            serde_json::from_value(Value::Object(fields)).map_err(|cause| {
                Error::new(
                    ErrorKind::Corrupt,
                    format!("a row of the table is not what is asked for: {cause}"),
                )
                .with("row", row)
                .because(cause)
            })
        };
        self.checked()?;
        (0..self.rows).map(row).collect()
    }

    /// Puts the rows of `below` under these; a column that only one of both has is missing in the other's rows.
    fn append(&mut self, below: Self) {
        let (above, added) = (self.rows, below.rows);
        self.rows += added;
        for Column { name, mut cells } in below.columns {
            let Some(values) = cells.values_mut() else { continue };
            let place = self.columns.iter().position(|column| column.name == name);
            let place = place.unwrap_or_else(|| {
                self.columns.push(Column { name, cells: Cells::Values(vec![Value::Null; above]) });
                self.columns.len() - 1
            });
            if let Some(column) = self.columns[place].cells.values_mut() {
                column.append(values);
            }
        }
        for column in &mut self.columns {
            if let Some(values) = column.cells.values_mut() {
                values.resize(self.rows, Value::Null);
            }
        }
    }
}

fn value_of(value: &(impl Serialize + ?Sized)) -> Result<Value> {
    serde_json::to_value(value).map_err(|cause| {
        Error::invalid(format!("the table has a value that JSON cannot hold: {cause}")).because(cause)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_with_other_fields_leave_holes() {
        let table =
            Table::from_rows([json!({"a": 1}), json!({"b": "x", "a": 2}), json!({"b": "y"})]).unwrap();
        assert_eq!(table.columns().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(table.values("a").unwrap(), [json!(1), json!(2), json!(null)]);
        assert_eq!(table.values("b").unwrap(), [json!(null), json!("x"), json!("y")]);
    }

    #[test]
    fn appending_makes_the_union_of_the_columns() {
        let mut table = Table::new().column("a", [1]).column("b", ["x"]);
        table.append(Table::new().column("c", [true, false]).column("a", [2, 3]));
        assert_eq!(
            table,
            Table::from_rows([
                json!({"a": 1, "b": "x", "c": null}),
                json!({"a": 2, "b": null, "c": true}),
                json!({"a": 3, "b": null, "c": false}),
            ])
            .unwrap()
        );
        let mut empty = Table::new();
        empty.append(Table::new().column("a", [1]));
        assert_eq!(empty, Table::new().column("a", [1]));
    }

    #[test]
    fn what_is_no_table_says_why() {
        for (table, why) in [
            (Table::new().column("a", [1]).column("a", [2]), "two columns `a`"),
            (Table::new().column("a", [1]).column("b", [2, 3]), "column `b` has 2 values, the others have 1"),
            (Table::new().column("a", [std::collections::BTreeMap::from([(vec![1], 1)])]), "column `a`"),
        ] {
            let error = table.to_rows::<Value>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(why), "{error}");
        }
        assert!(Table::from_rows([1, 2]).is_err());
        assert!(Table::from_dict(&json!([1])).is_err());
        assert!(Table::from_dict(&json!({"a": [1], "b": [1, 2]})).is_err());
        assert!(
            Table::new().column("a", ["x"]).to_rows::<std::collections::BTreeMap<String, i32>>().is_err()
        );
    }
}
