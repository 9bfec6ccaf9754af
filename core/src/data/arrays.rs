//! Data in arrays: MLflow's `from_numpy`.

use serde_json::{Map, Value, json};

use super::Source;
use crate::digest::{Digest, ELEMENTS_MAX, Element};
use crate::entity::Dataset;
use crate::error::{Error, Result};
use crate::json::python_style;
use crate::model::Schema;
use crate::tensor::Tensor;

/// Data in arrays: features, and targets if there are any; one array of each, or several with names.
///
/// Elements come in C order (row-major: the last dimension fastest). They are read once, and not kept.
///
/// ```
/// use runlog_core::data::Arrays;
/// use runlog_core::{DatasetInput, Tracker};
///
/// let (pixels, labels) = (vec![0.5_f32; 10 * 28 * 28], vec![1_i64; 10]);
/// let digits = Arrays::new("digits")
///     .features(&pixels, &[10, 28, 28])
///     .targets(&labels, &[10])
///     .source("data/digits.npz")
///     .dataset()?;
/// # let tracker = Tracker::open("memory:")?;
/// # let run = tracker.start_run(())?;
/// run.log_input((digits, "train"));
/// # run.finish()?;
/// # Ok::<(), runlog_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it describes the data when `dataset()` is called"]
pub struct Arrays {
    name: String,
    source: Option<Source>,
    features: Vec<Array>,
    targets: Vec<Array>,
}

/// An array, read.
#[derive(Clone, Debug)]
struct Array {
    /// `None` for the only one.
    name: Option<String>,
    tensor: Tensor,
    /// Elements that there were.
    count: usize,
    /// Of the first elements.
    hashes: Vec<u64>,
}

