//! The form in which a model is kept in a file, and back again: MessagePack with the names of the fields.
//!
//! MessagePack keeps every bit of a float, NaN too, which JSON does not.

use runlog_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How models of one type are saved.
pub(crate) enum Form<M> {
    As(fn(&M) -> Result<Vec<u8>>),
    /// Not at all, and why.
    Unsaved(&'static str),
}

impl<M> Form<M> {
    pub(crate) fn unsaved(&self) -> Option<&'static str> {
        match self {
            Self::As(_) => None,
            Self::Unsaved(why) => Some(why),
        }
    }

    pub(crate) fn write(&self, model: &M) -> Result<Vec<u8>> {
        match self {
            Self::As(write) => write(model),
            Self::Unsaved(why) => Err(Error::new(ErrorKind::Unsupported, *why)),
        }
    }
}

/// Writes models of type `M`.
pub(crate) trait Write<M> {
    fn write(model: &M) -> Result<Vec<u8>>;
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
