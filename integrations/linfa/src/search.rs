//! A recorded cross-validation: linfa's own, with each candidate's scores in a child run, as MLflow does of a parameter
//! search in scikit-learn.
//!
//! Estimators are handed to linfa in a wrapper that takes the time of each fit, and the user's `eval` in one that keeps
//! its result. Invariant: linfa decides what is fitted and in which order, and its result is returned as it is.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::fmt::Write;
use std::panic::Location;
use std::time::{Duration, Instant};

use linfa::Float;
use linfa::dataset::{DatasetBase, Records, TargetDim};
use linfa::traits::{Fit, PredictInplace};
use ndarray::{
    Array, Array1, ArrayBase, ArrayView, ArrayView1, ArrayView2, DataMut, Dimension, Ix1, Ix2, arr0,
};
use runlog_core::autolog::{Recorder, Training};
use runlog_core::{Result, RunHandle, RunOptions, clock};

use crate::INTEGRATION;
use crate::data::Data;
use crate::engine::{describe, tag_estimator};
use crate::options::Settings;
use crate::params::Estimator;
use crate::scores::number;

/// A cross-validation that is recorded; [`Recorded::recorded`] makes one.
#[derive(Debug)]
#[must_use = "it does nothing until one of its methods is called"]
pub struct CrossValidation<'a, D> {
    dataset: &'a mut D,
    lower_is_better: bool,
}

/// `.recorded()`, put before a cross-validation.
pub trait Recorded {
    /// The same dataset, whose cross-validation is recorded where autologging is on.
    ///
    /// The run has the params that all candidates share, `best_…` for the others, `best_cv_score`, the table
    /// `cv_results.csv` with scikit-learn's columns, and a child run for each of the best candidates
    /// ([`LinfaOptions::max_tuning_runs`](crate::LinfaOptions::max_tuning_runs)).
    ///
    /// ```
    /// use linfa::prelude::*;
    /// use linfa_trees::DecisionTree;
    /// use runlog_linfa::Recorded;
    ///
    /// runlog_linfa::autolog();
    /// # runlog_core::fluent::set_tracking_uri("memory:").unwrap();
    /// let mut data = linfa_datasets::iris();
    /// let candidates: Vec<_> = (1..4).map(|depth| DecisionTree::params().max_depth(Some(depth))).collect();
    /// let accuracy = data
    ///     .recorded() // the one word more
    ///     .cross_validate_single(5, &candidates, |predicted, truth| Ok(predicted.confusion_matrix(truth)?.accuracy()))?;
    /// # assert_eq!(accuracy.len(), 3);
    /// # Ok::<(), linfa::Error>(())
    /// ```
    fn recorded(&mut self) -> CrossValidation<'_, Self>
    where
        Self: Sized;
}

impl<R: Records, T> Recorded for DatasetBase<R, T> {
    fn recorded(&mut self) -> CrossValidation<'_, Self> {
        CrossValidation { dataset: self, lower_is_better: false }
    }
}

impl<D> CrossValidation<'_, D> {
    /// The score is an error: the best candidate is the one with the lowest.
    pub fn lower_is_better(mut self) -> Self {
        self.lower_is_better = true;
        self
    }
}

