//! The scenarios' calls on logged models.

use runlog::Logged;

use super::args::Args;
use super::player::Outcome;

pub(super) fn call(_call: &str, _args: &Args) -> Option<Outcome> {
    None
}

pub(super) fn log_metric(
    _key: &str,
    _value: f64,
    _step: Option<i64>,
    _time: Option<i64>,
    _model_id: &str,
) -> runlog::Result<Logged> {
    Err(runlog::Error::new(runlog::ErrorKind::Unsupported, "not yet"))
}