impl Arrays {
    /// Data called `name`, without arrays.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), source: None, features: Vec::new(), targets: Vec::new() }
    }

    /// The array of the features.
    pub fn features<E: Element>(self, elements: impl IntoIterator<Item = E>, shape: &[usize]) -> Self {
        self.with(|arrays| &mut arrays.features, None, elements, shape)
    }

    /// An array of features among several, by name.
    pub fn feature<E: Element>(
        self,
        name: impl Into<String>,
        elements: impl IntoIterator<Item = E>,
        shape: &[usize],
    ) -> Self {
        self.with(|arrays| &mut arrays.features, Some(name.into()), elements, shape)
    }

    /// The array of the targets.
    pub fn targets<E: Element>(self, elements: impl IntoIterator<Item = E>, shape: &[usize]) -> Self {
        self.with(|arrays| &mut arrays.targets, None, elements, shape)
    }

    /// An array of targets among several, by name.
    pub fn target<E: Element>(
        self,
        name: impl Into<String>,
        elements: impl IntoIterator<Item = E>,
        shape: &[usize],
    ) -> Self {
        self.with(|arrays| &mut arrays.targets, Some(name.into()), elements, shape)
    }

    /// Where the data comes from; the code that logs it, if nothing is said.
    pub fn source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    fn with<E: Element>(
        mut self,
        role: impl FnOnce(&mut Self) -> &mut Vec<Array>,
        name: Option<String>,
        elements: impl IntoIterator<Item = E>,
        shape: &[usize],
    ) -> Self {
        let (mut hashes, mut count, mut longest) = (Vec::new(), 0, 0);
        for element in elements {
            if count < ELEMENTS_MAX {
                hashes.push(element.hash());
            }
            count += 1;
            longest = longest.max(element.item_bytes());
        }
        let mut tensor = Tensor::new(E::DTYPE, shape);
        tensor.nbytes = count * longest;
        role(&mut self).push(Array { name, tensor, count, hashes });
        self
    }

    /// The schema of the features, as of batches of any length; for a model's signature.
    ///
    /// # Errors
    /// As [`dataset`](Self::dataset); also an array without dimensions.
    pub fn features_schema(&self) -> Result<Schema> {
        self.check()?;
        schema(&self.features).ok_or_else(|| {
            Error::invalid("an array without dimensions is no batch of anything; give it a shape")
        })
    }

    /// The data in MLflow's terms.
    ///
    /// # Errors
    /// A shape that does not fit its elements, no features, several arrays without different names, and numbers of
    /// features that do not go together.
    pub fn dataset(&self) -> Result<Dataset> {
        self.check()?;
        let mut dataset = Dataset::new(&self.name, self.digest());
        if let Some(source) = &self.source {
            (dataset.source_type, dataset.source) = source.texts()?;
        }
        let mut profile = Map::new();
        let mut schemas = Map::new();
        let mut complete = true;
        for (role, arrays) in [("features", &self.features), ("targets", &self.targets)] {
            let schema = schema(arrays);
            complete &= schema.is_some() || arrays.is_empty();
            schemas.insert(role.to_owned(), schema.map(|schema| schema.to_json()).transpose()?.into());
            if !arrays.is_empty() {
                profile.insert(format!("{role}_shape"), each(arrays, |tensor| json!(tensor.shape)));
                profile.insert(format!("{role}_size"), each(arrays, |tensor| json!(tensor.size())));
                profile.insert(format!("{role}_nbytes"), each(arrays, |tensor| json!(tensor.nbytes)));
            }
        }
        if complete {
            dataset.schema = Some(python_style(&json!({"mlflow_tensorspec": schemas}))?);
        }
        dataset.profile = Some(python_style(&profile)?);
        Ok(dataset)
    }

    fn check(&self) -> Result<()> {
        let all = self.features.iter().chain(&self.targets);
        if let Some(Array { tensor, count, .. }) =
            all.into_iter().find(|array| array.count != array.tensor.size())
        {
            return Err(Error::invalid("an array's shape must be of as many elements as there are")
                .with("shape", format!("{:?}", tensor.shape))
                .with("elements", count));
        }
        if self.features.is_empty() {
            return Err(Error::invalid("a dataset of arrays needs an array of features"));
        }
        for arrays in [&self.features, &self.targets] {
            for (place, array) in arrays.iter().enumerate() {
                let alone = arrays.len() == 1 || array.name.is_some();
                if !alone || arrays[..place].iter().any(|other| other.name == array.name) {
                    return Err(Error::invalid(
                        "several arrays of features or targets need a name each: use `feature` and `target`",
                    ));
                }
            }
        }
        Ok(())
    }

    fn digest(&self) -> String {
        let mut digest = Digest::new();
        for arrays in [&self.features, &self.targets] {
            let mut sorted: Vec<&Array> = arrays.iter().collect();
            sorted.sort_by_key(|array| array.name.as_deref());
            for array in sorted {
                digest.hashes(array.hashes.iter().copied());
                for length in &array.tensor.shape {
                    digest.length(*length);
                }
            }
        }
        digest.finish()
    }
}

/// `None` if there is no array, or one without dimensions, which has no schema in MLflow.
fn schema(arrays: &[Array]) -> Option<Schema> {
    let clean = !arrays.is_empty() && arrays.iter().all(|array| !array.tensor.shape.is_empty());
    let fields = || arrays.iter().map(|array| array.tensor.batch_field(array.name.clone())).collect();
    clean.then(|| Schema::Tensors(fields()))
}

