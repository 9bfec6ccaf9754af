//! Plain linfa programs that record themselves: `cargo run --release -p runlog-example-linfa`.
//!
//! Two lines make the difference: the changed import, and `runlog::autolog()`. Without them this is ordinary linfa; with
//! them each fit leaves a run in `mlflow.db`, with what is measured of its predictions later.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::error::Error;

use linfa_clustering::KMeans;
use linfa_linear::LinearRegression;
use linfa_logistic::MultiLogisticRegression;
use linfa_trees::DecisionTree;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use runlog::linfa::prelude::*; // the changed import: was `use linfa::prelude::*;`
use runlog::{Run, RunOptions, RunQuery};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result {
    runlog::autolog(); // the added line

    regression()?;
    classification()?;
    clustering()?;
    search()?;
    show()
}

/// How far does diabetes progress in a year?
fn regression() -> Result {
    let (train, valid) = linfa_datasets::diabetes().split_with_ratio(0.8);
    let model = LinearRegression::default().fit(&train)?;
    let r2 = model.predict(&valid).r2(&valid)?;
    println!("regression      diabetes  R² {r2:.3} on rows it has not seen");
    Ok(())
}

/// Which kind of iris is it?
fn classification() -> Result {
    let data = linfa_datasets::iris().shuffle(&mut SmallRng::seed_from_u64(7));
    let (train, valid) = data.split_with_ratio(0.8);
    let model = MultiLogisticRegression::default().max_iterations(200).fit(&train)?;
    let accuracy = model.predict(&valid).confusion_matrix(&valid)?.accuracy();
    println!("classification  iris      accuracy {accuracy:.3} on flowers it has not seen");
    Ok(())
}

/// Would the flowers fall into three kinds by themselves?
fn clustering() -> Result {
    let flowers = linfa_datasets::iris();
    for clusters in [2, 3, 4] {
        let rng = SmallRng::seed_from_u64(7);
        let model = KMeans::params_with_rng(clusters, rng).max_n_iterations(100).fit(&flowers)?;
        println!("clustering      iris      {clusters} clusters, inertia {:.3}", model.inertia());
    }
    Ok(())
}

/// How deep should a tree be that tells a good wine? A run for the search, and in it a run for each depth, which the fit
/// joins.
fn search() -> Result {
    let data = linfa_datasets::winequality().map_targets(|quality| *quality > 6);
    let data = data.shuffle(&mut SmallRng::seed_from_u64(7));
    let (train, valid) = data.split_with_ratio(0.8);

    let search = runlog::start_run("depth of a tree")?;
    let mut best = (f32::NEG_INFINITY, 0, String::new());
    for depth in [2, 3, 4, 8, 16] {
        let child = runlog::start_run(RunOptions::new().name(format!("depth {depth}")).nested(true))?;
        let model = DecisionTree::params().max_depth(Some(depth)).fit(&train)?;
        let matrix = model.predict(&valid).confusion_matrix(&valid)?;
        child.log_metric("valid_mcc", matrix.mcc(), None);
        println!("search          wines     depth {depth:<2}  Matthews coefficient {:.3}", matrix.mcc());
        if matrix.mcc() > best.0 {
            best = (matrix.mcc(), depth, child.run_id().to_owned());
        }
        child.finish()?;
    }
    let (mcc, depth, run_id) = best;
    search.log_param("best_max_depth", depth);
    search.log_metric("best_valid_mcc", mcc, None);
    runlog::run_handle(&run_id)?.set_tag("best", true);
    search.finish()?;
    Ok(())
}

/// Prints the runs as the store has them, children below their parent.
fn show() -> Result {
    let mut runs = runlog::search_runs(RunQuery::new().max_results(11))?;
    runs.reverse();
    println!("\n{:<24} {:<24} {:>6} {:>7}  metrics", "run", "estimator", "params", "inputs");
    for run in &runs {
        let child = run.tag("mlflow.parentRunId").is_some();
        let name = format!("{}{}", if child { "  " } else { "" }, run.info.run_name);
        let best = if run.tag("best").is_some() { " (best)" } else { "" };
        let estimator = run.tag("estimator_name").unwrap_or("-");
        let (params, inputs) = (run.data.params.len(), run.inputs.datasets.len());
        println!("{:<24} {estimator:<24} {params:>6} {inputs:>7}  {}", name + best, metrics(run));
    }
    println!(
        "\nAll of it, with models and confusion matrices, is in mlflow.db. Look at it with\n  \
         mlflow ui --backend-store-uri sqlite:///mlflow.db"
    );
    Ok(())
}

/// The metrics that tell these runs apart.
fn metrics(run: &Run) -> String {
    let told =
        ["training_r2_score", "training_accuracy_score", "training_inertia", "valid_mcc", "best_valid_mcc"];
    let told = told.into_iter().filter_map(|key| Some(format!("{key} {:.3}", run.metric(key)?)));
    told.collect::<Vec<_>>().join(", ")
}