impl<'a, F, E, D, S, I> CrossValidation<'a, DatasetBase<ArrayBase<D, Ix2>, ArrayBase<S, I>>>
where
    F: 'a + Clone,
    E: Copy + 'a,
    D: DataMut<Elem = F>,
    S: DataMut<Elem = E>,
    I: TargetDim,
{
    /// linfa's `cross_validate`, recorded. The score of several targets is their mean.
    ///
    /// # Errors
    /// Those of linfa, untouched.
    #[track_caller]
    pub fn cross_validate<O, ER, M, FACC, C>(
        self,
        k: usize,
        parameters: &[M],
        eval: C,
    ) -> std::result::Result<Array<FACC, I>, ER>
    where
        ER: StdError + From<linfa::Error>,
        M: for<'c> Fit<ArrayView2<'c, F>, ArrayView<'c, E, I>, ER, Object = O>,
        O: for<'d> PredictInplace<ArrayView2<'a, F>, Array<E, I>>,
        FACC: Float,
        C: Fn(&Array<E, I>, &ArrayView<'_, E, I>) -> linfa::error::Result<Array<FACC, I::Smaller>>,
    {
        if !INTEGRATION.is_on() {
            return self.dataset.cross_validate(k, parameters, eval);
        }
        let caller = Location::caller();
        let Some(training) = Training::start(&INTEGRATION) else {
            return self.dataset.cross_validate(k, parameters, eval);
        };
        training.log_dataset("train", || describe(&Data::of(self.dataset), caller));
        let watch = Watch::new();
        let watched: Vec<Watched<'_, M>> =
            parameters.iter().map(|params| Watched { params, watch: &watch }).collect();
        let result = self.dataset.cross_validate(k, &watched, |predicted, truth| {
            let score = eval(predicted, truth);
            if let Ok(score) = &score {
                watch.scored(score);
            }
            score
        });
        let folds = Folds { k, fit_times: watch.fit_times.into_inner(), scored: watch.scored.into_inner() };
        record(&training, parameters, &folds, self.lower_is_better, caller);
        match &result {
            Ok(_) => training.finish(),
            Err(error) => training.fail(error),
        }
        result
    }
}

impl<'a, F, E, D, S> CrossValidation<'a, DatasetBase<ArrayBase<D, Ix2>, ArrayBase<S, Ix1>>>
where
    F: 'a + Clone,
    E: Copy + 'a,
    D: DataMut<Elem = F>,
    S: DataMut<Elem = E>,
{
    /// linfa's `cross_validate_single`, recorded.
    ///
    /// # Errors
    /// Those of linfa, untouched.
    #[track_caller]
    pub fn cross_validate_single<O, ER, M, FACC, C>(
        self,
        k: usize,
        parameters: &[M],
        eval: C,
    ) -> std::result::Result<Array1<FACC>, ER>
    where
        ER: StdError + From<linfa::Error>,
        M: for<'c> Fit<ArrayView2<'c, F>, ArrayView1<'c, E>, ER, Object = O>,
        O: for<'d> PredictInplace<ArrayView2<'a, F>, Array1<E>>,
        FACC: Float,
        C: Fn(&Array1<E>, &ArrayView1<'_, E>) -> linfa::error::Result<FACC>,
    {
        self.cross_validate(k, parameters, |predicted, truth| eval(predicted, truth).map(arr0))
    }
}

/// What is seen while linfa works: fits fold by fold, then scores fold by fold, each candidate in turn.
struct Watch {
    fit_times: RefCell<Vec<Duration>>,
    /// The score and the time that prediction and score took.
    scored: RefCell<Vec<(f64, Duration)>>,
    last: Cell<Instant>,
}

impl Watch {
    fn new() -> Self {
        Self { fit_times: RefCell::default(), scored: RefCell::default(), last: Cell::new(clock::instant()) }
    }

    fn took(&self) -> Duration {
        let now = clock::instant();
        now.saturating_duration_since(self.last.replace(now))
    }

    fn scored<FACC: Float, I: Dimension>(&self, score: &Array<FACC, I>) {
        let sum: f64 = score.iter().map(|value| value.to_f64().unwrap_or(f64::NAN)).sum();
        self.scored.borrow_mut().push((sum / number(score.len()), self.took()));
    }
}

struct Watched<'w, M> {
    params: &'w M,
    watch: &'w Watch,
}

impl<R: Records, T, E, M> Fit<R, T, E> for Watched<'_, M>
where
    E: StdError + From<linfa::Error>,
    M: Fit<R, T, E>,
{
    type Object = M::Object;

    fn fit(&self, dataset: &DatasetBase<R, T>) -> std::result::Result<Self::Object, E> {
        self.watch.took();
        let result = self.params.fit(dataset);
        let took = self.watch.took();
        self.watch.fit_times.borrow_mut().push(took);
        result
    }
}

/// What was seen: each list fold by fold, each candidate in turn.
struct Folds {
    k: usize,
    fit_times: Vec<Duration>,
    scored: Vec<(f64, Duration)>,
}

/// A row of the results, by scikit-learn's names.
struct Candidate {
    params: Vec<(String, String)>,
    fit_time: Moments,
    score_time: Moments,
    scores: Vec<f64>,
    score: Moments,
    /// 1 is the best; equals share a rank.
    rank: usize,
}

#[derive(Clone, Copy)]
struct Moments {
    mean: f64,
    deviation: f64,
}

impl Moments {
    fn of(values: &[f64]) -> Self {
        let mean = values.iter().sum::<f64>() / number(values.len());
        let spread = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>();
        Self { mean, deviation: (spread / number(values.len())).sqrt() }
    }
}

impl Candidate {
    fn metrics(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("mean_fit_time", self.fit_time.mean),
            ("std_fit_time", self.fit_time.deviation),
            ("mean_score_time", self.score_time.mean),
            ("std_score_time", self.score_time.deviation),
            ("mean_test_score", self.score.mean),
            ("std_test_score", self.score.deviation),
            ("rank_test_score", number(self.rank)),
        ]
    }
}

