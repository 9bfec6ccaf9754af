//! Plain linfa training that records itself: `cargo run --release --example quickstart`.
//!
//! Two lines make the difference: the changed import of `Fit`, and `runlog::autolog()`. Without them this is ordinary
//! training code; with them each `fit` leaves a run in `mlflow.db`.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use linfa::prelude::*;
use linfa_clustering::KMeans;
use linfa_linear::LinearRegression;
use linfa_svm::Svm;
use linfa_trees::DecisionTree;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use runlog::linfa::Fit; // the changed import: takes the place of linfa's own `Fit`
use runlog::{Run, RunOptions, RunQuery};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    runlog::autolog();

    // Regression: how far does diabetes progress in a year? No run is active, so the fit gets a run of its own, with
    // its settings, training metrics, data and model.
    let (train, valid) = linfa_datasets::diabetes().split_with_ratio(0.8);
    let model = LinearRegression::default().fit(&train)?;
    println!("diabetes: R² {:.2} on rows it has not seen", model.predict(&valid).r2(&valid)?);

    // Clustering: are there three kinds of iris? Three settings are three runs, to be compared later.
    let flowers = linfa_datasets::iris();
    for clusters in [2, 3, 4] {
        KMeans::params_with_rng(clusters, SmallRng::seed_from_u64(7)).fit(&flowers)?;
    }

    // Classification: is it a good wine?
    let mut rng = SmallRng::seed_from_u64(7);
    let wines = linfa_datasets::winequality().shuffle(&mut rng).map_targets(|quality| *quality > 6);
    let (train, valid) = wines.split_with_ratio(0.8);
    DecisionTree::params().max_depth(Some(4)).fit(&train)?;

    // The same question in a run of your own: the fit joins it, and you add what only you know. The machine is watched
    // meanwhile, because the run asks for it.
    let run = runlog::start_run(RunOptions::new().name("good-wine-svm").log_system_metrics(true))?;
    let model = Svm::<_, bool>::params().gaussian_kernel(80.0).pos_neg_weights(4.0, 1.0).fit(&train)?;
    let matrix = model.predict(&valid).confusion_matrix(&valid)?;
    run.log_metric("valid_accuracy", matrix.accuracy(), None);
    run.log_metric("valid_f1", matrix.f1_score(), None);
    run.set_tag("question", "is it a good wine?");
    run.finish()?;

    show(6)
}

/// Prints the last runs as the store has them.
fn show(count: usize) -> Result<(), Box<dyn std::error::Error>> {
    let mut runs = runlog::search_runs(RunQuery::new().all_experiments().max_results(count))?;
    runs.reverse();
    println!(
        "\n{:<20} {:<9} {:>7}  {:<17} {:<31} metrics",
        "run", "status", "seconds", "estimator", "params"
    );
    for run in &runs {
        println!(
            "{:<20} {:<9} {:>7.2}  {:<17} {:<31} {}",
            run.info.run_name,
            run.info.status.as_str(),
            seconds(run),
            run.tag("estimator_name").unwrap_or_default(),
            params(run),
            metrics(run),
        );
    }
    let watched = runs.last().map_or(0, |run| metrics_under(run, "system/").count());
    println!(
        "\nAll of it, with models, data and {watched} system metrics of the last run, is in mlflow.db. Look at it with\n  \
         cargo run --features cli -- list\n  \
         mlflow ui --backend-store-uri sqlite:///mlflow.db"
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "an example does not run for 285 000 years")]
fn seconds(run: &Run) -> f64 {
    (run.info.end_time.unwrap_or(run.info.start_time) - run.info.start_time) as f64 / 1000.0
}

/// The settings that tell these runs apart.
fn params(run: &Run) -> String {
    let told = ["n_clusters", "max_depth", "kernel.method", "fit_intercept"];
    let told = told.into_iter().filter_map(|key| Some(format!("{key}={}", run.param(key)?)));
    told.collect::<Vec<_>>().join(" ")
}

fn metrics(run: &Run) -> String {
    let told =
        ["training_r2_score", "training_silhouette_score", "training_accuracy_score", "valid_accuracy"];
    let told = told.into_iter().filter_map(|key| Some(format!("{key} {:.3}", run.metric(key)?)));
    told.collect::<Vec<_>>().join(", ")
}

fn metrics_under<'r>(run: &'r Run, prefix: &'r str) -> impl Iterator<Item = &'r str> {
    run.data.metrics.iter().map(|metric| metric.key.as_str()).filter(move |key| key.starts_with(prefix))
}
