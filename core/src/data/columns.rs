//! Data in named columns: MLflow's `from_pandas`.

use serde_json::json;

use super::Source;
use crate::digest::{Digest, ELEMENTS_MAX, Element, hash_rows};
use crate::entity::Dataset;
use crate::error::{Error, Result};
use crate::json::python_style;
use crate::model::{Column, DataType, Schema};
use crate::tensor::DType;

/// Data in named columns of one length: numbers, booleans, texts, bytes, times.
///
/// Values are read once, and not kept. Columns are described and digested as of the pandas data frame of the same
/// values: one with gaps is not `required`, integers with gaps are floats.
///
/// ```
/// use runlog_core::Tracker;
/// use runlog_core::data::Columns;
///
/// let wine = Columns::new("wine")
///     .column("alcohol", [12.8, 13.2, 12.4])
///     .column("colour", ["red", "red", "white"])
///     .nullable("rating", [Some(90), None, Some(88)])
///     .source("data/wine.csv")
///     .dataset()?;
/// # let tracker = Tracker::open("memory:")?;
/// # let run = tracker.start_run(())?;
/// run.log_input((wine, "train"));
/// # run.finish()?;
/// # Ok::<(), runlog_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it describes the data when `dataset()` is called"]
pub struct Columns {
    name: String,
    source: Option<Source>,
    series: Vec<Series>,
}

/// A column, read.
#[derive(Clone, Debug)]
struct Series {
    name: String,
    rows: usize,
    dtype: DType,
    has_gaps: bool,
    /// Of the first rows; `None` if columns of this type are not part of the digest.
    hashes: Option<Vec<u64>>,
}

impl Columns {
    /// Data called `name`, without columns.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), source: None, series: Vec::new() }
    }

    /// Adds a column with a value in every row.
    pub fn column<E: Element>(self, name: impl Into<String>, values: impl IntoIterator<Item = E>) -> Self {
        self.nullable(name, values.into_iter().map(Some))
    }

    /// Adds a column that may have gaps.
    pub fn nullable<E: Element>(
        mut self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = Option<E>>,
    ) -> Self {
        let mut series =
            Series { name: name.into(), rows: 0, dtype: E::DTYPE, has_gaps: false, hashes: None };
        let mut has_none = false;
        // With a gap the values of an integer column are others, so both are kept until it is known.
        let (mut hashes, mut as_floats) = (Vec::new(), Vec::new());
        for value in values {
            if series.rows < ELEMENTS_MAX {
                let float = value.as_ref().map_or(Some(f64::NAN), Element::to_float);
                as_floats.extend(float.map(|float| float.hash()));
                hashes.push(value.as_ref().map_or_else(E::hash_of_gap, Element::hash));
            }
            series.rows += 1;
            has_none |= value.is_none();
            series.has_gaps |= value.is_none_or(|value| value.is_missing());
        }
        series.hashes = match (kind(E::DTYPE), has_none) {
            (Kind::Integer, true) => {
                series.dtype = DType::Float64;
                Some(as_floats)
            }
            (Kind::Float, _) | (Kind::Integer | Kind::Text, false) => Some(hashes),
            (Kind::Text, true) | (Kind::Other, _) => None,
        };
        self.series.push(series);
        self
    }

    /// Where the data comes from; the code that logs it, if nothing is said.
    pub fn source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The schema of the columns, as for a model's signature; `None` if a column holds what MLflow has no name for
    /// (complex numbers, durations).
    pub fn schema(&self) -> Option<Schema> {
        let column = |series: &Series| {
            let data_type = DataType::of(series.dtype)?;
            Some(Column { name: Some(series.name.clone()), data_type, required: !series.has_gaps })
        };
        let columns: Vec<Column> = self.series.iter().map(column).collect::<Option<_>>()?;
        (!columns.is_empty()).then_some(Schema::Columns(columns))
    }

    /// The data in MLflow's terms.
    ///
    /// # Errors
    /// Columns of different lengths, or with one name.
    pub fn dataset(&self) -> Result<Dataset> {
        let rows = self.series.first().map_or(0, |column| column.rows);
        for (place, column) in self.series.iter().enumerate() {
            if column.rows != rows {
                return Err(Error::invalid("the columns must be of one length")
                    .with("column", &column.name)
                    .with("rows", column.rows)
                    .with("rows_of_the_first", rows));
            }
            if self.series[..place].iter().any(|other| other.name == column.name) {
                return Err(Error::invalid("the columns need different names").with("column", &column.name));
            }
        }
        let mut dataset = Dataset::new(&self.name, self.digest(rows));
        if let Some(source) = &self.source {
            (dataset.source_type, dataset.source) = source.texts()?;
        }
        if let Some(schema) = self.schema() {
            dataset.schema = Some(python_style(&json!({"mlflow_colspec": schema.to_value()}))?);
        }
        let elements = rows * self.series.len();
        dataset.profile = Some(python_style(&json!({"num_rows": rows, "num_elements": elements}))?);
        Ok(dataset)
    }

    fn digest(&self, rows: usize) -> String {
        let mut columns: Vec<&Series> = self.series.iter().filter(|column| column.hashes.is_some()).collect();
        let has_texts = columns.iter().any(|column| column.dtype == DType::Str);
        if has_texts && columns.iter().any(|column| column.dtype != DType::Str) {
            // pandas joins the two kinds into one sorted index; either alone keeps its order.
            columns.sort_by_key(|column| &column.name);
        }
        let hashes: Vec<&[u64]> = columns.iter().filter_map(|column| column.hashes.as_deref()).collect();
        let mut digest = Digest::new();
        digest.hashes(hash_rows(&hashes, rows.min(ELEMENTS_MAX)));
        digest.length(rows);
        for column in &self.series {
            digest.name(&column.name);
        }
        digest.finish()
    }
}

