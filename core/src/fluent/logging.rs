//! MLflow's functions that log to the current run; without one they start it.

use serde::Serialize;

use super::{current_or_new, open_tracker};
use crate::current;
use crate::entity::{DatasetInput, Metric};
use crate::error::Result;
use crate::logged::Logged;
use crate::notice;
use crate::run::RunHandle;
use crate::value::{Step, Value};

/// Logs `value` of metric `key` at `step` to the current run; starts one if the process has none.
pub fn log_metric(key: &str, value: impl Value, step: impl Step) -> Logged {
    logged(|run| run.log_metric(key, value, step))
}

/// Logs `value` of metric `key` at `step` and `timestamp` to the current run; the time is in milliseconds since the Unix
/// epoch, and a negative one is refused.
pub fn log_metric_at(key: &str, value: impl Value, step: impl Step, timestamp: i64) -> Logged {
    logged(|run| run.log_metric_at(key, value, step, timestamp))
}

/// Logs several metrics at one step, now, to the current run.
pub fn log_metrics<K: AsRef<str>, V: Value>(
    metrics: impl IntoIterator<Item = (K, V)>,
    step: impl Step,
) -> Logged {
    logged(|run| run.log_metrics(metrics, step))
}

/// Logs several metrics at one step and `timestamp` to the current run, as [`log_metric_at`].
pub fn log_metrics_at<K: AsRef<str>, V: Value>(
    metrics: impl IntoIterator<Item = (K, V)>,
    step: impl Step,
    timestamp: i64,
) -> Logged {
    logged(|run| run.log_metrics_at(metrics, step, timestamp))
}

/// Logs points as they are, with their time, model and dataset, to the current run.
pub fn log_points(points: impl IntoIterator<Item = Metric>) -> Logged {
    logged(|run| run.log_points(points))
}

/// Notes that the current run reads a dataset: `dataset`, `(dataset, "train")`, or a [`DatasetInput`] with tags.
pub fn log_input(input: impl Into<DatasetInput>) -> Logged {
    logged(|run| run.log_input(input))
}

/// Notes that the current run reads these datasets, and uses the logged models of these ids.
pub fn log_inputs(datasets: impl IntoIterator<Item = DatasetInput>, model_ids: &[&str]) -> Logged {
    logged(|run| run.log_inputs(datasets, model_ids))
}

/// Logs a param, which is written once, to the current run.
pub fn log_param(key: &str, value: impl Serialize) -> Logged {
    logged(|run| run.log_param(key, value))
}

/// Logs every field of `params` as a param of the current run, nested ones under dotted keys, as [`flatten`] has them.
///
/// [`flatten`]: crate::flatten::flatten
pub fn log_params(params: &(impl Serialize + ?Sized)) -> Logged {
    logged(|run| run.log_params(params))
}

/// Sets a tag of the current run; its text is as that of a param: `True`, `0.1`, `None`.
pub fn set_tag(key: &str, value: impl Serialize) -> Logged {
    logged(|run| run.set_tag(key, value))
}

/// Sets several tags of the current run.
pub fn set_tags<K: AsRef<str>, V: Serialize>(tags: impl IntoIterator<Item = (K, V)>) -> Logged {
    logged(|run| run.set_tags(tags))
}

/// Removes a tag of the current run; removing one that is not there is no error.
pub fn delete_tag(key: &str) -> Logged {
    logged(|run| run.delete_tag(key))
}

/// Waits until everything that was logged so far is in the store.
///
/// # Blocking
/// For at most a minute.
///
/// # Errors
/// The store did not take it in that time; it is still in the journal.
pub fn flush_async_logging() -> Result<()> {
    open_tracker().map_or(Ok(()), |tracker| tracker.flush())
}

pub(super) fn logged(log: impl FnOnce(&RunHandle) -> Logged) -> Logged {
    match current_or_new() {
        Ok(run) => log(&run),
        Err(error) => {
            notice::error("no-run", format_args!("nothing is logged: {error}"));
            // One of them misses it, and each says so when it ends.
            for run in current::candidates() {
                run.miss(&error);
            }
            Logged::nowhere()
        }
    }
}
