//! What was trained on: records and targets as typed views, and their description for MLflow.
//!
//! Nothing is copied; what is of an unknown type is still counted.

use linfa::dataset::{AsTargets, CountedTargets, DatasetBase, Records};
use ndarray::{ArcArray1, ArcArray2, Array1, Array2, ArrayView1, ArrayView2, Axis};
use runlog_core::digest::{Digest, Element};
use runlog_core::model::{Column, InputExample, Schema};
use runlog_core::tensor::{DType, Tensor};
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

impl<'x> Data<'x> {
    pub(crate) fn of<R: Records, T>(dataset: &'x DatasetBase<R, T>) -> Self {
        let records = if let Some(view) = matrix::<f64, R>(&dataset.records) {
            Matrix::F64(view)
        } else if let Some(view) = matrix::<f32, R>(&dataset.records) {
            Matrix::F32(view)
        } else {
            Matrix::Unknown
        };
        Self {
            records,
            targets: Targets::of(&dataset.targets),
            samples: dataset.records.nsamples(),
            features: dataset.records.nfeatures(),
            feature_names: dataset.feature_names(),
            target_names: target_names(dataset),
        }
    }

    /// The records as an array without its data; `None` if their type is not known.
    fn features_tensor(&self) -> Option<Tensor> {
        let dtype = match self.records {
            Matrix::F64(_) => DType::Float64,
            Matrix::F32(_) => DType::Float32,
            Matrix::Unknown => return None,
        };
        Some(Tensor::new(dtype, &[self.samples, self.features]))
    }

    fn feature_columns(&self) -> Option<Vec<Column>> {
        let dtype = self.features_tensor()?.dtype;
        let named = self.feature_names.len() == self.features && (1..=COLUMNS_MAX).contains(&self.features);
        named.then(|| self.feature_names.iter().map(|name| Column::new(name, dtype.into())).collect())
    }

    /// What goes into the model: named columns where the features have names.
    pub(crate) fn input_schema(&self) -> Option<Schema> {
        match self.feature_columns() {
            Some(columns) => Some(Schema::Columns(columns)),
            None => Some(self.features_tensor()?.batch_schema()),
        }
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
        Some(match self.feature_columns() {
            Some(_) => InputExample::DataFrame { columns: self.feature_names.to_vec(), rows },
            None => InputExample::Ndarray(rows.into()),
        })
    }

    /// The dataset in MLflow's terms: arrays, or columns where the features have names.
    ///
    /// The digest is MLflow's for arrays in both cases. A dataset of unknown records has sizes in its digest only.
    pub(crate) fn describe(&self, name: &str) -> Result<Dataset> {
        let digest = self.digest();
        let Some(features) = self.features_tensor() else {
            return Ok(Dataset::new(name, digest));
        };
        let targets = self.targets.tensor();
        match self.feature_columns() {
            Some(mut columns) => {
                columns.extend(self.target_columns(targets.as_ref()));
                Dataset::from_columns(name, digest, columns, self.samples)
            }
            None => Dataset::from_tensors(name, digest, &features, targets.as_ref()),
        }
    }

    fn target_columns(&self, targets: Option<&Tensor>) -> Vec<Column> {
        let Some(targets) = targets else { return Vec::new() };
        let count = targets.shape.get(1).copied().unwrap_or(1);
        // Some datasets keep the names of the classes there; then their number is another.
        let name = |place: usize| match self.target_names.get(place) {
            Some(name) if self.target_names.len() == count => name.clone(),
            _ if count == 1 => "target".to_owned(),
            _ => format!("target_{place}"),
        };
        (0..count).map(|place| Column::new(name(place), targets.dtype.into())).collect()
    }

    fn digest(&self) -> String {
        let mut digest = Digest::new();
        let shape = [self.samples, self.features];
        match &self.records {
            Matrix::F64(records) => digest.array(records.iter(), &shape),
            Matrix::F32(records) => digest.array(records.iter(), &shape),
            Matrix::Unknown => digest.array::<bool>([], &shape),
        }
        self.targets.digest_into(&mut digest);
        digest.finish()
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

/// Calls `$body` with the values of whichever type they are, or gives `$unknown`.
macro_rules! each_type {
    ($targets:expr, $values:ident => $body:expr, $unknown:expr) => {
        match $targets {
            Targets::F64($values) => $body,
            Targets::F32($values) => $body,
            Targets::Usize($values) => $body,
            Targets::Bool($values) => $body,
            Targets::Str($values) => $body,
            Targets::String($values) => $body,
            Targets::I32($values) => $body,
            Targets::I64($values) => $body,
            Targets::U8($values) => $body,
            Targets::U32($values) => $body,
            Targets::Unknown => $unknown,
        }
    };
}

impl<'x> Targets<'x> {
    fn of<T>(targets: &'x T) -> Self {
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

    fn tensor(&self) -> Option<Tensor> {
        fn of<E: Element>(values: &Values<'_, E>) -> Tensor {
            Tensor::new(E::DTYPE, &values.shape())
        }
        each_type!(self, values => Some(of(values)), None)
    }

    fn digest_into(&self, digest: &mut Digest) {
        each_type!(self, values => digest.array(values.columns.iter(), &values.shape()), ());
    }
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

fn one_column<E>(vector: ArrayView1<'_, E>) -> Values<'_, E> {
    Values { columns: vector.insert_axis(Axis(1)), single: true }
}

fn columns<E>(matrix: ArrayView2<'_, E>) -> Values<'_, E> {
    Values { columns: matrix, single: false }
}