/// What a column is to the digest.
enum Kind {
    Integer,
    /// With a value for gaps.
    Float,
    Text,
    /// No part of it.
    Other,
}

fn kind(dtype: DType) -> Kind {
    match dtype {
        DType::Int8
        | DType::Int16
        | DType::Int32
        | DType::Int64
        | DType::UInt8
        | DType::UInt16
        | DType::UInt32
        | DType::UInt64 => Kind::Integer,
        // pandas counts durations among the numbers, and times not.
        DType::Float16
        | DType::Float32
        | DType::Float64
        | DType::Complex64
        | DType::Complex128
        | DType::Timedelta64 => Kind::Float,
        DType::Str => Kind::Text,
        DType::Bool | DType::Datetime64 | DType::Bytes | DType::Object => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Datetime64, F16, Timedelta64};
    use crate::error::ErrorKind;

    fn check(table: &Columns, digest: &str, schema: Option<&str>) {
        let dataset = table.dataset().unwrap();
        let schema = schema.map(|columns| format!(r#"{{"mlflow_colspec": [{columns}]}}"#));
        assert_eq!((&*dataset.digest, dataset.schema), (digest, schema), "{table:?}");
    }

    /// Digests and schemas that MLflow 3.17.2 gave data frames, with pandas 3.1.
    #[test]
    fn tables_are_described_as_mlflow_describes_data_frames() {
        let t = || Columns::new("dataset");
        let mixed = t().column("x", [1.5, 2.5]).column("s", ["a", "b"]).column("b", [true, false]);
        check(
            &mixed.column("n", [1_i64, 2]),
            "90d823f5",
            Some(
                r#"{"type": "double", "name": "x", "required": true}, {"type": "string", "name": "s", "required": true}, {"type": "boolean", "name": "b", "required": true}, {"type": "long", "name": "n", "required": true}"#,
            ),
        );
        check(
            &t().column("s", ["a", "b"]).column("r", ["c", "d"]),
            "7c3fccae",
            Some(
                r#"{"type": "string", "name": "s", "required": true}, {"type": "string", "name": "r", "required": true}"#,
            ),
        );
        check(
            &t().column("z", [1.5, 2.5]).column("a", [1_i64, 2]),
            "35f526ad",
            Some(
                r#"{"type": "double", "name": "z", "required": true}, {"type": "long", "name": "a", "required": true}"#,
            ),
        );
        check(
            &t().column("b", [true, false]),
            "c5123380",
            Some(r#"{"type": "boolean", "name": "b", "required": true}"#),
        );
        check(
            &t().column("by", [b"a", b"b"].map(|bytes| bytes.to_vec())),
            "3846eda5",
            Some(r#"{"type": "binary", "name": "by", "required": true}"#),
        );
        let day = 86_400_000_000_000;
        check(
            &t().column("d", [0, day].map(Datetime64)).column("z", [1_i64, 2]),
            "da7c3d7e",
            Some(
                r#"{"type": "datetime", "name": "d", "required": true}, {"type": "long", "name": "z", "required": true}"#,
            ),
        );
        check(&t().column("c", [[1.0, 2.0], [2.0, 0.0]]), "f106418e", None);
        check(&t().column("td", [1, 2].map(Timedelta64)).column("z", [1_i64, 2]), "6ac76f9e", None);
        check(&t(), "7dea362b", None);
        check(
            &t().column("a", [0.0; 0]),
            "c90e33b7",
            Some(r#"{"type": "double", "name": "a", "required": true}"#),
        );
        check(
            &t().column("é 🦀", [1.0, 2.0]).column("日本", ["学", "🦀\n"]),
            "692f943d",
            Some(
                r#"{"type": "double", "name": "\u00e9 \ud83e\udd80", "required": true}, {"type": "string", "name": "\u65e5\u672c", "required": true}"#,
            ),
        );
        check(
            &t().column("a", (0..10_001_u32).map(|n| f64::from(n) * 0.5)),
            "d1ca34f6",
            Some(r#"{"type": "double", "name": "a", "required": true}"#),
        );
    }

    /// As above, of a list with `None` for each gap.
    #[test]
    fn gaps_are_pandas() {
        let table = Columns::new("dataset")
            .nullable("s", [Some("a"), None])
            .nullable("z", [Some(1.0), None])
            .nullable("b", [Some(true), None])
            .nullable("i", [Some(1_i64), None]);
        check(
            &table,
            "f91d5044",
            Some(
                r#"{"type": "string", "name": "s", "required": false}, {"type": "double", "name": "z", "required": false}, {"type": "boolean", "name": "b", "required": false}, {"type": "double", "name": "i", "required": false}"#,
            ),
        );
        let t = || Columns::new("dataset");
        check(
            &t().nullable("c", [Some(1.0_f32), None]),
            "9eb75a41",
            Some(r#"{"type": "float", "name": "c", "required": false}"#),
        );
        check(&t().nullable("c", [Some([1.0, 2.0]), None]), "2d82402f", None);
        check(&t().nullable("td", [Some(Timedelta64(1)), None]).column("z", [1_i64, 2]), "eeee78a9", None);
        let nan = Columns::new("dataset").column("z", [1.0, f64::NAN]).dataset().unwrap();
        assert_eq!(nan, Columns::new("dataset").nullable("z", [Some(1.0), None]).dataset().unwrap());
    }

    #[test]
    fn every_width_is_described_as_mlflow_does() {
        let table = Columns::new("dataset")
            .column("i8", [1_i8, -2])
            .column("u8", [1_u8, 2])
            .column("u32", [1_u32, 2])
            .column("f16", [0x3c00, 0x4000].map(F16))
            .column("f32", [1.0_f32, 2.0])
            .column("c", ["é", "ü"]);
        check(
            &table,
            "1498717b",
            Some(
                r#"{"type": "integer", "name": "i8", "required": true}, {"type": "integer", "name": "u8", "required": true}, {"type": "long", "name": "u32", "required": true}, {"type": "float", "name": "f16", "required": true}, {"type": "float", "name": "f32", "required": true}, {"type": "string", "name": "c", "required": true}"#,
            ),
        );
        // MLflow has no column of 64 unsigned bits, and then describes none of the columns; the digest is the same.
        check(
            &Columns::new("dataset").column("u64", [1_u64, 2]),
            "a229fd0a",
            Some(r#"{"type": "long", "name": "u64", "required": true}"#),
        );
    }

    #[test]
    fn only_the_first_rows_enter_the_digest_and_all_are_counted() {
        let numbers = (0..10_003_u32).map(|i| f64::from(i) * 0.5);
        let table =
            Columns::new("dataset").column("x", numbers).column("s", (0..10_003).map(|i| i.to_string()));
        let dataset = table.dataset().unwrap();
        assert_eq!(dataset.digest, "8f3d53e3");
        assert_eq!(dataset.profile.unwrap(), r#"{"num_rows": 10003, "num_elements": 20006}"#);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for wrong in [
            Columns::new("lengths").column("a", [1, 2]).column("b", [1]),
            Columns::new("twice").column("a", [1]).column("a", [1]),
        ] {
            assert_eq!(wrong.dataset().unwrap_err().kind(), ErrorKind::InvalidInput, "{wrong:?}");
        }
    }
}