/// Something about the only array, or about each by its name.
fn each(arrays: &[Array], of: impl Fn(&Tensor) -> Value) -> Value {
    let named = |array: &Array| Some((array.name.clone()?, of(&array.tensor)));
    match arrays {
        [Array { name: None, tensor, .. }] => of(tensor),
        _ => Value::Object(arrays.iter().filter_map(named).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// Written by MLflow 3.17.2 for `from_numpy(float64[4, 3], targets=float64[4])`.
    #[test]
    fn arrays_are_described_as_mlflow_describes_numpys() {
        let quarters = (0..12_u32).map(|i| f64::from(i) / 4.0);
        let features = Arrays::new("dataset").features(quarters, &[4, 3]);
        let dataset = features.clone().targets([0.5, -1.5, 0.0, 2.0], &[4]).dataset().unwrap();
        assert_eq!(dataset.digest, "e99a65c3");
        assert_eq!(
            dataset.schema.unwrap(),
            r#"{"mlflow_tensorspec": {"features": "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float64\", \"shape\": [-1, 3]}}]", "targets": "[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float64\", \"shape\": [-1]}}]"}}"#
        );
        assert_eq!(
            dataset.profile.unwrap(),
            r#"{"features_shape": [4, 3], "features_size": 12, "features_nbytes": 96, "targets_shape": [4], "targets_size": 4, "targets_nbytes": 32}"#
        );
        let alone = features.dataset().unwrap();
        assert_eq!(alone.digest, "faa446c4");
        assert!(alone.schema.unwrap().ends_with(r#", "targets": null}}"#));
    }

    /// Written by MLflow 3.17.2 for a dictionary of arrays.
    #[test]
    fn named_arrays_are_described_in_their_order_and_digested_in_that_of_their_names() {
        let dataset = Arrays::new("dataset")
            .feature("b", [0.0, 1.0, 2.0, 3.0], &[2, 2])
            .feature("a", [1_i32, 2], &[2])
            .target("y", [1_i64, 0], &[2])
            .dataset()
            .unwrap();
        assert_eq!(dataset.digest, "d809a240");
        assert_eq!(
            dataset.schema.unwrap(),
            r#"{"mlflow_tensorspec": {"features": "[{\"name\": \"b\", \"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float64\", \"shape\": [-1, 2]}}, {\"name\": \"a\", \"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"int32\", \"shape\": [-1]}}]", "targets": "[{\"name\": \"y\", \"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"int64\", \"shape\": [-1]}}]"}}"#
        );
        assert_eq!(
            dataset.profile.unwrap(),
            r#"{"features_shape": {"b": [2, 2], "a": [2]}, "features_size": {"b": 4, "a": 2}, "features_nbytes": {"b": 32, "a": 8}, "targets_shape": {"y": [2]}, "targets_size": {"y": 2}, "targets_nbytes": {"y": 16}}"#
        );
    }

    /// Sizes and types that MLflow 3.17.2 wrote.
    #[test]
    fn texts_and_scalars_are_described_as_mlflow_does() {
        let nbytes = |arrays: Arrays| {
            let profile: Value = serde_json::from_str(&arrays.dataset().unwrap().profile.unwrap()).unwrap();
            profile["features_nbytes"].as_u64().unwrap()
        };
        assert_eq!(nbytes(Arrays::new("texts").features(["0", "1", "22é"], &[3])), 36);
        assert_eq!(nbytes(Arrays::new("empty texts").features(["", ""], &[2])), 8);
        assert_eq!(nbytes(Arrays::new("bytes").features([&b"0"[..], b"1", b"22"], &[3])), 6);
        let scalar = Arrays::new("scalar").features([3.0], &[]).dataset().unwrap();
        assert_eq!((&*scalar.digest, scalar.schema), ("5778f1d3", None));
        let none = Arrays::new("no texts").features([""; 0], &[0]);
        assert_eq!((nbytes(none.clone()), none.dataset().unwrap().digest), (0, "7dea362b".to_owned()));
        let many = Arrays::new("many").features((0..10_001_u32).map(f64::from), &[10_001]);
        assert_eq!((nbytes(many.clone()), many.dataset().unwrap().digest), (80_008, "a097ecd2".to_owned()));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for wrong in [
            Arrays::new("shape").features([1.0, 2.0], &[3]),
            Arrays::new("huge").features([1.0, 2.0], &[usize::MAX, 2, 2]),
            Arrays::new("none"),
            Arrays::new("two").features([1.0], &[1]).features([1.0], &[1]),
            Arrays::new("mixed").features([1.0], &[1]).feature("b", [1.0], &[1]),
            Arrays::new("twice").feature("b", [1.0], &[1]).feature("b", [1.0], &[1]),
        ] {
            assert_eq!(wrong.dataset().unwrap_err().kind(), ErrorKind::InvalidInput, "{wrong:?}");
        }
    }
}
