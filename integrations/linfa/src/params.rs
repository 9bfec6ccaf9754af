//! The settings of an estimator as params: by `Serialize` where its type has it, else out of its `Debug` text.

use std::fmt::Debug;

use runlog_core::Result;
use runlog_core::flatten::{flatten, from_debug};
use serde::Serialize;

use crate::algorithms::{Settings, settings};

/// Keys and texts.
pub(crate) type Pairs = Vec<(String, String)>;

/// What is known of an estimator before anything of its model is.
pub(crate) struct Estimator {
    /// Such as `DecisionTree`.
    pub(crate) name: String,
    /// Empty for a type that is not in the table.
    pub(crate) params: Pairs,
}

impl Estimator {
    pub(crate) fn of<P>(params: &P) -> Result<Self> {
        let Some(Settings { algorithm, pairs }) = settings(params) else {
            tracing::debug!(
                target: "runlog::linfa",
                estimator = std::any::type_name::<P>(),
                "the settings of this type cannot be read; log them with `log_params`"
            );
            return Ok(Self { name: name(std::any::type_name::<P>()), params: Vec::new() });
        };
        let params = pairs?.into_iter().filter(|(key, _)| !is_generator(key)).collect();
        Ok(Self { name: algorithm.to_owned(), params })
    }
}

/// Whether `key` belongs to the state of a random number generator, which is large and tells nobody anything.
fn is_generator(key: &str) -> bool {
    key.split('.').any(|part| part == "rng")
}

/// The last word of an unknown type, without what linfa puts behind the names of settings.
fn name(type_name: &str) -> String {
    let path = type_name.split('<').next().unwrap_or(type_name);
    let mut name = path.rsplit("::").next().unwrap_or(path);
    for suffix in ["Params", "Valid"] {
        name = name.strip_suffix(suffix).filter(|rest| !rest.is_empty()).unwrap_or(name);
    }
    name.to_owned()
}

/// The pairs of a type that tells its fields.
pub(crate) fn by_serialize<P: Serialize>(params: &P) -> Result<Pairs> {
    flatten(params)
}

/// The pairs in the text of a type that only has `Debug`.
#[expect(clippy::unnecessary_wraps, reason = "the readers of the table have one type")]
pub(crate) fn by_debug<P: Debug>(params: &P) -> Result<Pairs> {
    Ok(from_debug(&format!("{params:?}")))
}

/// None: the fields are private, and nothing reads them.
#[expect(clippy::unnecessary_wraps, reason = "the readers of the table have one type")]
pub(crate) fn name_only<P>(_: &P) -> Result<Pairs> {
    Ok(Pairs::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_types_are_named_as_people_call_them() {
        assert_eq!(name("my_crate::deep::MeanParams<f64, my::Rng>"), "Mean");
        assert_eq!(name("my_crate::MeanValidParams"), "Mean");
        assert_eq!(name("my_crate::Params"), "Params");
        assert_eq!(name("my_crate::Mean"), "Mean");
    }
}
