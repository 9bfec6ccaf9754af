//! Metrics of predictions, written to the runs of the models.
//!
//! A metric is logged as `<metric>_<dataset>` into the run of the fit, and its call into `metric_info.json`. The dataset
//! is called as [`named`](crate::Named::named) says, or `eval`; a second one of the same name is `eval-2`. What was
//! logged already is not logged again, as equal calls have equal values. A model that is fitted further has each metric
//! once, with a value for each of its steps.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use runlog_core::Metric;
use runlog_core::data::Source;

use super::{Call, Looked};
use crate::origin::Origin;

/// Runs whose evaluations are kept apart from each other; the oldest are forgotten.
const RUNS_MAX: usize = 256;

/// Keys that one run gets, and datasets of one name: a loop over batches would have a new one each time.
const KEYS_MAX: usize = 256;

/// What was evaluated of one run so far.
#[derive(Debug, Default)]
struct Evaluated {
    /// The content of each dataset of a name, in the order of their numbers.
    datasets: BTreeMap<String, Vec<u64>>,
    /// The values of each metric of a dataset, as bits, in the order of their numbers, and after how many fits.
    values: BTreeMap<(String, String), (usize, Vec<u64>)>,
    /// What `metric_info.json` says.
    calls: BTreeMap<String, String>,
}

impl Evaluated {
    /// The name of the dataset with its number, and whether it is new; `None` if there are too many of that name.
    fn dataset(&mut self, name: &str, content: u64) -> Option<(String, bool)> {
        let known = self.datasets.entry(name.to_owned()).or_default();
        if let Some(place) = known.iter().position(|known| *known == content) {
            return Some((numbered(name, place), false));
        }
        if known.len() == KEYS_MAX {
            return None;
        }
        known.push(content);
        Some((numbered(name, known.len() - 1), true))
    }

    /// The key to log under, unless this was logged, or there are too many.
    fn key(&mut self, metric: &str, dataset: &str, fits: usize, value: f64) -> Option<String> {
        let (of_fits, known) = self.values.entry((metric.to_owned(), dataset.to_owned())).or_default();
        if *of_fits != fits {
            *of_fits = fits;
            known.clear();
        }
        if known.contains(&value.to_bits()) {
            return None;
        }
        let key = format!("{}_{dataset}", numbered(metric, known.len()));
        if self.calls.len() >= KEYS_MAX && !self.calls.contains_key(&key) {
            return None;
        }
        known.push(value.to_bits());
        Some(key)
    }
}

/// MLflow's way to tell things of one name apart: `name`, `name-2`, `name-3`.
fn numbered(name: &str, place: usize) -> String {
    if place == 0 { name.to_owned() } else { format!("{name}-{}", place + 1) }
}

static EVALUATED: Mutex<VecDeque<(String, Evaluated)>> = Mutex::new(VecDeque::new());

/// What is new of an evaluation.
struct News {
    points: Vec<(String, f64)>,
    is_new_dataset: bool,
    /// All of `metric_info.json`, if there is more in it now.
    calls: Option<BTreeMap<String, String>>,
}

/// Notes the values of the metrics of a run's model; `None` if there is nothing new.
fn note(
    run_id: &str,
    origin: &Origin,
    call: Call,
    (name, content): (&str, u64),
    metrics: &[(String, f64)],
) -> Option<News> {
    let mut all = EVALUATED.lock().unwrap_or_else(PoisonError::into_inner);
    if !all.iter().any(|(known, _)| known == run_id) {
        all.push_back((run_id.to_owned(), Evaluated::default()));
        if all.len() > RUNS_MAX {
            all.pop_front();
        }
    }
    let (_, evaluated) = all.iter_mut().find(|(known, _)| known == run_id)?;
    let (dataset, is_new_dataset) = evaluated.dataset(name, content)?;
    let known_calls = evaluated.calls.len();
    let mut points = Vec::new();
    for (metric, value) in metrics {
        if let Some(key) = evaluated.key(metric, &dataset, origin.fits, *value) {
            let source = || format!("{} at {}:{}", call.method, call.caller.file(), call.caller.line());
            evaluated.calls.entry(key.clone()).or_insert_with(source);
            points.push((key, *value));
        }
    }
    let calls = (evaluated.calls.len() > known_calls).then(|| evaluated.calls.clone());
    (!points.is_empty()).then_some(News { points, is_new_dataset, calls })
}

/// Logs metrics of predictions, compared to `truth`, to the runs of these origins.
pub(super) fn log(origins: &[Origin], call: Call, truth: &Looked<'_>, metrics: &[(String, f64)]) {
    let name = truth.name().unwrap_or_else(|| "eval".to_owned());
    let content = truth.print().map_or(0, |print| print.content());
    for origin in origins {
        let Some(recorder) = origin.recorder.upgrade() else { continue };
        recorder.record("the evaluation", |run| {
            let Some(News { points, is_new_dataset, calls }) =
                note(run.run_id(), origin, call, (&name, content), metrics)
            else {
                return Ok(());
            };
            let mut described = None;
            if is_new_dataset
                && recorder.options().logs_datasets()
                && let Some(data) = &truth.data
            {
                let source = Source::code([("mlflow.source.name", call.caller.file())]);
                let named = if name == "eval" { "dataset" } else { &name };
                let dataset = data.describe(named, source)?;
                described = Some((dataset.name.clone(), dataset.digest.clone()));
                run.log_input((dataset, "eval"));
            }
            run.log_points(points.into_iter().map(|(key, value)| {
                let mut point = Metric::now(key, value, origin.step());
                point.model_id.clone_from(&origin.model_id);
                if let Some((name, digest)) = described.clone() {
                    point.dataset_name = Some(name);
                    point.dataset_digest = Some(digest);
                }
                point
            }));
            calls.map_or(Ok(()), |calls| run.log_dict(&calls, "metric_info.json"))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_over_batches_gets_so_many_keys_and_no_more() {
        let mut evaluated = Evaluated::default();
        let datasets: Vec<_> = (0..300).filter_map(|content| evaluated.dataset("eval", content)).collect();
        assert_eq!(datasets.len(), KEYS_MAX);
        assert_eq!(datasets[1], ("eval-2".to_owned(), true));
        assert_eq!(evaluated.dataset("eval", 1), Some(("eval-2".to_owned(), false)));
        for value in 0..300_u16 {
            if let Some(key) = evaluated.key("r2_score", "eval", 1, value.into()) {
                evaluated.calls.insert(key, String::new());
            }
        }
        assert_eq!(evaluated.calls.len(), KEYS_MAX);
        // Steps of a model that is fitted further are no new keys.
        assert_eq!(evaluated.key("r2_score", "eval", 2, 7.0).as_deref(), Some("r2_score_eval"));
    }
}
