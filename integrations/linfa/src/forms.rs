//! The form in which a model is kept in a file, and back again: MessagePack with the names of the fields.
//!
//! MessagePack keeps every bit of a float, NaN too, which JSON does not.

use runlog_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How models of one type are saved.
pub(crate) enum Form<M> {
    As {
        write: fn(&M) -> Result<Vec<u8>>,
        /// The type that reads it, as [`class_of`] tells it.
        loads_as: fn() -> String,
    },
    /// Not at all, and why.
    Unsaved(&'static str),
}

impl<M> Form<M> {
    pub(crate) fn of<W: Write<M>>() -> Self {
        Self::As { write: W::write, loads_as: W::loads_as }
    }

    pub(crate) fn unsaved(&self) -> Option<&'static str> {
        match self {
            Self::As { .. } => None,
            Self::Unsaved(why) => Some(why),
        }
    }

    pub(crate) fn write(&self, model: &M) -> Result<Vec<u8>> {
        match self {
            Self::As { write, .. } => write(model),
            Self::Unsaved(why) => Err(Error::new(ErrorKind::Unsupported, *why)),
        }
    }

    pub(crate) fn loads_as(&self) -> Option<String> {
        match self {
            Self::As { loads_as, .. } => Some(loads_as()),
            Self::Unsaved(_) => None,
        }
    }
}

/// Writes models of type `M`.
pub(crate) trait Write<M> {
    fn write(model: &M) -> Result<Vec<u8>>;

    /// The type that reads it.
    fn loads_as() -> String {
        class_of::<M>()
    }
}

/// Reads what its [`Write`] wrote.
pub(crate) trait Read<M> {
    fn read(bytes: &[u8]) -> Result<M>;
}

/// As the type's own `Serialize` says.
pub(crate) struct Own;

impl<M: Serialize> Write<M> for Own {
    fn write(model: &M) -> Result<Vec<u8>> {
        to_msgpack(model)
    }
}

impl<M: DeserializeOwned> Read<M> for Own {
    fn read(bytes: &[u8]) -> Result<M> {
        from_msgpack(bytes)
    }
}

/// The type without the modules that it stands in, and with borrowed texts as owned ones:
/// `DecisionTree<f64, String>`.
pub(crate) fn class_of<M>() -> String {
    let full = std::any::type_name::<M>();
    let mut class = String::with_capacity(full.len());
    for part in full.split_inclusive(['<', '>', ',', ' ', '(', ')']) {
        class.push_str(part.rsplit("::").next().unwrap_or(part));
    }
    class.replace("&str", "String")
}

pub(crate) fn to_msgpack<S: Serialize>(value: &S) -> Result<Vec<u8>> {
    rmp_serde::to_vec_named(value).map_err(|cause| {
        Error::new(ErrorKind::Unexpected, "cannot write the model as MessagePack").because(cause)
    })
}

pub(crate) fn from_msgpack<S: DeserializeOwned>(bytes: &[u8]) -> Result<S> {
    rmp_serde::from_slice(bytes).map_err(|cause| {
        Error::new(ErrorKind::Corrupt, "not this type of model; `model_class` in `MLmodel` names its type")
            .because(cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_no_modules_and_no_borrowed_texts() {
        assert_eq!(class_of::<Option<Vec<&'static str>>>(), "Option<Vec<String>>");
        assert_eq!(class_of::<Result<String, (f64, Form<bool>)>>(), "Result<String, (f64, Form<bool>)>");
    }
}
