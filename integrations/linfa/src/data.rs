//! What was trained on: records and targets as typed views, and their description for MLflow.
//!
//! Nothing is copied; what is of an unknown type is still counted.

use std::collections::BTreeSet;

use linfa::dataset::{AsTargets, CountedTargets, DatasetBase, Records};
use ndarray::{ArcArray1, ArcArray2, Array1, Array2, ArrayView1, ArrayView2, Axis};
use runlog_core::data::{Arrays, Columns, DType, Digest, Element, Source, Tensor};
use runlog_core::model::{Column, DataType, InputExample, Schema};
use runlog_core::{Dataset, Result};
use serde_json::Value;

use crate::cast::{Known, cast};

/// Rows that an input example shows; MLflow's own number.
const EXAMPLE_ROWS: usize = 5;

/// Named features that are described as columns; with more, as of a table of genes, the text would outgrow what MLflow
/// stores, and they are described as an array.
const COLUMNS_MAX: usize = 1_000;

/// A dataset, read.
pub(crate) struct Data<'x> {
    pub(crate) records: Matrix<'x>,
    pub(crate) targets: Targets<'x>,
    pub(crate) samples: usize,
    pub(crate) features: usize,
    /// Whether the samples count differently.
    pub(crate) is_weighted: bool,
    feature_names: &'x [String],
    target_names: &'x [String],
}

/// The records.
pub(crate) enum Matrix<'x> {
    F64(ArrayView2<'x, f64>),
    F32(ArrayView2<'x, f32>),
    Unknown,
}

/// Targets, one column each; `single` if their array has one dimension.
pub(crate) struct Values<'x, E> {
    pub(crate) columns: ArrayView2<'x, E>,
    single: bool,
}

