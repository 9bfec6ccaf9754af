//! The table as a data frame of polars, for who computes with runs.

use polars_core::prelude::{Column, DataFrame, IntoColumn, NamedFrom, Series, TimeUnit, TimeZone};

use super::{Cells, RunTable};
use crate::error::{Error, ErrorKind, Result};

impl RunTable {
    /// The table as a data frame: text, `f64` and `datetime[ms, UTC]`, with null where a run has nothing to say.
    ///
    /// This is the one place where a type of another crate is in the API. It is that of polars 0.55, whatever features
    /// of it you use; a change of its version is a change of this one's.
    ///
    /// # Errors
    /// What polars refuses.
    pub fn to_polars(&self) -> Result<DataFrame> {
        let columns = self.columns.iter().map(|column| column.cells.polars(&column.name)).collect();
        DataFrame::new(self.rows, columns).map_err(|refusal| {
            Error::new(ErrorKind::Unexpected, format!("polars refuses the table: {refusal}")).because(refusal)
        })
    }
}

impl Cells {
    fn polars(&self, name: &str) -> Column {
        let series = match self {
            Self::Text(cells) => Series::new(name.into(), cells),
            Self::Number(cells) => Series::new(name.into(), cells),
            Self::Time(cells) => {
                Series::new(name.into(), cells).into_datetime(TimeUnit::Milliseconds, Some(TimeZone::UTC))
            }
        };
        series.into_column()
    }
}

#[cfg(test)]
mod tests {
    use polars_core::prelude::DataType;

    use super::super::tests::two_runs;
    use super::*;

    #[test]
    fn columns_have_types_and_what_is_missing_is_null() {
        let frame = RunTable::from(two_runs()).to_polars().unwrap();
        assert_eq!(frame.shape(), (2, 15));
        let column = |name: &str| frame.column(name).unwrap().as_materialized_series().clone();
        assert_eq!(column("status").dtype(), &DataType::String);
        assert_eq!(
            column("start_time").dtype(),
            &DataType::Datetime(TimeUnit::Milliseconds, Some(TimeZone::UTC))
        );
        let start = column("start_time").datetime().unwrap().physical().get(0);
        assert_eq!(start, Some(1_700_000_000_123));
        assert_eq!(column("end_time").null_count(), 1);
        assert_eq!(column("metrics.loss").f64().unwrap().iter().collect::<Vec<_>>(), [Some(1e-5), None]);
        assert!(
            column("metrics.nan").f64().unwrap().get(0).unwrap().is_nan(),
            "NaN is a value that was logged"
        );
        assert_eq!(column("tags.empty").str().unwrap().iter().collect::<Vec<_>>(), [None, Some("")]);
    }

    #[test]
    fn no_runs_are_a_frame_without_rows() {
        assert_eq!(RunTable::new(&[]).to_polars().unwrap().shape(), (0, 6));
    }
}
