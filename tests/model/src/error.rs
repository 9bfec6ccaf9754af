//! As much of the core's errors as its segments ask for.

use std::fmt::Display;

/// What went wrong.
#[derive(Debug)]
pub(crate) struct Error;

#[derive(Clone, Copy, Debug)]
pub(crate) enum ErrorKind {
    Corrupt,
    Unsupported,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(_: ErrorKind, _: &str) -> Self {
        Self
    }

    pub(crate) fn with(self, _: &str, _: impl Display) -> Self {
        self
    }
}