fn record<M>(
    recorder: &Recorder,
    parameters: &[M],
    folds: &Folds,
    lower_is_better: bool,
    caller: &'static Location<'static>,
) {
    let own = recorder.own_options().copied().unwrap_or_else(Settings::default);
    recorder.record("the cross-validation", |run| {
        let estimators: Vec<Estimator> = parameters.iter().map(Estimator::of).collect::<Result<_>>()?;
        let Some(first) = estimators.first() else { return Ok(()) };
        let name = first.name.clone();
        tag_estimator::<M>(run, &name, caller);
        recorder.log_param("cv", folds.k);
        let varying = varying(&estimators);
        recorder.log_params(first.params.iter().filter(|(key, _)| !varying.contains(key)).cloned());
        if folds.scored.len() != folds.k * parameters.len() || folds.fit_times.len() != folds.scored.len() {
            // It ended early: there is nothing to compare.
            return Ok(());
        }
        let candidates = candidates(estimators, folds, lower_is_better);
        let mut best_first: Vec<&Candidate> = candidates.iter().collect();
        best_first.sort_by_key(|candidate| candidate.rank);
        if let Some(best) = best_first.first() {
            let best_params = best.params.iter().filter(|(key, _)| varying.contains(key));
            recorder.log_params(best_params.map(|(key, value)| (format!("best_{key}"), value.clone())));
            run.log_metric("best_cv_score", best.score.mean, 0);
        }
        run.log_text(&table(&candidates, &varying), "cv_results.csv")?;
        let children = own.tuning_runs_max.unwrap_or(usize::MAX).min(best_first.len());
        for candidate in &best_first[..children] {
            child::<M>(run, &name, candidate, caller)?;
        }
        Ok(())
    });
}

/// The params that are not the same everywhere.
fn varying(estimators: &[Estimator]) -> BTreeSet<String> {
    let all: BTreeSet<&String> =
        estimators.iter().flat_map(|one| one.params.iter().map(|(key, _)| key)).collect();
    let value = |one: &Estimator, key: &String| {
        one.params.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    };
    let differs = |key: &&&String| {
        let mut values = estimators.iter().map(|one| value(one, key));
        let first = values.next();
        values.any(|other| Some(other) != first)
    };
    all.iter().filter(differs).map(|key| (*key).clone()).collect()
}

fn candidates(estimators: Vec<Estimator>, folds: &Folds, lower_is_better: bool) -> Vec<Candidate> {
    let count = estimators.len();
    let of = |place: usize| (0..folds.k).map(move |fold| fold * count + place);
    let mut candidates: Vec<Candidate> = estimators
        .into_iter()
        .enumerate()
        .map(|(place, estimator)| {
            let fit_times: Vec<f64> = of(place).map(|at| folds.fit_times[at].as_secs_f64()).collect();
            let score_times: Vec<f64> = of(place).map(|at| folds.scored[at].1.as_secs_f64()).collect();
            let scores: Vec<f64> = of(place).map(|at| folds.scored[at].0).collect();
            Candidate {
                params: estimator.params,
                fit_time: Moments::of(&fit_times),
                score_time: Moments::of(&score_times),
                score: Moments::of(&scores),
                scores,
                rank: 0,
            }
        })
        .collect();
    // What is no number comes last.
    let worth = |candidate: &Candidate| match candidate.score.mean {
        mean if mean.is_nan() => f64::NEG_INFINITY,
        mean if lower_is_better => -mean,
        mean => mean,
    };
    let worths: Vec<f64> = candidates.iter().map(worth).collect();
    for (candidate, own) in candidates.iter_mut().zip(&worths) {
        candidate.rank = 1 + worths.iter().filter(|other| *other > own).count();
    }
    candidates
}

/// The table as scikit-learn's `cv_results_`.
fn table(candidates: &[Candidate], varying: &BTreeSet<String>) -> String {
    let folds = candidates.first().map_or(0, |candidate| candidate.scores.len());
    let mut text = String::from("mean_fit_time,std_fit_time,mean_score_time,std_score_time");
    for key in varying {
        text.push(',');
        text.push_str(&quoted(&format!("param_{key}")));
    }
    text.push_str(",params");
    for fold in 0..folds {
        write!(text, ",split{fold}_test_score").ok();
    }
    text.push_str(",mean_test_score,std_test_score,rank_test_score\n");
    for candidate in candidates {
        let value = |key: &String| {
            candidate.params.iter().find(|(known, _)| known == key).map_or("", |(_, value)| value.as_str())
        };
        let params: serde_json::Map<_, _> =
            varying.iter().map(|key| (key.clone(), value(key).to_owned().into())).collect();
        let mut cells: Vec<String> =
            candidate.metrics()[..4].iter().map(|(_, value)| value.to_string()).collect();
        cells.extend(varying.iter().map(|key| quoted(value(key))));
        cells.push(quoted(&serde_json::Value::Object(params).to_string()));
        cells.extend(candidate.scores.iter().map(f64::to_string));
        cells.extend([candidate.score.mean.to_string(), candidate.score.deviation.to_string()]);
        cells.push(candidate.rank.to_string());
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}

/// A cell of a CSV file.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn child<M>(
    parent: &RunHandle,
    name: &str,
    candidate: &Candidate,
    caller: &'static Location<'static>,
) -> Result<()> {
    let options = RunOptions::new()
        .parent_run_id(parent.run_id())
        .tag("mlflow.autologging", INTEGRATION.name())
        .log_system_metrics(false)
        .silent(true);
    let run = parent.tracker().start_run(options)?;
    tag_estimator::<M>(&run.handle(), name, caller);
    run.log_param_pairs(candidate.params.clone());
    run.log_metrics(candidate.metrics(), 0);
    run.finish()
}