/// The targets, by the type of their elements.
pub(crate) enum Targets<'x> {
    F64(Values<'x, f64>),
    F32(Values<'x, f32>),
    Usize(Values<'x, usize>),
    Bool(Values<'x, bool>),
    Str(Values<'x, &'x str>),
    String(Values<'x, String>),
    I32(Values<'x, i32>),
    I64(Values<'x, i64>),
    U8(Values<'x, u8>),
    U32(Values<'x, u32>),
    /// None at all, or of an unknown type.
    Unknown,
}

/// Calls `$body` with the values of whichever type they are, or gives `$unknown`.
macro_rules! each_type {
    ($targets:expr, $values:ident => $body:expr, $unknown:expr) => {
        match $targets {
            $crate::data::Targets::F64($values) => $body,
            $crate::data::Targets::F32($values) => $body,
            $crate::data::Targets::Usize($values) => $body,
            $crate::data::Targets::Bool($values) => $body,
            $crate::data::Targets::Str($values) => $body,
            $crate::data::Targets::String($values) => $body,
            $crate::data::Targets::I32($values) => $body,
            $crate::data::Targets::I64($values) => $body,
            $crate::data::Targets::U8($values) => $body,
            $crate::data::Targets::U32($values) => $body,
            $crate::data::Targets::Unknown => $unknown,
        }
    };
}

pub(crate) use each_type;

impl<'x> Data<'x> {
    pub(crate) fn of<R: Records, T>(dataset: &'x DatasetBase<R, T>) -> Self {
        Self {
            targets: Targets::of(&dataset.targets),
            is_weighted: dataset.weights().is_some(),
            feature_names: dataset.feature_names(),
            target_names: target_names(dataset),
            ..Self::of_records(&dataset.records)
        }
    }

    /// Of records without targets.
    pub(crate) fn of_records<R: Records>(records: &'x R) -> Self {
        let matrix = if let Some(view) = matrix::<f64, R>(records) {
            Matrix::F64(view)
        } else if let Some(view) = matrix::<f32, R>(records) {
            Matrix::F32(view)
        } else {
            Matrix::Unknown
        };
        Self {
            records: matrix,
            targets: Targets::Unknown,
            samples: records.nsamples(),
            features: records.nfeatures(),
            is_weighted: false,
            feature_names: &[],
            target_names: &[],
        }
    }

    /// The type of the records; `None` if it is not known.
    fn dtype(&self) -> Option<DType> {
        match self.records {
            Matrix::F64(_) => Some(DType::Float64),
            Matrix::F32(_) => Some(DType::Float32),
            Matrix::Unknown => None,
        }
    }

    /// Whether the features are described as columns.
    fn has_columns(&self) -> bool {
        (1..=COLUMNS_MAX).contains(&self.features) && name_each(self.feature_names, self.features)
    }

    /// What goes into the model: named columns where the features have names.
    pub(crate) fn input_schema(&self) -> Option<Schema> {
        let dtype = self.dtype()?;
        if !self.has_columns() {
            return Some(Tensor::new(dtype, &[self.samples, self.features]).batch_schema());
        }
        let column = |name: &String| Some(Column::new(name, DataType::of(dtype)?));
        self.feature_names.iter().map(column).collect::<Option<_>>().map(Schema::Columns)
    }

    /// The first rows.
    pub(crate) fn input_example(&self) -> Option<InputExample> {
        fn rows<F: Copy + Into<f64>>(records: &ArrayView2<'_, F>) -> Vec<Value> {
            let first = records.rows().into_iter().take(EXAMPLE_ROWS);
            first.map(|row| row.iter().map(|value| Value::from((*value).into())).collect()).collect()
        }
        let rows = match &self.records {
            Matrix::F64(records) => rows(records),
            Matrix::F32(records) => rows(records),
            Matrix::Unknown => return None,
        };
        Some(if self.has_columns() {
            InputExample::table(self.feature_names, rows)
        } else {
            InputExample::array(rows.into())
        })
    }

    /// The dataset in MLflow's terms: a table where the features have names, arrays otherwise.
    ///
    /// Of unknown records only the sizes are known: they and the targets are the digest.
    pub(crate) fn describe(&self, name: &str, source: Source) -> Result<Dataset> {
        match &self.records {
            Matrix::F64(records) => self.describe_known(records, name, source),
            Matrix::F32(records) => self.describe_known(records, name, source),
            Matrix::Unknown => {
                let mut digest = Digest::new();
                digest.array::<bool>([], &[self.samples, self.features]);
                each_type!(&self.targets, values => digest.array(values.columns.iter(), &values.shape()), ());
                let mut dataset = Dataset::meta(name, source, None)?;
                dataset.digest = digest.finish();
                Ok(dataset)
            }
        }
    }

    fn describe_known<F: Element>(
        &self,
        records: &ArrayView2<'_, F>,
        name: &str,
        source: Source,
    ) -> Result<Dataset> {
        if !self.has_columns() {
            let arrays =
                Arrays::new(name).source(source).features(records.iter(), &[self.samples, self.features]);
            return each_type!(
                &self.targets,
                values => arrays.targets(values.columns.iter(), &values.shape()).dataset(),
                arrays.dataset()
            );
        }
        let table = Columns::new(name).source(source);
        let columns = self.feature_names.iter().zip(records.columns());
        let table = columns.fold(table, |table, (name, column)| table.column(name, column));
        let targets = |count: usize, place: usize| {
            let name = match self.target_names.get(place) {
                // Some datasets keep the names of the classes there; then their number is another.
                Some(name) if name_each(self.target_names, count) => name.clone(),
                _ if count == 1 => "target".to_owned(),
                _ => format!("target_{place}"),
            };
            if self.feature_names.contains(&name) { format!("{name} (target)") } else { name }
        };
        each_type!(
            &self.targets,
            values => {
                let count = values.columns.ncols();
                let columns = values.columns.columns().into_iter().enumerate();
                columns.fold(table, |table, (place, column)| table.column(targets(count, place), column))
            },
            table
        )
        .dataset()
    }
}

impl<'x, E> Values<'x, E> {
    /// The only column.
    pub(crate) fn single(&self) -> Option<ArrayView1<'x, E>> {
        (self.columns.ncols() == 1).then(|| self.columns.index_axis_move(Axis(1), 0))
    }

    fn shape(&self) -> Vec<usize> {
        let (rows, columns) = self.columns.dim();
        if self.single { vec![rows] } else { vec![rows, columns] }
    }
}

impl<'x> Targets<'x> {
    pub(crate) fn of<T>(targets: &'x T) -> Self {
        macro_rules! first_of {
            ($($variant:ident($element:ty)),*) => {$(
                if let Some(values) = values::<$element, T>(targets) {
                    return Self::$variant(values);
                }
            )*};
        }
        first_of!(F64(f64), F32(f32), Usize(usize), Bool(bool), Str(&'static str), String(String));
        first_of!(I32(i32), I64(i64), U8(u8), U32(u32));
        /// Labels that linfa has counted, in an array or a view.
        macro_rules! counted {
            ($($variant:ident($label:ty)),*) => {$(
                counted!(@array $variant, one_column, CountedTargets<$label, Array1<$label>>);
                counted!(@array $variant, one_column, CountedTargets<$label, ArrayView1<'static, $label>>);
                counted!(@array $variant, columns, CountedTargets<$label, Array2<$label>>);
                counted!(@array $variant, columns, CountedTargets<$label, ArrayView2<'static, $label>>);
            )*};
            (@array $variant:ident, $values:ident, $counted:ty) => {
                if let Some(counted) = cast::<$counted, T>(targets) {
                    return Self::$variant($values(counted.as_targets()));
                }
            };
        }
        counted!(Usize(usize), Bool(bool), String(String), Str(&'static str));
        Self::Unknown
    }
}

/// Whether there is a name of its own for each of `count` columns.
fn name_each(names: &[String], count: usize) -> bool {
    names.len() == count && names.iter().collect::<BTreeSet<_>>().len() == count
}

/// The names of the targets, which linfa tells only of types that it can read as targets.
fn target_names<R: Records, T>(dataset: &DatasetBase<R, T>) -> &[String] {
    macro_rules! first_of {
        ($($float:ty),*) => {$(
            first_of!(@as DatasetBase<Array2<$float>, Array1<$float>>);
            first_of!(@as DatasetBase<Array2<$float>, Array2<$float>>);
            first_of!(@as DatasetBase<ArrayView2<'static, $float>, ArrayView1<'static, $float>>);
            first_of!(@as DatasetBase<ArrayView2<'static, $float>, ArrayView2<'static, $float>>);
        )*};
        (@as $known:ty) => {
            if let Some(dataset) = cast::<$known, DatasetBase<R, T>>(dataset) {
                return dataset.target_names();
            }
        };
    }
    first_of!(f64, f32);
    &[]
}

/// The array in `value`, if it is one of two dimensions over `E`.
fn matrix<E: Known, T>(value: &T) -> Option<ArrayView2<'_, E::At<'_>>> {
    if let Some(array) = cast::<Array2<E>, T>(value) {
        return Some(array.view());
    }
    if let Some(view) = cast::<ArrayView2<'static, E>, T>(value) {
        return Some(*view);
    }
    cast::<ArcArray2<E>, T>(value).map(ArcArray2::view)
}

fn vector<E: Known, T>(value: &T) -> Option<ArrayView1<'_, E::At<'_>>> {
    if let Some(array) = cast::<Array1<E>, T>(value) {
        return Some(array.view());
    }
    if let Some(view) = cast::<ArrayView1<'static, E>, T>(value) {
        return Some(*view);
    }
    cast::<ArcArray1<E>, T>(value).map(ArcArray1::view)
}

fn values<E: Known, T>(value: &T) -> Option<Values<'_, E::At<'_>>> {
    match vector::<E, T>(value) {
        Some(vector) => Some(one_column(vector)),
        None => matrix::<E, T>(value).map(columns),
    }
}

/// One target, as a column.
pub(crate) fn one_column<E>(vector: ArrayView1<'_, E>) -> Values<'_, E> {
    Values { columns: vector.insert_axis(Axis(1)), single: true }
}

fn columns<E>(matrix: ArrayView2<'_, E>) -> Values<'_, E> {
    Values { columns: matrix, single: false }
}
