//! The settings of a config of the user's, as params.

use std::panic::{AssertUnwindSafe, catch_unwind};

use runlog_core::{Error, ErrorKind, Result, flatten};
use serde::Serialize;

use crate::INTEGRATION;

/// Params, as `log_params` flattens them.
pub(crate) type Params = Vec<(String, String)>;

/// The settings of a config; a panic in how the user's type is serialized is an error.
pub(crate) fn params(config: &(impl Serialize + ?Sized)) -> Result<Params> {
    catch_unwind(AssertUnwindSafe(|| flatten(config)))
        .unwrap_or_else(|_panic| Err(Error::new(ErrorKind::InvalidInput, "the config cannot be serialized")))
}

/// Says that a config is not recorded; what else there is of the training is.
pub(crate) fn refused(error: &Error) {
    INTEGRATION.warn("autolog burn the config", format_args!("a config is not recorded: {error}"));
}
