//! The table as JSON records.

use serde_json::{Map, Value};

use super::{Cells, RunTable};

impl RunTable {
    /// The table as a JSON array with an object a run.
    ///
    /// Every object has every column. Times are milliseconds since the Unix epoch; what is missing, NaN or infinite is
    /// null.
    pub fn to_json(&self) -> String {
        let record = |row| {
            let cells = self.columns.iter().map(|column| (column.name.clone(), column.cells.json(row)));
            Value::Object(cells.collect::<Map<_, _>>())
        };
        Value::Array((0..self.rows).map(record).collect()).to_string()
    }
}

impl Cells {
    fn json(&self, row: usize) -> Value {
        match self {
            Self::Text(cells) => cells[row].clone().into(),
            Self::Number(cells) => cells[row].into(),
            Self::Time(cells) => cells[row].into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::two_runs;
    use super::*;

    #[test]
    fn every_record_has_every_column() {
        let table = RunTable::from(two_runs());
        let records: Value = serde_json::from_str(&table.to_json()).unwrap();
        let record = records[0].as_object().unwrap();
        assert_eq!(
            record.keys().map(String::as_str).collect::<Vec<_>>(),
            table.columns().collect::<Vec<_>>()
        );
        assert_eq!(
            (&record["start_time"], &record["end_time"]),
            (&json!(1_700_000_000_123_i64), &Value::Null)
        );
        assert_eq!((&record["metrics.loss"], &record["metrics.nan"]), (&json!(1e-5), &Value::Null));
        assert_eq!((&record["params.none"], &record["tags.empty"]), (&json!("None"), &Value::Null));
        assert_eq!((&records[1]["metrics.inf"], &records[1]["tags.empty"]), (&Value::Null, &json!("")));
        assert_eq!(RunTable::new(&[]).to_json(), "[]");
    }
}
