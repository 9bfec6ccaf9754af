//! What observing costs: a fit, a prediction and a metric with autologging on, off, and by linfa alone.
//!
//! `cargo bench -p runlog-linfa --bench fit`. Instructions of a call with autologging off, against linfa's own:
//! `valgrind --tool=callgrind <the bench's program> fits off 10000`, and the same with `plain`, and with other numbers
//! of calls: the difference by the calls is what a call takes. So for `predictions`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench ends by panicking, and says what it counted"
)]

use std::hint::black_box;

use divan::Bencher;
use linfa::dataset::{Dataset, DatasetBase};
use linfa::traits::PredictInplace;
use linfa_clustering::KMeans;
use linfa_linear::LinearRegression;
use linfa_trees::DecisionTree;
use ndarray::{Array1, Array2, Ix1};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;
use runlog_core::fluent::with_tracker;
use runlog_core::{Config, Tracker};
use runlog_linfa::LinfaOptions;

/// How a call is made.
#[derive(Clone, Copy, Debug)]
enum How {
    /// Through linfa's own traits.
    Plain,
    /// Through ours, with autologging off.
    Off,
    /// Recorded in a database, with everything that is on by default.
    On,
}

const ALL: [How; 3] = [How::Plain, How::Off, How::On];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, what, how, calls] = arguments.as_slice() {
        let (ours, calls) = (how == "off", calls.parse().unwrap());
        match what.as_str() {
            "fits" => return println!("{}", fits(ours, calls)),
            "predictions" => return println!("{}", predictions(ours, calls)),
            _ => {}
        }
    }
    divan::main();
}

/// Runs the bench with a store of its own.
fn with_store(how: How, bench: impl FnOnce()) {
    runlog_linfa::autolog_with(LinfaOptions::new().disable(!matches!(how, How::On)).silent(true));
    let place = tempfile::tempdir().unwrap();
    let mut config = Config::from_map(&[].into()).unwrap();
    config.quiet = true;
    config.working_dir = place.path().into();
    config.journal_dir = Some(place.path().join("journal"));
    let uri = format!("sqlite:///{}", place.path().join("mlflow.db").display());
    let tracker = Tracker::with_config(Some(&uri), config).unwrap();
    with_tracker(&tracker, bench);
}

macro_rules! fit {
    ($how:expr, $params:expr, $data:expr) => {
        match $how {
            How::Plain => black_box(linfa::traits::Fit::fit(&$params, $data).unwrap()),
            How::Off | How::On => black_box(runlog_linfa::Fit::fit(&$params, $data).unwrap()),
        }
    };
}

fn large() -> Dataset<f64, f64, Ix1> {
    let records = Array2::from_shape_fn((10_000, 20), |(row, column)| {
        f64::from(u8::try_from((row * 31 + column * 17) % 101).unwrap())
    });
    let targets = records.sum_axis(ndarray::Axis(1));
    Dataset::new(records, targets)
}

#[divan::bench(args = ALL, sample_count = 20, sample_size = 1)]
fn linear_regression_of_442_rows(bencher: Bencher<'_, '_>, how: How) {
    let data = linfa_datasets::diabetes();
    with_store(how, || bencher.bench_local(|| fit!(how, LinearRegression::new(), &data)));
}

#[divan::bench(args = ALL, sample_count = 20, sample_size = 1)]
fn linear_regression_of_10_000_rows(bencher: Bencher<'_, '_>, how: How) {
    let data = large();
    with_store(how, || bencher.bench_local(|| fit!(how, LinearRegression::new(), &data)));
}

#[divan::bench(args = ALL, sample_count = 20, sample_size = 1)]
fn decision_tree_of_150_rows(bencher: Bencher<'_, '_>, how: How) {
    let data = linfa_datasets::iris();
    with_store(how, || bencher.bench_local(|| fit!(how, DecisionTree::params(), &data)));
}

#[divan::bench(args = ALL, sample_count = 20, sample_size = 1)]
fn k_means_of_150_rows(bencher: Bencher<'_, '_>, how: How) {
    let data = DatasetBase::from(linfa_datasets::iris().records);
    let params = KMeans::params_with_rng(3, Xoshiro256Plus::seed_from_u64(1));
    with_store(how, || bencher.bench_local(|| fit!(how, params, &data)));
}

#[divan::bench(args = ALL, sample_count = 20, sample_size = 100)]
fn prediction_of_442_rows(bencher: Bencher<'_, '_>, how: How) {
    let data = linfa_datasets::diabetes();
    with_store(how, || {
        let model = fit!(how, LinearRegression::new(), &data);
        bencher.bench_local(|| match how {
            How::Plain => black_box(linfa::traits::Predict::predict(&model, &data)),
            How::Off | How::On => black_box(runlog_linfa::Predict::predict(&model, &data)),
        });
    });
}

/// An estimator, and a model, that does nothing.
struct Nothing;

impl PredictInplace<Array2<f64>, usize> for Nothing {
    #[inline(never)]
    fn predict_inplace(&self, records: &Array2<f64>, prediction: &mut usize) {
        *prediction = records.len();
    }

    fn default_target(&self, _: &Array2<f64>) -> usize {
        0
    }
}

impl linfa::traits::Fit<Array2<f64>, Array1<f64>, linfa::Error> for Nothing {
    type Object = usize;

    #[inline(never)]
    fn fit(&self, data: &DatasetBase<Array2<f64>, Array1<f64>>) -> linfa::error::Result<usize> {
        Ok(data.records.len())
    }
}

/// Fits nothing so many times.
fn fits(ours: bool, calls: usize) -> usize {
    let data = linfa_datasets::diabetes();
    let mut sum = 0;
    for _ in 0..calls {
        sum += if ours {
            runlog_linfa::Fit::fit(black_box(&Nothing), black_box(&data)).unwrap()
        } else {
            linfa::traits::Fit::fit(black_box(&Nothing), black_box(&data)).unwrap()
        };
    }
    sum
}

/// Predicts nothing so many times.
fn predictions(ours: bool, calls: usize) -> usize {
    let records = linfa_datasets::diabetes().records;
    let mut sum = 0;
    for _ in 0..calls {
        let (model, records) = (black_box(&Nothing), black_box(&records));
        sum += if ours {
            runlog_linfa::Predict::predict(model, records)
        } else {
            linfa::traits::Predict::predict(model, records)
        };
    }
    sum
}
